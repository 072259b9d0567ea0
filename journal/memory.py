"""A store in memory, for tests: `memory:NAME`. Several stores of one process share it, as many machines do.

With the process it is gone.
"""

import threading
from collections.abc import AsyncIterator, Sequence

from journal.backend import Change, File, Heard, Moved, Promise

_shared: dict[str, "MemoryBackend"] = {}
_mutex = threading.Lock()


def shared(name: str) -> "MemoryBackend":
    """The backend of this name; there is one in a process."""
    with _mutex:
        return _shared.setdefault(name, MemoryBackend(name))


class MemoryBackend:
    """Lists and dictionaries under one lock. None of its coroutines ever waits."""

    def __init__(self, name: str = "") -> None:
        self.name = f"memory:{name}"
        self.journals = MemoryJournals()
        self.files = MemoryFiles()

    async def open(self) -> Promise:
        """It is there."""
        return Promise("disk", 1, f"{self.name} is in memory, for tests: with the process it is gone")

    async def close(self) -> None:
        """It stays as long as the process."""


class MemoryJournals:
    """Every change that is not void, in one order."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._changes: dict[int, Change] = {}  # by place; a dictionary keeps their order
        self._of: dict[str, list[Change]] = {}
        self._last = 0
        self._listening: list[_Listening] = []

    async def head(self, session_id: str) -> int:
        """See Journals.head."""
        with self._mutex:
            return self._head(session_id)

    def _head(self, session_id: str) -> int:
        changes = self._of.get(session_id)
        return changes[-1].place if changes else 0

    async def read(self, session_id: str | None, after: int) -> AsyncIterator[Change]:
        """See Journals.read."""
        with self._mutex:
            changes = self._changes.values() if session_id is None else self._of.get(session_id, [])
            found = [each for each in changes if each.place > after]
        for change in found:
            yield change

    async def append(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """See Journals.append."""
        return self._add(session_id, "append", b"".join(lines), after)

    async def replace(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """See Journals.replace."""
        return self._add(session_id, "replace", b"".join(lines), after)

    async def delete(self, session_id: str, tombstones: bytes, after: int) -> int:
        """See Journals.delete."""
        return self._add(session_id, "delete", tombstones, after)

    def _add(self, session_id: str, kind: str, data: bytes, after: int) -> int:
        with self._mutex:
            if self._head(session_id) != after:
                raise Moved
            self._last += 1
            changes = self._of.setdefault(session_id, [])
            tombstones = tombstones_of(changes) if kind == "replace" else b""
            change = Change(session_id, self._last, after, kind, data, tombstones)  # type: ignore[arg-type]
            if kind != "append":
                for void in changes:
                    del self._changes[void.place]
                changes.clear()
            changes.append(change)
            self._changes[change.place] = change
            # Under the lock, so that each hears them in order.
            for each in self._listening:
                if each.session_id in (None, session_id):
                    each.heard(change)
            return change.place

    async def listen(self, session_id: str | None, heard: Heard) -> "_Listening":
        """See Journals.listen. `heard` is called in the writer's thread."""
        listening = _Listening(self, session_id, heard)
        with self._mutex:
            self._listening.append(listening)
        return listening


class _Listening:
    def __init__(self, journals: MemoryJournals, session_id: str | None, heard: Heard) -> None:
        self._journals, self.session_id, self.heard = journals, session_id, heard

    async def close(self) -> None:
        with self._journals._mutex:
            if self in self._journals._listening:
                self._journals._listening.remove(self)


def tombstones_of(changes: Sequence[Change]) -> bytes:
    """What a session's changes tell of its deletions: the first one does, if any."""
    if not changes:
        return b""
    return changes[0].data if changes[0].kind == "delete" else changes[0].tombstones


class MemoryFiles:
    """A dictionary of files."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._files: dict[str, File] = {}
        self._last = 0

    async def get(self, name: str) -> File | None:
        """See Files.get."""
        return self._files.get(name)

    async def put(self, name: str, data: bytes, revision: int | None = None) -> int:
        """See Files.put."""
        with self._mutex:
            there = self._files.get(name)
            if revision is not None and revision != (there.revision if there else 0):
                raise Moved
            self._last += 1
            self._files[name] = File(data, self._last)
            return self._last

    async def touch(self, name: str) -> int | None:
        """See Files.touch."""
        there = self._files.get(name)
        return None if there is None else await self.put(name, there.data)

    async def remove(self, name: str, revision: int | None = None) -> bool:
        """See Files.remove."""
        with self._mutex:
            there = self._files.get(name)
            if there is not None and revision not in (None, there.revision):
                raise Moved
            return self._files.pop(name, None) is not None

    async def names(self, folder: str) -> list[str]:
        """See Files.names."""
        prefix = f"{folder}/" if folder else ""
        return sorted(name for name in list(self._files) if name.startswith(prefix))
