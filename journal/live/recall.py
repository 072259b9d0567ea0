"""Recall: what an agent's loop asks a session's history when it goes on: which calls are open, what is done.

One pass over the lines that decodes only those that say so; what is asked for is then read at its place.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, TypeAlias

from journal.chain import base64url, is_erased, outline
from journal.errors import CorruptRecordError
from journal.handle import Handle
from journal.handles import Handles
from journal.kept import UpToDate
from journal.reader import lines
from journal.record import decode_record
from projections.events import Record, SessionRewound, ToolCalled, ToolReturned
from projections.standing import Standing

_CHAIN: Final = b',"chain":"'
# In a header every quotation mark of a text is escaped: this is where the event begins.
_EVENT: Final = b',"event":{"type":"'
_CALL_ID: Final = b'","call_id":"'
_WAS: Final = b'","was":"'


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
        self._seq = self._offset = 0  # of the line before, and behind it
        self._keys: dict[str, list[Place]] = {}
        self._calls: dict[bytes, _Call] = {}  # by the id of the record that tells of the call
        self._by_call_id: dict[str, list[_Call]] = {}
        self._open: dict[Place, _Call] = {}
        self._turns: list[int] = []

    # Taking in: once for each line of a session's history, so with as few calls as can be

    def _begin(self, handle: Handle) -> None:
        self._forget()
        log = handle.log
        if log.fd is None or not log.offset:
            return
        for offset, line in lines(log.disk, log.fd, 0):
            if offset >= log.offset:
                break
            self._take(line)

    def _take(self, line: bytes) -> None:
        offset, self._offset = self._offset, self._offset + len(line) + 1
        self._seq = seq = self._seq + 1
        at = line.find(_EVENT)
        key_at = line.find(b',"key":"', 0, at)
        if key_at > 0:
            self._keys.setdefault(_key(line, key_at + 8), []).append((seq, offset))
        at += len(_EVENT)
        end = line.find(b'"', at)
        kind = line[at:end]
        if is_erased := kind == b"erased":
            kind = line[end + len(_WAS) : line.find(b'"', end + len(_WAS))]
        if kind == b"user_message_added":
            self._turns.append(seq)
        elif kind == b"tool_called":
            call = self._calls[_id(line)] = [(seq, offset)]
            if not is_erased:  # its return finds it; nobody can ask for it
                self._open[call[0]] = call
                self._by_call_id.setdefault(_call_id(line, end), []).append(call)
        elif kind == b"tool_returned":
            self._take_return(line, at, None if is_erased else end, (seq, offset))
        elif kind == b"session_rewound" and not is_erased:
            event = decode_record(line).event
            assert isinstance(event, SessionRewound)
            self._standing.rewind(seq, event.to)

    def _take_return(self, line: bytes, at: int, end: int | None, place: Place) -> None:
        """A return names the record of its call as its cause; one of another writer, only the call's id."""
        cause_at = line.find(b',"cause":"', 0, at) + 10
        call = self._calls.get(line[cause_at : cause_at + 36]) if cause_at > 10 else None
        if call is None and end is not None:
            of_this_id = self._by_call_id.get(_call_id(line, end), ())
            call = next((each for each in reversed(of_this_id) if self._waits(each)), None)
        if call is not None:
            call.append(place)
            self._open.pop(call[0], None)

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
        for call in reversed(self._by_call_id.get(call_id, ())):
            if self._standing.stands(call[0][0]):
                returned = self._last(call[1:])
                back = None if returned is None else self._record(returned)
                return Recalled(self._record(call[0]), back)
        return None

    def unfinished(self) -> Iterator[Record]:
        """The calls that stand and have no return that does, in order."""
        # Without a rewind, what is open is known; with one, a return may have been taken back.
        calls = self._calls if self._standing.ever_rewound else self._open
        for call in list(calls.values()):
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
        if said is None or said.seq != place[0] or not (is_erased(line) or _fits(line)):
            raise CorruptRecordError(log.path, place[1], place[0], "it is not what was written")
        return decode_record(line)


def _fits(line: bytes) -> bool:
    """Whether a record's content is what its digest says."""
    at = line.find(_CHAIN)
    digest = sha256(b"journal/event/1" + line[at + 63 : at + 85] + line[at + 95 : -1]).digest()
    return line[at - 44 : at - 1] == base64url(digest)


def _id(line: bytes) -> bytes:
    at = line.find(b'"id":"') + 6
    return line[at : at + 36]


def _call_id(line: bytes, end: int) -> str:
    """The id of a call, of an event whose type ends at `end`."""
    at = end + len(_CALL_ID)
    close = line.find(b'"', at)
    if line.startswith(_CALL_ID, end) and line.find(b"\\", at, close + 1) < 0:
        return line[at:close].decode()
    event = decode_record(line).event
    return event.call_id if isinstance(event, ToolCalled | ToolReturned) else ""


def _key(line: bytes, at: int) -> str:
    end = line.find(b'"', at)
    if line.find(b"\\", at, end + 1) < 0:
        return line[at:end].decode()
    said = outline(line)  # a key with a quotation mark in it, or other signs that JSON escapes
    return said.key or "" if said is not None else ""
