"""Items of the OpenAI Agents SDK as events, and the fold that gives them back."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from journal.adapters.parts import put_back, take_out
from journal.event_json import encode_json, json_in
from journal.kept import Unread
from projections.document import Json, parse_document
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    Event,
    ReasoningAdded,
    Record,
    SessionAdopted,
    SessionCreated,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from projections.standing import Standing

# The key of what is ours in `extra`, and the names of our events.
_NAME: Final = "openai_agents"
_ITEM: Final = "openai_agents.item"
_REMOVED: Final = "openai_agents.removed"
_decode_items = msgspec.json.Decoder(list[Any]).decode

# How models write the JSON of arguments.
_STYLES: Final[dict[str, Callable[[Json], str]]] = {
    "compact": partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
    "spaced": partial(json.dumps, ensure_ascii=False),
    "ascii": json.dumps,
}


def event_of(item: Any) -> Event:
    """The event that keeps an item: its text or its JSON in the event's own field, the rest in `extra`."""
    match item:
        case {"role": "user", "content": content}:
            return _said(UserMessageAdded, item, [*_texts(content, "/content")])
        case {"role": "assistant", "content": content}:
            return _said(AgentResponseAdded, item, [*_texts(content, "/content")])
        case {"type": "reasoning"}:
            texts = [*_texts(item.get("summary"), "/summary"), *_texts(item.get("content"), "/content")]
            return _said(ReasoningAdded, item, texts)
        case {"type": str(kind), "call_id": str(call_id), "output": _} if kind.endswith("_call_output"):
            result, rest = take_out(item, "/output")
            return ToolReturned(call_id=call_id, result=result, extra={_NAME: rest, "at": "/output"})
        case {"type": str(kind), "call_id": str(call_id)} if kind.endswith("_call"):
            asked = next((key for key in ("arguments", "input", "action", "operation") if key in item), None)
            name = item.get("name", kind.removesuffix("_call"))
            if asked is not None and isinstance(name, str):
                arguments, rest = take_out(item, f"/{asked}")
                extra: dict[str, Json] = {_NAME: rest, "at": f"/{asked}"}
                if asked == "arguments" and isinstance(arguments, str) and (style := _style_of(arguments)):
                    arguments, extra["json"] = json_in(arguments), style
                return ToolCalled(call_id=call_id, name=name, arguments=arguments, extra=extra)
    return CustomEvent(name=_ITEM, data=item)


def item_of(event: Event) -> Json:
    """The item that an event keeps, or that says the same where another program wrote it; None for none."""
    match event:
        case CustomEvent(name="openai_agents.item", data=item):
            return item
        case UserMessageAdded() | AgentResponseAdded() | ReasoningAdded():
            part: Json = event.content
        case ToolCalled():
            part = event.arguments
        case ToolReturned():
            part = event.result
        case _:
            return None
    match event.extra:
        case {"openai_agents": item, "at": str(at), **more}:
            written = _STYLES.get(str(more.get("json")))
            try:
                return put_back(item, at, part if written is None else written(part))
            except (LookupError, AttributeError, TypeError, ValueError):
                pass  # nobody took it apart here
        case {"openai_agents": item}:
            return item
    return _plain_item(event)


def _said(
    kind: type[UserMessageAdded | AgentResponseAdded | ReasoningAdded],
    item: dict[str, Any],
    texts: list[tuple[str, str]],
) -> Event:
    if len(texts) != 1:  # then the item is kept whole, and the event says what there is to read
        return kind(content="\n".join(text for _, text in texts), extra={_NAME: item})
    [(at, text)] = texts
    _, rest = take_out(item, at)
    return kind(content=text, extra={_NAME: rest, "at": at})


def _texts(content: object, at: str) -> Iterator[tuple[str, str]]:
    """The texts of a message, each with its place."""
    if isinstance(content, str):
        yield at, content
    for index, part in enumerate(content if isinstance(content, list) else ()):
        match part:
            case {"text": str(text)}:
                yield f"{at}/{index}/text", text
            case {"refusal": str(text)}:
                yield f"{at}/{index}/refusal", text


