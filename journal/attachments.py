"""Attachments: payloads that are too large for a record, each kept once, in a file that its hash names.

Sessions share them. What no journal refers to any more is removed; whoever adds one holds the folder's lock
until the record that refers to it is there.
"""

import os
import re
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from journal import disk as disks
from journal.disk import LOCK_EX, LOCK_SH, LOCK_UN, STALE_AFTER_SECONDS, Disk, Entry
from journal.errors import (
    AttachmentError,
    DurabilityError,
    InvalidEventError,
    JournalError,
    JournalWarning,
    unreadable,
)
from journal.event_json import check_json, encode_json
from journal.layout import Layout
from journal.references import references_of, unreferred
from projections.attachment import Attachment, attachment_of
from projections.difference import same_json
from projections.document import Json

# Past this, a part of a record goes beside it.
ATTACH_OVER_BYTES: Final = 256 * 1024
MAX_ATTACHMENT_BYTES: Final = disks.MAX_WHOLE_BYTES
# Of so many it is remembered how they are.
_MOST_KNOWN: Final = 100_000
_PUT_BACK: Final = "put it back from a copy of the store, or import an export of the session with it"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE: Final = re.compile(r"[!-~][ -~]{0,254}")


ProblemKind: TypeAlias = Literal["altered_attachment", "unreadable_attachment", "missing_attachment"]


class Problem(NamedTuple):
    """What is wrong with an attachment: in a word, and in words that go on from "the attachment …"."""

    kind: ProblemKind
    text: str


ProblemOf: TypeAlias = Callable[[str], Problem | None]


