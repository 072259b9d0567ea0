"""Every bit of a journal is flipped, one at a time, and every bit of a snapshot beside it: who notices?

A flipped bit of a journal must be noticed. It is damage; only in the last batch may it pass for a torn tail,
and only where it leaves bytes that a torn write leaves, too. A snapshot is trusted until it is verified: a
flip there may change what a load says, and then verifying must find it and a repair bring the truth back.

A journal is read from the batch with the flip on, in memory: what stands before it is as it was. A sample of
the flips goes through a whole store as well, with snapshots and without, and must come to the same.
"""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from crash.campaign import Campaign
from crash.flippable import InMemory, Said, Subject, folded, made_up, real, said_by, snapshot_at, truth
from crash.ground import in_memory
from journal import CorruptRecordError, JournalWarning, StateStore
from journal.chain import Damage
from journal.disk import Disk
from journal.reader import Position, Reader, TornTail
from journal.record import decode_record
from journal.verify import Report

# One flip in so many goes through a whole store; a prime, so that each bit of a byte has its turn.
SAMPLED, SAMPLED_REAL = 97, 4999
# A run of no more units than these has enough in the made-up journals.
SHORT = 60_000
_SLICE = 5000

Verdict: TypeAlias = Literal["damage", "torn", "unnoticed"]


class Broken(Exception):
    """A flip that nobody noticed, or that somebody took for something else."""


@dataclass
class Tally:
    """What came of some flips."""

    figures: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)


class Job(NamedTuple):
    """Some bits of one journal, or of a snapshot of it, to be flipped by one process."""

    what: Literal["journal", "snapshot"]
    subject: Subject
    bits: Sequence[int]
    sampled: int
    folder: Path


def run(campaign: Campaign) -> None:
    """Units are bits: of the made-up journals, then of their snapshot, then of the real journals."""
    with in_memory(campaign.folder) as folder, ProcessPoolExecutor() as pool:
        for tally in pool.map(flip, _jobs(campaign, folder)):
            campaign.figures.update(tally.figures)
            for breach in tally.breaches:
                campaign.breach(breach)
            if campaign.is_over:
                pool.shutdown(cancel_futures=True)
                break


def _jobs(campaign: Campaign, folder: Path) -> Iterator[Job]:
    left = campaign.count
    short, long = made_up()
    parts: list[tuple[Literal["journal", "snapshot"], Subject, int]] = [
        ("journal", short, SAMPLED),
        ("journal", long, SAMPLED),
        ("snapshot", long, SAMPLED),
    ]
    if left is None or left > SHORT:
        parts += [("journal", subject, SAMPLED_REAL) for subject in real(campaign, folder / "real")]
    for what, subject, sampled in parts:
        size = _size(what, subject)
        bits: Sequence[int] = range(8 * size)
        if left is not None:
            if left < len(bits):
                bits = sorted(campaign.random.sample(bits, left))
            left -= len(bits)
        campaign.figures[f"bytes of {subject.name}, the {what}"] = size
        for at in range(0, len(bits), _SLICE):
            yield Job(what, subject, bits[at : at + _SLICE], sampled, folder)


def _size(what: str, subject: Subject) -> int:
    return len(subject.data if what == "journal" else snapshot_at(subject, subject.batches[-2]))


# The flips of one process


def flip(job: Job) -> Tally:
    """Flip each of these bits, and look."""
    tally = Tally()
    flips = _flips_of_journal if job.what == "journal" else _flips_of_snapshot
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JournalWarning)
        flips(job, tally)
    return tally


def _flips_of_journal(job: Job, tally: Tally) -> None:
    subject, disk = job.subject, InMemory(job.subject.data)
    place = job.folder / str(os.getpid())
    for bit in job.bits:
        byte = bit // 8
        disk.data[byte] ^= 1 << bit % 8
        try:
            verdict = judge(subject, disk, byte)
            tally.figures[_in_words(subject, byte, verdict)] += 1
            if verdict == "unnoticed" or bit % job.sampled == 0:
                compare(subject, bytes(disk.data), byte, verdict, place)
                tally.figures["of these through a whole store, too"] += 1
        except Broken as broken:
            tally.breaches.append(_told(job, bit, disk.data, str(broken)))
        finally:
            disk.data[byte] ^= 1 << bit % 8
        tally.figures["bits of journals flipped"] += 1


