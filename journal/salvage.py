"""Salvage: what can still be read behind the first bad place of a journal, and what is wrong there.

The chain decides. A line that continues it stays as it is, whatever stands between it and the line before.
One whose header continues it keeps its place and its hashes, and loses the content that does not fit them.
Where the chain breaks off, a record whose content fits its own digest can be appended anew, under another
number. Nothing else is taken: what was edited must not become a record again.
"""

from bisect import bisect_left
from typing import Final, NamedTuple

from journal.chain import Damage, Place, check_lines
from journal.disk import Disk
from journal.faults import Fault, Kind, describe
from journal.history import belongs
from journal.pieces import (
    Piece,
    chain_of,
    emptied,
    fits,
    header_of,
    id_of,
    is_chained,
    is_nul,
    pieces,
    restored,
    trimmed,
)
from journal.reader import Position, lines
from journal.record import decode_record
from projections.events import Erased, Event, Record, SessionAdopted, SessionCreated, SessionReplaced
from projections.session import Session, SessionProjection, apply_event

# A person waits; and a hostile journal may hold millions of lines that no bit restores.
_MOST_RESTORED: Final = 20


class Kept(NamedTuple):
    """A piece that is saved; `line`: what it said before it was damaged, where that is not what it says."""

    piece: Piece
    line: bytes | None = None


class _Found(NamedTuple):
    """Which piece is the next of the chain, and what is wrong with it all the same."""

    at: int
    kept: Kept
    fault: tuple[Kind, str] | None = None
    is_erased: bool = False


