"""A volume in memory: its files and folders as programs see them, and as much of them as is on disk.

Everything that happens to it is an operation, and it is the fold of its operations: the same ones, done to a
copy of where it began, lead to the same volume. What no sync has taken to the disk yet is `pending`.
"""

import stat
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

ROOT: Final = 1
_TICK_NS: Final = 1_000


class Made(NamedTuple):
    """A file or a folder was created."""

    folder: int
    name: str
    inode: int
    is_folder: bool = False


class Renamed(NamedTuple):
    """A file got another name, in the same folder or in another; what had that one is gone."""

    folder: int
    old: str
    to: int
    new: str


class Removed(NamedTuple):
    """A name was taken away."""

    folder: int
    name: str


class Written(NamedTuple):
    """Bytes were written at an offset."""

    inode: int
    offset: int
    data: bytes

    def on(self, before: bytes) -> bytes:
        """A file's bytes after it."""
        end = self.offset + len(self.data)
        if self.offset == len(before):
            return before + self.data
        return before[: self.offset].ljust(self.offset, b"\0") + self.data + before[end:]


class Cut(NamedTuple):
    """A file was truncated, or made longer with zeros."""

    inode: int
    size: int

    def on(self, before: bytes) -> bytes:
        """A file's bytes after it."""
        return before[: self.size].ljust(self.size, b"\0")


class Synced(NamedTuple):
    """What was done to a file, or to a folder's entries, is on disk."""

    inode: int


class SyncFailed(NamedTuple):
    """A sync failed: what it was to take to the disk is marked clean, and no later sync will."""

    inode: int


class Dropped(NamedTuple):
    """What a failed sync left in memory was dropped: programs see what is on disk, zeros where nothing is."""

    inode: int


Operation: TypeAlias = Made | Renamed | Removed | Written | Cut | Synced | SyncFailed | Dropped


class File:
    """A file: `data` is what programs read, `on_disk` what is safe; `pending` lies between them.

    The first `doubtful` ones of `pending` no sync can save any more.
    """

    __slots__ = ("data", "doubtful", "inode", "links", "mtime_ns", "on_disk", "pending")
    mode: Final = stat.S_IFREG | 0o600

    def __init__(self, inode: int, data: bytes = b"", mtime_ns: int = 0) -> None:
        self.inode, self.data, self.mtime_ns = inode, data, mtime_ns
        self.links = 1  # how many names lead to it
        self.on_disk = data
        self.pending: list[Written | Cut] = []
        self.doubtful = 0

    def copy(self) -> "File":
        twin = File(self.inode, self.data, self.mtime_ns)
        twin.links, twin.on_disk = self.links, self.on_disk
        twin.pending, twin.doubtful = list(self.pending), self.doubtful
        return twin

    def change(self, operation: "Written | Cut") -> None:
        self.data = operation.on(self.data)
        self.pending.append(operation)

    def sync(self) -> None:
        saved, self.pending = self.pending[self.doubtful :], self.pending[: self.doubtful]
        if not self.pending:
            self.on_disk = self.data
            return
        for operation in saved:
            self.on_disk = operation.on(self.on_disk)
            if isinstance(operation, Cut):
                size = operation.size
                self.pending = [
                    each for each in self.pending if isinstance(each, Written) and each.offset < size
                ]
        self.doubtful = len(self.pending)

    def drop(self) -> None:
        """Forget what is in memory and marked clean; the size stays, as yet unsynced."""
        later, size = self.pending[self.doubtful :], len(self.data)
        self.data, self.pending, self.doubtful = self.on_disk, [], 0
        for operation in (*later, Cut(self.inode, size)):
            self.change(operation)


class Folder:
    """A folder: `names` is what programs see, `on_disk` what is safe."""

    __slots__ = ("inode", "mtime_ns", "names", "on_disk")
    mode: Final = stat.S_IFDIR | 0o700

    def __init__(self, inode: int, names: dict[str, int] | None = None, mtime_ns: int = 0) -> None:
        self.inode, self.mtime_ns = inode, mtime_ns
        self.names: dict[str, int] = {} if names is None else names
        self.on_disk = dict(self.names)

    def copy(self) -> "Folder":
        twin = Folder(self.inode, dict(self.names), self.mtime_ns)
        twin.on_disk = dict(self.on_disk)
        return twin


class NameChange(NamedTuple):
    """What one operation did to names, all of it or none: the inode that each leads to now, None for none.

    It is on disk when the folder `home` is synced: for a file that moved, the one that it moved to.
    """

    home: int
    settings: tuple[tuple[int, str, int | None], ...]

    def on(self, names: dict[int, dict[str, int]]) -> None:
        """Do it to the names of folders; those of other folders than these do not matter."""
        for folder, name, inode in self.settings:
            if folder in names:
                if inode is None:
                    names[folder].pop(name, None)
                else:
                    names[folder][name] = inode


