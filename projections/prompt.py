"""The messages for the next call of a model, in a provider's shape; what that would refuse is mended."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any, Final, Literal

import msgspec

from projections.conversation import Context
from projections.document import Json
from projections.events import (
    AgentResponseAdded,
    Erased,
    Event,
    ReasoningAdded,
    Record,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from projections.pairing import returns_of

Message = dict[str, Any]
Shape = Literal["openai", "anthropic"]

_SUMMARY: Final = "Summary of the conversation so far:\n\n"
_GOES_ON: Final = "(The conversation goes on.)"
_EMPTY: Final = "(This message is empty.)"
_ERASED: Final = "(The content of this message was erased.)"
_ERASED_RESULT: Final = "(The tool returned. What it returned was erased.)"
_UNKNOWN: Final = "The outcome of this call is unknown: it may have run, or not, or in part."

# What both providers take as the id of a call, and as the name of a tool.
_SAFE_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_UNSAFE_IN_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")
_MOST_NAME: Final = 64

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def messages(state: Context, shape: Shape = "openai") -> list[Message]:
    """The conversation as a provider's API takes it: OpenAI's chat completions, or Anthropic's messages.

    System prompts are the caller's own, and so are the messages. The history stays as it is; what a provider
    would refuse is mended in what it is given:

    - A call without a return gets an error as its result, which says that the outcome is unknown.
    - A return without a call is left out: it is nobody's words. Of several returns of a call one counts.
    - Results follow their calls at once; what was said in between comes after them.
    - The id of a call that repeats, or that a provider would refuse, becomes `call_` and the record's number.
    - A user's message that is empty or was erased is a note that says so; an agent's is left out. Reasoning
      is in Anthropic's shape alone, where it is signed and leads to an answer or a call.

    Raises ValueError for another shape.
    """
    match shape:
        case "openai":
            return list(_openai(state))
        case "anthropic":
            return _anthropic(state)
        case _:
            raise ValueError(f"the shape is {shape!r}; expected 'openai' or 'anthropic'")


# The shapes


def _openai(state: Context) -> Iterator[Message]:
    for turn in _turns(state):
        if isinstance(turn, str):
            yield {"role": "user", "content": turn}
            continue
        said: Message = {"role": "assistant", "content": turn.text or None}
        if turn.calls:
            said["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": _encode(call.arguments).decode()},
                }
                for call in turn.calls
            ]
        yield said
        for call in turn.calls:
            # This shape has no other place for it.
            content = f"Error: {call.result}" if call.is_error else call.result
            yield {"role": "tool", "tool_call_id": call.id, "content": content}


def _anthropic(state: Context) -> list[Message]:
    found: list[Message] = []

    def add(role: str, blocks: list[Message]) -> None:
        if found and found[-1]["role"] == role:
            found[-1]["content"] += blocks
        else:
            found.append({"role": role, "content": blocks})

    for turn in _turns(state):
        if isinstance(turn, str):
            add("user", [_text_block(turn)])
            continue
        if not found:
            add("user", [_text_block(_GOES_ON)])
        add("assistant", list(_blocks(turn)))
        if turn.calls:
            add("user", [_result_block(call) for call in turn.calls])
    return found


def _blocks(turn: "_Turn") -> Iterator[Message]:
    for thought in turn.thoughts:
        if thought.signature:
            yield {"type": "thinking", "thinking": thought.content, "signature": thought.signature}
    if turn.text:
        yield _text_block(turn.text)
    for call in turn.calls:
        # A copy: the arguments are the record's.
        arguments = _decode(_encode(call.arguments))
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _result_block(call: "_Call") -> Message:
    block: Message = {"type": "tool_result", "tool_use_id": call.id, "is_error": call.is_error}
    if call.result.strip():  # a text with nothing in it is refused
        block["content"] = call.result
    return block


def _text_block(text: str) -> Message:
    return {"type": "text", "text": text}


# The turns that both shapes are made of


@dataclass(slots=True, kw_only=True)
class _Call:
    """A call of a tool with its result, both as any provider takes them."""

    id: str
    name: str
    arguments: dict[str, Json]
    result: str
    is_error: bool


@dataclass(slots=True)
class _Turn:
    """What an agent does at once: it thinks, says something, calls tools; in this order."""

    thoughts: list[ReasoningAdded] = field(default_factory=list)
    text: str = ""
    calls: list[_Call] = field(default_factory=list)

    @property
    def is_something(self) -> bool:
        """Whether it is more than thoughts, which no provider takes alone."""
        return bool(self.text or self.calls)


def _turns(state: Context) -> Iterator[str | _Turn]:
    """What a user said, as a text, and what the agent did between that."""
    summary, records = state.view()
    if summary.strip():
        yield _SUMMARY + summary
    returns = returns_of(records)
    ids = _Ids()
    turn = _Turn()
    for record in records:
        event = record.event
        if _ends(turn, event):
            if turn.is_something:
                yield turn
            turn = _Turn()
        match event:
            case UserMessageAdded(content=content):
                yield content if content.strip() else _EMPTY
            case Erased(was="user_message_added"):
                yield _ERASED
            case ReasoningAdded():
                turn.thoughts.append(event)
            case AgentResponseAdded(content=content) if content.strip():
                turn.text = content
            case ToolCalled():
                turn.calls.append(_call(record, event, returns.get(record.id), ids))
    if turn.is_something:
        yield turn


def _ends(turn: _Turn, event: Event) -> bool:
    """Whether what the agent did at once ends before this."""
    match event:
        case ReasoningAdded() | AgentResponseAdded():
            return turn.is_something
        case Erased(was=was):
            return was in ("user_message_added", "tool_returned")
        case _:
            return not isinstance(event, ToolCalled)


def _call(record: Record, called: ToolCalled, returned: Record | None, ids: "_Ids") -> _Call:
    result, is_error = _outcome(returned)
    return _Call(
        id=ids.new(called.call_id, record.seq),
        name=_UNSAFE_IN_NAME.sub("_", called.name)[:_MOST_NAME] or "tool",
        arguments=_object(called.arguments),
        result=result,
        is_error=is_error,
    )


def _outcome(returned: Record | None) -> tuple[str, bool]:
    """What a tool gave, as text, and whether that is an error."""
    if returned is None:
        return _UNKNOWN, True
    if isinstance(returned.event, ToolReturned):
        return _text(returned.event.result), returned.event.is_error
    return _ERASED_RESULT, False


def _object(arguments: Json) -> dict[str, Json]:
    """Arguments are an object to every provider; what a model wrote need not have been one."""
    if isinstance(arguments, dict):
        return arguments
    return {} if arguments is None else {"arguments": arguments}


def _text(result: Json) -> str:
    """A result as text: texts in blocks, as tools give them, are texts; what is none is JSON."""
    if isinstance(result, str):
        return result
    if isinstance(result, list) and result:
        texts = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
            for part in result
        ]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(map(str, texts))
    return _encode(result).decode()


class _Ids:
    """The ids of the calls of one conversation, each another one, as far as can be its own."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def new(self, call_id: str, seq: int) -> str:
        """The id for the call of record `seq`; it depends on the calls before it alone."""
        own = [call_id] if _SAFE_ID.fullmatch(call_id) else []
        others = (f"call_{seq}_{number}" for number in count(2))
        new = next(each for each in chain(own, [f"call_{seq}"], others) if each not in self._used)
        self._used.add(new)
        return new
