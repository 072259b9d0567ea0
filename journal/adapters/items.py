"""Items: what a framework calls an event or a message, as a batch of records: one for each of its parts.

An item of one part is one record: the part's event, whose `extra` holds what else the item says. Any other
is a record of its own, `NAME.item`, followed by one for each part. The metadata that it sets follow, too.
"""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from msgspec import structs

from journal.errors import InvalidEventError
from journal.event_json import check_json
from projections.document import Json
from projections.events import (
    AgentResponseAdded,
    ContentErased,
    CustomEvent,
    Erased,
    Event,
    MetadataSet,
    ReasoningAdded,
    Record,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from projections.session import Session, SessionProjection
from projections.standing import Standing

JsonObject: TypeAlias = dict[str, Any]
# What has a type of its own, and room for the rest of the part; any other part is a CustomEvent.
TypedPart: TypeAlias = UserMessageAdded | AgentResponseAdded | ReasoningAdded | ToolCalled | ToolReturned
Part: TypeAlias = TypedPart | CustomEvent
# What the typed fields of a part have no place for stands beside them, in its `extra`.
PartAndRest: TypeAlias = tuple[Part, JsonObject]

# An item is nested a few levels deeper on record.
_DEEPEST: Final = 90
_TEXT: Final = "json"


def storable(value: Any) -> Any:
    """The value as a record can hold it: what our JSON has no place for (long integers) goes as a text.

    Raises TypeError, ValueError for what is no JSON at all.
    """
    if not (isinstance(value, dict) and value.keys() == {_TEXT}):
        try:
            check_json(value, deepest=_DEEPEST)
            return value
        except InvalidEventError:
            pass
    return {_TEXT: json.dumps(value)}


def restored(value: Any) -> Any:
    """What `storable` was given."""
    return json.loads(value[_TEXT]) if isinstance(value, dict) and value.keys() == {_TEXT} else value


@dataclass(slots=True)
class Item:
    """An item as it stands on record. What was erased of it is missing."""

    name: str
    head: JsonObject  # all that is in none of its parts
    parts_left: int
    sets_left: int
    parts: list[Part] = field(default_factory=list)
    sets: JsonObject = field(default_factory=dict)  # the metadata that it set
    seq: int = 0  # of its last record
    record_id: str = ""
    made: Any = None  # what the framework makes of it, once it was asked

    def pairs(self) -> Iterator[PartAndRest]:
        """Its parts, each with what the typed fields have no place for."""
        for part in self.parts:
            beside: Any = {self.name: {}} if isinstance(part, CustomEvent) else part.extra
            yield part, beside[self.name].get("rest", {})


def item_events(
    name: str, head: JsonObject, parts: Sequence[PartAndRest] = (), sets: JsonObject | None = None
) -> list[Event]:
    """The batch for an item of the framework `name`: what is in none of its parts, these, and metadata."""
    says: JsonObject = {"item": storable(head)}
    if sets:
        says["sets"] = len(sets)
    settings = [MetadataSet(key=key, value=storable(value)) for key, value in (sets or {}).items()]
    if len(parts) == 1 and not isinstance(parts[0][0], CustomEvent):
        return [_beside(name, *parts[0], says), *settings]
    if parts:
        says["parts"] = len(parts)
    following = [_beside(name, part, rest, {}) for part, rest in parts]
    return [CustomEvent(name=f"{name}.item", data=says), *following, *settings]


def other_part(name: str, value: Json) -> CustomEvent:
    """A part that has no type of its own."""
    return CustomEvent(name=f"{name}.part", data=value)


def _beside(name: str, part: Part, rest: JsonObject, says: JsonObject) -> Part:
    if isinstance(part, CustomEvent):
        return part
    return structs.replace(part, extra={name: {**says, "rest": rest} if rest else says})


def metadata(session: Session) -> JsonObject:
    """The metadata of a session as they were before they were made storable, the caller's own."""
    return {key: restored(copy.deepcopy(value)) for key, value in session.metadata.items()}


class View(Protocol):
    """What a framework sees, made of its items in their order."""

    def take(self, item: Item) -> None:
        """Take one more item in."""


V = TypeVar("V", bound=View)


@dataclass(slots=True)
class Items(Generic[V]):
    """What stands of a session: the framework's view, the metadata, and which record last changed either."""

    view: V
    session: Session
    version: int = 0
    first_id: str = ""  # of its first record; a session of the same name that comes after it has another one
    copied: int = 0  # of a fork: the version up to which it is another session's history
    changed_by: str = ""
    items: list[Item] = field(default_factory=list)  # those that a rewind took back, too
    standing: Standing = field(default_factory=Standing)
    open: Item | None = None  # whose records are still coming

    def metadata(self) -> JsonObject:
        """The metadata of the session, the caller's own."""
        return metadata(self.session)


class ItemsProjection(Generic[V]):
    """The fold that gives the items of one framework, as `view` sees them."""

    version = 1

    def __init__(self, name: str, view: Callable[[], V]) -> None:
        self.name = name
        self._view = view
        self._session = SessionProjection()

    def initial(self) -> Items[V]:
        """Nothing."""
        return Items(self._view(), self._session.initial())

    def apply(self, state: Items[V], record: Record) -> Items[V]:
        """The items after one more record."""
        self._session.apply(state.session, record)
        state.version = record.seq
        state.first_id = state.first_id or record.id
        event = record.event
        if record.seq == state.copied + 1:
            state.open = None  # a fork may have been cut inside a batch
        if self._is_taken(state, event):
            item = state.open
            if item is not None and not item.parts_left and not item.sets_left:
                item.seq, item.record_id = record.seq, record.id
                state.items.append(item)
                state.view.take(item)
                state.open, state.changed_by = None, record.id
            return state
        state.open = None
        match event:
            case SessionRewound(to=to):
                state.standing.rewind(record.seq, to)
                state.view = self._view()
                for item in state.items:
                    if state.standing.stands(item.seq):
                        state.view.take(item)
                state.changed_by = record.id
            case SessionForked(version=version):
                state.copied = version
            case MetadataSet() | SessionReplaced() | ContentErased():
                state.changed_by = record.id
            case _:
                pass  # another one's: the framework does not see it
        return state

    def _is_taken(self, state: Items[V], event: Event) -> bool:
        """Whether the record is of an item: the first of one, or the next of the one that is open."""
        head = _head(self.name, event)
        if head is not None:
            says, only_part = head
            state.open = Item(self.name, restored(says["item"]), says.get("parts", 0), says.get("sets", 0))
            state.open.parts += only_part
            return True
        item = state.open
        if item is None:
            return False
        if item.parts_left:
            item.parts_left -= 1
            if isinstance(event, Part) and _is_part(self.name, event):
                item.parts.append(event)
                return True
        elif item.sets_left:
            item.sets_left -= 1
            if isinstance(event, MetadataSet):
                item.sets[event.key] = restored(event.value)
                return True
        return isinstance(event, Erased)


def _is_part(name: str, event: Part) -> bool:
    if isinstance(event, CustomEvent):
        return event.name == f"{name}.part"
    return isinstance(event.extra, dict) and name in event.extra


def _head(name: str, event: Event) -> tuple[JsonObject, list[Part]] | None:
    """What a record says of an item that begins with it; and the event, where it is its only part as well."""
    match event:
        case CustomEvent(data=dict(says)) if event.name == f"{name}.item" and "item" in says:
            return says, []
        case (
            UserMessageAdded(extra={**beside})
            | AgentResponseAdded(extra={**beside})
            | ReasoningAdded(extra={**beside})
            | ToolCalled(extra={**beside})
            | ToolReturned(extra={**beside})
        ):
            found = beside.get(name)
            if isinstance(found, dict) and "item" in found:
                return found, [event]
    return None
