"""Ingest: what all formats share — which items are new, and appending just those, in batches."""

import os
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

from journal.errors import (
    CorruptRecordError,
    CorruptSnapshotError,
    InvalidEventError,
    InvalidNameError,
    OwnerMismatchError,
    SessionNotFoundError,
    UnsafePathError,
    VersionConflictError,
)
from journal.handle import ANY
from journal.importers.outcome import Outcome, Problem
from journal.names import check_session_id
from journal.record import prepare
from journal.store import StateStore
from projections.document import Json
from projections.events import Change, Event, SessionCreated
from projections.messages import utc_now

Progress = Callable[[str, int, int], None]

DEFAULT_USER: Final = "user"
BATCH_CHANGES: Final = 256
BATCH_BYTES: Final = 4 * 1024 * 1024
PROGRESS_BYTES: Final = 1024 * 1024
# A file that is one JSON document is read as a whole.
MAX_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
MOST_PROBLEMS: Final = 10_000

# What is wrong with one session's own files, or its owner: the other sessions go on.
SESSION_ERRORS: Final = (
    CorruptRecordError,
    CorruptSnapshotError,
    InvalidNameError,
    OwnerMismatchError,
    UnsafePathError,
)


class GaveUp(Exception):
    """A file has so many problems that the rest of it is not read."""


class Run:
    """One import: where it writes to, what the caller asked for, and what came of it so far.

    user_id     whose the new sessions are; existing ones must be theirs too. None: nothing is asked
    session_id  the one session that everything goes to; None: what the source says
    now         the time of the import, for what has no time of its own
    """

    def __init__(
        self,
        store: StateStore,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        progress: Progress | None = None,
        total_bytes: int = 0,
    ) -> None:
        self.store, self.user_id, self.session_id = store, user_id, session_id
        self.attachments: str | None = None  # where those of a journal are, if not beside it
        self.now = utc_now()
        self.outcome = Outcome()
        self._found: set[str] = set()
        self._problems: Counter[str] = Counter()
        self._progress, self._done, self._shown, self._total = progress, 0, 0, total_bytes

    def problem(self, path: str, line: int | None, reason: object) -> None:
        """Note what could not be imported. Raises GaveUp where that is more of a file than anybody reads."""
        self.outcome.problems.append(Problem(path, line, str(reason)))
        self._problems[path] += 1
        if self._problems[path] == MOST_PROBLEMS:
            reason = (
                f"{MOST_PROBLEMS:,} problems: the rest of the file was not read. Is it of another format?"
            )
            self.outcome.problems.append(Problem(path, line, reason))
            raise GaveUp

    def found(self, session_id: str) -> None:
        """Note a session that the source holds and the store too."""
        if session_id not in self._found:
            self._found.add(session_id)
            self.outcome.session_ids.append(session_id)

    def advance(self, path: str, size_bytes: int) -> None:
        """Note that so many more bytes were worked off; tell the caller now and then."""
        self._done += size_bytes
        if self._done - self._shown >= PROGRESS_BYTES:
            self.show_progress(path)

    def show_progress(self, path: str) -> None:
        """Tell the caller how far the import is."""
        self._shown = self._done
        if self._progress is not None:
            # A file that grew meanwhile must not be more than whole.
            self._progress(path, self._done, max(self._total, self._done))

    def read(self, path: str) -> bytes | None:
        """A whole file; None, with a Problem, where it cannot be read."""
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size > MAX_DOCUMENT_BYTES:
                    self.problem(
                        path, None, f"it is over {MAX_DOCUMENT_BYTES:,} bytes long: split it into lines"
                    )
                    return None
                data = file.read()
        except OSError as error:
            self.problem(path, None, f"cannot be read: {error.strerror}")
            return None
        self.advance(path, len(data))
        return data


class _Waiting(NamedTuple):
    item: int  # which of the source's items it is part of
    line: int
    place: str
    change: Change
    key: str


