"""Ingest: one import under way — where it writes to, what was asked for, what came of it so far."""

import os
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from journal.errors import (
    CorruptRecordError,
    CorruptSnapshotError,
    InvalidNameError,
    OwnerMismatchError,
    UnsafePathError,
)
from journal.importers.outcome import Outcome, Problem
from journal.names import check_session_id
from journal.store import StateStore
from projections.messages import utc_now

Progress = Callable[[str, int, int], None]

DEFAULT_USER: Final = "user"
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
    attachments the folder in which those of journals are; None: beside them
    shown       how a file is called that stands in for another one: what came through a pipe, or out of a zip
    """

    def __init__(
        self,
        store: StateStore,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        progress: Progress | None = None,
        total_bytes: int = 0,
        attachments: str | None = None,
    ) -> None:
        self.store, self.user_id, self.session_id = store, user_id, session_id
        self.shown: dict[str, str] = {}
        self.attachments = attachments
        self.begin()
        self._progress, self._done, self._shown, self._total = progress, 0, 0, total_bytes

    def begin(self) -> None:
        """Begin anew: of what comes now, another outcome tells."""
        self.now = utc_now()
        self.outcome = Outcome()
        self._found: set[str] = set()
        self._problems: Counter[str] = Counter()

    def problem(self, path: str, line: int | None, reason: object) -> None:
        """Note what could not be imported. Raises GaveUp where that is more of a file than anybody reads."""
        path = self.shown.get(path, path)
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
            self._progress(self.shown.get(path, path), self._done, max(self._total, self._done))

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
