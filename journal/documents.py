"""Markdown and JSON documents, by category."""

import os
import stat
from typing import Any, Final, TypeVar, overload

import msgspec

from journal import disk as disks
from journal.disk import Disk
from journal.errors import DurabilityError, InvalidEventError, InvalidNameError, JournalError
from journal.event_json import check_json
from journal.layout import Layout
from journal.names import SESSIONS
from journal.snapshot import to_pretty_json
from projections.document import Json

MARKDOWN: Final = ".md"
JSON: Final = ".json"

T = TypeVar("T")


class Documents:
    """Whole files, each replaced atomically: after a crash the old one is there, or the new one."""

    def __init__(self, disk: Disk, layout: Layout, *, durable: bool) -> None:
        self._disk, self._layout, self._durable = disk, layout, durable

    def save_markdown(self, category: str, name: str, text: str) -> None:
        """See StateStore.save_markdown."""
        if not isinstance(text, str):
            raise InvalidEventError(f"{name!r}: a value of type {type(text).__name__} is no text")
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise InvalidEventError(f"{name!r}: the text holds half of a surrogate pair") from None
        self._replace(category, name, MARKDOWN, data)

    def load_markdown(self, category: str, name: str) -> str | None:
        """See StateStore.load_markdown."""
        path = self._layout.document(category, name, MARKDOWN)
        data = disks.read_file(self._disk, path)
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
        path = self._layout.document(category, name, JSON)
        data = disks.read_file(self._disk, path)
        try:
            return None if data is None else msgspec.json.decode(data, type=Any if type is None else type)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise JournalError(f"{path}: {error}; mend the file or remove it") from None

    def names(self, category: str) -> list[str]:
        """See StateStore.list_category."""
        found = set()
        for entry in self._disk.entries(self._layout.category(category)):
            disks.sweep_if_stale(self._disk, entry)
            stem, ending = os.path.splitext(entry.name)
            if ending in (MARKDOWN, JSON) and not stem.startswith(".") and stat.S_ISREG(entry.status.st_mode):
                found.add(stem)
        return sorted(found)

    def delete(self, category: str, name: str) -> bool:
        """See StateStore.delete_file."""
        self._check_writable(category)
        paths = [self._layout.document(category, name, ending) for ending in (JSON, MARKDOWN)]
        return any(disks.remove_file(self._disk, path, durable=self._durable) for path in paths)

    def _replace(self, category: str, name: str, ending: str, data: bytes) -> None:
        self._check_writable(category)
        path = self._layout.document(category, name, ending)
        try:
            disks.replace_file(self._disk, path, [data], durable=self._durable)
        except OSError as error:
            raise DurabilityError(path, f"writing failed: {error.strerror}", outcome_unknown=True) from error

    def _check_writable(self, category: str) -> None:
        if category == SESSIONS or category.startswith(f"{SESSIONS}/"):
            raise InvalidNameError(
                "category", category, "is the store's own: sessions are saved with save_session"
            )
