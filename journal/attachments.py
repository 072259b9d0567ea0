"""Attachments: payloads that are too large for a record, each kept once, in a file that its hash names.

Sessions share them. What no journal refers to any more is removed; whoever adds one holds the folder's lock
until the record that refers to it is there.
"""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Final

import msgspec

from journal import disk as disks
from journal.disk import LOCK_EX, LOCK_SH, Disk
from journal.errors import AttachmentError, DurabilityError, unreadable
from journal.event_json import check_json, encode_json
from journal.layout import JOURNAL_ENDING, Layout
from projections.attachment import Attachment, attachment_of
from projections.document import Json

# Past this, a part of a record goes beside it.
ATTACH_OVER_BYTES: Final = 256 * 1024
MAX_ATTACHMENT_BYTES: Final = disks.MAX_WHOLE_BYTES
# In a document that stands in a record as a text, the quotation marks are escaped.
_REFERENCE: Final = re.compile(rb'\\?"\$attachment\\?":\s?\\?"([0-9a-f]{64})')
_LONGEST: Final = 128
_NAME: Final = re.compile(r"[0-9a-f]{64}")


class Attachments:
    """The attachments of one store."""

    def __init__(self, disk: Disk, layout: Layout, over_bytes: int = ATTACH_OVER_BYTES) -> None:
        self._disk, self._layout, self._over_bytes = disk, layout, over_bytes
        self._folder = layout.attachments

    def put(self, data: bytes, media_type: str, *, is_value: bool = False) -> Attachment:
        """Keep bytes, on disk when this returns; what is there already is not written again.

        Raises AttachmentError where they are too many, DurabilityError.
        """
        if len(data) > MAX_ATTACHMENT_BYTES:
            raise AttachmentError(f"{len(data):,} bytes are more than an attachment may have")
        digest = sha256(data).hexdigest()
        path = self.path(digest)
        try:
            disks.check_folders(self._disk, self._layout.base, self._layout.internal)
            there = self._disk.status(path)
            # Of another size it is what a failing disk left; a file that is there may not be on disk yet.
            if there is None or there.st_size != len(data):
                disks.replace_file(self._disk, path, [data], durable=True)
            else:
                disks.sync_names(self._disk, path, there.st_ino)
        except OSError as error:
            reason = f"keeping an attachment failed: {error.strerror}"
            raise DurabilityError(path, reason, outcome_unknown=False) from error
        return Attachment(digest=digest, size_bytes=len(data), media_type=media_type, is_value=is_value)

    def is_large(self, value: Json) -> bool:
        """Whether a value is too large for a record. Raises InvalidEventError where it is no JSON at all."""
        if value is None or isinstance(value, bool | int | float):
            return False
        if isinstance(value, str) and len(value) * 6 < self._over_bytes:
            return False
        check_json(value)
        return len(encode_json(value)) > self._over_bytes

    def moved_out(self, value: Json) -> tuple[Json, bytes]:
        """What stands in a record for a value that is too large, and its bytes."""
        data = encode_json(value)
        digest = sha256(data).hexdigest()
        moved = Attachment(digest=digest, size_bytes=len(data), media_type="application/json", is_value=True)
        return moved.to_json(), data

    def moved_back(self, value: Json) -> Json:
        """The value that was too large, where there is a reference in its place. Raises AttachmentError."""
        attachment = attachment_of(value)
        if attachment is None or not attachment.is_value:
            return value
        whole: Json = msgspec.json.decode(self.read(attachment))
        return whole

    def read(self, attachment: Attachment) -> bytes:
        """The bytes, checked against their hash. Raises AttachmentError."""
        path = self.path(attachment.digest)
        try:
            data = disks.read_file(self._disk, path)
        except OSError as error:
            raise unreadable(path, error) from error
        if data is None:
            raise AttachmentError(f"{path}: the attachment is not there")
        if sha256(data).hexdigest() != attachment.digest:
            raise AttachmentError(f"{path}: the attachment was altered, its hash does not fit")
        return data

    def problem(self, attachment: Attachment) -> str | None:
        """What is wrong with an attachment, in words; None if it is whole. Reads it in pieces."""
        path = self.path(attachment.digest)
        try:
            fd = self._disk.open(path)
        except FileNotFoundError:
            return f"the attachment {path} is not there"
        except OSError as error:
            return f"the attachment {path} could not be read: {error.strerror}"
        try:
            digest = sha256()
            for chunk in disks.chunks(self._disk, fd, 0):
                digest.update(chunk)
        except OSError as error:
            return f"the attachment {path} could not be read: {error.strerror}"
        finally:
            disks.close(self._disk, fd, path)
        return None if digest.hexdigest() == attachment.digest else f"the attachment {path} was altered"

    def path(self, digest: str) -> str:
        """Where the bytes of this hash are."""
        if not _NAME.fullmatch(digest):
            raise AttachmentError(f"{digest!r} is no SHA-256 in hexadecimal")
        return os.path.join(self._folder, digest[:2], digest)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is removed inside the `with`: for who puts an attachment and then the record."""
        with self._locked(LOCK_SH):
            yield

    def sweep(self, digests: Collection[str] | None = None) -> list[str]:
        """Remove those of these, or of all, that nothing refers to; return their digests. One pass over all.

        Waits for whoever is adding one. What stands in quarantine counts: it may be wanted back.
        """
        if digests is None:
            digests = set(self.digests())
        if not digests or self._disk.status(self._folder) is None:
            return []
        with self._locked(LOCK_EX):
            rest = set(digests)
            for path in self._referring():
                if not rest:
                    break
                rest -= self.referred(path)
            removed = []
            for digest in sorted(rest):
                if disks.remove_file(self._disk, self.path(digest), durable=True):
                    removed.append(digest)
            return removed

    def digests(self) -> Iterator[str]:
        """The digests of all attachments that are kept."""
        for folder in self._disk.entries(self._folder):
            if len(folder.name) == 2:
                for entry in self._disk.entries(folder.path):
                    if _NAME.fullmatch(entry.name):
                        yield entry.name
                    else:
                        disks.sweep_if_stale(self._disk, entry)

    def referred(self, path: str) -> set[str]:
        """The digests of the attachments that a file refers to; none where there is no file."""
        found: set[str] = set()
        try:
            fd = self._disk.open(path)
        except FileNotFoundError:
            return found
        try:
            before = b""
            for chunk in disks.chunks(self._disk, fd, 0):
                data = before + chunk
                found.update(match.decode() for match in _REFERENCE.findall(data))
                before = data[-_LONGEST:]
        finally:
            disks.close(self._disk, fd, path)
        return found

    def _referring(self) -> Iterator[str]:
        """Every file in which a reference may stand."""
        for entry in self._disk.entries(self._layout.sessions):
            if entry.name.endswith((JOURNAL_ENDING, ".json")):
                yield entry.path
        for entry in self._disk.entries(self._layout.quarantine):
            yield entry.path

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        path = os.path.join(self._folder, "lock")
        disks.make_folders(self._disk, self._folder)
        fd = self._disk.open(path, write=True, create=True)
        try:
            self._disk.flock(fd, kind)
            yield
        finally:
            with suppress(OSError):
                disks.close(self._disk, fd, path)
