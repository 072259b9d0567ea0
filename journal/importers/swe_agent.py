"""The format "swe-agent": the trajectories that SWE-agent keeps, `trajectories/**/*.traj`, JSON documents.

As version 1.1 (2025) and those before it write them: `HistoryItem`, `TrajectoryStep` and `AgentInfo` in
sweagent/types.py of github.com/SWE-agent/SWE-agent. The history is what was said; each step of the trajectory
follows the message that made it. A message marked as an observation is what the action before it gave, and
with none before it the task; versions before 1.0 mark nothing, and there it is what a user said. Left out:
`message_type`, and of a step what the history says word for word.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from journal.importers.feed import Feed
from journal.importers.ingest import Run, safe_id, stem
from journal.importers.messages import Malformed, calls, said
from journal.importers.source import BAD_JSON, read_document, reason_of
from journal.importers.usage import Tokens, count_of, usage_events
from projections.events import CustomEvent, Event, ReasoningAdded, ToolCalled, ToolReturned

NAME: Final = "swe-agent"
LOOKS: Final = "JSON with a `history` of messages that have an `agent`"

_decode = msgspec.json.Decoder().decode
_canonical = msgspec.json.Encoder(order="sorted").encode
_Keys = dict[str, Any]
_PLACED: Final = frozenset(
    {"role", "content", "message_type", "tool_calls", "tool_call_ids", "thinking_blocks"}
)
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


def recognises(keys: _Keys) -> bool:
    """Whether a document with these keys is of this format; their values are still to be decoded."""
    if keys.get("history") is None:
        return {"history", "trajectory"} <= keys.keys()  # nothing is at hand but the keys
    try:
        history = _decode(keys["history"])
    except BAD_JSON:
        return False
    match history:
        case [{"role": str(), "agent": str()}, *_]:
            return True
    return history == [] and "trajectory" in keys


def import_file(run: Run, path: str) -> None:
    """Take in a file: one session; what is not history becomes metadata."""
    found = read_document(run, path)
    if found is None:
        return
    document = found[1]
    if not isinstance(document, dict) or "history" not in document:
        run.problem(path, None, "no trajectory of SWE-agent: an object with a history is expected")
        return
    feed = Feed(run, path, run.session_id or safe_id(stem(path)))
    try:
        values = {name: _decode(raw) for name, raw in document.items()}
    except BAD_JSON as error:
        run.problem(path, None, reason_of(error))
        return
    history, steps = _list(values.pop("history")), _list(values.pop("trajectory", []))
    before = feed.metadata.get("info")
    for name, value in values.items():
        feed.set_metadata(name, value, run.now)
    for place, content, events in _items(run, path, history, steps):
        feed.add(_canonical(content), run.now, events, line=None, place=place)
    if usage := _usage(values, before):
        feed.add_again(_canonical(values["info"]), run.now, usage)
    feed.finish()


def _items(
    run: Run, path: str, history: list[Any], steps: list[Any]
) -> Iterator[tuple[str, Any, list[Event]]]:
    """Each message and each step: where it stands, what it is recognised by, its events."""
    reader = _Reader()
    waiting = iter(steps)
    said_before = {_canonical(item.get("content")) for item in history if isinstance(item, dict)}
    for index, item in enumerate(history):
        place = f"history {index}: "
        try:
            yield place, ["history", item], reader.events(index, item)
        except Malformed as error:
            run.problem(path, None, f"{place}{error}")
            continue
        if item["role"] == "assistant" and not item.get("is_demo"):
            for step in waiting:
                yield f"{place}its step: ", ["step", step], [_step(step, item, said_before)]
                break
    for step in waiting:
        yield "trajectory: ", ["step", step], [_step(step, {}, said_before)]


class _Reader:
    def __init__(self) -> None:
        self._agent: Any = None
        self._action: str | None = None  # the call that the next observation belongs to

    def events(self, index: int, item: Any) -> list[Event]:
        """The events of a message. Raises Malformed."""
        if not isinstance(item, dict) or not isinstance(item.get("role"), str):
            raise Malformed("not a message: an object with a role is expected")
        rest = {key: value for key, value in item.items() if key not in _PLACED and value not in _EMPTY}
        if rest.get("agent") == self._agent:
            rest.pop("agent", None)
        self._agent = item.get("agent", self._agent)
        match item:
            case {"role": "system", "content": content}:
                return [CustomEvent(name="swe_agent.system", data={"content": content, **rest})]
            case {"role": "assistant"}:
                events = list(self._assistant(index, item, rest))
            case {"role": "tool", "tool_call_ids": [_, *_] as call_ids, "content": result}:
                events = [ToolReturned(call_id=str(call_id), result=result) for call_id in call_ids]
            case {"role": "user", "message_type": "observation", "content": result} if self._action:
                events = [ToolReturned(call_id=self._action, result=result)]
                self._action = None
            case {"role": "user"}:
                events = list(said(item, "swe_agent", "user"))
            case _:
                return [CustomEvent(name=f"swe_agent.{item['role']}", data=item)]
        if rest or not events:
            events.append(CustomEvent(name=f"swe_agent.{item['role']}", data=rest))
        return events

    def _assistant(self, index: int, item: _Keys, rest: _Keys) -> Iterator[Event]:
        for block in _list(item.get("thinking_blocks")):
            match block:
                case {"type": "thinking", "thinking": str(thinking), "signature": str(signature)}:
                    yield ReasoningAdded(content=thinking, signature=signature)
                case _:
                    yield CustomEvent(name="swe_agent.thinking", data=block)
        yield from said(item, "swe_agent", "assistant")
        if rest.get("thought") and str(rest["thought"]) in str(item.get("content")):
            del rest["thought"]
        if item.get("tool_calls"):
            yield from calls(item, "swe_agent")
        elif action := rest.pop("action", None):
            self._action = f"action-{index}"
            yield ToolCalled(call_id=self._action, name="action", arguments=action)


def _step(step: Any, message: _Keys, said_before: set[bytes]) -> Event:
    """A step without what its message says, and without the messages that were sent if they are history."""
    if not isinstance(step, dict):
        return CustomEvent(name="swe_agent.step", data=step)
    told = {
        "response": message.get("content"),
        "thought": message.get("thought"),
        "action": message.get("action"),
    }
    rest = {key: value for key, value in step.items() if key not in told or value != told[key]}
    sent = _list(rest.get("query"))
    if all(isinstance(each, dict) and _canonical(each.get("content")) in said_before for each in sent):
        rest.pop("query", None)
    return CustomEvent(name="swe_agent.step", data=rest)


def _usage(values: _Keys, before: Any) -> list[Event]:
    """What the model took since the last import: the document tells the sum."""
    now, then = (
        each.get("model_stats") if isinstance(each, dict) else None for each in (values.get("info"), before)
    )
    sent, received = (count_of(now, key) - count_of(then, key) for key in ("tokens_sent", "tokens_received"))
    if sent <= 0 and received <= 0:
        return []
    match values:
        case {"replay_config": {"agent": {"model": {"name": str(model)}}}}:
            return usage_events(model, Tokens(max(sent, 0), max(received, 0)), now)
    return usage_events(None, Tokens(max(sent, 0), max(received, 0)), now)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
