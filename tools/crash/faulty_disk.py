"""A disk that fails where it is told to, and knows what of its files would outlive a power cut."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from journal.disk import LOCK_UN, Disk

# All but what asks the system about itself: that has an answer, not an error.
CALLS = tuple(name for name in vars(Disk) if not name.startswith("_") and name not in ("may_write", "mounts"))
# What asks for room, and fails where there is none.
TAKES_ROOM = ("write", "open", "make_folder", "rename", "overwrite", "sync", "sync_folder")
# What still works on a disk that has died: it does not get so far.
NEEDS_NO_DISK = ("close", "flock", "unlock", "seek", "drop_cache")


class Interrupted(BaseException):
    """A signal's handler raised, as Ctrl-C does."""


class Fault(NamedTuple):
    """The nth call of a name fails, and how. What else is called before it may differ from time to time.

    EIO, ENOSPC      this call, and nothing is done
    short            a write takes half of it; whatever needs more room fails from then on
    dead             this call and all that follow
    interrupted      a signal's handler raises before this call; late: behind it
    """

    call: str
    nth: int
    kind: str


class FaultyDisk(Disk):
    """The real disk, with one fault while it is `failing`.

    `undurable()` names what would be lost in a power cut: it plays the kernel that marks pages clean when a
    sync fails, so that a second sync succeeds and saves nothing. As no power is cut, a sync is only noted.
    """

    def sync(self, fd: Any) -> None:
        """Only noted."""

    def sync_folder(self, path: str) -> None:
        """Only noted."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Fault | None = None
        self.calls: list[str] = []  # since it began to fail
        self.has_failed = False
        self._paths: dict[int, str] = {}
        # By path: from which byte on a file is written and not synced, or was not synced and never will be.
        self._dirty: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._names: set[str] = set()  # created, renamed or removed, and the folder not synced
        for name in CALLS:
            setattr(self, name, partial(self._call, name, getattr(self, name)))

    @contextlib.contextmanager
    def failing(self, fault: Fault | None = None) -> Iterator[None]:
        """Count calls from now on, and fail."""
        self.fault, self.calls, self.has_failed = fault, [], False
        try:
            yield
        finally:
            self.fault = None

    def undurable(self) -> dict[str, str]:
        """What is there and would not be after a power cut: path by path, and why."""
        return {
            **dict.fromkeys(self._names, "is a name that was never synced"),
            **{path: f"was never synced from byte {at} on" for path, at in self._dirty.items()},
            **{path: f"is lost from byte {at} on: its sync failed" for path, at in self._lost.items()},
        }

    def _call(self, name: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        known_as = "unlock" if name == "flock" and arguments[1] == LOCK_UN else name
        is_hit = self.fault is not None and (known_as, self.calls.count(known_as)) == self.fault[:2]
        self.calls.append(known_as)
        if self.fault is not None:
            if is_hit and self.fault.kind != "interrupted late":
                self.has_failed = True
                self._fail(self.fault.kind, name, arguments)
            elif self.has_failed and self._lasts(self.fault.kind, known_as):
                raise self._error(self.fault.kind, arguments)
        is_new = name == "open" and not os.path.lexists(arguments[0])
        result = call(*arguments, **options)
        self._note(name, arguments, result)
        if is_new:
            self._names.add(arguments[0])
        if is_hit:
            self.has_failed = True
            raise Interrupted(f"behind {name}")
        return result

    def _lasts(self, kind: str, known_as: str) -> bool:
        """Whether a call fails that comes behind the one that failed."""
        if kind == "short":
            return known_as in TAKES_ROOM and not known_as.startswith("sync")
        return kind == "dead" and known_as not in NEEDS_NO_DISK

    def _fail(self, kind: str, name: str, arguments: tuple[Any, ...]) -> None:
        if kind == "interrupted":
            raise Interrupted(f"before {name}")
        if name == "close":  # a system that reports an error here has closed it all the same
            os.close(arguments[0])
        if name == "sync" and (path := self._paths[arguments[0]]) in self._dirty:
            self._lost.setdefault(path, self._dirty.pop(path))
        if kind == "short":
            fd, data = arguments
            self._note(name, arguments, os.write(fd, memoryview(data)[: len(data) // 2]))
        raise self._error(kind, arguments)

    def _error(self, kind: str, arguments: tuple[Any, ...]) -> OSError:
        code = errno.ENOSPC if kind in ("ENOSPC", "short") else errno.EIO
        path = arguments[0] if isinstance(arguments[0], str | bytes) else None
        return OSError(code, os.strerror(code), path)

    def _note(self, name: str, arguments: tuple[Any, ...], result: Any) -> None:
        """Keep account of what is on disk for sure."""
        match name:
            case "open":
                self._paths[result] = arguments[0]
            case "write":
                path = self._paths[arguments[0]]
                self._dirty.setdefault(path, os.fstat(arguments[0]).st_size - result)
            case "truncate":
                fd, size = arguments
                for kept in (self._dirty, self._lost):
                    if kept.get(self._paths[fd], -1) >= size:
                        del kept[self._paths[fd]]
            case "drop_cache" if (path := self._paths[arguments[0]]) in self._lost:
                # Only the disk's own bytes are left to read.
                os.ftruncate(arguments[0], self._lost.pop(path))
            case "sync":
                self._dirty.pop(self._paths[arguments[0]], None)
            case "sync_folder":
                self._names = {path for path in self._names if os.path.dirname(path) != arguments[0]}
            case "make_folder":
                self._names.add(arguments[0])
            case "unlink":
                for kept in (self._dirty, self._lost):
                    kept.pop(arguments[0], None)
                # A name that was never on disk need not be taken off it.
                self._names ^= {arguments[0]}
            case "rename":
                source, target = arguments
                for kept in (self._dirty, self._lost):
                    kept.pop(target, None)
                    if source in kept:
                        kept[target] = kept.pop(source)
                self._names.discard(source)
                self._names.add(target)
