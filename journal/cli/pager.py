"""The pager: what is longer than a screen goes through $PAGER."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator

import click

from journal.cli.text import cells


def paged(lines: Iterable[str]) -> None:
    """Print lines; from the first that does not fit on the screen on, a pager shows them all.

    $PAGER, else less, else more; an empty $PAGER or `cat` is none.
    """
    rest = iter(lines)
    command = os.environ.get("PAGER", shutil.which("less") or shutil.which("more") or "")
    if command in ("", "cat"):
        write_lines(rest)
        return
    first: list[str] = []
    try:
        fits = _take_a_screen(rest, first)
    except BaseException:
        write_lines(first)  # what was found before the error is part of the answer
        raise
    if fits:
        write_lines(first)
    else:
        _feed(command, itertools.chain(first, rest))


def write_lines(lines: Iterable[str]) -> None:
    """Print lines. Not one by one: a flush a line would cost more than finding it."""
    for line in lines:
        sys.stdout.write(line + "\n")


def _take_a_screen(lines: Iterator[str], taken: list[str]) -> bool:
    """Take what fits on the screen; False if there is more."""
    size = shutil.get_terminal_size()
    room = size.lines - 1
    for line in lines:
        taken.append(line)
        room -= 1 + max(cells(click.unstyle(line)) - 1, 0) // max(size.columns, 1)
        if room < 0:
            return False
    return True


def _feed(command: str, lines: Iterable[str]) -> None:
    # F: leave if it fits after all; R: colours, and no other escapes; X: the text stays on the screen.
    environment = {"LESS": "FRX", **os.environ}
    process = subprocess.Popen(
        command, shell=True, stdin=subprocess.PIPE, env=environment, encoding="utf-8", errors="replace"
    )
    sys.stdout.flush()
    assert process.stdin is not None
    try:
        for line in lines:
            process.stdin.write(line + "\n")
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # the reader has seen enough; an interrupt is the pager's own business
    finally:
        _wait(process)


def _wait(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    while True:
        try:
            if not process.stdin.closed:
                process.stdin.close()
        except BrokenPipeError:
            pass
        except KeyboardInterrupt:
            continue
        try:
            process.wait()
            return
        except KeyboardInterrupt:
            continue
