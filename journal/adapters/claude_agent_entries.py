"""Entries of Claude Code's transcripts as events, and the fold that gives them back."""

from typing import Any, Final

from msgspec import structs

from journal.adapters.item_list import ItemList
from journal.adapters.parts import held, own_part, take_out
from journal.importers.claude_code import block_event
from projections.document import Json
from projections.events import CustomEvent, Event, ReasoningAdded, Record, SessionRewound, UserMessageAdded

# The key of what is ours in `extra`, and the name of our event.
_NAME: Final = "claude_agent"
_ENTRY: Final = "claude_agent.entry"
# Where a block has what its event says in its own field.
_PARTS: Final = {"text": "text", "thinking": "thinking", "tool_use": "input", "tool_result": "content"}
_SIGNATURE: Final = "/message/content/0/signature"


def event_of(entry: dict[str, Any]) -> Event:
    """The event that keeps an entry: its text or its JSON in the event's own field, the rest in `extra`."""
    match entry:
        case {"type": "user" | "assistant" as role, "message": {"content": str(text)}}:
            event = block_event(role, {"type": "text", "text": text})
            return _with(event, entry, "/message/content")
        case {"type": "user" | "assistant" as role, "message": {"content": [dict(block)]}}:
            part = _PARTS.get(str(block.get("type")))
            return _with(
                block_event(role, block), entry, f"/message/content/0/{part}" if part in block else ""
            )
        case {"type": "user" | "assistant" as role, "message": {"content": [*blocks]}}:
            # Several texts are read as one, and the entry is kept whole.
            texts = [block["text"] for block in blocks if _is_text(block)]
            as_one = {"type": "text", "text": "\n".join(texts)}
            return _with(block_event(role, as_one) if texts else None, entry, "")
        case _:
            return _with(None, entry, "")


def entry_of(event: Event) -> Json:
    """The entry that an event keeps; None where it keeps none."""
    if isinstance(event, CustomEvent):
        return event.data if event.name == _ENTRY else None
    return held(event, _NAME, own_part(event))


def _is_text(block: Any) -> bool:
    return isinstance(block_event("user", block), UserMessageAdded)


def _with(event: Event | None, entry: dict[str, Any], at: str) -> Event:
    if event is None:
        return CustomEvent(name=_ENTRY, data=entry)
    if not at:
        return structs.replace(event, extra={_NAME: entry})
    _, rest = take_out(entry, at)
    extra: dict[str, Json] = {_NAME: rest, "at": at}
    if isinstance(event, ReasoningAdded) and event.signature is not None:
        # It may be longer than what it signs.
        extra["signature"] = _SIGNATURE
        _, extra[_NAME] = take_out(rest, _SIGNATURE)
    return structs.replace(event, extra=extra)


class EntryList(ItemList):
    """The entries of a transcript, and the ids by which one is known that comes again."""

    def __init__(self) -> None:
        super().__init__(entry_of)
        self.uuids: set[str] = set()

    def add_entry(self, version: int, entry: Json) -> None:
        """Record `version` is this entry."""
        self.add(version, entry)
        self.uuids.update(uuids_of([entry]))

    def rewind(self, version: int, to: int) -> None:
        """Record `version` takes back all that was done since `to`."""
        super().rewind(version, to)
        self.uuids = uuids_of(self.last(None))


def uuids_of(entries: list[Any]) -> set[str]:
    """The ids of those entries that have one."""
    found = (entry.get("uuid") for entry in entries if isinstance(entry, dict))
    return {uuid for uuid in found if isinstance(uuid, str)}


class Entries:
    """The fold that gives the entries of a transcript."""

    name = "claude_agent.entries"
    version = 1

    def initial(self) -> EntryList:
        """No entries."""
        return EntryList()

    def apply(self, state: EntryList, record: Record) -> EntryList:
        """The entries after one more record."""
        state.version = record.seq
        match record.event:
            case SessionRewound(to=to):
                state.rewind(record.seq, to)
            case event if (entry := entry_of(event)) is not None:
                state.add_entry(record.seq, entry)
        return state