class _Refused(Exception):
    """A piece that must not become a record again."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason


class Salvage:
    """What stands in an open journal behind `good`, the last position that can be trusted.

    stays   the lines behind `good` that continue the chain, in its order; `end` is behind them
    first   where nothing stays, because the first batch is broken: record 1, which is whole
    erased  the numbers of those among them that lost their content, with their ids and what they were
    known   the version up to which a snapshot of ours knows what the records behind `good` said; 0 for none
    again   records behind the place where the chain breaks off, in the file's order, that are kept all the
            same: `gather` finds them; `readable` is how many there are to keep
    faults  what is wrong
    """

    def __init__(
        self,
        disk: Disk,
        fd: int,
        state: Session,
        session_id: str,
        good: Position,
        snapshot: Position | None,
    ) -> None:
        """Follow the chain from `good` on, and fold what stays into `state`, the session as it was there.

        `snapshot`: the position that a snapshot of ours stands for.
        """
        self._disk, self._fd, self._state, self._id = disk, fd, state, session_id
        self.good = self.end = good
        self.stays: list[Kept] = []
        self.first: Kept | None = None
        self.erased: dict[int, tuple[str, str]] = {}
        self.again: list[Kept] = []
        self.readable = 0
        self.faults: list[Fault] = []
        self._pieces = list(pieces(disk, fd, good.offset))
        self._by_seq: dict[int, list[int]] = {}
        for index, piece in enumerate(self._pieces):
            if piece.seq:
                self._by_seq.setdefault(piece.seq, []).append(index)
        # What a snapshot of this journal stands for was whole once.
        self.known = snapshot.version if snapshot is not None and self._names(snapshot) else 0
        self._used: set[int] = set()  # which pieces stay
        self._doubtful: set[int] = set()  # which were altered: what they say of the chain does not count
        self._foreign: set[int] = set()  # which are of another session
        self._ids: set[bytes] = set()  # of what is kept behind `good`
        self._numbers: set[int] = set()
        self._held = 0  # what has no higher number is in the state already
        self._claimed = 0  # the highest number that a record which is not kept had
        self._tries = _MOST_RESTORED
        self._walk()

    def line(self, kept: Kept) -> bytes:
        """What a saved piece says."""
        return self._read(kept.piece) if kept.line is None else kept.line

    @property
    def last(self) -> int:
        """The highest number that a kept record had."""
        return max(self._numbers, default=self.good.version)

    def _names(self, position: Position) -> bool:
        """Whether a record behind `good` is the one that ends at this position, or did."""
        indexes = self._by_seq.get(position.version, [])
        return any(chain_of(self._read(self._pieces[index])) == position.chain for index in indexes)

    @property
    def lost(self) -> list[range]:
        """The numbers of the records that are gone."""
        gaps = []
        before = max(self.good.version, self._held)
        for number in [*sorted(self._numbers), max([before, self._claimed, *self._numbers]) + 1]:
            if number > before + 1:
                gaps.append(range(before + 1, number))
            before = max(before, number)
        return gaps

    # What the chain proves

    def _walk(self) -> None:
        """Batch by batch, in whatever order the lines stand."""
        version, chain, offset = self.good
        batch: list[_Found] = []
        expected: Place | None = None
        before = -1
        while (found := self._next(version + 1, chain, before)) is not None:
            line = self.line(found.kept)
            (chain,), (place,), _ = check_lines([line], version + 1, chain)
            if not _adds_up(place, expected, version + 1):
                break
            version, before, offset = version + 1, found.at, offset + len(line) + 1
            batch.append(found)
            expected = (place[0] - 1, place[1]) if place is not None and place[0] else None
            if expected is None:
                self.stays.extend(map(self._keep, batch))
                self.end, batch = Position(version, chain, offset), []
        # One that is not written as records are can stay in its place; it cannot be written anew.
        if (
            batch
            and not self.end.version
            and batch[0].at not in self._torn()
            and header_of(self.line(batch[0].kept)) is not None
        ):
            self.first = self._keep(batch[0])

    def _next(self, seq: int, chain: bytes, before: int) -> _Found | None:
        """The piece that is record `seq` behind this chain: as it stands, else mended, else emptied."""
        candidates = self._by_seq.get(seq, [])
        for index in candidates:
            line = self._read(self._pieces[index])
            if fits(line, seq, chain) and self._is_understood(line):
                return _Found(index, Kept(self._pieces[index]), self._misplaced(index, before))
        # The number itself may be what was damaged: what stands next in the file is tried, too.
        beside = [before + 1] if before + 1 < len(self._pieces) else []
        for index in [*candidates, *beside]:
            line = self._read(self._pieces[index])
            short = trimmed(line)
            if fits(short, seq, chain) and self._is_understood(short):
                kind, reason = describe(line[len(short) :])
                return _Found(index, Kept(self._pieces[index], short), (kind, f"behind it, {reason}"))
            whole = None if fits(short, seq, chain) else self._restored(short, seq, chain)
            if whole is not None and self._is_understood(whole):
                fault: tuple[Kind, str] = "bit_flip", "one bit of it was wrong; turned back, its hashes fit"
                return _Found(index, Kept(self._pieces[index], whole), fault)
        for index in candidates if seq > 1 else ():  # without record 1 nobody knows whose the session is
            line = self._read(self._pieces[index])
            rest = emptied(line, seq, chain)
            if rest is not None and self._is_understood(rest):
                return _Found(index, Kept(self._pieces[index], rest), _emptiness(line, seq, chain), True)
        return None

    def _misplaced(self, index: int, before: int) -> tuple[Kind, str] | None:
        piece = self._pieces[index]
        if index < before:
            return "foreign_edit", "it stands out of its order"
        if index + 1 < len(self._pieces) and self._pieces[index + 1].offset == piece.offset + piece.size:
            return "bad_batch", "its newline is missing"
        return None

    def _keep(self, found: _Found) -> Kept:
        piece = found.kept.piece
        record = decode_record(self.line(found.kept))
        if found.fault is not None:
            self.faults.append(Fault(found.fault[0], piece.offset, piece.size, record.seq, found.fault[1]))
        if found.is_erased:
            assert isinstance(record.event, Erased)
            self.erased[record.seq] = record.id, record.event.was
        apply_event(self._state, record.event, record.at)
        self._state.version = record.seq
        self._used.add(found.at)
        self._ids.add(record.id.encode())
        self._numbers.add(record.seq)
        return found.kept

    # What is only readable

    def gather(self, *, keep: bool, after: int = 0) -> None:
        """Look at all that does not stay; where `keep`, take what can be read, and fold it into the state.

        `after`: what has no higher number is in the state already.
        """
        self._held = after
        copies = self._copies()
        torn = self._torn()
        seq = self.good.version
        for index, piece in enumerate(self._pieces):
            seq = piece.seq or seq
            if index in self._used:
                continue
            if not piece.seq:
                self._note_bytes(index, seq + 1)
            elif piece.id in copies or piece.id in self._ids:
                self._note(index, "duplicate_sequence", "it stands twice")
            elif index in torn:
                self._note(index, "torn_tail", "its batch is incomplete; nobody acknowledged it")
            else:
                self._take(index, keep=keep)
        self._note_the_end()
        self._note_gaps()
        self.faults.sort(key=lambda fault: fault.offset)

    def _take(self, index: int, *, keep: bool) -> None:
        piece = self._pieces[index]
        try:
            line, record = self._readable(index)
        except _Refused as refused:
            self._note(index, refused.kind, refused.reason)
            # What it says of its number may be altered, too; so high it may have been.
            if piece.seq <= self.end.version + len(self._pieces):
                self._claimed = max(self._claimed, piece.seq)
            return
        if piece.seq <= self._held:
            return
        self.readable += 1
        self._claimed = max(self._claimed, piece.seq)
        if piece.seq <= self.good.version or piece.seq in self._numbers:
            self._note(index, "duplicate_sequence", "there is another record of this number")
        if keep:
            apply_event(self._state, record.event, record.at)
            self._ids.add(piece.id)
            self._numbers.add(piece.seq)
            self.again.append(Kept(piece, line))

    def _readable(self, index: int) -> tuple[bytes, Record]:
        """A record whose content fits its digest, and that is of this session. Raises _Refused."""
        line, previous = self._whole(index), self._chain_before(index)
        if line is None or header_of(line) is None:
            if previous is None or not is_chained(self._read(self._pieces[index]), previous):
                self._doubtful.add(index)
            raise _Refused("foreign_edit", "its hashes do not fit: somebody altered it")
        try:
            record = decode_record(line)
        except Damage as damage:
            raise _Refused("unreadable_event", damage.reason) from None
        if self._is_foreign(index, line, record.event):
            self._foreign.add(index)
            raise _Refused("foreign_edit", "it is of another session")
        return line, record

    def _whole(self, index: int) -> bytes | None:
        """What a piece says, if nothing shows that it was altered."""
        piece = self._pieces[index]
        line = self._read(piece)
        previous = self._chain_before(index)
        for each in (line, trimmed(line)):
            if header_of(each) if previous is None else fits(each, piece.seq, previous):
                return each
        return None if previous is None else self._restored(line, piece.seq, previous)

    def _chain_before(self, index: int) -> bytes | None:
        """The chain that a piece must continue, if what stands before it says it."""
        seq = self._pieces[index].seq
        if index == 0:
            return self.good.chain if seq == self.good.version + 1 else None
        if self._pieces[index - 1].seq + 1 != seq or index - 1 in self._doubtful:
            return None
        return chain_of(self._read(self._pieces[index - 1]))

    def _is_foreign(self, index: int, line: bytes, event: Event) -> bool:
        """Whether a record is of another session, or continues one that is."""
        if index - 1 in self._foreign:
            previous = self._chain_before(index)
            if previous is not None and is_chained(line, previous):
                return True
        if isinstance(event, SessionCreated):
            return True  # the session has its beginning
        owner = SessionProjection().initial()
        if isinstance(event, SessionReplaced | SessionAdopted):
            apply_event(owner, event, owner.created_at)
            return (owner.id, owner.user_id) != (self._state.id, self._state.user_id)
        return False

    def _copies(self) -> set[bytes]:
        """The ids of pieces that stand among the good records already."""
        ids = {piece.id for index, piece in enumerate(self._pieces) if piece.seq and index not in self._used}
        found = set()
        if ids:
            for offset, line in lines(self._disk, self._fd, 0):
                if offset >= self.good.offset:
                    break
                if (each := id_of(line)) in ids:
                    found.add(each)
        return found

    def _torn(self) -> set[int]:
        """The records of a last batch that is not complete."""
        torn: set[int] = set()
        first = None
        for index in range(len(self._pieces) - 1, -1, -1):
            if not self._pieces[index].seq:
                continue
            header = None if index in self._used else header_of(trimmed(self._read(self._pieces[index])))
            if header is None or (not header.more if first is None else header.first != first):
                break
            if header.seq <= self.known:
                break
            first = header.first
            torn.add(index)
        return torn

    # What is wrong

    def _note(self, index: int, kind: Kind, reason: str) -> None:
        piece = self._pieces[index]
        self.faults.append(Fault(kind, piece.offset, piece.size, piece.seq, reason))

    def _note_bytes(self, index: int, seq: int) -> None:
        """Bytes that are no record; a run of them is one fault."""
        piece = self._pieces[index]
        kind, reason = describe(self._read(piece))
        last = self.faults[-1] if self.faults else None
        if last is not None and last.kind == kind and last.offset + last.size_bytes + 1 == piece.offset:
            self.faults[-1] = last._replace(size_bytes=piece.offset + piece.size - last.offset)
        else:
            self.faults.append(Fault(kind, piece.offset, piece.size, seq, reason))

    def _note_the_end(self) -> None:
        """What stands behind the last newline was never acknowledged."""
        last = self._pieces[-1] if self._pieces else None
        end = last.offset + last.size + 1 if last is not None else self.good.offset
        size = self._disk.status_of(self._fd).st_size - end
        if size > 0:
            kind: Kind = "nul_run" if is_nul(self._disk, self._fd, end) else "torn_tail"
            seq = max(self.end.version, self._claimed, *self._numbers, 0) + 1
            self.faults.append(Fault(kind, end, size, seq, "the last line is incomplete"))

    def _note_gaps(self) -> None:
        """Records of which nothing is there at all."""
        offsets = {kept.piece.seq: kept.piece.offset for kept in self.again}
        told = sorted(fault.seq for fault in self.faults)
        for gap in self.lost:
            if bisect_left(told, gap.start) == bisect_left(told, gap.stop):
                offset = offsets.get(gap.stop, self.good.offset)
                what = f"records {gap.start} to {gap.stop - 1} are" if len(gap) > 1 else "it is"
                self.faults.append(Fault("missing_record", offset, 0, gap.start, f"{what} missing"))

    def _read(self, piece: Piece) -> bytes:
        return self._disk.read(self._fd, piece.size, piece.offset)

    def _restored(self, line: bytes, seq: int, previous: bytes) -> bytes | None:
        if not self._tries:
            return None
        self._tries -= 1
        return restored(line, seq, previous)

    def _is_understood(self, line: bytes) -> bool:
        try:
            record = decode_record(line)
        except Damage:
            return False
        return belongs(record, self._id)


def _adds_up(place: Place | None, expected: Place | None, seq: int) -> bool:
    """Whether a record stands in its batch as the one before it says."""
    if expected is not None:
        return place == expected
    return place is None or (place[0] > 0 and place[1] == seq)


def _emptiness(line: bytes, seq: int, chain: bytes) -> tuple[Kind, str]:
    if not fits(line, seq, chain):
        return "foreign_edit", "its content does not fit its hash: somebody altered it"
    try:
        decode_record(line)
    except Damage as damage:
        return "unreadable_event", damage.reason
    return "unreadable_event", "it does not begin this session"
