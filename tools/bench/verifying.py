"""How fast a journal is verified, and in how much memory."""

import hashlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import Row, best
from saving import TEXT

from journal import Session, StateStore
from projections import UserMessageAdded

GIB = 1 << 30


def rows(folder: Path) -> Iterator[Row]:
    """Verify a journal of 1 GiB, with the snapshot that its writer left."""
    with StateStore(folder / "verify", durability="os") as store:
        session = Session.new("user")
        version = store.save_session(session)
        events = [UserMessageAdded(content=TEXT) for _ in range(1_000)]
        journal = folder / "verify" / "sessions" / f"{session.id}.jsonl"
        while journal.stat().st_size < GIB:
            version = store.append(session.id, events, expected_version=version)
    size = journal.stat().st_size

    def floor() -> None:
        with journal.open("rb") as file:
            while chunk := file.read(1 << 20):
                hashlib.sha256(chunk).digest()

    (bare,) = best(3, floor)
    command = [sys.executable, __file__, str(folder / "verify"), session.id]
    seconds, peak_mib, base_mib = map(
        float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    )
    speed = size / seconds / 1e6
    yield Row(
        "verify of a journal of 1 GiB",
        f"{speed:,.0f} MB/s",
        f"one SHA-256 over the file {size / bare / 1e6:,.0f} MB/s",
        "≥ 120 MB/s",
        speed >= 120,
    )
    yield Row(
        "memory while it is verified",
        f"{peak_mib:,.0f} MiB in all",
        f"the interpreter and the library alone {base_mib:,.0f} MiB",
        "< 64 MiB",
        peak_mib < 64,
    )


def store_rows(folder: Path) -> Iterator[Row]:
    """Verify a store of 64 journals of 4 MB, in one process and as it comes."""
    base = folder / "store"
    with StateStore(base, durability="os") as store:
        for number in range(64):
            session = Session.with_id("user", f"s{number}")
            version = store.save_session(session)
            events = [UserMessageAdded(content=TEXT) for _ in range(1_000)]
            for _ in range(7):
                version = store.append(session.id, events, expected_version=version)
        ids = store.session_ids()
        size = store.verify().size_bytes
        ours, alone = best(3, store.verify, lambda: [store.verify(each) for each in ids])
    yield Row(
        f"verify of a whole store, {size / 1e6:,.0f} MB in 64 sessions",
        f"{size / ours / 1e6:,.0f} MB/s = {alone / ours:.2f} ×",
        f"one core {size / alone / 1e6:,.0f} MB/s",
        "both cores: ≥ 1.6 ×",
        alone >= 1.6 * ours,
    )


def _verify(folder: str, session_id: str) -> None:
    """In a process of its own: print seconds, peak and base of the memory in MiB."""
    store = StateStore(folder)
    base = _peak_mib()
    (taken,) = best(3, lambda: store.verify(session_id))
    print(taken, _peak_mib(), base)
    store.close()


def _peak_mib() -> float:
    """The most memory that this process ever had; getrusage would count its parent's, too, on Linux."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    return float(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / (1 << 10)


if __name__ == "__main__":
    _verify(*sys.argv[1:])
