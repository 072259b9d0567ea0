"""How many saves a second 64 tasks reach, each on its own session, when all wait for the disk."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from measure import Row
from saving import TEXT

from journal import AsyncStateStore, Session

SESSIONS = 64
SAVES = 60
ROUNDS = 5


def rows(folder: Path) -> Iterator[Row]:
    """The best of some rounds; the floor is as many threads that only write a line and sync it."""
    ours, bare = 0.0, 0.0
    for number in range(ROUNDS):
        bare = max(bare, _bare(folder / f"bare-{number}"))
        ours = max(ours, asyncio.run(_ours(folder / f"ours-{number}")))
    yield Row(
        f'{SESSIONS} tasks save at once, durability="disk"',
        f"{ours:,.0f} saves/s = {100 * ours / bare:.0f} %",
        f"{SESSIONS} threads of write + fdatasync {bare:,.0f}/s",
        "≥ 40 %",
        ours >= 0.4 * bare,
    )


def _bare(folder: Path) -> float:
    folder.mkdir()
    line = TEXT.encode() * 2

    def work(fd: int) -> None:
        for _ in range(SAVES):
            os.write(fd, line)
            os.fdatasync(fd)

    fds = [os.open(folder / str(n), os.O_WRONLY | os.O_CREAT | os.O_APPEND) for n in range(SESSIONS)]
    threads = [threading.Thread(target=work, args=(fd,)) for fd in fds]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - start
    for fd in fds:
        os.close(fd)
    return SESSIONS * SAVES / taken


async def _ours(folder: Path) -> float:
    async with AsyncStateStore(folder, durability="disk") as store:
        sessions = [Session.new("user") for _ in range(SESSIONS)]
        await asyncio.gather(*map(store.save_session, sessions))

        async def work(session: Session) -> None:
            for _ in range(SAVES):
                session.add_user_message(TEXT)
                await store.save_session(session)

        start = time.perf_counter()
        await asyncio.gather(*map(work, sessions))
        return SESSIONS * SAVES / (time.perf_counter() - start)
