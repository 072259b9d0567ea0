"""Items of the OpenAI Agents SDK as events, and the fold that gives them back."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from journal.adapters.item_list import ItemList
from journal.adapters.parts import held, own_part, take_out
from journal.event_json import json_in
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

# The key of what is ours in `extra`, and the names of our events.
_NAME: Final = "openai_agents"
_ITEM: Final = "openai_agents.item"
_REMOVED: Final = "openai_agents.removed"

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
    if isinstance(event, CustomEvent):
        return event.data if event.name == _ITEM else None
    part = own_part(event)
    match getattr(event, "extra", None):
        case {"json": str(style)} if style in _STYLES:
            part = _STYLES[style](part)
    item = held(event, _NAME, part)
    return _plain_item(event) if item is None else item


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


class AgentItems(ItemList):
    """The items of a session, and whose it is: nobody's before it began."""

    def __init__(self) -> None:
        super().__init__(item_of)
        self.owner = ""


class Items:
    """The fold that gives the items of a session."""

    name = "openai_agents.items"
    version = 1
    # What is an item whatever it says.
    postponed = ("user_message_added", "agent_response_added", "tool_called", "tool_returned")

    def initial(self) -> AgentItems:
        """No items."""
        return AgentItems()

    def postpone(self, state: AgentItems, unread: Unread) -> AgentItems:
        """The items after one more record, which is one."""
        state.version = unread.seq
        state.add(unread.seq, unread)
        return state

    def apply(self, state: AgentItems, record: Record) -> AgentItems:
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
