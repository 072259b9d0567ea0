"""Copying a store from one backend to another: all of it, checked, and again only what is new.

The source is only read. Whatever is there already is compared, and left alone where it is something else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

from journal.backend import Backend, Change, Unclear, Unreachable
from journal.copied import Copied, Left
from journal.copying_attachments import Payloads
from journal.copying_files import Documents
from journal.copying_session import Copying
from journal.errors import (
    CorruptRecordError,
    CorruptSnapshotError,
    InvalidNameError,
    JournalError,
    UnsafePathError,
)
from journal.folder import is_same
from journal.folder_journals import Damaged

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a name, how many are done, and of how many; 0 where that is not known."""

# So much is read before it is written: each session's part of it at once, and several sessions together.
_WINDOW_BYTES: Final = 16 * 1024 * 1024
_TOGETHER: Final = 16
# What is wrong with one session's own files, here or there.
_OF_A_SESSION: Final = (Damaged, CorruptRecordError, CorruptSnapshotError, InvalidNameError, UnsafePathError)
# What a change costs beside its bytes.
_CHANGE_BYTES: Final = 512


async def copy(
    source: Backend,
    target: Backend,
    *,
    progress: Progress | None = None,
    verify: bool = True,
    documents: bool = True,
) -> Copied:
    """Copy all that is in a store: journals byte for byte, deletions, attachments, documents.

    Each journal's chain is checked before it is written; with `verify`, what was written is read back and
    checked, and so are the attachments that are there. A session that is there is continued where it is the
    beginning of the source's, and rewritten where content was erased in the source since; what says anything
    else is a conflict, and so is one that was deleted there alone. Nobody need stop writing to the source;
    what comes after the session was read is the next copy's. After an interruption, copy again. Opens both
    backends, and closes them.

    Raises JournalError where one of them does not answer, or is refused.
    """
    if (type(source), source.name) == (type(target), target.name) or is_same(source, target):
        raise JournalError(f"{source.name} is to be copied onto itself; say where else to")
    run = _Run(source, target, progress or (lambda name, done, total: None), checks=verify)
    try:
        await source.open()
        run.copied.promise = await target.open()
        await run.journals()
        await run.payloads.rest()
        if documents:
            await run.documents.all()
        if verify:
            await run.verify()
    except Unreachable as error:
        raise JournalError(f"{error}. Copy again when that is mended: what is there stays") from error
    except Unclear as error:
        text = str(error) or f"{target.name} did not say whether it wrote what it was given"
        raise JournalError(f"{text}. Copy again: what is there stays") from error
    finally:
        await asyncio.gather(source.close(), target.close(), return_exceptions=True)
    return run.copied


class _Run:
    """One copy under way."""

    def __init__(self, source: Backend, target: Backend, progress: Progress, *, checks: bool) -> None:
        self._source, self._target, self._progress = source, target, progress
        self.copied = Copied()
        self.payloads = Payloads(source, target, self.copied, checks=checks)
        self.documents = Documents(source.files, target.files, self.copied)
        self._sessions: dict[str, Copying] = {}

    async def journals(self) -> None:
        """Copy what the source has when this begins, in one pass over it, in bounded memory."""
        await self.payloads.begin()
        window: dict[str, list[Change]] = {}
        size = 0
        try:
            async for change in self._source.journals.read(None, 0):
                window.setdefault(change.session_id, []).append(change)
                size += len(change.data) + _CHANGE_BYTES
                if size >= _WINDOW_BYTES:
                    await self._write(window)
                    window, size = {}, 0
        except Damaged as damaged:
            for session_id, reason in damaged.damages:
                self.copied.problems.append(Left(session_id or "", reason))
        await self._write(window)
        await _together(_guarded(each, each.end()) for each in self._sessions.values())

    async def verify(self) -> None:
        """Read back what was written, and check it."""
        written = [each for each in self._sessions.values() if each.written]

        async def verify(done: int, session: Copying) -> None:
            self._progress(session.session_id, done, len(written))
            await _guarded(session, session.verify())

        await _together(verify(done, each) for done, each in enumerate(written))
        await self.payloads.verify()

    async def _write(self, window: dict[str, list[Change]]) -> None:
        # Deletions one after the other: whoever reads them there finds them in their order.
        for session_id, changes in window.items():
            if changes[0].kind == "delete":
                await self._take(session_id, changes[:1])
                del changes[0]
        await _together(self._take(each, changes) for each, changes in window.items())

    async def _take(self, session_id: str, changes: list[Change]) -> None:
        session = self._of(session_id)
        self._progress(session_id, len(self._sessions), 0)
        await _guarded(session, session.take(changes))

    def _of(self, session_id: str) -> Copying:
        if (found := self._sessions.get(session_id)) is None:
            found = Copying(
                self._source.journals,
                self._target.journals,
                session_id,
                self.copied,
                payloads=self.payloads,
                forget=self.documents.forget,
            )
            self._sessions[session_id] = found
        return found


async def _guarded(session: Copying, work: Awaitable[object]) -> None:
    """What is wrong with one session's own files does not end the copy of the others."""
    try:
        await work
    except _OF_A_SESSION as error:
        session.stop(str(error), is_problem=True)


async def _together(work: Iterable[Awaitable[object]]) -> None:
    """Do all of it, some at once; the first error ends the rest."""
    waiting = iter(work)

    async def one_by_one() -> None:
        for each in waiting:
            await each

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_TOGETHER):
                group.create_task(one_by_one())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
