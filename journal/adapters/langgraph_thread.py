"""What the records of a session say of a LangGraph thread: its checkpoints, their values, the writes."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any, Final, NamedTuple

import msgspec

from journal.adapters.langgraph_messages import Messages
from journal.adapters.langgraph_values import references
from projections.difference import same_json
from projections.document import Json
from projections.events import CustomEvent, Record, SessionRewound
from projections.spans import Spans
from projections.standing import Standing

Version = str | int | float


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The data of a CustomEvent. `ns`: the namespace, "" but for subgraphs."""

    ns: str = ""

    def event(self) -> CustomEvent:
        """It as an event."""
        return CustomEvent(name=_NAMES[type(self)], data=msgspec.to_builtins(self))


class Small(msgspec.Struct, frozen=True, array_like=True):
    """A channel's value that is no more than a number, or nothing, and its version."""

    version: Version
    value: Json


class Write(msgspec.Struct, frozen=True, array_like=True):
    """A value that goes into a channel; its place among those of its task."""

    index: int
    channel: str
    value: Json


class CheckpointSaved(_Event, frozen=True, kw_only=True):
    """A checkpoint, without its values but for small ones."""

    id: str
    parent: str | None = None
    checkpoint: Json
    metadata: Json
    small: dict[str, Small] = {}


class ValueSaved(_Event, frozen=True, kw_only=True):
    """A channel's new value. A list: its first `keep` items are those of the one before in this channel."""

    channel: str
    version: Version
    keep: int = 0
    value: Json


class WritesSaved(_Event, frozen=True, kw_only=True):
    """What a task wrote that goes into the next checkpoint."""

    checkpoint_id: str
    task_id: str
    task_path: str = ""
    writes: list[Write]


class CheckpointsDeleted(_Event, frozen=True, kw_only=True):
    """The framework deleted checkpoints of a namespace: they are no longer listed."""

    ids: list[str]


class ThreadNamed(_Event, frozen=True, kw_only=True):
    """The thread's id, where it is too long to be told from the session's."""

    thread_id: str


_NAMES: Final[dict[type, str]] = {
    CheckpointSaved: "langgraph.checkpoint",
    ValueSaved: "langgraph.value",
    WritesSaved: "langgraph.writes",
    CheckpointsDeleted: "langgraph.deleted",
    ThreadNamed: "langgraph.thread",
}
_KINDS: Final = {name: kind for kind, name in _NAMES.items()}
# Later than any record: a list as it is now.
_NOW: Final = 2**63

# Most of what is kept is asked for once or never: as bytes it takes a tenth of the memory, and of the time.
_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Saved(NamedTuple):
    """A checkpoint: its parent's id; itself and its metadata, as the bytes of their JSON."""

    parent: str | None
    checkpoint: bytes
    metadata: bytes


