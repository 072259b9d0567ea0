"""OpenAI Agents SDK: a `Session` whose items are events of a journal."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from journal.adapters.ids import joined
from journal.adapters.openai_agents_items import AgentItems, Items, event_of, removed
from journal.adapters.shared import kept
from journal.aio import AsyncStateStore
from journal.errors import InvalidEventError, MissingExtraError, OwnerMismatchError, VersionConflictError
from journal.handle import ANY
from projections.events import Event, SessionCreated

try:
    from agents.items import TResponseInputItem
    from agents.memory.session_settings import (
        SessionSettings,
        coerce_session_settings,
        resolve_session_limit,
    )
except ImportError as error:
    raise MissingExtraError("sessions of OpenAI agents", "openai-agents", "openai-agents") from error

T = TypeVar("T")


class JournalSession:
    """The memory of an agent, kept in a journal: `Runner.run(agent, "Hello", session=JournalSession(…))`.

    session_id  any text. `journal_id` is the session's id in the store: the same, where that is a safe name
    store       an AsyncStateStore, which many sessions may share; or a folder, and `close` closes it
    user_id     whose the session is. Of one that is there already, None takes it as it is; any other value
                must be its owner's. A new one of None belongs to "user"
    session_settings  the SDK's own: how many items `get_items` gives unless it is told

    Each item is one record, each call one batch: there whole or not at all, and durable as the store is when
    the call returns. What is popped or cleared stays in the history. Tasks, threads and processes may share a
    session. What others put on record as messages and tool calls, the agent sees, too; rewinds and erasures
    of the session reach it at the next call.

    The calls raise OwnerMismatchError, CorruptRecordError, JournalClosedError; those that write also
    DurabilityError, and InvalidEventError for an item that is not JSON. One that writes and is cancelled
    comes to its end before it raises CancelledError.
    """

    session_settings: SessionSettings | None

    def __init__(
        self,
        session_id: str,
        store: AsyncStateStore | str | os.PathLike[str],
        *,
        user_id: str | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings = coerce_session_settings(session_settings or SessionSettings())
        self.user_id = user_id
        self._owns_store = not isinstance(store, AsyncStateStore)
        self._store = store if isinstance(store, AsyncStateStore) else AsyncStateStore(store)
        self._kept = kept(self._store, Items(), self.journal_id)
        self._is_begun = False

    @property
    def journal_id(self) -> str:
        """The id of the session in the store, for `journal log` and the methods of the store."""
        return joined(self.session_id)

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The last `limit` items in order; without it as many as the settings say, or all."""
        wanted = resolve_session_limit(limit, self.session_settings)
        items: list[TResponseInputItem] = await self._ask(lambda found: found.last(wanted))
        return items

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add items, all or none; none at all changes nothing."""
        if items:
            await _settled(self._append([event_of(item) for item in items]))

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the last item back and return it; None where there is none."""
        return await _settled(self._pop())

    async def clear_session(self) -> None:
        """Take all items back. The session and its history stay."""
        await _settled(self._clear())

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

    async def _ask(self, question: Callable[[AgentItems], T]) -> T:
        return await self._kept.ask(lambda found: question(self._own(found)))

    def _own(self, found: AgentItems | None) -> AgentItems:
        if found is None:
            return AgentItems()
        if self.user_id not in (None, found.owner):
            raise OwnerMismatchError(self.journal_id, self.user_id or "")
        return found

    async def _append(self, events: Sequence[Event]) -> None:
        while True:
            if not self._is_begun:
                self._is_begun = await self._ask(lambda found: bool(found.owner))
            begun = SessionCreated(session_id=self.journal_id, user_id=self.user_id or "user")
            try:
                await self._store.append(
                    self.journal_id,
                    events if self._is_begun else [begun, *events],
                    expected_version=ANY if self._is_begun else 0,
                )
                self._is_begun = True
                return
            except VersionConflictError:
                continue  # another writer began it meanwhile
            except InvalidEventError:
                if not self._is_begun or await self._ask(lambda found: bool(found.owner)):
                    raise
                self._is_begun = False  # it was deleted meanwhile, and begins anew

    async def _pop(self) -> TResponseInputItem | None:
        while True:
            version, place, last = await self._ask(lambda found: (found.version, found.end, found.last(1)))
            if not last:
                return None
            try:
                await self._store.append(self.journal_id, [removed(place)], expected_version=version)
                item: TResponseInputItem = last[0]
                return item
            except VersionConflictError:
                continue  # it may not be the last any more

    async def _clear(self) -> None:
        if await self._ask(lambda found: found.end):
            await self._append([removed(1)])


async def _settled(change: Coroutine[Any, Any, T]) -> T:
    """What comes of a change, which goes on to its end where the caller is cancelled."""
    task = asyncio.ensure_future(change)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # or the loop would say that nobody asked for it
        raise cancelled
    return task.result()
