"""What many sessions cost on one server: memory, disk, messages, and time. Not in the table: it has no floor.

    tools/bench/scale.py 10000 100000 1000000      some minutes and 3 GiB in a temporary folder

Run it in the environment that `tools/bench/run` makes. The sessions are filled in by a bare client, and the
server does not sync meanwhile; then it is started anew on its files, and from then on it syncs always.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[1]))

import nats
from cluster import Cluster

from journal import StateStore
from journal.chain import first_chain
from journal.nats import NatsBackend
from journal.nats.layout import EXPECTED, Layout
from journal.record import encode_batch, prepare
from projections.events import Change, SessionCreated, UserMessageAdded
from projections.messages import utc_now

STORE: Final = "SCALE"
# What a server takes in before it answers: more would be lost.
WINDOW: Final = 4_000
CALLS: Final = 300
# A list that is made for the first time reads every journal.
MOST_LISTED: Final = 1_000_000
TEXT: Final = (
    "A user's question, which is about as long as such questions are, with some words to spare. " * 2
)


def main() -> None:
    """Print a table, a column for each number of sessions."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sessions", nargs="*", type=int, default=[10_000, 100_000])
    columns = [(number, measured(number)) for number in parser.parse_args().sessions]
    names = list(dict.fromkeys(name for _, found in columns for name in found))
    print(f"| sessions | {' | '.join(f'{number:,}' for number, _ in columns)} |")
    print(f"|---|{'---|' * len(columns)}")
    for name in names:
        print(f"| {name} | {' | '.join(found.get(name, '') for _, found in columns)} |")


def measured(number: int) -> dict[str, str]:
    """What so many sessions cost, each with a record that begins it and one message."""
    with tempfile.TemporaryDirectory(prefix="journal-scale-") as folder:
        files = Path(folder)
        found: dict[str, str] = {}
        with Cluster(1, sync="lazy", folder=files) as cluster:
            asyncio.run(_make(cluster))
            empty = _resident(cluster)
            start = time.monotonic()
            size = asyncio.run(_fill(cluster, number))
            found["bytes of a session's records"] = f"{size / number:,.0f}"
            found["filled in, sessions a second"] = f"{number / (time.monotonic() - start):,.0f}"
            found["server's memory, filled"] = _mebibytes(_resident(cluster) - empty)
        start = time.monotonic()
        with Cluster(1, folder=files) as cluster:
            found["server ready after a restart"] = f"{time.monotonic() - start:.1f} s"
            found["server's memory, restarted"] = _mebibytes(_resident(cluster) - empty)
            found |= asyncio.run(_asked(cluster, number))
            found["server's memory, all read once"] = _mebibytes(_resident(cluster) - empty)
            if number <= MOST_LISTED:
                found |= _listed(cluster, number)
            disk = sum(path.stat().st_blocks for path in files.rglob("*")) * 512
            found["server's disk"] = f"{disk / 2**20:,.0f} MiB = {disk / size:.2f} × the records"
        return found


async def _make(cluster: Cluster) -> None:
    backend = NatsBackend(cluster.url(STORE))
    await backend.open()
    await backend.close()


async def _fill(cluster: Cluster, number: int) -> int:
    """Write the sessions; their bytes."""
    client = await nats.connect(cluster.url(), pending_size=64 * 2**20)
    layout, size, answered = Layout(STORE), 0, 0
    room = asyncio.Event()

    async def count(_: object) -> None:
        nonlocal answered
        answered += 1
        room.set()

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=count, pending_msgs_limit=-1, pending_bytes_limit=-1)
    for sent in range(number):
        while sent - answered >= WINDOW:
            room.clear()
            await room.wait()
        lines = _lines(_session(sent))
        size += len(lines)
        await client.publish(layout.changes(_session(sent)), lines, reply=inbox, headers={EXPECTED: "0"})
    while answered < number:
        room.clear()
        await room.wait()
    await client.close()
    return size


def _session(number: int) -> str:
    return f"session-{number:09}"


def _lines(session_id: str) -> bytes:
    now = utc_now()
    events = SessionCreated(session_id=session_id, user_id="a-user"), UserMessageAdded(content=TEXT)
    batch = [prepare(Change(event=event, at=now)) for event in events]
    return encode_batch(batch, 0, first_chain(session_id))[0]


async def _asked(cluster: Cluster, number: int) -> dict[str, str]:
    """How long a backend's calls take, and how fast all of it is read."""
    backend = NatsBackend(cluster.url(STORE))
    await backend.open()
    step = max(number // CALLS, 1)
    some = [_session(each) for each in range(0, number, step)]
    places: dict[str, int] = {}

    async def head(session_id: str) -> None:
        places[session_id] = await backend.journals.head(session_id)

    async def read(session_id: str) -> None:
        assert [change async for change in backend.journals.read(session_id, 0)]

    async def append(session_id: str) -> None:
        # A line more, whatever it says: here nobody folds it.
        await backend.journals.append(session_id, [b"{}\n"], places[session_id])

    found = {
        "where a session ends": await _median(head, some),
        "one session read": await _median(read, some),
        "an append, on disk": await _median(append, some),
    }
    start, count = time.monotonic(), 0
    async for _ in backend.journals.read(None, 0):
        count += 1
    seconds = time.monotonic() - start
    found["all of it read"] = f"{seconds:.1f} s = {count / seconds:,.0f} changes/s"
    for session_id in some:  # a line that is no record must not stay
        lines = _lines(session_id)
        await backend.journals.replace(session_id, [lines], await backend.journals.head(session_id))
    await backend.close()
    return found


async def _median(call: Callable[[str], Awaitable[None]], session_ids: list[str]) -> str:
    taken = []
    for session_id in session_ids:
        start = time.monotonic()
        await call(session_id)
        taken.append(time.monotonic() - start)
    return f"{statistics.median(taken) * 1000:.2f} ms"


def _listed(cluster: Cluster, number: int) -> dict[str, str]:
    """What a store takes that lists all of it for the first time, and again."""
    with StateStore.connect(cluster.url(STORE), durability="os") as store:
        seconds = []
        for _ in range(2):
            start = time.monotonic()
            assert len(store.list_sessions()) == number
            seconds.append(time.monotonic() - start)
        disk = sum(path.stat().st_blocks for path in Path(store.base_path).rglob("*")) * 512
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "list_sessions(), the first time": f"{seconds[0]:.1f} s",
        "list_sessions(), again": f"{seconds[1] * 1000:.0f} ms",
        "the reader's disk": _mebibytes(disk),
        "the reader's memory, at most": f"{peak / 1024:,.0f} MiB",
    }


def _resident(cluster: Cluster) -> int:
    status = Path(f"/proc/{cluster.servers[0].pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