def _told(job: Job, bit: int, data: bytes | bytearray, why: str) -> str:
    around = bytes(data[max(bit // 8 - 20, 0) : bit // 8 + 20])
    where = f"bit {bit % 8} of byte {bit // 8} of {job.subject.name}, the {job.what}"
    return f"{where}: {why}; it says {around!r}"


def judge(subject: Subject, disk: InMemory, byte: int) -> Verdict:
    """What a reader makes of a journal with a flip in one byte. Raises Broken where it must not."""
    start, is_last = subject.batch_of(byte)
    verdict, reason = read(disk, start, byte)
    if verdict == "unnoticed" and not any(byte in each for each in subject.unproven):
        raise Broken("it was not noticed")
    if verdict == "torn" and not is_last:
        raise Broken(f"taken for a torn tail ({reason}), with an acknowledged batch behind it")
    if verdict == "torn" and not could_be_torn(bytes(disk.data[start.offset :])):
        raise Broken(f"taken for a torn tail ({reason}), though every line is JSON still")
    return verdict


def _in_words(subject: Subject, byte: int, verdict: Verdict) -> str:
    if verdict == "unnoticed":
        return "not noticed by a reader: in the `was` of an erased record; verify finds it"
    where = "in the last batch" if subject.batch_of(byte)[1] else "before the last batch"
    return f"noticed, {where}: {'as damage' if verdict == 'damage' else 'taken for a torn tail'}"


def read(disk: Disk, start: Position, byte: int) -> tuple[Verdict, str]:
    """What a reader makes of what stands from a batch on, with a flip in one byte of it."""
    reader = Reader(disk, 0, "journal", start)
    for at, line in reader:
        if at > byte:
            return "unnoticed", ""
        try:
            decode_record(line)
        except Damage as damage:
            return "damage", damage.reason
    if reader.position.offset > byte:
        return "unnoticed", ""
    if isinstance(reader.rest, CorruptRecordError):
        return "damage", reader.rest.reason
    if isinstance(reader.rest, TornTail) and reader.position == start:
        return "torn", reader.rest.reason
    raise Broken(f"nothing was read, and nothing is said of it: {reader.rest}")


def could_be_torn(batch: bytes) -> bool:
    """Whether a torn write leaves such a batch, too: one without its end, or with what is no JSON."""
    if not batch.endswith(b"\n"):
        return True
    try:
        for line in batch[:-1].split(b"\n"):
            json.loads(line.decode())
    except ValueError:
        return True
    return False


# The same through a whole store


class Seen(NamedTuple):
    """What a store says of a session: when it is loaded, and when it is verified."""

    loaded: Said | CorruptRecordError
    report: Report


def compare(subject: Subject, data: bytes, byte: int, verdict: Verdict, folder: Path) -> None:
    """See that a whole store comes to the same as the reader, whatever snapshot is there. Raises Broken."""
    start, _ = subject.batch_of(byte)
    standing = [position for position in (start, subject.batches[-1]) if position.version]
    for position in (None, *standing):
        snapshot = None if position is None else snapshot_at(subject, position)
        seen = look(subject, data, snapshot, folder)
        is_torn = "torn_tail" in seen.report.kinds
        found = "torn" if is_torn else "unnoticed" if seen.report.ok else "damage"
        if verdict == "unnoticed":
            # What an erased record was is told by another record: no reader asks that one, verify does.
            if seen.report.kinds != ["erased_record"]:
                raise Broken(f"nobody noticed it: {seen.report}")
            continue
        # What a snapshot stands for was acknowledged: where that can be told, a torn tail is damage.
        may_be_proven = verdict == "torn" and position == subject.batches[-1]
        if found != verdict and not (may_be_proven and found == "damage"):
            raise Broken(f"the reader says {verdict}, and verify {seen.report}")
        # Without a snapshot a load reads what verify reads; one may stand for the truth still.
        allowed: list[Said] = [truth(subject)] if snapshot else []
        if verdict == "torn":
            allowed.append(truth(subject, start.version))
            if snapshot and not start.version:
                # No record is left: the snapshot counts as another program's session file.
                allowed.append(said_by(folded(subject, subject.batches[-1].version), version=0))
        is_refused = verdict == "damage" and isinstance(seen.loaded, CorruptRecordError)
        if not (is_refused or seen.loaded in allowed):
            raise Broken(f"verify says {verdict}, and a load gives {seen.loaded}")


def look(
    subject: Subject, data: bytes, snapshot: bytes | None, folder: Path, *, repairs: bool = False
) -> Seen:
    """Load and verify a session of which the files are these. Raises Broken for any error but the one."""
    sessions = folder / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    (sessions / f"{subject.session_id}.jsonl").write_bytes(data)
    path = sessions / f"{subject.session_id}.json"
    path.unlink(missing_ok=True)
    if snapshot is not None:
        path.write_bytes(snapshot)
    try:
        with StateStore(folder, durability="os") as store:
            if repairs:
                store.repair(subject.session_id)
            report = store.verify(subject.session_id)
            try:
                session = store.load_session(subject.session_id)
            except CorruptRecordError as error:
                return Seen(error, report)
            return Seen(said_by(session), report)
    except Exception as error:
        raise Broken(f"{type(error).__name__}: {error}") from error


def _flips_of_snapshot(job: Job, tally: Tally) -> None:
    subject, place = job.subject, job.folder / str(os.getpid())
    snapshot = bytearray(snapshot_at(subject, subject.batches[-2]))
    for bit in job.bits:
        snapshot[bit // 8] ^= 1 << bit % 8
        try:
            tally.figures[judge_snapshot(subject, bytes(snapshot), place)] += 1
        except Broken as broken:
            tally.breaches.append(_told(job, bit, snapshot, str(broken)))
        snapshot[bit // 8] ^= 1 << bit % 8
        tally.figures["bits of a snapshot flipped"] += 1


def judge_snapshot(subject: Subject, snapshot: bytes, folder: Path) -> str:
    """What a store makes of a journal that is whole, with such a snapshot beside it. Raises Broken."""
    seen = look(subject, subject.data, snapshot, folder)
    if seen.loaded == truth(subject):
        is_told = seen.report != _usual_report(subject, folder)
        return f"snapshot: a load gives the truth, {'verify tells of it' if is_told else 'nothing is said'}"
    if isinstance(seen.loaded, CorruptRecordError):
        raise Broken(f"a snapshot makes a session unreadable: {seen.loaded}")
    if "altered_snapshot" not in seen.report.kinds:
        raise Broken(f"a load gives {seen.loaded}, and verify says {seen.report}")
    seen = look(subject, subject.data, snapshot, folder, repairs=True)
    if not seen.report.ok or seen.loaded != truth(subject):
        raise Broken(f"after the repair a load gives {seen.loaded}, and verify says {seen.report}")
    return "snapshot: a load believes it, verify finds it and a repair mends it"


@lru_cache(maxsize=8)
def _usual_report(subject: Subject, folder: Path) -> Report:
    return look(subject, subject.data, snapshot_at(subject, subject.batches[-2]), folder).report
