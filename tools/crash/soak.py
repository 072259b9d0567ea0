"""Sixteen writers over a thousand sessions for minutes: nothing is lost, and nothing grows that should not.

Beside them others read, follow and compact. At the end each acknowledged batch is there once, at its version,
in journals without a gap; and a follower has met each record once, in order. Meanwhile no process may take
ever more memory or open files.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from crash.campaign import Campaign
from crash.crew import Crew, Failed, Member
from crash.crowd import (
    SESSIONS,
    WRITER_PROCESSES,
    WRITER_THREADS,
    Counted,
    Followed,
    Timed,
    compact,
    follow,
    read,
    write,
)
from crash.gauges import CAN_LOOK, Gauge, growth, quarter
from crash.witness import Witness
from journal import StateStore
from journal.handles import MAX_BYTES, MAX_OPEN

FULL_SECONDS: Final = 600.0
# Whoever has not come to an end so long after the end hangs.
END_WITHIN_SECONDS: Final = 120.0

MIB: Final = 1024 * 1024
# A process holds the states of MAX_OPEN sessions, which grow as their journals do. Beyond that: the arenas
# that the allocator gives each thread, what threads copy for a moment, SQLite's pages.
SLACK_BYTES: Final = 16 * MIB
# A file for each session that is open, and for each thread one or two that it opens for a moment.
SLACK_FILES: Final = 2 * WRITER_THREADS
# The catalog, the marks, the standard ones, and pipes: a forked process has those of the earlier ones, too.
MORE_FILES: Final = 40


def run(campaign: Campaign, *, make_store: Callable[..., StateStore] = StateStore) -> None:
    """Has no units: it takes its time, ten minutes where nothing is said."""
    seconds = FULL_SECONDS if math.isinf(campaign.seconds) else campaign.seconds
    folder = campaign.folder / "store"
    with StateStore(folder, durability="os") as store:
        for session_id in SESSIONS:
            store.get_or_create_session("user", session_id)
    soak = _Soak(campaign, folder, interval=min(1.0, seconds / 40))
    with Crew() as writers, Crew() as others:
        for number in range(WRITER_PROCESSES):
            task = (writers.over, folder, number, campaign.random.getrandbits(32), make_store)
            soak.watch(f"writer {number}", writers.start(write, *task))
        soak.watch(
            "reader", others.start(read, others.over, folder, campaign.random.getrandbits(32), make_store)
        )
        soak.watch("follower", others.start(follow, others.over, folder, make_store))
        soak.watch("compactor", others.start(compact, others.over, folder, make_store))
        soak.go_on(writers, others, seconds)
        soak.end(writers)
        soak.end(others)
    soak.check()
    soak.tell_figures(seconds)


class _Soak:
    def __init__(self, campaign: Campaign, folder: Path, *, interval: float) -> None:
        self.campaign, self.folder, self.interval = campaign, folder, interval
        self.witness = Witness()
        for session_id in SESSIONS:
            self.witness.expect(session_id)
        self.gauges: dict[str, Gauge] = {}
        self.held_bytes: list[int] = []
        self.durations_us: list[int] = []
        self.followed: dict[str, tuple[int, str]] = {}

    def watch(self, name: str, member: Member) -> None:
        """Look at what a process holds, from now on."""
        assert member.process.pid is not None
        self.gauges[name] = Gauge(member.process.pid)

    def go_on(self, writers: Crew, others: Crew, seconds: float) -> None:
        """Hear them, and look at them now and then, for so long."""
        start = next_look = time.monotonic()
        while (now := time.monotonic()) < start + seconds:
            writers.wait(min(next_look - now, 0.1) if next_look > now else 0)
            self._hear(writers)
            self._hear(others)
            if time.monotonic() >= next_look:
                next_look += self.interval
                self._look()

    def end(self, crew: Crew) -> None:
        """Let them come to an end, and hear them out."""
        crew.over.set()
        end = time.monotonic() + END_WITHIN_SECONDS
        while any(not member.has_ended for member in crew.members):
            if time.monotonic() > end:
                self._breach("somebody hangs")
                return
            crew.wait(1.0)
            self._hear(crew)

    def check(self) -> None:
        """Hold the store against what was told, and what was held against what may be held."""
        with StateStore(self.folder) as store:
            for problem in self.witness.check(store):
                self._breach(problem)
            for session_id, report in store.verify_each(SESSIONS):
                if not report.ok:
                    self._breach(f"verify of {session_id}: {report.findings}")
                if (end := (report.version, report.head)) != self.followed.get(session_id):
                    self._breach(f"{session_id} ends at {end}, followed to {self.followed.get(session_id)}")
        if not CAN_LOOK:
            self.campaign.skip("memory and open files: this system does not tell them in /proc")
            return
        for name, gauge in self.gauges.items():
            if len(gauge.memory_bytes) < 4:
                self._breach(f"{name} ended too early")
            else:
                self._check_growth(name, gauge)

    def _check_growth(self, name: str, gauge: Gauge) -> None:
        grown, allowed = growth(gauge.memory_bytes), growth(self.held_bytes) + SLACK_BYTES
        if grown > allowed:
            self._breach(f"{name} took {grown / MIB:.1f} MiB more, {allowed / MIB:.1f} are explained")
        files = growth(gauge.open_files)
        if files > SLACK_FILES or max(gauge.open_files) > MAX_OPEN + MORE_FILES + SLACK_FILES:
            self._breach(f"{name} had {max(gauge.open_files)} open files, {files:.1f} more at the end")

    def tell_figures(self, seconds: float) -> None:
        """What was done, how fast, and what it took."""
        figures, durations = self.campaign.figures, sorted(self.durations_us)
        figures["appends"] = len(durations)
        figures["appends/s"] = round(len(durations) / seconds)
        if durations:
            figures["p50 of an append, µs"] = durations[len(durations) // 2]
            figures["p99 of an append, µs"] = durations[len(durations) * 99 // 100]
        figures["records followed"] = sum(version for version, _ in self.followed.values())
        if CAN_LOOK:
            gauges = [gauge for gauge in self.gauges.values() if len(gauge.memory_bytes) >= 4]
            for number, when in ((2, "in the second quarter"), (4, "in the last quarter")):
                memory = [quarter(gauge.memory_bytes, number) for gauge in gauges]
                files = [quarter(gauge.open_files, number) for gauge in gauges]
                figures[f"memory of the largest process {when}, MiB"] = round(max(memory, default=0) / MIB)
                figures[f"most open files of a process {when}"] = round(max(files, default=0))

    def _look(self) -> None:
        sizes = sorted(path.stat().st_size for path in self.folder.glob("sessions/*.jsonl"))
        self.held_bytes.append(min(sum(sizes[-MAX_OPEN:]), MAX_BYTES))
        for gauge in self.gauges.values():
            gauge.look()

    def _hear(self, crew: Crew) -> None:
        for member in crew.members:
            for told in member.heard():
                for each in told if isinstance(told, list) else [told]:
                    self._note(each)

    def _note(self, told: Any) -> None:
        match told:
            case Timed(done, duration_us):
                self.witness.hear(done)
                self.durations_us.append(duration_us)
            case Counted(what, number):
                self.campaign.figures[what] += number
            case Followed(ends):
                self.followed = ends
            case Failed(trace):
                self._breach(f"a process failed: {trace}")
            case _:
                self.witness.hear(told)

    def _breach(self, what: str) -> None:
        self.campaign.breach(f"seed {self.campaign.seed}: {what}")
