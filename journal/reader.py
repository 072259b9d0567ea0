"""Reading a journal: checked lines of complete batches, and where and why the reading stopped."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from journal.disk import Disk
from journal.errors import CorruptRecordError
from journal.record import MAX_LINE_BYTES, Damage, check_line, first_chain, outline

CHUNK_BYTES: Final = 1 << 20


class Position(NamedTuple):
    """A place between two batches: the version there, the chain up to it, and its byte."""

    version: int
    chain: bytes
    offset: int


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
    batch and `rest` says what follows it: None, a TornTail, or a CorruptRecordError.
    """

    def __init__(self, disk: Disk, fd: int, path: str, position: Position) -> None:
        self.disk, self.fd, self.path = disk, fd, path
        self.position = position
        self.rest: TornTail | CorruptRecordError | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        version, chain, offset = self.position
        batch: list[tuple[int, bytes]] = []
        more = 0
        for at, line in lines(self.disk, self.fd, offset):
            if line is None:
                break
            try:
                if len(line) > MAX_LINE_BYTES:
                    raise Damage(f"a line of over {MAX_LINE_BYTES:,} bytes", altered=False)
                chain, following = check_line(line, version + 1, chain)
                if more and following != more - 1:
                    raise Damage("its batch does not add up", altered=True)
            except Damage as damage:
                self._explain(damage.reason, at, version + 1, torn=not damage.altered)
                return
            version, more = version + 1, following
            batch.append((at, line))
            if not more:
                self.position = Position(version, chain, at + len(line) + 1)
                yield from batch
                batch.clear()
        start = self.position.offset
        if (size := self.disk.status_of(self.fd).st_size) > start:
            # Nothing stood behind it when it was read: what a crash, or a writer at work, leaves.
            self.rest = TornTail(start, size - start, "the last batch is incomplete")

    def _explain(self, reason: str, offset: int, seq: int, *, torn: bool) -> None:
        """Torn, or damaged? Only the last batch, which nobody acknowledged, may be bad.

        Records of a later batch behind the bad place prove that the place was once good.
        """
        first = self.position.version + 1
        for line in self._lines_after(offset) if torn else ():
            found = outline(line) if len(line) <= MAX_LINE_BYTES else None
            if found is not None and (found.first or found.seq) != first:
                torn = False
                break
        if torn:
            size = self.disk.status_of(self.fd).st_size
            self.rest = TornTail(self.position.offset, size - self.position.offset, reason)
        else:
            self.rest = CorruptRecordError(self.path, offset, seq, reason)

    def _lines_after(self, offset: int) -> Iterator[bytes]:
        """The complete lines behind the one at `offset`."""
        for at, line in lines(self.disk, self.fd, offset):
            if line is not None and at != offset:
                yield line


def lines(disk: Disk, fd: int, offset: int) -> Iterator[tuple[int, bytes | None]]:
    """Each line from a byte on, without its newline, with its offset; None for an unfinished last one.

    Splits on newline bytes alone. A line that is longer than any record can be comes cut short, so that
    memory stays bounded; it is no record whatever it holds.
    """
    rest = b""
    at = offset
    while chunk := disk.read(fd, CHUNK_BYTES, offset):
        offset += len(chunk)
        found = (rest + chunk).split(b"\n")
        rest = found.pop()
        for line in found:
            yield at, line
            at += len(line) + 1
        if len(rest) > MAX_LINE_BYTES:
            offset = _after_newline(disk, fd, offset)
            if offset < 0:
                break
            yield at, rest
            rest, at = b"", offset
    if rest:
        yield at, None


def _after_newline(disk: Disk, fd: int, offset: int) -> int:
    """The byte after the next newline; -1 where none follows."""
    while chunk := disk.read(fd, CHUNK_BYTES, offset):
        if (found := chunk.find(b"\n")) >= 0:
            return offset + found + 1
        offset += len(chunk)
    return -1