class Volume:
    """Files and folders by inode. `log` has the operations since it began; `do` adds one.

    `changes` are those of names that are not on disk yet.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self.nodes: dict[int, File | Folder] = {ROOT: Folder(ROOT)}
        self.changes: list[NameChange] = []
        self.next_inode = ROOT + 1
        self.now_ns = now_ns
        self.log: list[Operation] = []
        # What dies with the processes: who (process, fd) holds which file's lock, and how.
        self.locks: dict[int, dict[tuple[int, int], int]] = {}

    def copy(self) -> "Volume":
        """The same volume, to go another way; its log begins here."""
        twin = Volume(self.now_ns)
        twin.nodes = {inode: node.copy() for inode, node in self.nodes.items()}
        twin.changes = list(self.changes)
        twin.next_inode = self.next_inode
        return twin

    def do(self, operation: Operation) -> None:
        """Do an operation, and note it."""
        self.log.append(operation)
        self.now_ns += _TICK_NS
        match operation:
            case Written(inode) | Cut(inode):
                file = self.file(inode)
                file.change(operation)
                file.mtime_ns = self.now_ns
            case Synced(inode):
                node = self.nodes[inode]
                if isinstance(node, File):
                    node.sync()
                else:
                    self._sync_names(inode)
            case Made(folder, name, inode, is_folder):
                node = Folder(inode) if is_folder else File(inode)
                node.mtime_ns = self.now_ns
                self.nodes[inode] = node
                self.next_inode = inode + 1
                self._name(folder, (folder, name, inode))
            case Renamed(folder, old, to, new):
                moved = self.folder(folder).names[old]
                self._unname(to, new)
                self._name(to, (folder, old, None), (to, new, moved))
            case Removed(folder, name):
                self._unname(folder, name)
                self._name(folder, (folder, name, None))
            case SyncFailed(inode):
                file = self.file(inode)
                file.doubtful = len(file.pending)
            case Dropped(inode):
                self.file(inode).drop()

    def _name(self, home: int, *settings: tuple[int, str, int | None]) -> None:
        change = NameChange(home, settings)
        change.on({each: self.folder(each).names for each, _, _ in settings})
        self.changes.append(change)
        for each, _, _ in settings:
            self.folder(each).mtime_ns = self.now_ns

    def _sync_names(self, inode: int) -> None:
        for change in self.changes:
            if change.home == inode:
                change.on({each: self.folder(each).on_disk for each, _, _ in change.settings})
        self.changes = [change for change in self.changes if change.home != inode]

    def _unname(self, folder: int, name: str) -> None:
        inode = self.folder(folder).names.get(name)
        if inode is not None:
            self.file(inode).links -= 1

    @property
    def root(self) -> Folder:
        """The folder above all others."""
        return self.folder(ROOT)

    def file(self, inode: int) -> File:
        """A file by its inode."""
        node = self.nodes[inode]
        assert isinstance(node, File)
        return node

    def folder(self, inode: int) -> Folder:
        """A folder by its inode."""
        node = self.nodes[inode]
        assert isinstance(node, Folder)
        return node

    def sync_all(self) -> None:
        """Take everything to the disk, as time does; no operation of a program."""
        self.changes = []
        for node in self.nodes.values():
            if isinstance(node, Folder):
                node.on_disk = dict(node.names)
            else:
                node.doubtful = 0
                node.sync()

    # By path

    def at(self, path: str) -> File | Folder | None:
        """What a path leads to, None where there is nothing."""
        node: File | Folder = self.root
        for part in parts(path):
            inode = node.names.get(part) if isinstance(node, Folder) else None
            if inode is None:
                return None
            node = self.nodes[inode]
        return node

    def data(self, path: str) -> bytes | None:
        """A file's bytes, None where there is none."""
        node = self.at(path)
        return node.data if isinstance(node, File) else None

    def put(self, path: str, data: bytes) -> None:
        """Let a file be there and on disk, with the folders above it; what had the name goes."""
        node = self.root
        *folders, name = parts(path)
        for part in folders:
            if part not in node.names:
                self.do(Made(node.inode, part, self.next_inode, is_folder=True))
            node = self.folder(node.names[part])
        self.do(Made(node.inode, name, self.next_inode))
        self.do(Written(node.names[name], 0, data))
        self.sync_all()


@lru_cache(maxsize=10_000)
def parts(path: str) -> tuple[str, ...]:
    """The names that a path goes through."""
    return tuple(path.strip("/").split("/")) if path.strip("/") else ()
