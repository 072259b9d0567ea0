"""What a store costs on servers, one and three: beside bare requests of the same client, and beside files."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from bare_nats import Bare
from cluster import Cluster
from measure import BLOCK, Row, ms
from saving import TEXT

from journal import AsyncStateStore, Session, StateStore
from projections import SessionCreated, UserMessageAdded

NODES: Final = (1, 3)
STORE: Final = "BENCH"
RECORDS = 100_000
SESSIONS = 100_000
# Blocks of appends one after the other, and of appends that are heard.
BLOCKS = 30
TOGETHER: Final = 64
TOGETHER_APPENDS = 20
ROUNDS = 5
# A follower that hears nothing for so long hangs.
HEARD_WITHIN_SECONDS: Final = 30.0
# So much of what a bare client reaches.
TARGET: Final = 0.8


@dataclass(frozen=True)
class Files:
    """What the same costs in a folder: a second for rates, seconds for durations."""

    one_by_one: float
    together: float
    replayed: float
    first_list_seconds: float
    list_seconds: float
    heard_seconds: float


def rows(folder: Path) -> Iterator[Row]:
    """At one node and at three, all of which sync always."""
    files = _of_files(folder)
    for nodes in NODES:
        where = "one node" if nodes == 1 else f"{nodes} nodes"
        with Cluster(nodes) as cluster, asyncio.Runner() as runner:
            for row in _Writing(cluster, runner, files).rows():
                yield replace(row, what=f"{where}: {row.what}")
        with Cluster(nodes, sync="lazy") as cluster, asyncio.Runner() as runner:
            for row in _Reading(cluster, runner, files, folder).rows():
                yield replace(row, what=f"{where}: {row.what}")


class _Writing:
    """A store in use on servers that sync always, and a bare client beside it."""

    def __init__(self, cluster: Cluster, runner: asyncio.Runner, files: Files) -> None:
        self.cluster, self.runner, self.files = cluster, runner, files
        self.monitor = ",".join(cluster.monitors)

    def rows(self) -> Iterator[Row]:
        with ExitStack() as stack:
            native = self.runner.run(self._connect())
            stack.callback(lambda: self.runner.run(native.close()))
            plain = stack.enter_context(StateStore.connect(self.cluster.url(STORE), monitor=self.monitor))
            self.runner.run(_begin(native, "payload"))
            self.runner.run(native.append("payload", [UserMessageAdded(content=TEXT)], expected_version=1))
            bare = self.runner.run(Bare.beside(self.cluster.urls, STORE))
            stack.callback(lambda: self.runner.run(bare.close()))
            self.runner.run(bare.make_stream())
            payload = self.runner.run(bare.one_payload())
            yield from self._one_by_one(native, plain, bare, payload)
            yield self._together(native, bare, payload)
            yield self._heard(native, bare, payload)

    async def _connect(self) -> AsyncStateStore:
        return await AsyncStateStore.connect(self.cluster.url(STORE), monitor=self.monitor)

    # Appends

    def _one_by_one(
        self, native: AsyncStateStore, plain: StateStore, bare: Bare, payload: bytes
    ) -> Iterator[Row]:
        events = [UserMessageAdded(content=TEXT)]
        for session_id in ("native", "plain"):
            self.runner.run(_begin(native, session_id))
        versions, plain_versions = itertools.count(1), itertools.count(1)

        async def ours() -> None:
            await native.append("native", events, expected_version=next(versions))

        async def block(call: Callable[[], Awaitable[None]]) -> list[float]:
            return [await _seconds(call) for _ in range(BLOCK)]

        def plain_block() -> list[float]:
            taken = []
            for _ in range(BLOCK):
                start = time.perf_counter()
                plain.append("plain", events, expected_version=next(plain_versions))
                taken.append(time.perf_counter() - start)
            return taken

        of_native, of_plain, of_bare = _in_turns(
            BLOCKS,
            lambda: self.runner.run(block(ours)),
            plain_block,
            lambda: self.runner.run(block(lambda: bare.append("one-by-one", payload))),
        )
        for face, taken in (("AsyncStateStore", of_native), ("StateStore", of_plain)):
            yield _row(
                f"appends one by one, {face}",
                1 / taken,
                1 / of_bare,
                f"bare requests {1 / of_bare:,.0f}/s; files {self.files.one_by_one:,.0f}/s",
                "appends/s",
            )

    def _together(self, native: AsyncStateStore, bare: Bare, payload: bytes) -> Row:
        events = [UserMessageAdded(content=TEXT)]
        ids = [f"together-{number}" for number in range(TOGETHER)]
        self.runner.run(_all(_begin(native, each) for each in ids))
        versions = dict.fromkeys(ids, 1)

        async def ours(session_id: str) -> None:
            for _ in range(TOGETHER_APPENDS):
                version = versions[session_id]
                versions[session_id] = await native.append(session_id, events, expected_version=version)

        async def theirs(session_id: str) -> None:
            for _ in range(TOGETHER_APPENDS):
                await bare.append(session_id, payload)

        async def all_of(work: Callable[[str], Awaitable[None]]) -> list[float]:
            return [await _seconds(lambda: _all(map(work, ids)))]

        taken, floor = _in_turns(
            ROUNDS, lambda: self.runner.run(all_of(ours)), lambda: self.runner.run(all_of(theirs))
        )
        appends = TOGETHER * TOGETHER_APPENDS
        return _row(
            f"appends of {TOGETHER} tasks at once, each to its session",
            appends / taken,
            appends / floor,
            f"bare requests {appends / floor:,.0f}/s; files {self.files.together:,.0f}/s",
            "appends/s",
        )

    # Hearing

    def _heard(self, native: AsyncStateStore, bare: Bare, payload: bytes) -> Row:
        async def both() -> tuple[list[float], list[float]]:
            ours: list[float] = []
            theirs: list[float] = []
            async with await self._connect() as other:
                hearing = _Hearing(native, other)
                await hearing.begin()
                await bare.listen("heard")
                for turn in range(BLOCKS + 1):
                    some = [await hearing.once() for _ in range(BLOCK)]
                    bare_ones = await bare.heard_after("heard", payload, BLOCK)
                    if turn:  # the first does not count
                        ours += some
                        theirs += bare_ones
                await hearing.end()
            return ours, theirs

        taken, floor = map(statistics.median, self.runner.run(both()))
        return Row(
            "from an append to its follower",
            f"{ms(taken)} = {100 * floor / taken:.0f} %",
            f"bare publication and subscription {ms(floor)}; files {ms(self.files.heard_seconds)}",
            f"≥ {100 * TARGET:.0f} %",
            taken * TARGET <= floor,
        )


class _Reading:
    """Stores of many records and of many sessions, read.

    They are filled by a bare client, on a cluster that syncs lazily: neither makes a difference to who reads.
    """

    def __init__(self, cluster: Cluster, runner: asyncio.Runner, files: Files, folder: Path) -> None:
        self.cluster, self.runner, self.files, self.folder = cluster, runner, files, folder

    def rows(self) -> Iterator[Row]:
        self.runner.run(self._fill("REPLAY", [self.folder / "files" / "sessions" / "long.jsonl"]))
        yield self._replayed()
        self.runner.run(self._fill("LIST", sorted((self.folder / "list" / "sessions").glob("*.jsonl"))))
        yield from self._listed()

    async def _fill(self, store: str, journals: list[Path]) -> None:
        """Put journals there, each batch of records a message."""
        # On one node until it is full: only there a client may send the next line before it has an answer.
        async with await self._connect(store, replicas=1):
            pass
        bare = await self._beside(store)
        await bare.fill((each.stem, each.read_bytes().splitlines(keepends=True)) for each in journals)
        await bare.replicate(len(self.cluster.servers))
        await bare.close()

    async def _connect(self, store: str, **options: Any) -> AsyncStateStore:
        return await AsyncStateStore.connect(self.cluster.url(store), durability="os", **options)

    async def _beside(self, store: str) -> Bare:
        return await Bare.beside(self.cluster.urls, store)

    def _replayed(self) -> Row:
        """By a machine that has nothing yet."""

        async def ours() -> list[float]:
            async with await self._connect("REPLAY") as store:
                start = time.perf_counter()
                found = [record async for record in store.records("long")]
                taken = time.perf_counter() - start
                assert len(found) == RECORDS
                return [taken]

        async def theirs() -> list[float]:
            bare = await self._beside("REPLAY")
            got, taken = await bare.replay()
            assert got == RECORDS
            await bare.close()
            return [taken]

        taken, floor = _in_turns(3, lambda: self.runner.run(ours()), lambda: self.runner.run(theirs()))
        return _row(
            f"replay of {RECORDS:,} records, every hash checked, on a machine that has nothing",
            RECORDS / taken,
            RECORDS / floor,
            f"bare reading {RECORDS / floor:,.0f}/s; files {self.files.replayed:,.0f}/s",
            "records/s",
        )

    def _listed(self) -> Iterator[Row]:
        with StateStore.connect(self.cluster.url("LIST"), durability="os") as store:
            bare = self.runner.run(self._beside("LIST"))
            first = _took(store.list_sessions)
            got, read = self.runner.run(bare.replay())
            assert got == SESSIONS
            yield Row(
                f"list {SESSIONS:,} sessions, on a machine that has nothing",
                f"{ms(first)} = {100 * read / first:.0f} %",
                f"bare reading of all {ms(read)}; files {ms(self.files.first_list_seconds)}",
                "(no target)",
                True,
            )

            def names() -> list[float]:
                found, taken = self.runner.run(bare.subjects())
                assert found == SESSIONS
                return [taken]

            again, floor = _in_turns(5, lambda: [_took(store.list_sessions)], names)
            self.runner.run(bare.close())
        yield Row(
            f"list {SESSIONS:,} sessions again",
            f"{ms(again)} = {100 * floor / again:.0f} %",
            f"their bare names {ms(floor)}; files {ms(self.files.list_seconds)}",
            f"≥ {100 * TARGET:.0f} %",
            again * TARGET <= floor,
        )


class _Hearing:
    """One store appends, another follows."""

    def __init__(self, writer: AsyncStateStore, reader: AsyncStateStore) -> None:
        self.writer, self.reader = writer, reader
        self._heard = asyncio.Queue[float]()
        self._version = 0

    async def begin(self) -> None:
        """Follow until what is appended is heard."""
        await _begin(self.writer, "heard")
        self._version = 1
        self._following = asyncio.create_task(self._follow())
        await self._next()  # the first record: it has caught up

    async def _follow(self) -> None:
        async for _ in self.reader.follow("heard"):
            self._heard.put_nowait(asyncio.get_running_loop().time())

    async def once(self) -> float:
        """Append, and wait until it was heard."""
        start = asyncio.get_running_loop().time()
        events = [UserMessageAdded(content=TEXT)]
        self._version = await self.writer.append("heard", events, expected_version=self._version)
        return await self._next() - start

    async def _next(self) -> float:
        return await asyncio.wait_for(self._heard.get(), HEARD_WITHIN_SECONDS)

    async def end(self) -> None:
        """Follow no longer."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)


