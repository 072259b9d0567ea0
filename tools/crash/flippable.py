"""Whole journals, made up and real, and what they say at each version: to flip their bits."""

import os
import stat
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeAlias

from crash.campaign import Campaign
from crash.forging import CREATED, HEAD, SAID, forged, head
from journal import Session, StateStore
from journal.chain import is_erased
from journal.disk import Disk
from journal.importers import import_path
from journal.reader import Position, Reader, beginning
from journal.record import decode_record
from journal.snapshot import document_json, write_snapshot
from projections.session import SessionProjection, apply_event

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
# Real conversations of three formats: a file, or of a file of many sessions the longest.
REAL = (
    "claude-code-context-evaluator/6a5d9c1b-4448-4b2b-8a71-34ae8d12f0e7.jsonl",
    "tau-bench-airline/gpt-4o-airline.json",
    "seed-sessions/sessions/rich.json",
)
# More than most records take: reading on costs as much as all else.
_READ_BYTES = 4096
_WAS = b'"event":{"type":"erased","was":"'
# A session as what can be compared to the byte: its version and document; None where there is none.
Said: TypeAlias = tuple[int, bytes] | None


class InMemory(Disk):
    """One file, in memory; a read may come short, as every read may."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = bytearray(data)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Some bytes from an offset on."""
        return bytes(self.data[offset : offset + min(size, _READ_BYTES)])

    def status_of(self, fd: int) -> os.stat_result:
        """All that a reader asks for is the size."""
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, len(self.data), 0, 0, 0))


@dataclass(frozen=True)
class Subject:
    """A whole journal."""

    name: str
    session_id: str
    data: bytes

    @cached_property
    def batches(self) -> list[Position]:
        """Where each batch begins, and where the last one ends."""
        reader = Reader(InMemory(self.data), 0, self.name, beginning(self.session_id))
        ends = {reader.position for _ in reader}
        assert reader.rest is None
        return sorted(ends | {beginning(self.session_id)})

    @cached_property
    def unproven(self) -> list[range]:
        """The bytes that are in no hash of their own record: of an erased one, what it `was`."""
        found, at = [], 0
        for line in self.data.splitlines(keepends=True):
            if is_erased(line):
                found.append(range(at + line.index(_WAS) + len(_WAS), at + len(line) - len(b'"}}\n')))
            at += len(line)
        return found

    def batch_of(self, byte: int) -> tuple[Position, bool]:
        """Where the batch begins in which a byte is; whether it is the last one."""
        number = bisect_right(self.batches, byte, key=lambda each: each.offset) - 1
        return self.batches[number], number == len(self.batches) - 2


def made_up() -> tuple[Subject, Subject]:
    """One that ends with a batch of one record, and one with all that a journal can hold."""
    envelope = HEAD + b',"by":"ada","cause":"an earlier one","key":"k-1"'
    batches = (
        [CREATED],
        [b'{"type":"metadata_set","key":"n","value":{"b":1e3,"c":[null,"x"]}}'],
        [(envelope, '{"type":"user_message_added","content":"Fünf \\"Uhr\\"?\\n"}'.encode())],
        [
            b'{"type":"tool_called","call_id":"c","name":"clock","arguments":{"zone":null}}',
            b'{"type":"tool_returned","call_id":"c","result":[17.0,true]}',
            b'{"type":"agent_response_added","content":"Yes."}',
        ],
        [b'{"type":"of_a_newer_version","rest":{"a":[1,2]}}'],
    )
    rest = (
        [(head(id=b"e"), SAID)],
        [
            b'{"type":"journal_repaired","offset":0,"size_bytes":0,"reason":"its content was altered",'
            b'"quarantine":"","erased":["e"],"erased_types":["user_message_added"]}'
        ],
        [b'{"type":"active_seed_set","seed_id":"s-1"}', SAID],
    )
    lines = forged(*batches, *rest).splitlines(keepends=True)
    proof = lines[7].partition(b'","salt":')[0]
    lines[7] = proof + b'","salt":null,"event":{"type":"erased","was":"user_message_added"}}\n'
    return (
        Subject("a short made-up journal", "s", forged(*batches)),
        Subject("a made-up journal", "s", b"".join(lines)),
    )


def real(campaign: Campaign, folder: Path) -> Iterator[Subject]:
    """Imported conversations, of each source the longest: in one batch, and record by record."""
    for source in REAL:
        if not (DATA / source).exists():
            campaign.skip(f"no real conversation {source} beside the project")
            continue
        place, name = folder / source, source.partition("/")[0]
        with StateStore(place, durability="os") as store:
            import_path(store, DATA / source)
            paths = place.joinpath("sessions").glob("*.jsonl")
            longest = max(paths, key=lambda path: path.stat().st_size).stem
            with StateStore(place / "again", durability="os") as again:
                for record in store.records(longest):
                    again.append(longest, [record.event], expected_version=record.seq - 1)
        for where, how in ((place, "in one batch"), (place / "again", "record by record")):
            data = where.joinpath("sessions", f"{longest}.jsonl").read_bytes()
            yield Subject(f"{name}, {how}", longest, data)


@lru_cache(maxsize=64)
def folded(subject: Subject, version: int) -> Session:
    """The session as it was at a version, without a store."""
    session = SessionProjection().initial()
    for line in subject.data.split(b"\n")[:version]:
        record = decode_record(line)
        apply_event(session, record.event, record.at)
        session.version = record.seq
    return session


def truth(subject: Subject, version: int | None = None) -> Said:
    """What a load gives of the journal as it was written, up to a version."""
    session = folded(subject, subject.batches[-1].version if version is None else version)
    return said_by(session) if session.id else None


def said_by(session: Session | None, version: int | None = None) -> Said:
    """A session as what can be compared to the byte; at its own version, unless another is given."""
    if session is None:
        return None
    return session.version if version is None else version, document_json(session)


@lru_cache(maxsize=64)
def snapshot_at(subject: Subject, position: Position) -> bytes:
    """The snapshot that stands for a position."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/snapshot.json"
        write_snapshot(Disk(), path, folded(subject, position.version), position, durable=False)
        return Path(path).read_bytes()
