"""The format "gemini": the sessions that the Gemini CLI keeps, `~/.gemini/tmp/*/chats/session-*`.

As version 0.56 (2026) reads and writes them, `ConversationRecord` and `MessageRecord` in
packages/core/src/services/chatRecordingTypes.ts of github.com/google-gemini/gemini-cli. Older ones are one
JSON document, rewritten at each change; newer ones are lines: the session, its messages, a message again with
what it has got since, `{"$set": …}` and `{"$rewindTo": …}`. Left out: `id` of messages, and `lastUpdated`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from journal.importers.feed import Feed
from journal.importers.ingest import Run, safe_id, stem
from journal.importers.source import BAD_JSON, head, read_document
from journal.importers.times import parse_moment
from journal.importers.transcript import Parsed, Read
from journal.importers.usage import Tokens, count_of, usage_events
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    Event,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)

NAME: Final = "gemini"
LOOKS: Final = "JSON or lines with `sessionId` and `projectHash`"
_ENDED: Final = frozenset({"success", "error", "cancelled"})
_PLACED: Final = frozenset({"id", "timestamp", "type", "content", "thoughts", "tokens", "toolCalls", "model"})
_CALLED: Final = frozenset({"name", "args", "result", "timestamp"})
_CLOCK: Final = frozenset({"lastUpdated"})

_decode = msgspec.json.Decoder().decode
_decode_keys = msgspec.json.Decoder(dict[str, Raw]).decode
_canonical = msgspec.json.Encoder(order="sorted").encode
_Keys = dict[str, Any]


def recognises(keys: _Keys) -> bool:
    """Whether a document, or a line, with these keys is of this format."""
    return {"sessionId", "projectHash"} <= keys.keys() and "user_messages" not in keys


def new_reader() -> Read:
    """A reader of one file of lines."""
    return _Reader()


class _Part(NamedTuple):
    """A part of a message: what it is of it, how it reads, when it came, and the events that it makes."""

    key: str
    what: Any
    at: datetime | None
    events: list[Event]


class _Messages:
    """The messages of a session, each told again whenever it has got more: the parts that are new."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], bytes] = {}
        self._model: Any = None

    def new(self, message: _Keys) -> Iterator[_Part]:
        """What was not told of a message yet; what was told otherwise, as a CustomEvent."""
        for part in _parts(message):
            if part.key == "model" and part.what == self._model:
                continue
            content, place = _canonical(part.what), (message["id"], part.key)
            before, self._told[place] = self._told.get(place), content
            if before is None:
                yield part
            elif before != content:
                data = {"id": message["id"], part.key: part.what}
                yield part._replace(events=[CustomEvent(name="gemini.changed", data=data)])
            if part.key == "model":
                self._model = part.what

    def replace(self, messages: list[Any]) -> Iterator[_Part]:
        """All messages told anew: those that are not known are new, the others are as they are told now."""
        known = {message_id for message_id, _ in self._told}
        for message in filter(_is_message, messages):
            found = list(self.new(message))
            if message["id"] not in known:
                yield from found


class _Reader:
    def __init__(self) -> None:
        self._session_id: str | None = None
        self._messages = _Messages()

    def __call__(self, line: bytes) -> Parsed:
        record = _decode(line)
        match record:
            case {"$set": dict(changed)}:
                # `lastUpdated` alone comes behind each message.
                events: list[Event] = (
                    [CustomEvent(name="gemini.set", data=changed)] if changed.keys() - _CLOCK else []
                )
                parts = self._messages.replace(_list(changed.get("messages")))
                return self._parsed(events, parts, _moment(changed.get("lastUpdated")))
            case {"$rewindTo": _}:
                return self._parsed([CustomEvent(name="gemini.rewound", data=record)])
            case {"sessionId": str(session_id), "projectHash": _}:
                self._session_id = self._session_id or session_id
                about = {key: value for key, value in record.items() if key != "messages"}
                parts = self._messages.replace(_list(record.get("messages")))
                event = CustomEvent(name="gemini.session", data=about)
                return self._parsed([event], parts, _moment(record.get("startTime")))
            case _ if _is_message(record):
                return self._parsed([], self._messages.new(record))
        return self._parsed([CustomEvent(name="gemini.unknown", data=record)])

    def _parsed(self, events: list[Event], parts: Iterable[_Part] = (), at: datetime | None = None) -> Parsed:
        """What a line says; a message told again is as old as what it has got."""
        times = [at] * len(events)
        for part in parts:
            events += part.events
            times += [part.at] * len(part.events)
        return Parsed(events, self._session_id, max(filter(None, times), default=None), times)


def is_document(path: str) -> bool:
    """Whether a file is one document, and no lines. Raises OSError."""
    first = head(path)[0].lstrip().partition(b"\n")[0]
    try:
        return "messages" in _decode_keys(first)
    except BAD_JSON:
        return True