def _of_files(folder: Path) -> Files:
    """The same in a folder, with durability="disk"."""
    with asyncio.Runner() as runner:
        return runner.run(_of_files_measured(folder))


async def _of_files_measured(folder: Path) -> Files:
    events = [UserMessageAdded(content=TEXT)]
    async with AsyncStateStore(folder / "files") as store, AsyncStateStore(folder / "files") as other:
        await _begin(store, "one")
        taken = []
        for version in range(1, BLOCKS * BLOCK):
            append = partial(store.append, "one", events, expected_version=version)
            taken.append(await _seconds(append))
        one_by_one = 1 / statistics.median(taken)
        ids = [f"together-{number}" for number in range(TOGETHER)]
        await _all(_begin(store, each) for each in ids)

        async def work(session_id: str) -> None:
            for version in range(1, TOGETHER_APPENDS + 1):
                await store.append(session_id, events, expected_version=version)

        together = TOGETHER * TOGETHER_APPENDS / await _seconds(lambda: _all(map(work, ids)))
        hearing = _Hearing(store, other)
        await hearing.begin()
        heard = statistics.median([await hearing.once() for _ in range(5 * BLOCK)])
        await hearing.end()
    with StateStore(folder / "files", durability="os") as plain:
        version = plain.append("long", [_created("long")], expected_version=0)
        while version < RECORDS:
            version = plain.append("long", events, expected_version=version)
        replayed = RECORDS / _took(lambda: sum(1 for _ in plain.records("long")))
    with StateStore(folder / "list", durability="os") as plain:
        for number in range(SESSIONS):
            session = Session.with_id(f"user-{number % 100}", f"s{number}")
            session.add_user_message("hello")
            plain.save_session(session)
        first = _took(plain.list_sessions)
        time.sleep(0.2)  # a new catalog compares every file for a moment
        listed = statistics.median(_took(plain.list_sessions) for _ in range(5))
    return Files(one_by_one, together, replayed, first, listed, heard)


def _created(session_id: str) -> SessionCreated:
    return SessionCreated(session_id=session_id, user_id="u")


async def _begin(store: AsyncStateStore, session_id: str) -> None:
    """A new session, of one record."""
    await store.append(session_id, [_created(session_id)], expected_version=0)


def _in_turns(rounds: int, *calls: Callable[[], list[float]]) -> list[float]:
    """The median of what each tells, in seconds. They take turns; the first round does not count."""
    taken: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 1):
        for each, call in zip(taken, calls, strict=True):
            durations = call()
            if turn:
                each.extend(durations)
    return [statistics.median(each) for each in taken]


def _row(what: str, rate: float, floor_rate: float, floor: str, unit: str) -> Row:
    share = rate / floor_rate
    figure = f"{rate:,.0f} {unit} = {100 * share:.0f} %"
    return Row(what, figure, floor, f"≥ {100 * TARGET:.0f} %", share >= TARGET)


async def _seconds(call: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await call()
    return time.perf_counter() - start


def _took(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


async def _all(work: Iterable[Awaitable[object]]) -> None:
    await asyncio.gather(*work)
