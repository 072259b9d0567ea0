"""LangChain's messages as events: what was said, asked of tools and returned; and back again."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from projections.difference import same_json
from projections.document import Json
from projections.events import AgentResponseAdded, Event, ToolCalled, ToolReturned, UserMessageAdded

Head = UserMessageAdded | AgentResponseAdded | ToolCalled | ToolReturned

# The classes of messages that are kept as events; what one says that says nothing, such fields are left out.
BLANK: Final[dict[type, BaseMessage]] = {
    HumanMessage: HumanMessage(""),
    AIMessage: AIMessage(""),
    ToolMessage: ToolMessage("", tool_call_id=""),
}
# In `extra`: the fields of a message that the event has no place for; of a further call: whose it is.
_FIELDS: Final = "langgraph"
_IMMUTABLE: Final = frozenset((str, int, float, bool, type(None)))
# In the place of these fields: the whole message, where taking it apart would lose something.
_WHOLE: Final = "$whole"


_encode = msgspec.json.encode
# What `_exact` says of a message that is made of texts, as most are.
_PLAIN: Final = b""

# A message on record: the id of its first record, and the message's own.
Reference = tuple[str, str | None]


@dataclass(eq=False)
class Said:
    """A message on record: the record's id; its first event; the tool calls whose records follow.

    id: the message's own, None as long as only a message without one was seen.
    """

    ref: str
    head: Head
    calls: list[ToolCalled] = field(default_factory=list)
    id: str | None = None
    _message: BaseMessage | None = None
    _exact: bytes = b""

    def message(self, of_json: Callable[[Json], Any]) -> BaseMessage:
        """The message; not to be changed. `of_json` gives back what no event has a place for."""
        if self._message is None or self._message.id != self.id:
            self._message = _joined(self.head, self.calls, self.id, of_json)
            self._exact = _exact(self._message)
        return self._message

    @property
    def reference(self) -> Reference:
        """How values refer to it."""
        return self.ref, self.id

    def is_same(self, message: BaseMessage) -> bool:
        """Whether a message is in every part the one that `message` gave."""
        template = self._message
        return (
            template is not None
            and _are_equal(template, message)
            # Where there is nothing that could be of another type, nothing is.
            and (self._exact == _PLAIN or self._exact == _exact(message))
        )


class Messages:
    """The messages of a thread, each once: found again by what they say and by their ids.

    A message often comes without an id first, and is given one by the graph: it is then the same one.
    """

    def __init__(self) -> None:
        self.by_ref: dict[str, Said] = {}
        self._by_text: defaultdict[tuple[str, str | None], list[Said]] = defaultdict(list)
        self._by_id: defaultdict[str, list[Said]] = defaultdict(list)
        self._met: dict[str, Said] = {}  # by id: which one it was the last time
        self.nameless: set[str] = set()  # the records of those without an id

    def take(self, ref: str, event: Event) -> bool:
        """Take in the event of a record; False where it is of no message."""
        extra = event.extra if isinstance(event, Head) else None
        fields = extra.get(_FIELDS) if isinstance(extra, dict) else None
        if isinstance(fields, dict):
            self.add(Said(ref, event))  # type: ignore[arg-type]
        elif isinstance(fields, str) and isinstance(event, ToolCalled) and fields in self.by_ref:
            self.by_ref[fields].calls.append(msgspec.structs.replace(event, extra=None))
        else:
            return False
        return True

    def add(self, said: Said) -> None:
        """One more message."""
        self.by_ref[said.ref] = said
        self._by_text[_text_in(said.head), said.id].append(said)
        if said.id is None:
            self.nameless.add(said.ref)
        else:
            self._by_id[said.id].append(said)

    def claim(self, ref: str, id: str) -> None:
        """A message that was seen without an id is given this one."""
        said = self.by_ref[ref]
        self.nameless.remove(ref)
        self._by_text[_text_in(said.head), None].remove(said)
        said.id = id
        self.add(said)

    def same_as(self, message: BaseMessage, of_json: Callable[[Json], Any]) -> Said | None:
        """The message with this id that is the same in every part."""
        id = message.id or ""
        # A long list goes through here at each step, and nearly all of it is as it was.
        if (met := self._met.get(id)) is not None and met.is_same(message):
            return met
        for said in reversed(self._by_id.get(id, ())):
            said.message(of_json)
            if said.is_same(message):
                self._met[id] = said
                return said
        return None

    def saying(self, head: Head, calls: list[ToolCalled], id: str | None) -> Iterator[Said]:
        """The messages of these events that were seen with this id; with None, those that have none yet."""
        if found := self._by_text.get((_text_in(head), id)):
            key = _encode([head, calls])
            yield from (said for said in found if _encode([said.head, said.calls]) == key)


def told(message: BaseMessage, to_json: Callable[[Any], Json], of_json: Callable[[Json], Any]) -> Json:
    """A message as JSON, for where it is not on record by itself; `retold` gives it back."""
    head, calls = events_of(message, to_json, of_json)
    return [message.id, msgspec.to_builtins(head), msgspec.to_builtins(calls)]


def retold(value: Json, of_json: Callable[[Json], Any]) -> BaseMessage:
    """The message of what `told` made."""
    id, head, calls = msgspec.convert(value, tuple[str | None, Head, list[ToolCalled]])
    return _joined(head, calls, id, of_json)


def call_of(ref: str, call: ToolCalled) -> ToolCalled:
    """A call as it goes on record behind the first event of its message."""
    return msgspec.structs.replace(call, extra={_FIELDS: ref})


def events_of(
    message: BaseMessage, to_json: Callable[[Any], Json], of_json: Callable[[Json], Any]
) -> tuple[Head, list[ToolCalled]]:
    """The events of a message, without its id: what it says, and the tools that it calls beside."""
    try:
        head, calls = _parted(message, to_json)
        _encode([head, calls])  # not if a text holds half of a surrogate pair
        if head.extra == {_FIELDS: {}} and not calls and not message.__pydantic_extra__:
            return head, calls  # it says its text, and no more
        joined = _joined(head, calls, message.id, of_json)
        if _are_equal(joined, message) and _exact(joined) == _exact(message):
            return head, calls
    except (KeyError, TypeError, ValueError):
        pass  # of an unusual shape
    return _whole(message, to_json), []


def _are_equal(one: BaseMessage, other: BaseMessage) -> bool:
    try:
        return (
            type(one) is type(other)
            and vars(one) == vars(other)
            and one.__pydantic_extra__ == other.__pydantic_extra__
        )
    except Exception:  # an artifact may be anything, and refuse to be compared
        return False


def _exact(message: BaseMessage) -> bytes:
    """What equality does not tell apart: True is no 1."""
    values = [value for value in vars(message).values() if value and value.__class__ is not str]
    try:
        return (
            _encode([*values, message.__pydantic_extra__]) if values or message.__pydantic_extra__ else _PLAIN
        )
    except (TypeError, ValueError):
        return b"?"  # an artifact that is no JSON


def _text_in(head: Head) -> str:
    """What most messages can be told apart by."""
    return head.content if isinstance(head, UserMessageAdded | AgentResponseAdded) else head.call_id


def _parted(message: BaseMessage, to_json: Callable[[Any], Json]) -> tuple[Head, list[ToolCalled]]:
    blank = vars(BLANK[type(message)])
    fields = {
        name: to_json(value)
        for name, value in vars(message).items()
        if name not in ("id", "tool_calls", "tool_call_id", "status")
        # Nearly all fields are empty, and that is quickly seen.
        and (value or blank[name] or value.__class__ is not blank[name].__class__)
        and not same_json(value, blank[name])
    }
    text = _text_of(message.content)
    if isinstance(message.content, str) or isinstance(message, ToolMessage):
        fields.pop("content", None)
    extra: Json = {_FIELDS: fields}
    if isinstance(message, HumanMessage):
        return UserMessageAdded(content=text, extra=extra), []
    if isinstance(message, ToolMessage):
        failed = message.status == "error"
        result = text if isinstance(message.content, str) else to_json(message.content)
        return ToolReturned(call_id=message.tool_call_id, result=result, is_error=failed, extra=extra), []
    assert isinstance(message, AIMessage)
    calls = [
        ToolCalled(call_id=str(call["id"]), name=call["name"], arguments=to_json(call["args"]))
        for call in message.tool_calls
    ]
    if calls and not text:  # an answer that says nothing is none
        return msgspec.structs.replace(calls[0], extra=extra), calls[1:]
    return AgentResponseAdded(content=text, extra=extra), calls


def _whole(message: BaseMessage, to_json: Callable[[Any], Json]) -> Head:
    extra: Json = {_FIELDS: {_WHOLE: to_json(copied(message, None))}}
    text = _readable(_text_of(message.content))
    if isinstance(message, HumanMessage):
        return UserMessageAdded(content=text, extra=extra)
    if isinstance(message, ToolMessage):
        failed = message.status == "error"
        return ToolReturned(
            call_id=_readable(message.tool_call_id), result=text, is_error=failed, extra=extra
        )
    return AgentResponseAdded(content=text, extra=extra)


def _joined(
    head: Head, calls: list[ToolCalled], id: str | None, of_json: Callable[[Json], Any]
) -> BaseMessage:
    assert isinstance(head.extra, dict)
    fields: dict[str, Json] = head.extra[_FIELDS]  # type: ignore[assignment]
    if _WHOLE in fields:
        whole = of_json(fields[_WHOLE])
        assert isinstance(whole, BaseMessage)
        return copied(whole, id)
    kind: type[BaseMessage]
    said: dict[str, Any]
    match head:
        case UserMessageAdded():
            kind, said = HumanMessage, {"content": head.content}
        case ToolReturned():
            kind = ToolMessage
            status = "error" if head.is_error else "success"
            result = head.result if isinstance(head.result, str) else of_json(head.result)
            said = {"content": result, "tool_call_id": head.call_id, "status": status}
        case AgentResponseAdded() | ToolCalled():
            kind = AIMessage
            content = head.content if isinstance(head, AgentResponseAdded) else ""
            called = [head, *calls] if isinstance(head, ToolCalled) else calls
            said = {"content": content, "tool_calls": [_call(each, of_json) for each in called]}
    message = copied(BLANK[kind], id)
    # Past the validation, which would take half of a turn's time, and which it went through once.
    vars(message).update(said)
    vars(message).update({name: of_json(value) for name, value in fields.items()})
    return message


def _call(event: ToolCalled, of_json: Callable[[Json], Any]) -> dict[str, Any]:
    arguments = of_json(event.arguments)
    return {"name": event.name, "args": arguments, "id": event.call_id, "type": "tool_call"}


def copied(message: BaseMessage, id: str | None) -> BaseMessage:
    """A copy that shares nothing that can be changed."""
    fields = vars(message).copy()
    for name, value in fields.items():
        if value.__class__ not in _IMMUTABLE:
            fields[name] = _copied_value(value)
    fields["id"] = id
    # As if it were unpickled: its own `copy` and its validation take ten times as long.
    made: BaseMessage = object.__new__(type(message))
    extra, private = message.__pydantic_extra__, message.__pydantic_private__
    set_attribute = object.__setattr__
    set_attribute(made, "__dict__", fields)
    set_attribute(made, "__pydantic_extra__", _copied_value(extra))
    set_attribute(made, "__pydantic_fields_set__", {*fields, *(extra or ())})
    set_attribute(made, "__pydantic_private__", _copied_value(private))
    return made


def _copied_value(value: Any) -> Any:
    kind = value.__class__
    if kind in _IMMUTABLE:
        return value
    if kind is dict:
        return {key: _copied_value(each) for key, each in value.items()} if value else {}
    if kind is list:
        return [_copied_value(each) for each in value] if value else []
    return copy.deepcopy(value)


def _readable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _text_of(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    texts = [each if isinstance(each, str) else each.get("text") for each in content if each]
    return "\n".join(text for text in texts if isinstance(text, str))
