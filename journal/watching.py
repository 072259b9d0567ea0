"""Watching a folder: whoever waits for its files to change is woken within milliseconds."""

import contextlib
import os
import time
from collections.abc import Callable, Generator
from typing import Final

from journal.disk import Disk
from journal.news import Names

# How long changes are gathered before they are told: twice that passes before one is known.
_STEP_MS: Final = 10
_GATHER_MS: Final = 50
# How often whoever waits is woken where nothing changes, or where nothing tells what does.
TICK_SECONDS: Final = 0.1


def changes(
    disk: Disk,
    folder: str,
    is_over: Callable[[], bool],
    *,
    recursive: bool = False,
    session_id: str | None = None,
) -> Generator[Names | None, None, None]:
    """The names of the files in a folder that changed, as they do; none at each tick of the clock.

    `recursive`: of those in the folders below, too, as paths from the folder. `session_id`: only this
    session's need be told.
    None: any may have changed. The watch has only begun, or there is none to be had, for there is no such
    folder yet or the system has no watch left, and this is a tick. Ends when it `is_over`.
    """
    if (told := disk.told(session_id, is_over)) is not None:
        yield from told
        return
    while not is_over():
        with contextlib.suppress(OSError, RuntimeError):  # the ways in which a watch is refused
            yield from _watched(disk, folder, is_over, recursive)
            continue
        time.sleep(TICK_SECONDS)
        yield None


def _watched(
    disk: Disk, folder: str, is_over: Callable[[], bool], recursive: bool
) -> Generator[Names | None, None, None]:
    """As `changes`, until the folder is another one."""
    import watchfiles  # not above: it takes as long to import as all the rest

    inode = _inode(disk, folder)
    watched = watchfiles.watch(
        folder,
        watch_filter=None,
        debounce=_GATHER_MS,
        step=_STEP_MS,
        rust_timeout=round(TICK_SECONDS * 1000),
        yield_on_timeout=True,
        stop_event=_Stop(is_over),
        recursive=recursive,
    )
    with contextlib.closing(watched):
        next(watched, None)  # only now it watches: what changed before it did, nobody tells
        yield None
        for found in watched:
            if not found and _inode(disk, folder) != inode:
                return
            yield frozenset(
                os.path.relpath(path, folder) if recursive else os.path.basename(path) for _, path in found
            )


def _inode(disk: Disk, folder: str) -> int | None:
    status = disk.status(folder)
    return None if status is None else status.st_ino


class _Stop:
    """What watchfiles asks whether to go on."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self.is_set = is_over
