"""A source file's bytes: its lines, one by one, in memory that stays flat, or as one JSON document."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final, TypeVar

import msgspec
from msgspec import Raw

from journal.importers.ingest import Run

T = TypeVar("T")

# No event may be longer than 16 MiB; a line can hold several, and what is not imported.
MAX_SOURCE_LINE_BYTES: Final = 64 * 1024 * 1024
HEAD_BYTES: Final = 256 * 1024
# What msgspec raises for bytes that are not the JSON that was asked for.
BAD_JSON: Final = (msgspec.MsgspecError, ValueError, RecursionError)


_decode = msgspec.json.Decoder().decode
_decode_document = msgspec.json.Decoder(list[Raw] | dict[str, Raw]).decode


@dataclass
class Place:
    """How far a file of lines was read: the byte, and the number of the last line."""

    offset: int = 0
    line: int = 0
    is_within: bool = False
    """The last line was read without the newline that may come yet."""


def lines(run: Run, path: str, place: Place | None = None) -> Iterator[tuple[int, bytes]]:
    """Each line that is not empty, without the white space around it, with its number.

    Split on newline bytes alone; the last line need not end with one. A file that cannot be read, and a
    line that is too long, are Problems. With a `place` it goes on there and keeps it up to date, and a last
    line that is not whole yet is left for the next time.
    """
    try:
        file = open(path, "rb", buffering=1024 * 1024)  # noqa: SIM115 — closed by the `with` below
    except OSError as error:
        run.problem(path, None, f"cannot be read: {error.strerror}")
        return
    grows, place = place is not None, place or Place()
    with file:
        file.seek(place.offset)
        while line := file.readline(MAX_SOURCE_LINE_BYTES):
            if grows and not line.endswith(b"\n") and not _is_whole(line):
                return
            place.line += not place.is_within
            place.is_within = not line.endswith(b"\n")
            run.advance(path, len(line))
            if len(line) == MAX_SOURCE_LINE_BYTES and place.is_within:
                _skip_line(run, path, file)
                run.problem(path, place.line, f"a line of over {MAX_SOURCE_LINE_BYTES:,} bytes")
                place.is_within = False
            place.offset = file.tell()
            if len(line) < MAX_SOURCE_LINE_BYTES and (line := line.strip()):
                yield place.line, line


def _is_whole(line: bytes) -> bool:
    """Whether a line that may grow is a JSON object: none is the beginning of another one."""
    if not line.lstrip().startswith(b"{"):
        return False
    try:
        _decode(line)
    except BAD_JSON:
        return False
    return True


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


def read_document(run: Run, path: str) -> tuple[bytes, list[Raw] | dict[str, Raw]] | None:
    """A file that is one JSON document: its bytes, and its items. None, with a Problem, where it is none."""
    data = run.read(path)
    if data is None:
        return None
    if not data.strip():
        run.problem(path, None, "the file is empty")
        return None
    try:
        return data, _decode_document(data)
    except BAD_JSON as error:
        run.problem(path, _line_of_error(data, error), reason_of(error))
        return None


def _line_of_error(data: bytes, error: Exception) -> int | None:
    """The line of the byte that a decoder named."""
    at = str(error).rpartition("(byte ")[2].rstrip(")")
    if at.isdecimal():
        return data.count(b"\n", 0, int(at)) + 1
    return data.count(b"\n") + 1 if "truncated" in str(error) else None
