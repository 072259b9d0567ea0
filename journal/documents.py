"""Markdown and JSON documents, by category."""

import errno
import os
import stat
from typing import Any, Final, TypeVar, overload

import msgspec

from journal import disk as disks
from journal.disk import Disk
from journal.errors import (
    DurabilityError,
    InvalidEventError,
    InvalidNameError,
    JournalError,
    UnsafePathError,
    unreadable,
)
from journal.event_json import check_json
from journal.layout import Layout
from journal.names import SESSIONS
from journal.snapshot import to_pretty_json
from projections.document import Json
from projections.redaction import Redaction

MARKDOWN: Final = ".md"
JSON: Final = ".json"

T = TypeVar("T")


class Documents:
    """Whole files, each replaced atomically: after a crash the old one is there, or the new one."""

    def __init__(self, disk: Disk, layout: Layout, *, durable: bool, redact: Redaction | None = None) -> None:
        self._disk, self._layout, self._durable, self._redact = disk, layout, durable, redact
        self._swept: set[str] = set()  # the folders in which leftovers were looked for

    def save_markdown(self, category: str, name: str, text: str) -> None:
        """See StateStore.save_markdown."""
        if not isinstance(text, str):
            raise InvalidEventError(f"{name!r}: a value of type {type(text).__name__} is no text")
        if self._redact is not None:
            text, _ = self._redact.redact_text(text)
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise InvalidEventError(f"{name!r}: the text holds half of a surrogate pair") from None
        self._replace(category, name, MARKDOWN, data)

    def load_markdown(self, category: str, name: str) -> str | None:
        """See StateStore.load_markdown."""
        path, data = self._read(category, name, MARKDOWN)
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError as error:
            raise JournalError(
                f"{path}: byte {error.start} is not UTF-8; mend the file or remove it"
            ) from None

    def save_json(self, category: str, name: str, value: object) -> None:
        """See StateStore.save_json."""
        plain = msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value
        check_json(plain)
        if self._redact is not None:
            plain, _ = self._redact.redact_json(plain)
        try:
            data = to_pretty_json(plain)
        except TypeError:
            raise InvalidEventError(f"{name!r}: a text holds half of a surrogate pair") from None
        self._replace(category, name, JSON, data)

    @overload
    def load_json(self, category: str, name: str, *, type: None = None) -> Json: ...
    @overload
    def load_json(self, category: str, name: str, *, type: type[T]) -> T | None: ...
    def load_json(self, category: str, name: str, *, type: Any = None) -> Any:
        """See StateStore.load_json."""
        path, data = self._read(category, name, JSON)
        try:
            return None if data is None else msgspec.json.decode(data, type=Any if type is None else type)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise JournalError(f"{path}: {error}; mend the file or remove it") from None

    def names(self, category: str) -> list[str]:
        """See StateStore.list_category."""
        found = set()
        folder = self._layout.category(category)
        try:
            disks.check_folders(self._disk, self._layout.base, folder)
            self._disk.refresh(f"{folder}/")
            for entry in self._disk.entries(folder):
                disks.sweep_if_stale(self._disk, entry)
                stem, ending = os.path.splitext(entry.name)
                if (
                    ending in (MARKDOWN, JSON)
                    and not stem.startswith(".")
                    and stat.S_ISREG(entry.status.st_mode)
                ):
                    found.add(stem)
        except OSError as error:
            raise _refused(folder, error) from error
        return sorted(found)

    def delete(self, category: str, name: str) -> bool:
        """See StateStore.delete_file."""
        self._check_writable(category)
        paths = [self._path(category, name, ending) for ending in (JSON, MARKDOWN)]
        try:
            for path in paths:
                disks.check_file(self._disk, path)
            return any(disks.remove_file(self._disk, path, durable=self._durable) for path in paths)
        except UnsafePathError:
            raise
        except OSError as error:
            reason = f"deleting failed: {error.strerror}"
            raise DurabilityError(paths[0], reason, outcome_unknown=True) from error

    def _path(self, category: str, name: str, ending: str) -> str:
        path = self._layout.document(category, name, ending)
        try:
            disks.check_folders(self._disk, self._layout.base, os.path.dirname(path))
        except OSError as error:
            raise _refused(path, error) from error
        return path

    def _read(self, category: str, name: str, ending: str) -> tuple[str, bytes | None]:
        path = self._path(category, name, ending)
        try:
            self._disk.refresh(path)
            return path, disks.read_file(self._disk, path)
        except OSError as error:
            raise _refused(path, error) from error

    def _replace(self, category: str, name: str, ending: str, data: bytes) -> None:
        self._check_writable(category)
        path = self._path(category, name, ending)
        if len(data) > disks.MAX_WHOLE_BYTES:
            raise InvalidEventError(
                f"{name!r}: {len(data):,} bytes, over the {disks.MAX_WHOLE_BYTES:,} of a document"
            )
        folder = os.path.dirname(path)
        try:
            if folder not in self._swept:
                self._swept.add(folder)
                disks.sweep_temporaries(self._disk, folder)
            disks.replace_file(self._disk, path, [data], durable=self._durable)
        except UnsafePathError:
            raise
        except OSError as error:
            raise DurabilityError(path, f"writing failed: {error.strerror}", outcome_unknown=True) from error

    def _check_writable(self, category: str) -> None:
        if category == SESSIONS or category.startswith(f"{SESSIONS}/"):
            raise InvalidNameError(
                "category", category, "is the store's own: sessions are saved with save_session"
            )


def _refused(path: str, error: OSError) -> JournalError:
    if isinstance(error, UnsafePathError):
        return error
    if error.errno == errno.EFBIG:
        return JournalError(f"{path}: {error.strerror}; mend the file or remove it")
    return unreadable(path, error)
