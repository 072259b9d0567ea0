"""Recall: what an agent's loop asks a session's history when it goes on: which calls are open, what is done.

One pass over the lines that decodes only those that say so; what is asked for is then read at its place.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from journal.chain import fits_digest, is_erased, outline
from journal.errors import CorruptRecordError
from journal.handle import Handle
from journal.handles import Handles
from journal.kept import UpToDate
from journal.reader import blocks, lines
from journal.record import decode_record
from projections.events import Record, SessionRewound, ToolCalled
from projections.standing import Standing

_OF_INTEREST: Final = frozenset(("tool_called", "tool_returned", "session_rewound", "erased"))


class _EventSketch(msgspec.Struct, gc=False):
    type: str
    call_id: Any = ""
    was: Any = ""


class _Sketch(msgspec.Struct, gc=False):
    """As much of a record as it takes to say whether it is of interest."""

    id: str
    event: _EventSketch
    key: str | None = None
    cause: str | None = None


_decode_sketches = msgspec.json.Decoder(_Sketch).decode_lines
# The number of a record, and the byte at which its line begins. Plain tuples and lists: there may be many.
Place: TypeAlias = tuple[int, int]
# Where a call is, and behind it where its returns are.
_Call: TypeAlias = list[Place]


class Recalled(NamedTuple):
    """A call that is on record, and its return if there is one."""

    called: Record
    returned: Record | None


class Recall(UpToDate):
    """One session's keys, tool calls and turns. Ask inside `with handle.log.using`, after `catch_up`."""

    def __init__(self, handles: Handles, session_id: str) -> None:
        super().__init__(handles, session_id)
        self._forget()

    def _forget(self) -> None:
        self._standing = Standing()
        self._seq = 0  # of the last record that was taken in
        self._keys: dict[str, list[Place]] = {}
        self._calls: dict[str, _Call] = {}  # by the id of the record that tells of the call
        self._by_call_id: dict[str, list[_Call]] = {}
        self._unsorted: list[tuple[str, _Call]] = []  # what is still to go in there, when somebody asks
        self._turns: list[int] = []

    # Taking in

    def note_own(self, handle: Handle, offset: int, key: str) -> None:
        """Take in what was just appended at a byte, unread: a record of which only the key counts.

        For who took in all before it, under the same lock.
        """
        log = handle.log
        if (self._end, self._seq) == (offset, log.version - 1):
            self._keys.setdefault(key, []).append((log.version, offset))
            self._end, self._seq = log.offset, log.version

    def _begin(self, handle: Handle) -> None:
        self._forget()
        log = handle.log
        if log.fd is not None and log.offset:
            for at, block in blocks(log.disk, log.fd, 0, log.offset):
                self._take(at, block)

    def _take(self, at: int, lines: list[bytes]) -> None:
        """For each line of a history, so with nothing called for one that says nothing of interest."""
        offsets = list(accumulate(map(len, lines), initial=at))
        first = self._seq + 1
        self._seq += len(lines)
        try:
            sketches = _decode_sketches(b"\n".join(lines))
        except (msgspec.MsgspecError, RecursionError) as error:
            path = self._handles.of(self.session_id).log.path
            raise CorruptRecordError(path, at, first, f"it, or one soon after it: {error}") from None
        for index, sketch in enumerate(sketches):
            kind = sketch.event.type
            if kind == "user_message_added":
                self._turns.append(first + index)
            if sketch.key is not None or kind in _OF_INTEREST:
                self._note(sketch, (first + index, offsets[index] + index), lines[index])

    def _note(self, sketch: "_Sketch", place: Place, line: bytes) -> None:
        if sketch.key is not None:
            self._keys.setdefault(sketch.key, []).append(place)
        event = sketch.event
        is_erased = event.type == "erased"
        kind = event.was if is_erased else event.type
        if kind == "tool_called":
            call = self._calls[sketch.id] = [place]
            if not is_erased:  # its return finds it; nobody can ask for it
                self._unsorted.append((event.call_id, call))
        elif kind == "user_message_added" and is_erased:
            self._turns.append(place[0])
        elif kind == "tool_returned":
            self._note_return(sketch, place)
        elif kind == "session_rewound" and not is_erased:
            rewound = decode_record(line).event
            assert isinstance(rewound, SessionRewound)
            self._standing.rewind(place[0], rewound.to)

    def _note_return(self, sketch: "_Sketch", place: Place) -> None:
        """A return names the record of its call as its cause; one of another writer, only the call's id."""
        call = self._calls.get(sketch.cause) if sketch.cause is not None else None
        if call is None and sketch.event.type == "tool_returned":
            of_this_id = self._calls_with(sketch.event.call_id)
            call = next((each for each in reversed(of_this_id) if self._waits(each)), None)
        if call is not None:
            call.append(place)

    def _calls_with(self, call_id: str) -> Sequence[_Call]:
        for id, call in self._unsorted:
            self._by_call_id.setdefault(id, []).append(call)
        self._unsorted.clear()
        return self._by_call_id.get(call_id, ())

    # Asking

    @property
    def turn(self) -> int:
        """The number of the last message of a user that stands; 0 before the first."""
        return next((seq for seq in reversed(self._turns) if self._standing.stands(seq)), 0)

    def keyed(self, key: str) -> Record | None:
        """The record that stands under a key."""
        place = self._last(self._keys.get(key, ()))
        return None if place is None else self._record(place)

    def call(self, call_id: str) -> Recalled | None:
        """The last call with this id that stands."""
        for call in reversed(self._calls_with(call_id)):
            if self._standing.stands(call[0][0]):
                returned = self._last(call[1:])
                back = None if returned is None else self._record(returned)
                return Recalled(self._record(call[0]), back)
        return None

    def unfinished(self) -> Iterator[Record]:
        """The calls that stand and have no return that does, in order."""
        # Where nothing was rewound, and that is usual, a call that has a return does not wait.
        calls = [call for call in self._calls.values() if len(call) == 1 or not self._standing.is_all]
        for call in calls:
            if self._waits(call):
                record = self._record(call[0])
                if isinstance(record.event, ToolCalled):
                    yield record

    def _waits(self, call: _Call) -> bool:
        """Whether it stands, and no return of it does."""
        return self._standing.stands(call[0][0]) and self._last(call[1:]) is None

    def _last(self, places: Sequence[Place]) -> Place | None:
        return next((place for place in reversed(places) if self._standing.stands(place[0])), None)

    def _record(self, place: Place) -> Record:
        log = self._handles.of(self.session_id).log
        assert log.fd is not None
        line = next((line for _, line in lines(log.disk, log.fd, place[1])), b"")
        # It may stand before the snapshot, where this process has checked nothing yet.
        said = outline(line)
        if said is None or said.seq != place[0] or not (is_erased(line) or fits_digest(line)):
            raise CorruptRecordError(log.path, place[1], place[0], "it is not what was written")
        return decode_record(line)
