"""AsyncStateStore: the same face for asyncio. There is no logic here.

Of a folder, each call runs in a worker thread; of a store on servers it is awaited, see journal/waiting.py.
"""

import asyncio
import contextvars
import functools
import itertools
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Generic, Literal, ParamSpec, Self, TypeVar, overload

from journal.attachments import ATTACH_OVER_BYTES
from journal.catalog import SessionPage
from journal.commits import Commits
from journal.connecting import folder_of
from journal.diagnosis import Diagnosis
from journal.erase import Erasure
from journal.follow import Checkpoints, OnError
from journal.handle import ANY
from journal.kept import Kept
from journal.live import AsyncLiveSession, OnUnknown
from journal.live.replay import Agent, Replayed
from journal.native_loop import NativeLoop
from journal.note import SigningKey
from journal.opening import open_replica_natively
from journal.retention import Pruned
from journal.seal import Seal
from journal.search import SearchPage
from journal.store import StateStore, as_changes
from journal.tombstones import Tombstone
from journal.trail import Followed
from journal.verify import Report
from projections.comparison import Comparison
from projections.document import Json
from projections.events import Change, Event, Record
from projections.projection import Projection
from projections.redaction import Redaction
from projections.session import Session
from projections.timeline import Timeline

P = ParamSpec("P")
T = TypeVar("T")
State = TypeVar("State")