def import_document(run: Run, path: str) -> None:
    """Take in a file that is one document. Its program changes it in place: only what is new is appended."""
    found = read_document(run, path)
    if found is None:
        return
    if not isinstance(found[1], dict):
        run.problem(path, None, "no session of the Gemini CLI: an object is expected")
        return
    document = _decode(found[0])
    session_id = run.session_id or safe_id(_text(document.get("sessionId")) or stem(path))
    feed = Feed(run, path, session_id, in_place=True)
    at = _moment(document.get("startTime")) or run.now
    for name, value in document.items():
        if name not in ("messages", "lastUpdated"):
            feed.set_metadata(name, value, at)
    told = _Messages()
    for index, message in enumerate(_list(document.get("messages"))):
        if not _is_message(message):
            run.problem(path, None, f"message {index}: an object with an id and a type is expected")
            continue
        for part in told.new(message):
            at = part.at or at
            content = _canonical([message["id"], part.key, part.what])
            feed.add(content, at, part.events, line=None, place=f"message {index}: ")
    feed.finish()


def _parts(message: _Keys) -> Iterator[_Part]:
    """The parts of a message, in the order in which its program adds them."""
    kind, at = message["type"], _moment(message.get("timestamp"))
    if (model := _text(message.get("model"))) is not None:
        yield _Part("model", model, at, [CustomEvent(name="gemini.model", data={"model": model})])
    for index, thought in enumerate(_list(message.get("thoughts"))):
        yield _thought(index, thought, at)
    if "content" in message and message["content"] not in ("", None, []):
        yield _Part("content", message["content"], at, list(_said(kind, message["content"])))
    if rest := {key: value for key, value in message.items() if key not in _PLACED and value is not None}:
        yield _Part("rest", rest, at, [CustomEvent(name=f"gemini.{kind}", data=rest)])
    if isinstance(tokens := message.get("tokens"), dict):
        # A prompt's tokens from a cache are in `input`, those of thoughts are not in `output`.
        counted = Tokens(count_of(tokens, "input"), count_of(tokens, "output", "thoughts"))
        yield _Part("tokens", tokens, at, usage_events(model, counted, tokens))
    for index, call in enumerate(_list(message.get("toolCalls"))):
        yield from _call(index, call, at)


def _thought(index: int, thought: Any, at: datetime | None) -> _Part:
    match thought:
        case {"subject": str(subject), "description": str(description)}:
            content = "\n\n".join(filter(None, (subject, description)))
            at = _moment(thought.get("timestamp")) or at
            return _Part(f"thought {index}", thought, at, [ReasoningAdded(content=content)])
    return _Part(f"thought {index}", thought, at, [CustomEvent(name="gemini.thought", data=thought)])


def _call(index: int, call: Any, at: datetime | None) -> Iterator[_Part]:
    """A tool's call, and when it has ended, what it gave."""
    match call:
        case {"id": str(call_id), "name": str(name), "args": arguments}:
            at = _moment(call.get("timestamp")) or at
            called = ToolCalled(call_id=call_id, name=name, arguments=arguments)
            yield _Part(f"call {call_id}", [name, arguments], at, [called])
            if str(call.get("status")) in _ENDED:
                result, is_error = call.get("result"), call["status"] != "success"
                returned = ToolReturned(call_id=call_id, result=result, is_error=is_error)
                rest = {key: each for key, each in call.items() if key not in _CALLED and each is not None}
                shown = CustomEvent(name="gemini.tool_call", data=rest)
                yield _Part(f"result {call_id}", [result, rest], at, [returned, shown])
        case _:
            yield _Part(f"call at {index}", call, at, [CustomEvent(name="gemini.tool_call", data=call)])


def _said(kind: str, content: Any) -> Iterator[Event]:
    """The events of a content: a text, a part, or a list of them."""
    parts = content if isinstance(content, list) else [content]
    texts = [part if isinstance(part, str) else part["text"] for part in parts if _is_text(part)]
    if texts:
        text = "".join(texts)
        match kind:
            case "user":
                yield UserMessageAdded(content=text)
            case "gemini":
                yield AgentResponseAdded(content=text)
            case _:
                yield CustomEvent(name=f"gemini.{kind}", data={"content": text})
    for part in parts:
        if not _is_text(part):
            yield CustomEvent(name="gemini.part", data=part)


def _is_text(part: Any) -> bool:
    if isinstance(part, str):
        return True
    return isinstance(part, dict) and part.keys() == {"text"} and isinstance(part["text"], str)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and isinstance(value.get("type"), str)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: Any) -> datetime | None:
    return None if value is None else parse_moment(value)
