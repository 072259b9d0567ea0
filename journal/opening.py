"""Opening a store that is elsewhere: a backend, what it promises, and a replica of it."""

import contextlib
import math
from typing import Any, NoReturn

from journal.backend import Backend, Promise, Unreachable
from journal.connecting import backend_of
from journal.errors import DurabilityError, UnreachableError
from journal.memory import MemoryBackend
from journal.native_loop import NativeLoop
from journal.replica import Replica
from journal.replica.folder import ReplicaFolder
from journal.waiting import AtOnce, LoopThread, Waiting


def open_replica(url: str, durability: str, timeout: float, options: dict[str, Any]) -> Replica:
    """Connect, for threads. Raises as StateStore.connect."""
    backend = _backend_of(url, durability, timeout, options)
    waiting: Waiting = AtOnce() if isinstance(backend, MemoryBackend) else LoopThread()
    try:
        try:
            promise = waiting.wait(backend.open())
            return _replica(backend, waiting, promise, durability, timeout)
        except BaseException as error:
            with contextlib.suppress(Exception):
                waiting.wait(backend.close())
            _raise_as_ours(backend, error)
    except BaseException:
        waiting.close()
        raise


async def open_replica_natively(
    url: str, durability: str, timeout: float, options: dict[str, Any]
) -> tuple[Replica, NativeLoop]:
    """Connect, for the tasks of the loop that runs now. Raises as StateStore.connect."""
    backend = _backend_of(url, durability, timeout, options)
    try:
        waiting = NativeLoop()
        promise = await backend.open()
        return _replica(backend, waiting, promise, durability, timeout), waiting
    except BaseException as error:
        with contextlib.suppress(Exception):
            await backend.close()
        _raise_as_ours(backend, error)


def _backend_of(url: str, durability: str, timeout: float, options: dict[str, Any]) -> Backend:
    if durability not in ("disk", "os"):
        raise ValueError(f"durability is 'disk' or 'os', not {durability!r}")
    if not (isinstance(timeout, int | float) and 0 < timeout < math.inf):
        raise ValueError(f"timeout is a number of seconds, not {timeout!r}")
    return backend_of(url, timeout=timeout, **options)


def _replica(
    backend: Backend, waiting: Waiting, promise: Promise, durability: str, timeout: float
) -> Replica:
    if durability == "disk" and promise.survives != "disk":
        raise DurabilityError(
            backend.name,
            f"durability='disk' is not what it promises: {promise.text}",
            outcome_unknown=False,
            advice="the store was not opened",
        )
    folder = None
    try:
        folder = ReplicaFolder()
        return Replica(
            backend, waiting, folder.path, promise=promise.text, timeout=timeout, at_end=folder.remove
        )
    except BaseException as error:
        if folder is not None:
            folder.remove()
        if isinstance(error, OSError):
            raise DurabilityError(
                backend.name,
                f"the private folder for what it looks at cannot be made: {error}",
                outcome_unknown=False,
                advice="the store was not opened. Make room there, or name another folder in TMPDIR",
            ) from error
        raise


def _raise_as_ours(backend: Backend, error: BaseException) -> NoReturn:
    if isinstance(error, Unreachable):
        raise UnreachableError(backend.name, str(error)) from error
    raise error
