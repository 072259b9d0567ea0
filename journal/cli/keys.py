"""Keys pressed while a command runs: read one by one, without echo, and the terminal is put right again."""

import contextlib
import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Literal

Key = Literal["pause", "next", "quit"]
# An interrupt that comes right before a system call is only noticed behind it.
_AT_MOST_SECONDS = 1.0
_MEANINGS: dict[bytes, Key] = {
    b" ": "pause",
    b".": "next",
    b"\x1b[C": "next",  # the arrow to the right
    b"\x1bOC": "next",  # the same, of a terminal that is set to application keys
    b"q": "quit",
    b"\x04": "quit",
}


class Keys:
    """What `keys()` gives: `wait` for one, which only waits where nobody can press any."""

    def __init__(self, fd: int | None) -> None:
        self.fd = fd

    def wait(self, seconds: float | None) -> Key | None:
        """The next key that means something; None when the time is up. None seconds: until there is one."""
        end = None if seconds is None else time.monotonic() + seconds
        while self.fd is not None:
            left = math.inf if end is None else max(end - time.monotonic(), 0)
            if not select.select([self.fd], [], [], min(left, _AT_MOST_SECONDS))[0]:
                if left <= _AT_MOST_SECONDS:
                    return None
                continue
            pressed = os.read(self.fd, 16)
            if not pressed:
                self.fd = None  # nobody is there any more
            elif pressed in _MEANINGS:
                return _MEANINGS[pressed]
        time.sleep(0 if end is None else max(end - time.monotonic(), 0))
        return None


@contextlib.contextmanager
def keys() -> Iterator[Keys]:
    """Read keys from the terminal that stdin is, if it is one and this is the program in front of it."""
    fd = _terminal()
    if fd is None:
        yield Keys(None)
        return
    import termios
    import tty

    before = termios.tcgetattr(fd)
    ends = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setcbreak(fd)
        yield Keys(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        for number, handler in ends.items():
            signal.signal(number, handler)


def _terminal() -> int | None:
    try:
        fd = sys.stdin.fileno()
        # From the background, to change the terminal would stop the program.
        return fd if os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp() else None
    except (AttributeError, OSError, ValueError):  # no stdin, or none of the system's files
        return None


def _end(number: int, frame: FrameType | None) -> None:
    """What ends the program must not leave the terminal as it is."""
    raise SystemExit(128 + number)
