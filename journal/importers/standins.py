"""Stand-ins: what comes through a pipe, or out of a zip, as files that can be read as any other."""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from journal.importers.ingest import Run

STDIN: Final = "standard input"
# More than any transcript; a zip can promise terabytes.
MAX_UNPACKED_BYTES: Final = 1024 * 1024 * 1024
_BAD_ZIP: Final = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError)


@contextmanager
def spooled(stream: IO[bytes]) -> Iterator[str]:
    """A file with what a stream holds, up to its end, as long as the `with` lasts."""
    with tempfile.TemporaryDirectory(prefix="journal-") as folder:
        path = os.path.join(folder, STDIN)
        with open(path, "wb") as file:
            shutil.copyfileobj(stream, file)
        yield path


def unpacked(run: Run, path: str, endings: tuple[str, ...]) -> Iterator[str]:
    """Each file in a zip that has one of the endings, there until the next one is asked for.

    What cannot be unpacked is a Problem.
    """
    found = False
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = os.path.basename(member.filename)
                if name.startswith(".") or not name.endswith(endings) or "__MACOSX" in member.filename:
                    continue
                found = True
                with tempfile.TemporaryDirectory(prefix="journal-") as folder:
                    target = os.path.join(folder, name)
                    run.shown[target] = f"{path}/{member.filename}"
                    if _unpack(run, archive, member, target):
                        yield target
    except _BAD_ZIP as error:
        run.problem(path, None, f"cannot be unpacked: {error}")
        return
    if not found:
        run.problem(path, None, f"there is no file in it that ends with {' or '.join(endings)}")


def _unpack(run: Run, archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: str) -> bool:
    """Write a file of the zip out; whether it could be."""
    try:
        with archive.open(member) as source, open(target, "wb") as file:
            left = MAX_UNPACKED_BYTES
            while left > 0 and (data := source.read(min(left, 1024 * 1024))):
                file.write(data)
                left -= len(data)
    except _BAD_ZIP as error:
        run.problem(target, None, f"cannot be unpacked: {error}")
        return False
    if not left:
        run.problem(target, None, f"it is over {MAX_UNPACKED_BYTES:,} bytes long")
    return left > 0
