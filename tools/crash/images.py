"""Images: all that a crash may leave of a volume, by number.

A kill leaves what the finished calls did, and of a write that was under way the first bytes. A power cut
leaves of each file's unsynced writes the first bytes, with nothing, zeros or garbage up to the full size, or
all but some 512-byte sectors; unsynced cuts were made or not; each unsynced change of a folder's entries was
made or not, a rename as one.
"""

from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple, TypeVar

from crash.simulated_volume import Cut, File, Folder, Operation, Volume, Written

T = TypeVar("T")

SECTOR: Final = 512
MIXTURES: Final = 48
# Up to so many, all subsets are tried; of more, each one alone and some at random.
_ALL_SUBSETS_OF: Final = 6
_SOME: Final = 32
_GARBAGE: Final = Random(0).randbytes(1 << 18)
_TAILS: Final = ("", ", then zeros", ", then garbage")


class Image(NamedTuple):
    """What a crash left: a volume, whether the power went (else a process was killed), and what it lost."""

    volume: Volume
    power: bool
    what: str


class Contents:
    """What a power cut may leave of a file's bytes: first without an end, then with holes."""

    def __init__(self, file: File) -> None:
        self._base, self._operations = file.on_disk, _joined(file.pending)
        self._full = file.data
        cuts = [n for n, operation in enumerate(self._operations) if isinstance(operation, Cut)]
        # Which cuts were not made.
        self._undone = _subsets(cuts)
        self._written = sum(len(each.data) for each in self._operations if isinstance(each, Written))
        sectors = sorted({sector for each in self._operations for sector in _sectors_of(each)})
        self._lost = _subsets(sectors)[1:]
        overlaps = any(
            isinstance(each, Written) and each.offset < len(self._base) for each in self._operations
        )
        self._ways = 2 if overlaps else 1
        self._ends = 3 * self._written + 1
        self.without_end = len(self._undone) * self._ends
        self.with_holes = len(self._lost) * self._ways

    def __len__(self) -> int:
        return self.without_end + self.with_holes

    def __getitem__(self, number: int) -> tuple[str, bytes]:
        if number < self.without_end:
            which, rest = divmod(number, self._ends)
            return self._prefix(self._undone[which], *divmod(rest, 3))
        which, way = divmod(number - self.without_end, self._ways)
        return self._without(self._lost[which], zeros=way == 1)

    def _prefix(self, undone: frozenset[int], size: int, tail: int) -> tuple[str, bytes]:
        full = len(self._applied(undone, self._written))
        data = self._applied(undone, size)
        missing = full - len(data)
        if tail and missing > 0:
            start = len(data) % 4096
            data += bytes(missing) if tail == 1 else _GARBAGE[start : start + missing].ljust(missing, b"\xff")
        cuts = f", {len(undone)} cuts not made" if undone else ""
        return f"{size} of {self._written} unsynced bytes{_TAILS[tail]}{cuts}", data

    def _applied(self, undone: frozenset[int], size: int) -> bytes:
        data = self._base
        for n, operation in enumerate(self._operations):
            if isinstance(operation, Cut):
                if n not in undone:
                    data = operation.on(data)
            elif size <= 0:
                break
            else:
                data = operation._replace(data=operation.data[:size]).on(data)
                size -= len(operation.data)
        return data

    def _without(self, lost: frozenset[int], *, zeros: bool) -> tuple[str, bytes]:
        data = bytearray(self._full)
        for sector in lost:
            start, end = sector * SECTOR, min((sector + 1) * SECTOR, len(data))
            old = self._base[start:end].ljust(max(end - start, 0), b"\0")
            if zeros:
                for each in self._operations:
                    if isinstance(each, Written):
                        first, last = max(each.offset, start), min(each.offset + len(each.data), end)
                        data[first:last] = bytes(max(last - first, 0))
            else:
                data[start:end] = old
        return f"sectors {', '.join(map(str, sorted(lost)))} lost{' (zeros)' if zeros else ''}", bytes(data)


