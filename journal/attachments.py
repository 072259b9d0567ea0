"""Attachments: what is too large for a record goes beside it, comes back, and goes when nothing refers to it.

Sessions share them.
"""

import os
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Final

import msgspec

from journal import disk as disks
from journal.attachment_files import AttachmentFiles, refuse_too_many
from journal.disk import LOCK_EX, STALE_AFTER_SECONDS, Disk
from journal.errors import AttachmentError, JournalError, JournalWarning, unreadable
from journal.event_json import check_json, encode_json
from journal.layout import Layout
from journal.references import references_of, unreferred
from projections.attachment import Attachment, attachment_of
from projections.difference import same_json
from projections.document import Json

# Past this, a part of a record goes beside it.
ATTACH_OVER_BYTES: Final = 256 * 1024


class Attachments(AttachmentFiles):
    """The attachments of one store, and what refers to them."""

    def __init__(self, disk: Disk, layout: Layout, over_bytes: int = ATTACH_OVER_BYTES) -> None:
        super().__init__(disk, layout)
        if type(over_bytes) is not int or over_bytes < 0:
            raise ValueError(f"attach_over_bytes is a number of bytes, not {over_bytes!r}")
        self._over_bytes = over_bytes

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
        refuse_too_many(data)
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

    # Removing

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
        for each in digests:
            self._disk.refresh(self.path(each))
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

    def strays(self) -> set[str]:
        """The digests of those that nothing refers to and that nobody added within the hour."""
        oldest = time.time() - STALE_AFTER_SECONDS
        old = {entry.name for entry in self.entries() if entry.status.st_mtime < oldest}
        return unreferred(self._disk, self._layout, old)

    def sweep_strays(self) -> set[str]:
        """Remove the strays; return their digests. Raises JournalError."""
        with self._sweeping():
            return self._remove(self.strays())

    def _remove(self, digests: set[str]) -> set[str]:
        """Remove files, and what a crash left of them while they were written; those that are gone now.

        On other machines somebody may have put one anew since it was looked at.
        """
        for digest in sorted(digests):
            path = self.path(digest)
            for entry in [*self._disk.entries(os.path.dirname(path))]:
                if entry.name.startswith(f".{digest}."):
                    disks.remove_file(self._disk, entry.path, durable=False)
            disks.remove_file(self._disk, path, durable=True)
        return {digest for digest in digests if self._disk.status(self.path(digest)) is None}

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
