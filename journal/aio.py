"""AsyncStateStore: the same face for asyncio, each call in a worker thread; there is no logic here."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, overload

from journal.catalog import SessionPage
from journal.diagnosis import Diagnosis
from journal.store import StateStore
from journal.verify import Report
from projections.document import Json
from projections.events import Change, Event, Record
from projections.projection import Projection
from projections.session import Session

T = TypeVar("T")
State = TypeVar("State")

_RECORDS_A_HOP: Final = 256


class AsyncStateStore:
    """As StateStore, with `await`.

    A cancelled call may still land; its expected version makes a retry safe.
    """

    def __init__(
        self,
        base_path: str | os.PathLike[str],
        *,
        durability: Literal["disk", "os"] = "disk",
        actor: str | None = None,
        snapshots: Literal["auto", "always"] = "auto",
    ) -> None:
        self._store = StateStore(base_path, durability=durability, actor=actor, snapshots=snapshots)

    @property
    def base_path(self) -> str:
        """As StateStore.base_path."""
        return self._store.base_path

    @property
    def actor(self) -> str | None:
        """As StateStore.actor."""
        return self._store.actor

    @property
    def durability(self) -> str:
        """As StateStore.durability."""
        return self._store.durability

    async def save_session(self, session: Session, *, expected_version: int | None = None) -> int:
        """As StateStore.save_session."""
        return await asyncio.to_thread(self._store.save_session, session, expected_version=expected_version)

    async def load_session(self, session_id: str, *, at: int | datetime | None = None) -> Session | None:
        """As StateStore.load_session."""
        return await asyncio.to_thread(self._store.load_session, session_id, at=at)

    async def update_session_with(self, session_id: str, change: Callable[[Session], object]) -> int:
        """As StateStore.update_session_with; `change` runs in a worker thread."""
        return await asyncio.to_thread(self._store.update_session_with, session_id, change)

    async def update_session(self, session: Session) -> int:
        """As StateStore.update_session."""
        return await asyncio.to_thread(self._store.update_session, session)

    async def get_or_create_session(self, user_id: str, session_id: str | None = None) -> Session:
        """As StateStore.get_or_create_session."""
        return await asyncio.to_thread(self._store.get_or_create_session, user_id, session_id)

    async def delete_session(self, session_id: str, *, why: str | None = None) -> bool:
        """As StateStore.delete_session."""
        return await asyncio.to_thread(self._store.delete_session, session_id, why=why)

    async def list_sessions(
        self,
        user_id: str | None = None,
        limit: int | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        page: str | None = None,
    ) -> SessionPage:
        """As StateStore.list_sessions."""
        return await asyncio.to_thread(
            self._store.list_sessions, user_id, limit, since=since, until=until, page=page
        )

    async def append(
        self,
        session_id: str,
        events: Sequence[Event | Change],
        *,
        expected_version: int,
        by: str | None = None,
        cause: str | None = None,
        key: str | None = None,
    ) -> int:
        """As StateStore.append."""
        return await asyncio.to_thread(
            self._store.append,
            session_id,
            events,
            expected_version=expected_version,
            by=by,
            cause=cause,
            key=key,
        )

    async def records(self, session_id: str, *, after: int = 0) -> AsyncIterator[Record]:
        """As StateStore.records."""
        records = self._store.records(session_id, after=after)
        try:
            while some := await asyncio.to_thread(_some_of, records):
                for record in some:
                    yield record
        finally:
            await asyncio.to_thread(records.close)  # type: ignore[attr-defined]

    async def project(
        self, projection: Projection[State], session_id: str, *, at: int | datetime | None = None
    ) -> State | None:
        """As StateStore.project."""
        return await asyncio.to_thread(self._store.project, projection, session_id, at=at)

    async def verify(self, session_id: str | None = None) -> Report:
        """As StateStore.verify."""
        return await asyncio.to_thread(self._store.verify, session_id)

    async def diagnose(self, session_id: str) -> Diagnosis:
        """As StateStore.diagnose."""
        return await asyncio.to_thread(self._store.diagnose, session_id)

    async def repair(self, session_id: str) -> list[str]:
        """As StateStore.repair."""
        return await asyncio.to_thread(self._store.repair, session_id)

    async def compact(self, session_id: str | None = None) -> int:
        """As StateStore.compact."""
        return await asyncio.to_thread(self._store.compact, session_id)

    async def session_ids(self) -> list[str]:
        """As StateStore.session_ids."""
        return await asyncio.to_thread(self._store.session_ids)

    async def save_markdown(self, category: str, name: str, text: str) -> None:
        """As StateStore.save_markdown."""
        await asyncio.to_thread(self._store.save_markdown, category, name, text)

    async def load_markdown(self, category: str, name: str) -> str | None:
        """As StateStore.load_markdown."""
        return await asyncio.to_thread(self._store.load_markdown, category, name)

    async def save_json(self, category: str, name: str, value: object) -> None:
        """As StateStore.save_json."""
        await asyncio.to_thread(self._store.save_json, category, name, value)

    @overload
    async def load_json(self, category: str, name: str, *, type: None = None) -> Json: ...
    @overload
    async def load_json(self, category: str, name: str, *, type: type[T]) -> T | None: ...
    async def load_json(self, category: str, name: str, *, type: Any = None) -> Any:
        """As StateStore.load_json."""
        return await asyncio.to_thread(self._store.load_json, category, name, type=type)

    async def list_category(self, category: str) -> list[str]:
        """As StateStore.list_category."""
        return await asyncio.to_thread(self._store.list_category, category)

    async def delete_file(self, category: str, name: str) -> bool:
        """As StateStore.delete_file."""
        return await asyncio.to_thread(self._store.delete_file, category, name)

    async def close(self) -> None:
        """As StateStore.close."""
        await asyncio.to_thread(self._store.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _some_of(records: Any) -> list[Record]:
    return [record for _, record in zip(range(_RECORDS_A_HOP), records, strict=False)]
