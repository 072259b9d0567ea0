"""What it costs to fork, to rewind and to erase."""

import os
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from measure import Row, best, ms
from travelling import write

from journal import StateStore

RECORDS = 10_000
ROUNDS = 7


def rows(folder: Path) -> Iterator[Row]:
    """Each of a session of 10,000 records, and on disk when it returns."""
    with StateStore(folder / "rewriting", durability="disk") as store:
        write(store, "s", RECORDS)
        copied = partial(_copied, folder / "rewriting" / "sessions" / "s.jsonl", folder)
        verified = partial(store.verify, "s")
        versions = count(RECORDS // 2)
        # First, while it has no forks: an erasure reaches into them.
        erase, verify, copy = best(
            ROUNDS, lambda: store.erase("s", [next(versions)], reason="a benchmark"), verified, copied
        )
        yield _row("store.erase of one record", erase, verify, copy, most=5)
        fork, verify, copy = best(ROUNDS, partial(store.fork, "s"), verified, copied)
        yield _row("store.fork", fork, verify, copy, most=3)
        rewind, verify, copy = best(ROUNDS, partial(store.rewind, "s", RECORDS // 2), verified, copied)
        yield _row("store.rewind by half", rewind, verify, copy, most=1)


def _row(what: str, ours: float, verify: float, copy: float, *, most: int) -> Row:
    return Row(
        f"{what}, {RECORDS:,} records",
        f"{ms(ours)} = {ours / (verify + copy):.2f} ×",
        f"verify {ms(verify)}, copying the file with fsync {ms(copy)}",
        f"≤ {most} × both",
        ours <= most * (verify + copy),
    )


def _copied(path: Path, folder: Path) -> None:
    """Under another name first: there is the whole file, or none."""
    with path.open("rb") as source, (folder / "copy.tmp").open("wb") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
    os.rename(folder / "copy.tmp", folder / "copy")
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
