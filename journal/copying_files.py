"""Copying what has a name: documents, and the bytes that are in quarantine."""

import re
from collections.abc import Awaitable
from typing import Final

from journal.backend import File, Files, Moved, Unclear
from journal.copied import Copied, Left
from journal.errors import AttachmentError, InvalidNameError, UnsafePathError
from journal.folder_files import DOCUMENTS, QUARANTINE

# How often an answer may fail to come.
_MOST_TRIES: Final = 8
# What stores share of a long session, so that nobody need fetch all of it.
SNAPSHOTS: Final = "snapshots"
# The session of which a file in quarantine is.
_QUARANTINED: Final = re.compile(rf"{QUARANTINE}/(.+)\.(?:\d+|json)\.[0-9a-f]{{8}}")


class Refused(Exception):
    """One file cannot be read or written; the others can. The text says why."""


async def guarded(name: str, work: Awaitable[None], copied: Copied) -> None:
    """What is wrong with one file does not end the copy of the others."""
    try:
        await work
    except Refused as error:
        copied.problems.append(Left(name, str(error)))


async def read(files: Files, name: str) -> File | None:
    """A file. Raises Refused where there is something that cannot be read."""
    try:
        return await files.get(name)
    except (InvalidNameError, AttachmentError, UnsafePathError) as error:
        raise Refused(str(error).rstrip(".")) from error
    except OSError as error:
        raise Refused(f"it could not be read: {error.strerror}") from error


async def put(files: Files, name: str, data: bytes, revision: int | None) -> None:
    """Put a file; where no answer comes, see whether it is there, and else again.

    Raises Moved, Unclear, Refused where something stands in its place that is no file.
    """
    for _ in range(_MOST_TRIES):
        try:
            await files.put(name, data, revision)
            return
        except Unclear as error:
            unclear = error
        except (InvalidNameError, UnsafePathError) as error:
            raise Refused(str(error).rstrip(".")) from error
        there = await read(files, name)
        if there is not None and there.data == data:
            return
    raise unclear


class Documents:
    """Whole files by their names: what is there already and says something else is left alone."""

    def __init__(self, source: Files, target: Files, copied: Copied) -> None:
        self._source, self._target, self._copied = source, target, copied

    async def all(self) -> None:
        """Copy what is not there; what is there and says something else is a conflict.

        The bytes in quarantine of a session that was left alone stay: there it may have been erased.
        """
        alone = {each.name for each in self._copied.conflicts}
        for folder in (QUARANTINE, DOCUMENTS):
            for name in await self._source.names(folder):
                if _session_of(name) not in alone:
                    await guarded(name, self._bring(name), self._copied)

    async def forget(self, session_id: str) -> None:
        """Remove what may hold what was erased of a session: the snapshot that is shared, the quarantine.

        What of the content stands in damaged bytes nobody can say.
        """
        snapshot = f"{SNAPSHOTS}/{session_id}"
        if snapshot in await self._target.names(SNAPSHOTS):
            await self._target.remove(snapshot)
        there = await self._target.names(QUARANTINE)
        ours = await self._source.names(QUARANTINE) if there else []
        for name in there:
            if _session_of(name) == session_id and name not in ours:
                await self._target.remove(name)

    async def _bring(self, name: str) -> None:
        found = await read(self._source, name)
        if found is None:
            return  # removed this very moment
        there = await read(self._target, name)
        try:
            if there is None:
                await put(self._target, name, found.data, 0)
                self._copied.documents += name.startswith(DOCUMENTS)
                return
        except Moved:
            there = await read(self._target, name)
        if there is None or there.data != found.data:
            self._copied.conflicts.append(Left(name, "it is there, and says something else"))


def _session_of(name: str) -> str | None:
    """The session of which a file in quarantine is."""
    found = _QUARANTINED.fullmatch(name)
    return found[1] if found else None