class Namespace:
    """The checkpoints of one namespace. What is deleted stays known: values of later ones may rest on it."""

    def __init__(self) -> None:
        self.saved: dict[str, Saved] = {}
        self.listed: list[str] = []  # their ids in order, without those that were deleted
        self._writes: dict[str, dict[tuple[str, int], tuple[str, str, bytes]]] = {}
        self._values: dict[tuple[str, Version], bytes] = {}
        # Of lists what two versions have in common is kept once, and each version by its record's number.
        self._lists: dict[str, Spans[Json]] = {}
        self._lists_at: dict[tuple[str, Version], int] = {}

    @property
    def latest(self) -> str:
        """The id of the latest checkpoint; nothing where there is none."""
        return self.listed[-1] if self.listed else ""

    def is_listed(self, id: str) -> bool:
        """Whether there is such a checkpoint, and nobody deleted it."""
        at = bisect_left(self.listed, id)
        return at < len(self.listed) and self.listed[at] == id

    def value(self, channel: str, version: Version) -> bytes | list[Json] | None:
        """A channel's value, a list or the bytes of its JSON; None where it is empty at that version."""
        at = self._lists_at.get((channel, version))
        return self._values.get((channel, version)) if at is None else self._lists[channel].at(at)

    def writes(self, checkpoint_id: str) -> list[tuple[str, str, bytes]]:
        """Task, channel and value of what was written for a checkpoint, in the order of execution."""
        found = self._writes.get(checkpoint_id, {})
        in_order = sorted(found.items(), key=lambda each: (each[1][0], *each[0]))
        return [(task_id, channel, value) for (task_id, _), (_, channel, value) in in_order]

    def has_write(self, checkpoint_id: str, task_id: str, index: int) -> bool:
        """Whether a task's write of this index is there."""
        return (task_id, index) in self._writes.get(checkpoint_id, ())

    def next_value(self, ns: str, channel: str, version: Version, value: Json) -> ValueSaved:
        """How a new value goes on record: of a list only what is new."""
        keep = 0
        if isinstance(value, list) and (spans := self._lists.get(channel)) is not None:
            for mine, before in zip(value, spans.at(_NOW), strict=False):
                if mine != before or (mine.__class__ is not str and not same_json(mine, before)):
                    break
                keep += 1
            value = value[keep:]
        return ValueSaved(ns=ns, channel=channel, version=version, keep=keep, value=value)

    def take_checkpoint(self, event: CheckpointSaved) -> None:
        """One more checkpoint, or one in the place of another."""
        if not self.is_listed(event.id):
            insort(self.listed, event.id)
        self.saved[event.id] = Saved(event.parent, _encode(event.checkpoint), _encode(event.metadata))
        for channel, small in event.small.items():
            self._put((channel, small.version), small.value)

    def take_value(self, event: ValueSaved, seq: int) -> None:
        """One more value."""
        place = event.channel, event.version
        if isinstance(event.value, list):
            self._lists.setdefault(event.channel, Spans()).restart(event.keep, event.value, seq)
            self._lists_at[place] = seq
        else:
            self._put(place, event.value)

    def take_writes(self, event: WritesSaved) -> None:
        """What one more task wrote."""
        written = self._writes.setdefault(event.checkpoint_id, {})
        for write in event.writes:
            written[event.task_id, write.index] = event.task_path, write.channel, _encode(write.value)

    def _put(self, place: tuple[str, Version], value: Json) -> None:
        self._values[place] = _encode(value)
        self._lists_at.pop(place, None)

    def delete(self, ids: list[str]) -> None:
        """List these no longer."""
        gone = set(ids)
        self.listed = [id for id in self.listed if id not in gone]


class Thread:
    """A thread as its records up to `version` leave it."""

    def __init__(self) -> None:
        self.version = 0
        self.thread_id: str | None = None
        self.namespaces: dict[str, Namespace] = {}
        self.messages = Messages()
        self._standing = Standing()

    def namespace(self, ns: str) -> Namespace:
        """A namespace; an empty one where there is none yet."""
        return self.namespaces.get(ns) or Namespace()

    def rewound(self, record: Record, to: int, history: Iterable[Record]) -> "Thread":
        """The thread after a rewind: what stands of its history is taken in anew."""
        self._standing.rewind(record.seq, to)
        thread = Thread()
        thread._standing = self._standing
        for each in takewhile(lambda each: each.seq < record.seq, history):
            if self._standing.stands(each.seq):
                thread.take(each)
        return thread

    def take(self, record: Record) -> None:
        """Take one more record in; it may say nothing of the thread."""
        event = record.event
        if isinstance(event, CustomEvent) and event.name in _KINDS:
            self._take_custom(msgspec.convert(event.data, _KINDS[event.name]), record.seq)
        else:
            self.messages.take(record.id, event)

    def _take_custom(self, event: Any, seq: int) -> None:
        if isinstance(event, ThreadNamed):
            self.thread_id = event.thread_id
            return
        space = self.namespaces.setdefault(event.ns, Namespace())
        match event:
            case CheckpointSaved():
                space.take_checkpoint(event)
            case ValueSaved():
                space.take_value(event, seq)
                self._claim(event.value)
            case WritesSaved():
                space.take_writes(event)
                for write in event.writes:
                    self._claim(write.value)
            case CheckpointsDeleted():
                space.delete(event.ids)

    def _claim(self, value: Json) -> None:
        """A message that was seen without an id may have been given one."""
        nameless = self.messages.nameless
        for ref, id in references(value) if nameless else ():
            if id is not None and ref in nameless:
                self.messages.claim(ref, id)


class ThreadProjection:
    """Folds a session's records into a Thread. A rewind reads them once more: `history` gives them."""

    name = "langgraph"
    version = 1

    def __init__(self, history: Callable[[], Iterable[Record]]) -> None:
        self._history = history

    def initial(self) -> Thread:
        """A thread of which nothing is known."""
        return Thread()

    def apply(self, state: Thread, record: Record) -> Thread:
        """The thread after one more record."""
        if isinstance(record.event, SessionRewound):
            state = state.rewound(record, record.event.to, self._history())
        else:
            state.take(record)
        state.version = record.seq
        return state
