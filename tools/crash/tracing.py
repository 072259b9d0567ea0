"""Faults from the kernel: strace makes the answer of one call an error, or ends the process there."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

# What an engine may ask of the kernel about its files. Not close: a call that is not made closes nothing.
CALLS: Final = (
    *("openat", "pread64", "write", "pwrite64", "fdatasync", "fsync", "ftruncate", "lseek", "flock"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "lstat", "newfstatat"),
    *("fstat", "getdents64", "fchmod", "chmod"),
)
TAKES_ROOM: Final = ("openat", "write", "pwrite64", "fdatasync", "fsync", "mkdir", "rename", "ftruncate")
# Calls that wait, and that a signal can interrupt; they are made again, and nobody notices.
WAITS: Final = ("openat", "write", "fdatasync", "fsync", "flock", "ftruncate")
# How often an engine looks may depend on the time: a call may be missing when its turn comes.
NOT_MADE: Final = "the call was not made this time"
_LINE: Final = re.compile(r"\d+ +(\w+)\((.*)")
_PR_SET_PTRACER: Final = 0x59616D61
_WITHIN_SECONDS: Final = 10.0


class Answer(NamedTuple):
    """What the kernel says to the nth call of a name: an error's name, or "kill" for an end at that point."""

    call: str
    nth: int
    what: str

    @property
    def injection(self) -> str:
        """As strace takes it."""
        how = "signal=SIGKILL" if self.what == "kill" else f"error={self.what}"
        return f"inject={self.call}:{how}:when={self.nth}"


class TracingError(Exception):
    """No process can be traced here; says why."""


@contextlib.contextmanager
def traced(answer: Answer | None = None, log: Path | None = None) -> Iterator[None]:
    """Have this process traced: it gets that answer, and all its calls are written to the log."""
    with contextlib.suppress(AttributeError, OSError):  # where only a parent may trace: whoever asks
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
    command = ["strace", "-f", "-y", "-p", str(os.getpid()), "-e", f"trace={','.join(CALLS)}"]
    command += ["-o", os.devnull if log is None else str(log)]
    if answer is not None:
        command += ["-e", answer.injection]
    try:
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    except FileNotFoundError:
        raise TracingError("there is no strace here") from None
    assert tracer.stderr is not None
    try:
        said = tracer.stderr.readline()
        if "attached" not in said:
            raise TracingError(f"strace cannot be used: {said.strip()}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)  # it lets go
        tracer.wait(_WITHIN_SECONDS)
        tracer.stderr.close()


def why_not() -> str | None:
    """Why nothing can be traced here; None if it can."""
    try:
        with traced():
            return None
    except TracingError as error:
        return str(error)


def answers(log: Path, folder: Path) -> Iterator[Answer]:
    """What could have been answered to the calls in a log, to those about files in a folder."""
    seen: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if not (found := _LINE.match(line)):
            continue
        call, rest = found.groups()
        seen[call] += 1
        if str(folder) in rest:
            yield from (Answer(call, seen[call], what) for what in _possible(call, rest))


def _possible(call: str, rest: str) -> Iterator[str]:
    yield "kill"
    if call in WAITS and "O_DIRECTORY" not in rest:
        yield "EINTR"
    if call in TAKES_ROOM and (call != "openat" or "O_CREAT" in rest):
        yield "ENOSPC"
    if "LOCK_UN" not in rest:
        yield "EIO"


def unheeded(answer: Answer, log: Path) -> Iterator[str]:
    """Whether the answer in a log was given, and, where a sync failed, that nobody tried that once more."""
    lines = log.read_text(errors="replace").splitlines()
    at = next((at for at, line in enumerate(lines) if line.endswith("(INJECTED)")), None)
    if at is None:
        yield NOT_MADE
    elif answer.call in ("fsync", "fdatasync") and answer.what != "EINTR":
        file = lines[at].partition("<")[2].partition(">")[0]
        # SQLite rolls back, and syncs that: its catalog holds nothing that the journals do not.
        is_sqlites = "/catalog" in file or file.endswith("/.journal")
        if not is_sqlites and any("sync(" in line and f"<{file}>" in line for line in lines[at + 1 :]):
            yield f"a failed sync of {file} was tried again"
