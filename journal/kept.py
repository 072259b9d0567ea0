"""Kept up to date: what is made of a session's records, so that each look reads only what is new."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from typing import Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from journal.chain import EVENT_TYPE, fits_digest
from journal.errors import CorruptRecordError
from journal.handle import Handle
from journal.handles import Handles
from journal.log import Log
from journal.reader import blocks
from journal.record import decode_record
from projections.events import Record
from projections.projection import Projection

State = TypeVar("State")
T = TypeVar("T")


class UpToDate(ABC):
    """What follows one session line by line. A deletion, an erasure, another session: it begins anew."""

    def __init__(self, handles: Handles, session_id: str) -> None:
        self.session_id = session_id
        self._handles = handles
        self._end = 0  # to which byte it was taken in
        self._read: tuple[Log, int] | None = None  # of which log, and of which file that it had open

    def catch_up(self) -> Handle:
        """Take in what is new; return the session's handle. Takes no file lock. Raises CorruptRecordError."""
        handle = self._handles.of(self.session_id)
        with handle.log.using:
            handle.read()
            self.take_in(handle)
        return handle

    def take_in(self, handle: Handle) -> None:
        """As catch_up, for a handle that was brought up to date this moment, inside a `with` of its log."""
        log = handle.log
        known, self._read = self._read, None  # until all is taken in
        # A log that was closed and opened again is another one: that costs a pass, and leaves no doubt.
        if known is None or known[0] is not log or known[1] != log.incarnation or not self._end:
            self._begin(handle)
        elif log.offset > self._end:
            assert log.fd is not None
            for at, block in blocks(log.disk, log.fd, self._end, log.offset):
                self._take(at, block)
        self._read, self._end = (log, log.incarnation), log.offset

    @abstractmethod
    def _begin(self, handle: Handle) -> None:
        """Forget what was taken in, and take in all up to the version of the handle's log."""

    @abstractmethod
    def _take(self, at: int, lines: list[bytes]) -> None:
        """Take in the lines, which were checked, that begin at a byte."""


class Unread(msgspec.Struct, frozen=True, gc=False):
    """A record that is not decoded before somebody asks for it."""

    seq: int
    offset: int
    path: str
    line: bytes

    def read(self) -> Record:
        """The record. Raises CorruptRecordError where its content is not what was written."""
        if not fits_digest(self.line):
            raise CorruptRecordError(self.path, self.offset, self.seq, "it is not what was written")
        return decode_record(self.line)


@runtime_checkable
class Postponing(Projection[State], Protocol[State]):
    """A projection that has no need to know at once what the many records say: the first look costs less.

    postponed  the types of these records' events
    """

    postponed: Collection[str]

    def postpone(self, state: State, unread: Unread) -> State:
        """As `apply`, of a record of such a type."""
        ...


class Kept(UpToDate, Generic[State]):
    """A projection of one session: `now` folds only what came since the last call.

    One for each reader. Threads may share it: each gets its answer with `ask`. A first look checks the whole
    hash chain; that of a Postponing one only each record that it reads, by its own hash.
    """

    def __init__(
        self,
        handles: Handles,
        session_id: str,
        projection: Projection[State],
        records: Callable[[str], Iterator[Record]],
    ) -> None:
        super().__init__(handles, session_id)
        self._projection, self._records = projection, records
        self._postponing: Postponing[State] | None = (
            projection if isinstance(projection, Postponing) else None
        )
        self._postponed = {kind.encode() for kind in getattr(projection, "postponed", ())}
        self._state = projection.initial()
        self._is_there = False
        self._path, self._seq = "", 0  # of the file; of the last line that was taken in

    def now(self) -> State | None:
        """The state as it is now, None if there is no such session. It is this object's own: do not edit it.

        Raises CorruptRecordError, InvalidNameError, JournalClosedError.
        """
        return self.ask(lambda state: state)

    def ask(self, question: Callable[[State | None], T]) -> T:
        """As `now`, and what `question` makes of the state: no other thread brings it up to date meanwhile.

        Raises as `now`, and what `question` raises.
        """
        with self.catch_up().log.using:
            return question(self._state if self._is_there else None)

    def _begin(self, handle: Handle) -> None:
        self._state, self._seq = self._projection.initial(), 0
        self._is_there = handle.exists()
        log = handle.log
        self._path = log.path
        if self._postponing and log.fd is not None and log.offset:
            for at, block in blocks(log.disk, log.fd, 0, log.offset):
                self._take(at, block)
            return
        for record in self._records(self.session_id) if self._is_there else ():
            if record.seq > log.version:
                break  # it came this moment: for the next call
            self._state = self._projection.apply(self._state, record)

    def _take(self, at: int, lines: list[bytes]) -> None:
        for line in lines:
            self._state = self._after(line, at)
            at += len(line) + 1

    def _after(self, line: bytes, offset: int) -> State:
        self._seq += 1
        if self._postponing:
            at = line.find(EVENT_TYPE) + len(EVENT_TYPE)
            if line[at : line.find(b'"', at)] in self._postponed:
                unread = Unread(self._seq, offset, self._path, line)
                state: State = self._postponing.postpone(self._state, unread)
                return state
        return self._projection.apply(self._state, decode_record(line))
