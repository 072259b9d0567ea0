"""Faults: the bad places of a journal, each in a word and in a sentence."""

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from journal.chain import FORMAT_VERSION

Kind: TypeAlias = Literal[
    "torn_tail",
    "nul_run",
    "bad_batch",
    "bit_flip",
    "duplicate_sequence",
    "missing_record",
    "foreign_edit",
    "unreadable_event",
    "newer_format",
]

# So many bad places, and so many spans of records, are told one by one.
MOST_TOLD: Final = 10


class Fault(NamedTuple):
    """One bad place: what it is, where, how many bytes, and the record that stands, or belongs, there."""

    kind: Kind
    offset: int
    size_bytes: int
    seq: int
    reason: str

    def sentence(self, path: str) -> str:
        """What is wrong, with file, byte and record."""
        is_record = self.kind in ("bit_flip", "duplicate_sequence", "foreign_edit", "missing_record")
        size = "" if is_record or not self.size_bytes else f" ({self.size_bytes:,} bytes)"
        return f"{path}, byte {self.offset}, record {self.seq}: {self.reason}{size}."

    def short(self) -> str:
        """As `sentence`, for a record that stands in that file itself."""
        return f"record {self.seq}, byte {self.offset}: {self.reason}"


def describe(data: bytes) -> tuple[Kind, str]:
    """What bytes that are no record are."""
    if data and not data.strip(b"\0"):
        return "nul_run", "NUL bytes"
    if b"\0" * 16 in data:
        return "nul_run", "bytes that are no record, with a run of NUL bytes"
    try:
        value: Any = msgspec.json.decode(data) if data else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "bad_batch", "bytes that are no record"
    version = value.get("v") if isinstance(value, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        return "newer_format", (
            f"its format is version {version}, this library reads {FORMAT_VERSION}: update session-journal"
        )
    return "foreign_edit", "a line of JSON that is no record" if data else "an empty line"


def records_text(numbers: Iterable[int | range]) -> str:
    """Numbers in words: record 4; 4 records (2, 7 to 9)."""
    spans: list[list[int]] = []
    for each in numbers:
        start, stop = (each.start, each.stop) if isinstance(each, range) else (each, each + 1)
        if spans and spans[-1][1] == start:
            spans[-1][1] = stop
        else:
            spans.append([start, stop])
    number = sum(stop - start for start, stop in spans)
    if number == 1:
        return f"record {spans[0][0]}"
    told = [f"{start} to {stop - 1}" if stop - start > 1 else f"{start}" for start, stop in spans]
    more = ["…"] * (len(told) > MOST_TOLD)
    return f"{number:,} records ({', '.join(told[:MOST_TOLD] + more)})"
