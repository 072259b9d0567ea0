"""The files of attachments: each payload once, under its hash, in a folder of the store.

Whoever adds one holds the folder's lock until the record that refers to it is there; whoever removes some
waits for that.
"""

import os
import re
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal, NamedTuple, TypeAlias

from journal import disk as disks
from journal.disk import LOCK_SH, LOCK_UN, STALE_AFTER_SECONDS, Disk, Entry
from journal.errors import (
    AttachmentError,
    DurabilityError,
    InvalidEventError,
    JournalError,
    JournalWarning,
    unreadable,
)
from journal.layout import Layout
from projections.attachment import Attachment

MAX_ATTACHMENT_BYTES: Final = disks.MAX_WHOLE_BYTES
# Of so many it is remembered how they are.
_MOST_KNOWN: Final = 100_000
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE: Final = re.compile(r"[!-~][ -~]{0,254}")
# What was put inside a `held`, by whoever is inside, and must be put anew at its end.
_held: ContextVar[dict[str, Callable[[], None]]] = ContextVar("held")
_PUT_BACK: Final = "put it back from a copy of the store, or import an export of the session with it"


ProblemKind: TypeAlias = Literal["altered_attachment", "unreadable_attachment", "missing_attachment"]


class Problem(NamedTuple):
    """What is wrong with an attachment: in a word, and in words that go on from "the attachment …"."""

    kind: ProblemKind
    text: str


ProblemOf: TypeAlias = Callable[[str], Problem | None]


class AttachmentFiles:
    """The attachments that one store keeps."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk, self._layout = disk, layout
        self._folder = layout.attachments

    def add(self, data: bytes, media_type: str) -> Attachment:
        """Keep bytes to which no record refers yet; else as `put`."""
        with self._locked(LOCK_SH):
            return self._put(data, media_type)

    def put(self, data: bytes, media_type: str) -> Attachment:
        """Keep bytes; what is there, whole and young is not written again. Only while they are `held`.

        On disk when this returns, however durable the store is: a record, which another process may sync,
        must not outlive what it refers to. Raises AttachmentError where they are too many, InvalidEventError,
        DurabilityError.
        """
        attachment = self._put(data, media_type)
        path = self.path(attachment.digest)
        if (again := self._disk.keeps(path, bytes(data))) is not None:
            _held.get()[path] = again
        return attachment

    def _put(self, data: bytes, media_type: str) -> Attachment:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidEventError(f"an attachment is bytes, not {type(data).__name__}")
        if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
            raise InvalidEventError(f"a media type is a short text as 'image/png', not {media_type!r:.100}")
        data = bytes(data)
        refuse_too_many(data)
        digest = sha256(data).hexdigest()
        path = self.path(digest)
        try:
            self._check_folders(path)
            there = self._disk.status(path)
            # An old one is written anew: for another hour nobody takes it for what a crash left.
            is_fresh = there is not None and there.st_mtime > time.time() - STALE_AFTER_SECONDS / 2
            if there is not None and is_fresh and self.problem(digest) is None:
                disks.sync_names(self._disk, path, there.st_ino)
            else:
                disks.replace_file(self._disk, path, [data], durable=True)
        except OSError as error:
            raise _refused(path, error) from error
        return Attachment(digest=digest, size_bytes=len(data), media_type=media_type)

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
            self._disk.refresh(path)
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

    def are_there(self) -> bool:
        """Whether there are any, or were."""
        return self._disk.status(self._folder) is not None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is removed inside the `with`: for who puts an attachment and then the record.

        Other machines know nothing of the lock. So at the end, when the record is there, what was put is put
        anew; and they remove only what nobody put there since they looked for records that refer to it.
        Raises DurabilityError, UnsafePathError.
        """
        outer = _held.set({})
        try:
            with self._locked(LOCK_SH):
                yield
                self._keep(_held.get())
        finally:
            _held.reset(outer)

    def _keep(self, held: Mapping[str, Callable[[], None]]) -> None:
        for path, put_anew in held.items():
            try:
                put_anew()
            except JournalError as error:  # the record is there: it must not look as if it were not
                text = f"{path} could not be put anew ({error}): see that `journal verify` finds it"
                warnings.warn(text, JournalWarning, stacklevel=4)

    def held_if(self, is_needed: bool) -> AbstractContextManager[None]:
        """As `held`, where there is anything to hold."""
        return self.held() if is_needed else nullcontext()

    def sizes_of(self, digests: Collection[str]) -> list[int]:
        """How many bytes each of these has, of those that are there."""
        found = []
        for path in map(self.path, digests):
            self._disk.refresh(path)
            found.append(self._disk.status(path))
        return [status.st_size for status in found if status is not None]

    def entries(self) -> Iterator[Entry]:
        """The files of all attachments that are kept."""
        self._disk.refresh(f"{self._folder}/")
        for folder in self.folders():
            yield from (each for each in self._disk.entries(folder) if _DIGEST.fullmatch(each.name))

    def folders(self) -> Iterator[str]:
        """The folders in which they are."""
        for entry in self._disk.entries(self._folder):
            if re.fullmatch(r"[0-9a-f]{2}", entry.name):
                yield entry.path

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
    return lru_cache(maxsize=_MOST_KNOWN)(AttachmentFiles(disk, layout).problem)


def _unreadable(error: OSError) -> Problem:
    return Problem("unreadable_attachment", f"could not be read: {error.strerror}")


def refuse_too_many(data: bytes) -> None:
    """Raise AttachmentError for more bytes than an attachment may have."""
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
