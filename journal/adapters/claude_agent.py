"""Claude Agent SDK: a `SessionStore` whose transcripts are journals."""

import os
import warnings
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, NamedTuple, Self

from journal.adapters.claude_agent_entries import Entries, EntryList, event_of
from journal.adapters.ids import joined, parted, prefix
from journal.adapters.shared import kept
from journal.adapters.turns import Turns
from journal.aio import AsyncKept, AsyncStateStore
from journal.errors import JournalWarning, MissingExtraError, VersionConflictError
from projections.events import Event, MetadataSet, SessionCreated
from projections.summary import SessionSummary

try:
    from claude_agent_sdk import (
        SessionKey,
        SessionListSubkeysKey,
        SessionStoreEntry,
        SessionStoreListEntry,
        SessionSummaryEntry,
        fold_session_summary,
    )
except ImportError as error:
    raise MissingExtraError("transcripts of Claude agents", "claude-agent-sdk", "claude-agent") from error

_PREFIX: Final = "claude-agent"
# Where in the metadata the key is.
_KEY: Final = "claude_agent"


class JournalSessionStore:
    """Transcripts in journals: `ClaudeAgentOptions(session_store=JournalSessionStore("state"))`.

    store    an AsyncStateStore, or a folder, and `close` closes it
    user_id  whose the sessions are; without it each belongs to its project's key

    The main transcript is a session, and so is each of its agents'; `journal_id` gives the id of a key. Each
    entry is one record, each `append` one batch: there whole or not at all, and durable as the store is when
    the call returns. Tasks, threads and processes may share it. Rewinds and erasures of a session reach
    `load` at the next call.

    The calls raise CorruptRecordError, JournalClosedError; `append` also DurabilityError, and
    InvalidEventError for an entry that is not JSON.
    """

    def __init__(
        self, store: AsyncStateStore | str | os.PathLike[str], *, user_id: str | None = None
    ) -> None:
        self.user_id = user_id
        self._owns_store = not isinstance(store, AsyncStateStore)
        self._store = store if isinstance(store, AsyncStateStore) else AsyncStateStore(store)
        self._summaries: dict[str, tuple[SessionSummary, SessionSummaryEntry]] = {}
        # Appends of one loop to one session go in the order of their calls.
        self._turns = Turns()

    @staticmethod
    def journal_id(key: SessionKey | SessionListSubkeysKey) -> str:
        """The id of a key's session in the store, for `journal log` and the methods of the store."""
        return joined(*_parts_of(key))

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Add entries, all or none; none at all changes nothing. One whose `uuid` is there is left out."""
        if not entries:
            return
        journal_id = self.journal_id(key)
        async with self._turns.of(journal_id):
            while not await self._append(key, journal_id, entries):
                pass  # another writer was first

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """All entries in order; None where nothing was written under this key."""
        found: list[SessionStoreEntry] | None = await self._kept(self.journal_id(key)).ask(
            lambda state: None if state is None else state.last(None)
        )
        return found

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        """The main transcripts of a project, and when each was written last."""
        return [
            {"session_id": each.parts[2], "mtime": _mtime(each.summary)}
            async for each in self._transcripts(project_key)
            if len(each.parts) == 3
        ]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        """What the SDK shows of each main transcript of a project in a list. Reads those that changed."""
        summaries = []
        async for each in self._transcripts(project_key):
            if len(each.parts) == 3:
                known, folded = self._summaries.get(each.summary.id, (None, None))
                if folded is None or known != each.summary:
                    folded = await self._folded(each)
                    self._summaries[each.summary.id] = each.summary, folded
                summaries.append(folded)
        return summaries

    async def delete(self, key: SessionKey) -> None:
        """Delete a transcript, of a main one also those of its agents; each leaves a tombstone."""
        if not key.get("subpath"):
            for subpath in await self.list_subkeys(key):
                await self._store.delete_session(self.journal_id({**key, "subpath": subpath}))
        await self._store.delete_session(self.journal_id(key))

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """The subpaths of a session's agents."""
        return [
            each.parts[3]
            async for each in self._transcripts(key["project_key"])
            if each.parts[2] == key["session_id"] and len(each.parts) == 4
        ]

    async def close(self) -> None:
        """Close the store, if it was opened here."""
        if self._owns_store:
            await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _kept(self, journal_id: str) -> AsyncKept[EntryList]:
        return kept(self._store, Entries(), journal_id)

    async def _append(self, key: SessionKey, journal_id: str, entries: list[SessionStoreEntry]) -> bool:
        """Whether it was done; False where another writer was first."""
        version, new = await self._kept(journal_id).ask(lambda state: _new(state, entries))
        if not new:
            return True
        events: list[Event] = [event_of(entry) for entry in new]
        if not version:
            user_id = self.user_id or key["project_key"]
            # An id may be too long to hold the key.
            known = MetadataSet(key=_KEY, value={name: str(part) for name, part in key.items()})
            events = [SessionCreated(session_id=journal_id, user_id=user_id), known, *events]
        try:
            await self._store.append(journal_id, events, expected_version=version)
        except VersionConflictError:
            return False
        return True

    async def _folded(self, transcript: "_Transcript") -> SessionSummaryEntry:
        _, project_key, session_id = transcript.parts
        key: SessionKey = {"project_key": project_key, "session_id": session_id}
        state = await self._store.project(Entries(), transcript.summary.id)
        folded = fold_session_summary(None, key, [] if state is None else state.last(None))
        return {**folded, "mtime": _mtime(transcript.summary)}

    async def _transcripts(self, project_key: str) -> AsyncIterator["_Transcript"]:
        """All of a project, agents' too."""
        page = await self._store.list_sessions()
        for unreadable in page.unreadable:
            if unreadable.id.startswith(prefix(_PREFIX)):
                message = f"session {unreadable.id!r} is not listed: {unreadable.reason}"
                warnings.warn(message, JournalWarning, stacklevel=2)
        for summary in page:
            if summary.id.startswith(prefix(_PREFIX)):
                parts = parted(summary.id) or await self._parts_on_record(summary.id)
                if parts[1:2] == [project_key]:
                    yield _Transcript(parts, summary)

    async def _parts_on_record(self, journal_id: str) -> list[str]:
        session = await self._store.load_session(journal_id)
        match session and session.metadata.get(_KEY):
            case {"project_key": str(project_key), "session_id": str(session_id), **rest}:
                subpath = rest.get("subpath")
                return [_PREFIX, project_key, session_id, *([subpath] if isinstance(subpath, str) else [])]
            case _:
                return []


class _Transcript(NamedTuple):
    parts: list[str]
    summary: SessionSummary


def _parts_of(key: SessionKey | SessionListSubkeysKey) -> list[str]:
    subpath = key.get("subpath")
    return [_PREFIX, key["project_key"], key["session_id"], *([subpath] if subpath else [])]


def _new(state: EntryList | None, entries: list[SessionStoreEntry]) -> tuple[int, list[SessionStoreEntry]]:
    """The version of the session, 0 where there is none, and the entries that are not there yet."""
    new, uuids = [], set()
    for entry in entries:
        uuid = entry.get("uuid")
        if not isinstance(uuid, str):
            new.append(entry)
        elif uuid not in uuids and (state is None or uuid not in state.uuids):
            uuids.add(uuid)
            new.append(entry)
    return 0 if state is None else state.version, new


def _mtime(summary: SessionSummary) -> int:
    return int(summary.updated_at.timestamp() * 1000)
