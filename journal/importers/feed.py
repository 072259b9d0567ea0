"""Feed: one session, fed with the items of one file — which of them are new, and appending just those."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from journal.errors import (
    InvalidEventError,
    OwnerMismatchError,
    SessionNotFoundError,
    VersionConflictError,
)
from journal.handle import ANY
from journal.importers.ingest import DEFAULT_USER, SESSION_ERRORS, Run, short_hash
from journal.record import prepare
from projections.difference import same_json
from projections.document import Json
from projections.events import Change, Event, MetadataSet, SessionCreated

BATCH_CHANGES: Final = 256
BATCH_BYTES: Final = 4 * 1024 * 1024

_canonical = msgspec.json.Encoder(order="sorted").encode


class _Waiting(NamedTuple):
    item: str
    line: int | None
    place: str
    change: Change


class _Deleted(Exception):
    """The session that is being fed is gone."""


class Feed:
    """One session, fed with the items of one file in their order.

    Each change carries a key: hash of the item, number of the event in it, how many items of the same
    content the file held before, and a mark of the file's name. An item that the session has on record is not
    appended again, whichever file it came from. The items that came from a file of this name must come
    again, in their order and before anything new: else the file was rewritten, which is a Problem, and
    nothing of it is appended. In a document that is changed `in_place`, what is new may stand anywhere.
    """

    def __init__(self, run: Run, path: str, session_id: str, *, in_place: bool = False) -> None:
        self._run, self._path, self._session_id, self._in_place = run, path, session_id, in_place
        self._mark = short_hash(os.path.basename(path).encode(errors="surrogateescape"))[:6]
        self._seen: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._known: set[str] = set()
        self._due: dict[str, None] = {}  # what is on record of this file, and has not come again yet
        self.metadata: dict[str, Json] = {}
        self.is_closed = False
        """Nothing more is appended, for the reason that is among the problems."""
        self._attempt(self._open)

    def add(
        self,
        content: bytes,
        at: datetime,
        events: Sequence[Event],
        *,
        line: int | None,
        place: str = "",
        times: Sequence[datetime | None] = (),
    ) -> None:
        """Take one item in: what it is recognised by when it comes again, and the events that it makes.

        `line` and `place` ("message 3: ") say where it stands; `times`: the events', where they are not `at`.
        """
        digest, occurrence = self._place_of(content)
        item = f"{digest}.{occurrence}"
        if self.is_closed or not events:
            return
        if item in self._known:
            is_next = next(iter(self._due), item) == item
            if item in self._due and (is_next or self._in_place):
                del self._due[item]
            elif item in self._due:
                self._close(line, f"{place}it stood elsewhere before")
            return
        changes = [
            Change(event=event, at=own or at, key=f"{digest}.{index}.{occurrence}.{self._mark}")
            for index, (event, own) in enumerate(zip(events, times or [None] * len(events), strict=True))
        ]
        if self._due and not self._in_place and _all_can_be_stored(changes):
            self._close(line, f"{place}this was not there before, and something else was")
            return
        self._wait(item, changes, line, place, len(content))

    def set_metadata(
        self, name: str, value: Json, at: datetime, *, line: int | None = None, place: str = ""
    ) -> None:
        """Take in what a document says of its session: set again only where its value is another one."""
        if self.is_closed or (name in self.metadata and same_json(self.metadata[name], value)):
            return
        event = MetadataSet(key=name, value=value)
        content = _canonical({"metadata": name, "value": value})
        self.add_again(content, at, [event], line=line, place=f"{place}{name}: ")

    def add_again(
        self,
        content: bytes,
        at: datetime,
        events: Sequence[Event],
        *,
        line: int | None = None,
        place: str = "",
    ) -> None:
        """Take one item in that is new even where one of the same content was there before."""
        digest = short_hash(content)
        while f"{digest}.{self._seen[digest]}" in self._known:
            self._seen[digest] += 1
        digest, occurrence = self._place_of(content)
        changes = [
            Change(event=event, at=at, key=f"{digest}.{index}.{occurrence}")
            for index, event in enumerate(events)
        ]
        if not self.is_closed:
            self._wait(f"{digest}.{occurrence}", changes, line, place, len(content))

    def finish(self) -> None:
        """Append what waits: the file was read up to its end."""
        if self._due and not self.is_closed:
            self._close(None, f"{len(self._due):,} of what was imported is not in it any more")
        self._attempt(self._append)
        self._waiting_bytes = 0

    def _place_of(self, content: bytes) -> tuple[str, int]:
        """What an item is recognised by, and how many such the file held before."""
        digest = short_hash(content)
        self._seen[digest] += 1
        return digest, self._seen[digest] - 1

    def _wait(self, item: str, changes: list[Change], line: int | None, place: str, size_bytes: int) -> None:
        self._waiting += [_Waiting(item, line, place, change) for change in changes]
        self._waiting_bytes += size_bytes
        # While something is due, whether the file was rewritten is not known.
        if not self._due and (len(self._waiting) >= BATCH_CHANGES or self._waiting_bytes >= BATCH_BYTES):
            self._attempt(self._append)
            self._waiting_bytes = 0

    def _close(self, line: int | None, what: str) -> None:
        reason = (
            f"it was rewritten, and does not go on from what was imported of it into session "
            f"{self._session_id!r}: {what}. Nothing was changed; import it under another id."
        )
        self._run.problem(self._path, line, reason)
        self.is_closed = True
        self._waiting.clear()
        self._due.clear()

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            if not self.is_closed:
                step()
        except (*SESSION_ERRORS, InvalidEventError, _Deleted) as error:
            self._run.problem(self._path, None, error)
            self.is_closed = True
        if self.is_closed:
            self._waiting.clear()

    def _open(self) -> None:
        for key in self._look():
            item, _, mark = _parts(key)
            if mark == self._mark:
                self._due[item] = None

    def _look(self) -> list[str]:
        """The keys of what the session holds already. Raises OwnerMismatchError, CorruptRecordError …"""
        store, session_id, user_id = self._run.store, self._session_id, self._run.user_id
        self._known.clear()
        self._version = 0
        keys: list[str] = []
        session = store.load_session(session_id)
        self._exists = session is not None
        if session is None:
            return keys
        if user_id is not None and session.user_id != user_id:
            raise OwnerMismatchError(session_id, user_id)
        self.metadata = session.metadata
        try:
            for record in store.records(session_id):
                self._version = record.seq
                if record.key is not None and (item := _parts(record.key)[0]):
                    self._known.add(item)
                    keys.append(record.key)
        except SessionNotFoundError:
            self._exists = False  # deleted meanwhile
        else:
            # It counts as imported: an earlier import may have been killed before it was on disk.
            store.append(session_id, [], expected_version=ANY)
        self._run.found(session_id)
        return keys

    def _append(self) -> None:
        while self._waiting:
            changes = [waiting.change for waiting in self._waiting]
            if not self._exists:
                user_id = DEFAULT_USER if self._run.user_id is None else self._run.user_id
                created = SessionCreated(session_id=self._session_id, user_id=user_id)
                changes.insert(0, Change(event=created, at=changes[0].at))
            try:
                self._version = self._run.store.append(
                    self._session_id, changes, expected_version=self._version
                )
            except VersionConflictError:
                existed = self._exists
                self._look()
                if existed and not self._exists:
                    raise _Deleted(
                        f"session {self._session_id!r} was deleted meanwhile: import it again"
                    ) from None
                self._waiting = [each for each in self._waiting if each.item not in self._known]
            except InvalidEventError as error:
                self._weed_out(error)
            else:
                self._note(len(changes))

    def _note(self, appended: int) -> None:
        outcome = self._run.outcome
        outcome.created += not self._exists
        outcome.appended += appended
        self._exists = True
        self._known.update(each.item for each in self._waiting)
        self._waiting.clear()
        self._run.found(self._session_id)

    def _weed_out(self, error: InvalidEventError) -> None:
        """Report the items that cannot be stored, and keep the others."""
        bad: dict[str, InvalidEventError] = {}
        for each in self._waiting:
            try:
                prepare(each.change)
            except InvalidEventError as reason:
                bad.setdefault(each.item, reason)
        if not bad:
            raise error  # it is the session that does not take them
        reported = set()
        for each in self._waiting:
            if each.item in bad and each.item not in reported:
                reported.add(each.item)
                self._run.problem(self._path, each.line, f"{each.place}{bad[each.item].reason}")
        self._waiting = [each for each in self._waiting if each.item not in bad]


def _parts(key: str) -> tuple[str, str, str]:
    """The item, the event's number and the file's mark that a key tells; all empty: it is no such key."""
    match key.split("."):
        case [digest, index, occurrence]:
            return f"{digest}.{occurrence}", index, ""
        case [digest, index, occurrence, mark]:
            return f"{digest}.{occurrence}", index, mark
    return "", "", ""


def _all_can_be_stored(changes: Sequence[Change]) -> bool:
    """Whether the item would be on record if it had been there; what never could be is told, each time."""
    try:
        for change in changes:
            prepare(change)
    except InvalidEventError:
        return False
    return True