# How many records are read in one thread's call.
_TOGETHER: Final = 256
# Calls that may be at work, or waiting for another process, at once.
MAX_THREADS: Final = 32


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
        allow_network: bool = False,
        redact: Redaction | None = None,
        attach_over_bytes: int = ATTACH_OVER_BYTES,
    ) -> None:
        store = StateStore(
            base_path,
            durability=durability,
            actor=actor,
            snapshots=snapshots,
            allow_network=allow_network,
            redact=redact,
            attach_over_bytes=attach_over_bytes,
        )
        self._begin(store, None)

    @classmethod
    async def connect(
        cls,
        url: str | os.PathLike[str],
        *,
        durability: Literal["disk", "os"] = "disk",
        actor: str | None = None,
        redact: Redaction | None = None,
        attach_over_bytes: int = ATTACH_OVER_BYTES,
        timeout: float = 30.0,
        **options: Any,
    ) -> Self:
        """As StateStore.connect.

        On NATS, what is about one session, a document or an attachment is awaited in the loop of the caller,
        without a thread; what goes through all sessions has one.
        """
        self = cls.__new__(cls)
        if folder_of(url) is not None:
            store = await asyncio.to_thread(
                StateStore.connect,
                url,
                durability=durability,
                actor=actor,
                redact=redact,
                attach_over_bytes=attach_over_bytes,
                **options,
            )
            self._begin(store, None)
        else:
            replica, native = await open_replica_natively(os.fspath(url), durability, timeout, options)
            # As a call: if it fails, it closes the connection, and waits for that.
            store = await native.run(StateStore._on, replica, durability, actor, redact, attach_over_bytes)
            self._begin(store, native)
        return self

    def _begin(self, store: StateStore, native: NativeLoop | None) -> None:
        self._store, self._native = store, native
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="journal")
        self._commits = Commits(store._handles, self._threads, native)

    @property
    def base_path(self) -> str:
        """As StateStore.base_path."""
        return self._store.base_path

    @property
    def name(self) -> str:
        """As StateStore.name."""
        return self._store.name

    @property
    def promise(self) -> str:
        """As StateStore.promise."""
        return self._store.promise

    @property
    def actor(self) -> str | None:
        """As StateStore.actor."""
        return self._store.actor

    @property
    def durability(self) -> str:
        """As StateStore.durability."""
        return self._store.durability

    def acting(self, *, by: str | None = None, cause: str | None = None) -> AbstractContextManager[None]:
        """As StateStore.acting, in a plain `with`. A call writes what held when its task came to it."""
        return self._store.acting(by=by, cause=cause)

    async def save_session(self, session: Session, *, expected_version: int | None = None) -> int:
        """As StateStore.save_session, of the session as it is when this is called.

        It may be changed further meanwhile; that is for the next save. Many saves that are under way at once
        wait for the disk together.
        """
        return await self._commits.save(session, expected_version, self._store._acting.now())

    async def load_session(self, session_id: str, *, at: int | datetime | None = None) -> Session | None:
        """As StateStore.load_session."""
        return await self._soon(self._store.load_session, session_id, at=at)

    async def update_session_with(self, session_id: str, change: Callable[[Session], object]) -> int:
        """As StateStore.update_session_with; `change` runs where the call does."""
        return await self._soon(self._store.update_session_with, session_id, change)

    async def update_session(self, session: Session) -> int:
        """As StateStore.update_session."""
        return await self._soon(self._store.update_session, session)

    async def get_or_create_session(self, user_id: str, session_id: str | None = None) -> Session:
        """As StateStore.get_or_create_session."""
        return await self._soon(self._store.get_or_create_session, user_id, session_id)

    def open_session(
        self, session_id: str, *, user_id: str | None = None, on_unknown: OnUnknown = "ask"
    ) -> AsyncLiveSession:
        """As StateStore.open_session, to use in an `async with`."""
        return AsyncLiveSession(
            lambda: self._store.open_session(session_id, user_id=user_id, on_unknown=on_unknown),
            self._soon,
        )

    async def replay(
        self, session_id: str, agent: Agent, *, until: int | None = None, new_id: str | None = None
    ) -> Replayed:
        """As StateStore.replay, in a worker thread; a coroutine function runs there, in a loop of its own."""
        return await self._in_thread(self._store.replay, session_id, agent, until=until, new_id=new_id)

    async def delete_session(self, session_id: str, *, why: str | None = None) -> bool:
        """As StateStore.delete_session."""
        return await self._soon(self._store.delete_session, session_id, why=why)

    async def prune(
        self,
        older_than: timedelta | None = None,
        keep: int | None = None,
        user_id: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Pruned:
        """As StateStore.prune."""
        return await self._in_thread(self._store.prune, older_than, keep, user_id, dry_run=dry_run)

    async def tombstones(self) -> list[Tombstone]:
        """As StateStore.tombstones."""
        return await self._in_thread(self._store.tombstones)

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
        return await self._in_thread(
            self._store.list_sessions, user_id, limit, since=since, until=until, page=page
        )

    async def search(
        self,
        text: str,
        *,
        user_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 20,
        progress: Callable[[str, int, int], object] | None = None,
    ) -> SearchPage:
        """As StateStore.search; `progress` is called in a worker thread."""
        return await self._in_thread(
            self._store.search,
            text,
            user_id=user_id,
            since=since,
            until=until,
            limit=limit,
            progress=progress,
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
        """As StateStore.append. Many that are under way at once wait for the disk together."""
        changes = as_changes(events)
        act = self._store._acting.now()
        by, cause = act.by if by is None else by, act.cause if cause is None else cause
        return await self._commits.append(
            session_id,
            lambda handle: handle.append(changes, expected_version, by=by, cause=cause, key=key),
        )

    async def records(self, session_id: str, *, after: int = 0) -> AsyncIterator[Record]:
        """As StateStore.records."""
        async for record in self._each(self._store.records(session_id, after=after), _TOGETHER, self._soon):
            yield record

    async def follow(
        self,
        session_id: str | None = None,
        *,
        after: Checkpoints = 0,
        timeout: float | None = None,
        on_error: OnError | None = None,
    ) -> AsyncIterator[Followed]:
        """As StateStore.follow, in a thread of its own, which ends with it; `on_error` runs there, too.

        Many listeners are better served by one that follows all sessions.
        """
        stopped = threading.Event()
        lists = self._store._follow(session_id, after, timeout, on_error, stopped.is_set)
        if self._native is not None:
            try:
                while some := await self._native.run(next, lists, None):
                    for record in some:
                        yield record
            finally:
                await self._native.run(lists.close)
            return
        thread = ThreadPoolExecutor(1, thread_name_prefix="journal-follow")
        loop = asyncio.get_running_loop()
        try:
            while some := await loop.run_in_executor(thread, next, lists, None):
                for record in some:
                    yield record
        finally:
            stopped.set()
            ended = loop.run_in_executor(thread, lists.close)
            thread.shutdown(wait=False)
            await ended

    async def project(
        self, projection: Projection[State], session_id: str, *, at: int | datetime | None = None
    ) -> State | None:
        """As StateStore.project."""
        return await self._in_thread(self._store.project, projection, session_id, at=at)

    def keep(self, projection: Projection[State], session_id: str) -> "AsyncKept[State]":
        """As StateStore.keep, with an async `now`."""
        return AsyncKept(self._store.keep(projection, session_id), self._in_thread)

    async def timeline(self, session_id: str) -> Timeline:
        """As StateStore.timeline."""
        return await self._in_thread(self._store.timeline, session_id)

    async def fork(
        self, session_id: str, at: int | datetime | None = None, *, new_id: str | None = None
    ) -> Session:
        """As StateStore.fork."""
        return await self._in_thread(self._store.fork, session_id, at, new_id=new_id)

    async def rewind(self, session_id: str, to: int | datetime, *, expected_version: int = ANY) -> int:
        """As StateStore.rewind."""
        return await self._soon(self._store.rewind, session_id, to, expected_version=expected_version)

    async def erase(
        self,
        session_id: str,
        versions: Iterable[int],
        *,
        reason: str,
        by: str | None = None,
        dry_run: bool = False,
    ) -> list[Erasure]:
        """As StateStore.erase."""
        return await self._in_thread(
            self._store.erase, session_id, versions, reason=reason, by=by, dry_run=dry_run
        )

    async def erase_user(
        self, user_id: str, *, reason: str, by: str | None = None, dry_run: bool = False
    ) -> list[Erasure]:
        """As StateStore.erase_user."""
        return await self._in_thread(self._store.erase_user, user_id, reason=reason, by=by, dry_run=dry_run)

    async def compare(
        self,
        session_id: str,
        other_id: str,
        *,
        at: int | datetime | None = None,
        other_at: int | datetime | None = None,
    ) -> Comparison:
        """As StateStore.compare."""
        return await self._in_thread(self._store.compare, session_id, other_id, at=at, other_at=other_at)

    async def verify(self, session_id: str | None = None, *, seal: Seal | None = None) -> Report:
        """As StateStore.verify."""
        return await self._in_thread(self._store.verify, session_id, seal=seal)

    async def verify_each(
        self, session_ids: Iterable[str] | None = None, *, seal: Seal | None = None
    ) -> AsyncIterator[tuple[str, Report]]:
        """As StateStore.verify_each."""
        reports = await self._in_thread(self._store.verify_each, session_ids, seal=seal)
        async for found in self._each(reports, 1, self._in_thread):
            yield found

    async def seal(self, session_ids: str | Iterable[str] | None = None, *, key: SigningKey) -> Seal:
        """As StateStore.seal."""
        return await self._in_thread(self._store.seal, session_ids, key=key)

    async def prove(self, session_id: str, version: int, *, seal: bytes) -> bytes:
        """As StateStore.prove."""
        return await self._in_thread(self._store.prove, session_id, version, seal=seal)

    async def diagnose(
        self, session_id: str, *, only_proven: bool = False, user_id: str | None = None
    ) -> Diagnosis:
        """As StateStore.diagnose."""
        return await self._in_thread(
            self._store.diagnose, session_id, only_proven=only_proven, user_id=user_id
        )

    async def repair(
        self, session_id: str, *, only_proven: bool = False, user_id: str | None = None
    ) -> list[str]:
        """As StateStore.repair."""
        return await self._in_thread(self._store.repair, session_id, only_proven=only_proven, user_id=user_id)

    async def compact(self, session_id: str | None = None) -> int:
        """As StateStore.compact."""
        return await self._in_thread(self._store.compact, session_id)

    async def session_ids(self) -> list[str]:
        """As StateStore.session_ids."""
        return await self._in_thread(self._store.session_ids)

    async def attach(self, data: bytes, media_type: str = "application/octet-stream") -> Json:
        """As StateStore.attach."""
        return await self._soon(self._store.attach, data, media_type)

    async def attachment(self, reference: Json) -> bytes:
        """As StateStore.attachment."""
        return await self._soon(self._store.attachment, reference)

    async def save_markdown(self, category: str, name: str, text: str) -> None:
        """As StateStore.save_markdown."""
        await self._soon(self._store.save_markdown, category, name, text)

    async def load_markdown(self, category: str, name: str) -> str | None:
        """As StateStore.load_markdown."""
        return await self._soon(self._store.load_markdown, category, name)

    async def save_json(self, category: str, name: str, value: object) -> None:
        """As StateStore.save_json."""
        await self._soon(self._store.save_json, category, name, value)

    @overload
    async def load_json(self, category: str, name: str, *, type: None = None) -> Json: ...
    @overload
    async def load_json(self, category: str, name: str, *, type: type[T]) -> T | None: ...
    async def load_json(self, category: str, name: str, *, type: Any = None) -> Any:
        """As StateStore.load_json."""
        return await self._soon(self._store.load_json, category, name, type=type)

    async def list_category(self, category: str) -> list[str]:
        """As StateStore.list_category."""
        return await self._in_thread(self._store.list_category, category)

    async def delete_file(self, category: str, name: str) -> bool:
        """As StateStore.delete_file."""
        return await self._soon(self._store.delete_file, category, name)

    async def close(self) -> None:
        """As StateStore.close; saves that are under way are finished first."""
        if self._native is None:
            await asyncio.to_thread(self._close)
            return
        await self._commits.finish()
        await asyncio.to_thread(self._threads.shutdown)
        await self._native.run(self._store.close)

    def _close(self) -> None:
        self._commits.close()
        self._threads.shutdown()
        self._store.close()

    async def _each(
        self, values: Iterator[T], together: int, run: Callable[..., Awaitable[Any]]
    ) -> AsyncIterator[T]:
        """What an iterator gives, so many to a call."""
        try:
            error = None
            while error is None:
                some, error = await run(_next_of, values, together)
                for value in some:
                    yield value
                if not some:
                    break
            if error is not None:
                raise error
        finally:
            await run(values.close)  # type: ignore[attr-defined]

    async def _soon(self, call: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """As `_in_thread`, of what takes little time but for waiting for the backend: that is awaited."""
        if self._native is None:
            return await self._in_thread(call, *arguments, **options)
        self._commits.check_usable()
        return await self._native.run(call, *arguments, **options)

    async def _in_thread(self, call: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """As asyncio.to_thread, in threads of the store's own: asyncio has few, and others block them."""
        self._commits.check_usable()
        context = contextvars.copy_context()
        work = functools.partial(context.run, call, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def __del__(self) -> None:
        if hasattr(self, "_commits"):
            self._commits.let_go()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncKept(Generic[State]):
    """As Kept, with `await`."""

    def __init__(self, kept: Kept[State], in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._kept, self._in_thread = kept, in_thread

    async def now(self) -> State | None:
        """As Kept.now."""
        state: State | None = await self._in_thread(self._kept.now)
        return state

    async def ask(self, question: Callable[[State | None], T]) -> T:
        """As Kept.ask; `question` runs in a worker thread."""
        answer: T = await self._in_thread(self._kept.ask, question)
        return answer


def _next_of(values: Iterator[T], count: int) -> tuple[list[T], Exception | None]:
    """The next values, and what stopped them: what came before an error is part of the answer."""
    some: list[T] = []
    try:
        some.extend(itertools.islice(values, count))
    except Exception as error:
        return some, error
    return some, None
