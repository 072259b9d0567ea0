"""A source file's lines, one by one, in memory that stays flat."""

from collections.abc import Callable, Iterator
from typing import IO, Final, TypeVar

import msgspec

from journal.importers.ingest import Run

T = TypeVar("T")

# No event may be longer than 16 MiB; a line can hold several, and what is not imported.
MAX_SOURCE_LINE_BYTES: Final = 64 * 1024 * 1024
HEAD_BYTES: Final = 256 * 1024
# What msgspec raises for bytes that are not the JSON that was asked for.
BAD_JSON: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def lines(run: Run, path: str) -> Iterator[tuple[int, bytes]]:
    """Each line that is not empty, without the white space around it, with its number.

    Split on newline bytes alone; the last line need not end with one. A file that cannot be read, and a
    line that is too long, are Problems.
    """
    try:
        file = open(path, "rb", buffering=1024 * 1024)  # noqa: SIM115 — closed by the `with` below
    except OSError as error:
        run.problem(path, None, f"cannot be read: {error.strerror}")
        return
    with file:
        number = 0
        while line := file.readline(MAX_SOURCE_LINE_BYTES):
            number += 1
            run.advance(path, len(line))
            if len(line) == MAX_SOURCE_LINE_BYTES and not line.endswith(b"\n"):
                _skip_line(run, path, file)
                run.problem(path, number, f"a line of over {MAX_SOURCE_LINE_BYTES:,} bytes")
            elif line := line.strip():
                yield number, line


def _skip_line(run: Run, path: str, file: IO[bytes]) -> None:
    while rest := file.readline(1024 * 1024):
        run.advance(path, len(rest))
        if rest.endswith(b"\n"):
            return


def head(path: str) -> tuple[bytes, bool]:
    """A file's first bytes, and whether they are all of it. Raises OSError."""
    with open(path, "rb") as file:
        data = file.read(HEAD_BYTES + 1)
    return data[:HEAD_BYTES], len(data) <= HEAD_BYTES


def first_known(path: str, find: Callable[[bytes], T | None]) -> T | None:
    """What the first line of a file's head tells that tells it; None where no line does."""
    try:
        data, _ = head(path)
    except OSError:
        return None  # whoever reads the file reports it
    found = (find(line) for line in data.split(b"\n"))
    return next((each for each in found if each is not None), None)


def reason_of(error: Exception) -> str:
    """Why bytes are not the JSON that was asked for, in words."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: {error.reason}"
    if isinstance(error, RecursionError):
        return "JSON nested too deeply"
    return str(error)