def _style_of(text: str) -> str | None:
    """How the JSON in a text is written, if it can be written so again; else None."""
    value = json_in(text)
    return next((name for name, written in _STYLES.items() if written(value) == text), None)


def _plain_item(event: Event) -> Json:
    match event:
        case UserMessageAdded(content=content):
            return {"role": "user", "content": content}
        case AgentResponseAdded(content=content):
            return {"role": "assistant", "content": content}
        case ToolCalled(call_id=call_id, name=name, arguments=arguments):
            written = json.dumps(arguments, ensure_ascii=False)
            return {"type": "function_call", "call_id": call_id, "name": name, "arguments": written}
        case ToolReturned(call_id=call_id, result=result):
            output = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
            return {"type": "function_call_output", "call_id": call_id, "output": output}
        case _:
            return None  # the thoughts of another program's model are none of this one's


def removed(first: int) -> Event:
    """All items from the record of this number on are taken back."""
    return CustomEvent(name=_REMOVED, data={"from": first})


class ItemList:
    """The items of a session as they stand: as JSON, so that whoever reads them gets his own.

    version  of the session; owner: whose it is, empty before it began
    """

    def __init__(self) -> None:
        self.version = 0
        self.owner = ""
        self._done: list[_Item | _Removal] = []
        self._items: list[_Item] = []
        self._standing = Standing()

    @property
    def end(self) -> int:
        """The record of the last item; 0 where there is none."""
        return self._items[-1].version if self._items else 0

    def last(self, limit: int | None) -> list[Any]:
        """The last items, or with None or less than nothing all. Raises CorruptRecordError."""
        start = 0 if limit is None or limit < 0 else max(len(self._items) - limit, 0)
        return _decode_items(b"[%b]" % b",".join([item.json() for item in self._items[start:]]))

    def add(self, version: int, item: Json | Unread) -> None:
        """Record `version` is this item, or when it is read will be one."""
        added = _Item(version, item if isinstance(item, Unread) else encode_json(item))
        self._done.append(added)
        self._items.append(added)

    def remove(self, version: int, first: int) -> None:
        """Record `version` takes back the items from record `first` on."""
        self._done.append(_Removal(version, first))
        self._remove(first)

    def rewind(self, version: int, to: int) -> None:
        """Record `version` takes back all that was done since `to`, removals too."""
        self._standing.rewind(version, to)
        self._items.clear()
        for each in self._done:
            if self._standing.stands(each.version):
                if isinstance(each, _Item):
                    self._items.append(each)
                else:
                    self._remove(each.first)

    def _remove(self, first: int) -> None:
        while self._items and self.end >= first:
            self._items.pop()


class _Removal(NamedTuple):
    version: int
    first: int


class _Item(msgspec.Struct, gc=False):  # there may be many, and nothing of them leads back to them
    version: int
    content: bytes | Unread

    def json(self) -> bytes:
        if isinstance(self.content, Unread):
            self.content = encode_json(item_of(self.content.read().event))
        return self.content


class Items:
    """The fold that gives the items of a session."""

    name = "openai_agents.items"
    version = 1
    # What is an item whatever it says.
    postponed = ("user_message_added", "agent_response_added", "tool_called", "tool_returned")

    def initial(self) -> ItemList:
        """No items."""
        return ItemList()

    def postpone(self, state: ItemList, unread: Unread) -> ItemList:
        """The items after one more record, which is one."""
        state.version = unread.seq
        state.add(unread.seq, unread)
        return state

    def apply(self, state: ItemList, record: Record) -> ItemList:
        """The items after one more record."""
        state.version = record.seq
        match record.event:
            case SessionRewound(to=to):
                state.rewind(record.seq, to)
            case CustomEvent(name="openai_agents.removed", data={"from": int(first)}):
                state.remove(record.seq, first)
            case event if (item := item_of(event)) is not None:
                state.add(record.seq, item)
        state.owner = _owner(record.event) or state.owner
        return state


def _owner(event: Event) -> str | None:
    match event:
        case SessionCreated() | SessionForked() | SessionRewound():
            return event.user_id
        case SessionReplaced(session=document):
            return document.user_id
        case SessionAdopted(document=text):
            return parse_document(text).user_id
        case _:
            return None