class Feed:
    """One session, fed with the items of one file in their order.

    Each change carries a key: hash of the item, number of the event in it, and how many items of the same
    content the file held before. A key that the session has on record is not appended again.
    """

    def __init__(self, run: Run, path: str, session_id: str) -> None:
        self._run, self._path, self._session_id = run, path, session_id
        self._seen: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = self._items = 0
        self.metadata: dict[str, Json] = {}
        self._is_closed = False
        self._attempt(self._look)

    def add(
        self, content: bytes, at: datetime, events: Sequence[Event], *, line: int, place: str = ""
    ) -> None:
        """Take one item in: what it is recognised by when it comes again, and the events that it makes.

        `line` and `place` ("message 3: ") say where it stands.
        """
        digest = short_hash(content)
        occurrence = self._seen[digest]
        self._seen[digest] = occurrence + 1
        self._items += 1
        for index, event in enumerate(events):
            key = f"{digest}.{index}.{occurrence}"
            if key not in self._known:
                change = Change(event=event, at=at, key=key)
                self._waiting.append(_Waiting(self._items, line, place, change, key))
        self._waiting_bytes += len(content)
        if len(self._waiting) >= BATCH_CHANGES or self._waiting_bytes >= BATCH_BYTES:
            self.flush()

    def add_again(self, content: bytes, at: datetime, event: Event, *, line: int, place: str) -> None:
        """Take one item in that is new even where one of the same content was there before."""
        digest = short_hash(content)
        while f"{digest}.0.{self._seen[digest]}" in self._known:
            self._seen[digest] += 1
        self.add(content, at, [event], line=line, place=place)

    def flush(self) -> None:
        """Append what waits."""
        self._attempt(self._append)
        self._waiting_bytes = 0

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            if not self._is_closed:
                step()
        except (*SESSION_ERRORS, InvalidEventError) as error:
            self._run.problem(self._path, None, error)
            self._is_closed = True
        if self._is_closed:
            self._waiting.clear()

    def _look(self) -> None:
        """What the session holds already. Raises OwnerMismatchError, CorruptRecordError …"""
        store, session_id, user_id = self._run.store, self._session_id, self._run.user_id
        self._known: set[str] = set()
        self._version = 0
        session = store.load_session(session_id)
        self._exists = session is not None
        if session is None:
            return
        if user_id is not None and session.user_id != user_id:
            raise OwnerMismatchError(session_id, user_id)
        self.metadata = session.metadata
        try:
            for record in store.records(session_id):
                self._version = record.seq
                if record.key is not None:
                    self._known.add(record.key)
        except SessionNotFoundError:
            self._exists = False  # deleted meanwhile
        else:
            # It counts as imported: an earlier import may have been killed before it was on disk.
            store.append(session_id, [], expected_version=ANY)
        self._run.found(session_id)

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
                self._look()
                self._waiting = [each for each in self._waiting if each.key not in self._known]
            except InvalidEventError as error:
                self._weed_out(error)
            else:
                self._note(len(changes))

    def _note(self, appended: int) -> None:
        outcome = self._run.outcome
        outcome.created += not self._exists
        outcome.appended += appended
        self._exists = True
        self._known.update(each.key for each in self._waiting)
        self._waiting.clear()
        self._run.found(self._session_id)

    def _weed_out(self, error: InvalidEventError) -> None:
        """Report the items that cannot be stored, and keep the others."""
        bad: dict[int, InvalidEventError] = {}
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


def short_hash(content: bytes) -> str:
    """What an item is recognised by: 96 bits of SHA-256, 16 characters of base64url."""
    return urlsafe_b64encode(sha256(content).digest()[:12]).decode()


def stem(path: str) -> str:
    """A file's name without its last ending."""
    return os.path.splitext(os.path.basename(path))[0]


def safe_id(text: str) -> str:
    """A session id for this text: itself where it is one, else always the same safe one."""
    try:
        return check_session_id(text)
    except InvalidNameError:
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in text[:40]).strip("-")
        return f"{plain or 'session'}-{short_hash(text.encode(errors='surrogatepass'))}"