class Images:
    """The images that a crash may leave when a volume is as it is and `under_way` is what comes next."""

    def __init__(self, volume: Volume, under_way: Operation | None, seed: str = "") -> None:
        self._volume, self._seed = volume, seed
        self._cut_short = under_way if isinstance(under_way, Written) else None
        self._files = [(file.inode, Contents(file)) for file in _possible(volume) if file.pending]
        # The changes of names that may be lost, by their numbers.
        self._changes = list(range(len(volume.changes)))
        self._singles: list[frozenset[int]] = [frozenset(), frozenset(self._changes)][
            : 1 + bool(self._changes)
        ]
        if len(self._changes) > 1:
            self._singles += [frozenset([each]) for each in self._changes]
        # What a file system that keeps a journal of its own loses are the last of them.
        self._subsets = _subsets(self._changes, ends=True)
        self.parts = {
            "kills": 1 + (len(self._cut_short.data) - 1 if self._cut_short else 0),
            "names": len(self._subsets) * (2 if self._files else 1),
            "holes": sum(contents.with_holes for _, contents in self._files) * len(self._singles),
            "ends": sum(contents.without_end for _, contents in self._files) * len(self._singles),
            "mixtures": MIXTURES if len(self._files) + len(self._changes) > 1 else 0,
        }
        self._ends = list(accumulate(self.parts.values()))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int) -> Image:
        kills, names, holes, ends, _ = self._ends
        if number < kills:
            return self._killed(number)
        if number < names:
            return self._names(*divmod(number - kills, 2 if self._files else 1))
        if number < holes:
            return self._bytes(number - names, with_holes=True)
        if number < ends:
            return self._bytes(number - holes, with_holes=False)
        return self._mixture(number - ends)

    def __iter__(self) -> Iterator[Image]:
        return (self[number] for number in range(len(self)))

    def _killed(self, written: int) -> Image:
        volume = self._volume.copy()
        if self._cut_short is None or not written:
            return Image(volume, False, "kill")
        volume.do(self._cut_short._replace(data=self._cut_short.data[:written]))
        volume.log.clear()
        return Image(volume, False, f"kill after {written} bytes of a write")

    def _names(self, subset: int, unwritten: int) -> Image:
        lost = self._subsets[subset]
        if not unwritten:
            return self._cut({}, lost, "")
        return self._cut({inode: contents[0][1] for inode, contents in self._files}, lost, "nothing unsynced")

    def _bytes(self, number: int, *, with_holes: bool) -> Image:
        candidate, single = divmod(number, len(self._singles))
        for inode, contents in self._files:
            size = contents.with_holes if with_holes else contents.without_end
            if candidate < size:
                what, data = contents[candidate + with_holes * contents.without_end]
                return self._cut({inode: data}, self._singles[single], f"file {inode}: {what}")
            candidate -= size
        raise IndexError(number)

    def _mixture(self, number: int) -> Image:
        random = Random(f"{self._seed} {number}")
        likely = random.choice((0.2, 0.5, 0.8))
        lost = frozenset(each for each in self._changes if random.random() < likely)
        chosen, said = {}, []
        for inode, contents in self._files:
            match random.randrange(4):
                case 0:
                    continue  # all of it is there
                case 1:
                    candidate = 0  # nothing of it
                case 2 if contents.with_holes:
                    candidate = contents.without_end + random.randrange(contents.with_holes)
                case _:
                    candidate = random.randrange(contents.without_end)
            what, chosen[inode] = contents[candidate]
            said.append(f"file {inode}: {what}")
        return self._cut(chosen, lost, "; ".join(said))

    def _cut(self, contents: dict[int, bytes], lost: frozenset[int], what: str) -> Image:
        entries = f"changes of names {sorted(lost)} of {len(self._changes)} lost" if lost else ""
        said = "; ".join(filter(None, [what, entries])) or "nothing lost"
        return Image(settled(self._volume, contents, lost), True, f"power cut, {said}")


def settled(volume: Volume, contents: dict[int, bytes], lost: frozenset[int]) -> Volume:
    """What is there when the power is back: all of it is on disk.

    `contents` are of files that are not as programs saw them, `lost` the changes of names that were not made.
    """
    after = Volume(volume.now_ns)
    after.next_inode = volume.next_inode
    names = {inode: dict(node.on_disk) for inode, node in volume.nodes.items() if isinstance(node, Folder)}
    for number, change in enumerate(volume.changes):
        if number not in lost:
            change.on(names)
    waiting = [volume.root.inode]
    while waiting:
        inode = waiting.pop()
        node = volume.nodes[inode]
        if isinstance(node, Folder):
            after.nodes[inode] = Folder(inode, names[inode], node.mtime_ns)
            waiting += names[inode].values()
        else:
            after.nodes[inode] = File(inode, contents.get(inode, node.data), node.mtime_ns)
    return after


def fingerprint(volume: Volume) -> int:
    """The same for images that no program can tell apart but by their times and inodes."""

    def of(inode: int) -> int:
        node = volume.nodes[inode]
        if isinstance(node, File):
            return hash(node.data)
        return hash(tuple(sorted((name, of(child)) for name, child in node.names.items())))

    return of(volume.root.inode)


def _possible(volume: Volume) -> list[File]:
    """The files that some crash leaves a name of."""
    children: dict[int, list[int]] = {}
    for node in volume.nodes.values():
        if isinstance(node, Folder):
            children[node.inode] = list(node.on_disk.values())
    for change in volume.changes:
        for folder, _, inode in change.settings:
            if inode is not None:
                children[folder].append(inode)
    files: list[File] = []
    seen = {volume.root.inode}
    waiting = [volume.root.inode]
    while waiting:
        node = volume.nodes[waiting.pop(0)]
        if isinstance(node, File):
            files.append(node)
            continue
        for inode in children[node.inode]:
            if inode not in seen:
                seen.add(inode)
                waiting.append(inode)
    return files


def _joined(pending: list[Written | Cut]) -> list[Written | Cut]:
    """The same operations, writes that follow one another made one."""
    joined: list[Written | Cut] = []
    for each in pending:
        last = joined[-1] if joined else None
        if (
            isinstance(each, Written)
            and isinstance(last, Written)
            and each.offset == last.offset + len(last.data)
        ):
            joined[-1] = last._replace(data=last.data + each.data)
        else:
            joined.append(each)
    return joined


def _sectors_of(operation: Written | Cut) -> range:
    if isinstance(operation, Cut) or not operation.data:
        return range(0)
    return range(operation.offset // SECTOR, (operation.offset + len(operation.data) - 1) // SECTOR + 1)


def _subsets(items: list[T], *, ends: bool = False) -> list[frozenset[T]]:
    """All subsets where there are few items, the one of nothing first; else a choice of them.

    Of many: each one alone, with `ends` all from one of them on, and some at random.
    """
    if len(items) <= _ALL_SUBSETS_OF:
        chosen = [[item for n, item in enumerate(items) if mask >> n & 1] for mask in range(1 << len(items))]
    else:
        random = Random(len(items))
        chosen = [[], *([item] for item in items)]
        if ends:
            chosen += (items[n:] for n in range(len(items) - 1))
        chosen += (random.sample(items, random.randint(2, len(items) - 1)) for _ in range(_SOME))
    return [frozenset(each) for each in chosen]