class Attachments:
    """The attachments of one store."""

    def __init__(self, disk: Disk, layout: Layout, over_bytes: int = ATTACH_OVER_BYTES) -> None:
        if type(over_bytes) is not int or over_bytes < 0:
            raise ValueError(f"attach_over_bytes is a number of bytes, not {over_bytes!r}")
        self._disk, self._layout, self._over_bytes = disk, layout, over_bytes
        self._folder = layout.attachments

    # Putting and reading

    def put(self, data: bytes, media_type: str, *, is_value: bool = False) -> Attachment:
        """Keep bytes; what is there and whole is not written again. Only while they are `held`.

        On disk when this returns, however durable the store is: a record, which another process may sync,
        must not outlive what it refers to. Raises AttachmentError where they are too many, InvalidEventError,
        DurabilityError.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidEventError(f"an attachment is bytes, not {type(data).__name__}")
        if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
            raise InvalidEventError(f"a media type is a short text as 'image/png', not {media_type!r:.100}")
        data = bytes(data)
        _refuse_too_many(data)
        digest = sha256(data).hexdigest()
        path = self.path(digest)
        try:
            self._check_folders(path)
            if self.problem(digest) is None:
                # Used anew: from now on it is an hour until it may be taken for what a crash left.
                self._disk.overwrite(path, data[:1])
                status = self._disk.status(path)
                disks.sync_names(self._disk, path, status.st_ino if status else 0)
            else:
                disks.replace_file(self._disk, path, [data], durable=True)
        except OSError as error:
            raise _refused(path, error) from error
        return Attachment(digest=digest, size_bytes=len(data), media_type=media_type, is_value=is_value)

    def read(self, attachment: Attachment) -> bytes:
        """The bytes, checked against their hash. Raises AttachmentError."""
        path = self.path(attachment.digest)
        try:
            self._check_folders(path)
            data = disks.read_file(self._disk, path)
        except OSError as error:
            if isinstance(error, JournalError):
                raise
            raise unreadable(path, error) from error
        if data is None:
            raise AttachmentError(f"{path}: the attachment is not there; {_PUT_BACK}")
        if sha256(data).hexdigest() != attachment.digest:
            raise AttachmentError(f"{path}: the attachment was altered, its hash does not fit; {_PUT_BACK}")
        return data

    def problem(self, digest: str) -> Problem | None:
        """What is wrong with an attachment; None if it is whole. Reads it in pieces."""
        path = self.path(digest)
        try:
            self._check_folders(path)
            fd = self._disk.open(path)
        except FileNotFoundError:
            return Problem("missing_attachment", f"is not there; {_PUT_BACK}")
        except OSError as error:
            return _unreadable(error)
        try:
            found = sha256()
            for chunk in disks.chunks(self._disk, fd, 0):
                found.update(chunk)
        except OSError as error:
            return _unreadable(error)
        finally:
            disks.close(self._disk, fd, path)
        if found.hexdigest() == digest:
            return None
        return Problem("altered_attachment", f"was altered; {_PUT_BACK}")

    def path(self, digest: str) -> str:
        """Where the bytes of this hash are."""
        if not _DIGEST.fullmatch(digest):
            raise AttachmentError(f"{digest!r} is no SHA-256 in hexadecimal")
        return os.path.join(self._folder, digest[:2], digest)

    # Parts of a record that are too large for it

    def is_large(self, value: Json) -> bool:
        """Whether a value goes beside its record. Raises InvalidEventError for a large one that is no JSON.

        One that looks like a reference goes, too: else it would not come back as what it is.
        """
        if value is None or isinstance(value, bool | int | float):
            return False
        if isinstance(value, str) and len(value) * 6 < self._over_bytes:
            return False
        if (reference := attachment_of(value)) is not None and reference.is_value:
            return True
        try:
            size = len(encode_json(value))
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
            return False  # whoever makes a record of it says what is wrong
        if size <= self._over_bytes:
            return False
        check_json(value)
        return True

    def moved_out(self, value: Json) -> tuple[Json, bytes]:
        """What stands in a record for a value that is too large, and its bytes. Raises AttachmentError."""
        data = encode_json(value)
        _refuse_too_many(data)
        digest = sha256(data).hexdigest()
        moved = Attachment(digest=digest, size_bytes=len(data), media_type="application/json", is_value=True)
        return moved.to_json(), data

    def moved_as(self, value: Json, recorded: Json) -> Json:
        """A value in the form in which the same one is on record: moved out, if it was so then.

        Raises AttachmentError where only the attachment could tell, and it is not there.
        """
        reference = attachment_of(recorded)
        if reference is None or not reference.is_value:
            return value
        moved, _ = self.moved_out(value)
        # Of objects that are the same in another order the hashes differ.
        is_same = moved == recorded or same_json(self.moved_back(recorded), value)
        if is_same:
            return recorded
        return moved if self.is_large(value) else value

    def moved_back(self, value: Json) -> Json:
        """The value that was too large, where there is a reference in its place. Raises AttachmentError."""
        attachment = attachment_of(value)
        if attachment is None or not attachment.is_value:
            return value
        try:
            whole: Json = msgspec.json.decode(self.read(attachment))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise AttachmentError(f"{self.path(attachment.digest)} is no JSON: {error}") from None
        return whole

    # Keeping and removing

    def are_there(self) -> bool:
        """Whether there are any, or were."""
        return self._disk.status(self._folder) is not None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is removed inside the `with`: for who puts an attachment and then the record.

        Raises DurabilityError, UnsafePathError.
        """
        with self._locked(LOCK_SH):
            yield

    def held_if(self, is_needed: bool) -> AbstractContextManager[None]:
        """As `held`, where there is anything to hold."""
        return self.held() if is_needed else nullcontext()

    def sweep(
        self,
        digests: Collection[str],
        without: Mapping[str, Collection[int] | None] | None = None,
        *,
        dry_run: bool = False,
    ) -> set[str]:
        """Remove those of these that nothing refers to; return their digests. One pass over all sessions.

        `without`: what does not count, see `unreferred`. Waits for whoever is adding one. Raises JournalError
        where it cannot tell, or not remove.
        """
        there = {each for each in digests if self._disk.status(self.path(each)) is not None}
        if not there:
            return set()
        if dry_run:
            return unreferred(self._disk, self._layout, there, without)
        with self._sweeping():
            return self._remove(unreferred(self._disk, self._layout, there, without))

    @contextmanager
    def released(self) -> Iterator[set[str]]:
        """The digests that are put into the set inside the `with` go at its end, if nothing refers to them.

        Where that fails, what the `with` did stands, and a warning says what is left.
        """
        digests: set[str] = set()
        try:
            yield digests
        finally:
            try:
                self.sweep(digests)
            except JournalError as error:
                warnings.warn(str(error), JournalWarning, stacklevel=3)

    def of_session(self, session_id: str) -> set[str]:
        """The digests of all that a session refers to; where there are no attachments, nothing is read."""
        if not self.are_there():
            return set()
        layout = self._layout
        paths = (layout.journal(session_id), layout.snapshot(session_id))
        try:
            return set().union(*(references_of(self._disk, path) for path in paths))
        except OSError as error:
            if isinstance(error, JournalError):
                raise
            raise unreadable(paths[0], error) from error

    def sizes_of(self, digests: Collection[str]) -> list[int]:
        """How many bytes each of these has, of those that are there."""
        found = (self._disk.status(self.path(digest)) for digest in digests)
        return [status.st_size for status in found if status is not None]

    def strays(self) -> set[str]:
        """The digests of those that nothing refers to and that nobody added within the hour."""
        oldest = time.time() - STALE_AFTER_SECONDS
        old = {entry.name for entry in self.entries() if entry.status.st_mtime < oldest}
        return unreferred(self._disk, self._layout, old)

    def sweep_strays(self) -> set[str]:
        """Remove the strays; return their digests. Raises JournalError."""
        with self._sweeping():
            return self._remove(self.strays())

    def entries(self) -> Iterator[Entry]:
        """The files of all attachments that are kept."""
        for folder in self.folders():
            yield from (each for each in self._disk.entries(folder) if _DIGEST.fullmatch(each.name))

    def folders(self) -> Iterator[str]:
        """The folders in which they are."""
        for entry in self._disk.entries(self._folder):
            if re.fullmatch(r"[0-9a-f]{2}", entry.name):
                yield entry.path

    def _remove(self, digests: set[str]) -> set[str]:
        """Remove files, and what a crash left of them while they were written."""
        for digest in sorted(digests):
            path = self.path(digest)
            for entry in [*self._disk.entries(os.path.dirname(path))]:
                if entry.name.startswith(f".{digest}."):
                    disks.remove_file(self._disk, entry.path, durable=False)
            disks.remove_file(self._disk, path, durable=True)
        return digests

    @contextmanager
    def _sweeping(self) -> Iterator[None]:
        """Nobody adds any inside the `with`. Raises JournalError for whatever the system refuses."""
        try:
            with self._locked(LOCK_EX):
                yield
        except OSError as error:
            where = error.filename or self._folder
            raise JournalError(
                f"{where}: {error.strerror}; attachments that nothing refers to may be left. Mend that; then "
                "`journal doctor` finds them"
            ) from error

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        path = os.path.join(self._folder, "lock")
        try:
            self._check_folders(path)
            disks.make_folders(self._disk, self._folder)
            fd = self._disk.open(path, write=True, create=True)
        except OSError as error:
            raise _refused(path, error) from error
        try:
            self._disk.flock(fd, kind)
            yield
        finally:
            with suppress(OSError):  # to close it is not enough: a process that was forked here has it, too
                self._disk.flock(fd, LOCK_UN)
            disks.close(self._disk, fd, path)

    def _check_folders(self, path: str) -> None:
        disks.check_folders(self._disk, self._layout.base, os.path.dirname(path))


def problems(disk: Disk, layout: Layout) -> ProblemOf:
    """Tells what is wrong with an attachment, by its digest. Each is read once, whoever refers to it."""
    return lru_cache(maxsize=_MOST_KNOWN)(Attachments(disk, layout).problem)


def _unreadable(error: OSError) -> Problem:
    return Problem("unreadable_attachment", f"could not be read: {error.strerror}")


def _refuse_too_many(data: bytes) -> None:
    if len(data) > MAX_ATTACHMENT_BYTES:
        raise AttachmentError(
            f"{len(data):,} bytes are more than the {MAX_ATTACHMENT_BYTES:,} that an attachment may have; "
            "nothing was written. Keep it elsewhere, and where it is on record"
        )


def _refused(path: str, error: OSError) -> JournalError:
    if isinstance(error, JournalError):
        return error
    reason = f"keeping an attachment failed: {error.strerror}"
    return DurabilityError(path, reason, outcome_unknown=False)
