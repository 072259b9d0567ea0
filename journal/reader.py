"""Reading a journal: checked lines of complete batches, and where and why the reading stopped."""

import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from journal.chain import MAX_LINE_BYTES, Damage, Outline, Place, check_lines, first_chain, outline
from journal.disk import CHUNK_BYTES, Disk
from journal.errors import CorruptRecordError

_RECORD = b'{"v":1,"seq":'
# A hostile line may hold millions of beginnings; one from which a newline was lost, a few.
_MOST_IN_A_LINE = 16
# A batch is held until it is whole.
MAX_BATCH_BYTES: Final = 256 * 1024 * 1024


class Position(NamedTuple):
    """A place between two batches: the version there, the chain up to it, and its byte."""

    version: int
    chain: bytes
    offset: int


@lru_cache(maxsize=256)
def beginning(session_id: str) -> Position:
    """The position before the first record of a session."""
    return Position(0, first_chain(session_id), 0)


class TornTail(NamedTuple):
    """The end of a file that a crash left: bytes that were never acknowledged, from `offset` on."""

    offset: int
    size_bytes: int
    reason: str


class Reader:
    """Iterates over the checked lines, with their bytes' offsets, of complete batches after a position.

    Takes no lock, never repairs. When the iteration ends, `position` stands behind the last complete
    batch and `rest` says what follows it: None, a TornTail, or a CorruptRecordError. Of a batch that
    is damaged, `salvaged` has the good lines before the damage. It stops between two batches once it has
    read `enough` bytes, if given.
    """

    def __init__(self, disk: Disk, fd: int, path: str, position: Position, enough: int | None = None) -> None:
        self.disk, self.fd, self.path = disk, fd, path
        self._version, self._chain, self._offset = position
        self._until = sys.maxsize if enough is None else position.offset + enough
        self.rest: TornTail | CorruptRecordError | None = None
        self.salvaged: list[tuple[int, bytes]] = []

    @property
    def position(self) -> Position:
        """The place behind the last complete batch."""
        return Position(self._version, self._chain, self._offset)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        version, chain = self._version, self._chain
        batch: list[tuple[int, bytes]] = []
        held = 0
        expected: Place | None = None  # the place that the next record of the batch must have
        for at, block in blocks(self.disk, self.fd, self._offset):
            if at >= self._until and not batch:
                return
            chains, places, damage = check_lines(block, version + 1, chain)
            for line, chain, place in zip(block, chains, places, strict=False):
                version += 1
                if place is None and expected is None:
                    self._version, self._chain, self._offset = version, chain, at + len(line) + 1
                    yield at, line
                else:
                    # Its first record says how many follow; each of those counts down and names the first.
                    if place is None or place != (
                        (place[0] or -1, version) if expected is None else expected
                    ):
                        damage = Damage("its batch does not add up", altered=True)
                        version -= 1
                        break
                    batch.append((at, line))
                    held += len(line)
                    if held > MAX_BATCH_BYTES:
                        damage = Damage("its batch is longer than any can be", altered=True)
                        break
                    expected = place[0] - 1, place[1]
                    if not place[0]:
                        self._version, self._chain, self._offset = version, chain, at + len(line) + 1
                        yield from batch
                        batch, expected, held = [], None, 0
                        if self._offset >= self._until:
                            return
                at += len(line) + 1
            if damage is not None:
                self._explain(damage.reason, at, version + 1, torn=not damage.altered)
                self.salvaged = batch
                return
        if (size := self.disk.status_of(self.fd).st_size) > self._offset:
            # Nothing stood behind it when it was read: what a crash, or a writer at work, leaves.
            self.rest = TornTail(self._offset, size - self._offset, "the last batch is incomplete")

    def _explain(self, reason: str, offset: int, seq: int, *, torn: bool) -> None:
        """Torn, or damaged? Only the last batch, which nobody acknowledged, may be bad.

        Records of a later batch behind the bad place prove that the place was once good.
        """
        first = self._version + 1
        # One that stands behind it and does not name it as the first of its batch is of a later batch.
        for line in self._lines_from(offset) if torn else ():
            if any(found.first != first for found in _records_in(line)):
                torn = False
                break
        if torn:
            size = self.disk.status_of(self.fd).st_size
            self.rest = TornTail(self._offset, size - self._offset, reason)
        else:
            self.rest = CorruptRecordError(self.path, offset, seq, reason)

    def _lines_from(self, offset: int) -> Iterator[bytes]:
        """The complete lines, from the one at `offset` on, that may hold a record."""
        for _, block in blocks(self.disk, self.fd, offset):
            yield from [line for line in block if _RECORD in line]


def _records_in(line: bytes) -> Iterator[Outline]:
    """The well-formed record that ends a line, wherever it begins: a newline before it may be lost."""
    at = len(line)
    for _ in range(_MOST_IN_A_LINE):
        at = line.rfind(_RECORD, 0, at)
        if at < 0:
            return
        if (found := outline(line[at:])) is not None:
            yield found
            return


def lines(disk: Disk, fd: int, offset: int) -> Iterator[tuple[int, bytes]]:
    """Each complete line from a byte on, without its newline, with its offset."""
    for at, block in blocks(disk, fd, offset):
        for line in block:
            yield at, line
            at += len(line) + 1


def blocks(disk: Disk, fd: int, offset: int, end: int = sys.maxsize) -> Iterator[tuple[int, list[bytes]]]:
    """The complete lines from a byte on, without newlines, a chunk's worth at a time, with their offset.

    Splits on newline bytes alone. A line that is longer than any record can be comes cut short, in a block
    of its own, so that memory stays bounded; it is no record whatever it holds.
    """
    rest = b""
    at = offset
    while offset < end and (chunk := disk.read(fd, min(CHUNK_BYTES, end - offset), offset)):
        offset += len(chunk)
        block = (rest + chunk).split(b"\n")
        rest = block.pop()
        if block:
            yield at, block
            at = offset - len(rest)
        if len(rest) > MAX_LINE_BYTES:
            offset = _after_newline(disk, fd, offset)
            if offset < 0:
                return
            yield at, [rest]
            rest, at = b"", offset


def _after_newline(disk: Disk, fd: int, offset: int) -> int:
    """The byte after the next newline; -1 where none follows."""
    while chunk := disk.read(fd, CHUNK_BYTES, offset):
        if (found := chunk.find(b"\n")) >= 0:
            return offset + found + 1
        offset += len(chunk)
    return -1
