"""Recognition: which files there are, and which format each one is, by its content."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from journal.importers.formats import ALL, BY_NAME, Format
from journal.importers.ingest import MAX_DOCUMENT_BYTES
from journal.importers.own import NAME as OWN
from journal.importers.seed import NAME as SEED
from journal.importers.source import BAD_JSON, head
from journal.names import SESSIONS

NOTHING: Final = "nothing"
"""The format of a file of lines that has none yet."""
ZIP: Final = "zip"
"""The format of a file that holds others."""
ENDINGS: Final = (".json", ".jsonl", ".traj", ".zip")

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_document = msgspec.json.Decoder(dict[str, Raw] | list[Raw]).decode
_KEY: Final = re.compile(rb'"([A-Za-z_]{2,20})"\s*:')

_UNKNOWN: Final = "not a format that this can import; looked for " + "; ".join(
    f"{each.name}: {each.looks}" for each in sorted(ALL)
)


class Source(NamedTuple):
    """A file to import, and its format; None where it has none, and then the reason."""

    path: str
    format: str | None
    reason: str = ""


def sources(path: str, format: str | None) -> list[Source]:
    """The files to import at a path. Raises FileNotFoundError."""
    if os.path.isdir(path):
        return list(_walk(path, format))
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} does not exist: nothing was imported")
    return [source_at(path, format)]


def source_at(path: str, format: str | None) -> Source:
    """A file and its format."""
    try:
        found = ZIP if path.endswith(".zip") else format or recognise(path)
    except OSError as error:
        return Source(path, None, f"cannot be read: {error.strerror}")
    return Source(path, found, "" if found else _UNKNOWN)


def recognise(path: str) -> str | None:
    """The format of a file, by its content; None where it is of no format. Raises OSError."""
    data, is_whole = head(path)
    if not data.strip():
        return NOTHING if path.endswith(".jsonl") and is_whole else None
    if is_whole and (document := _parsed(data)) is not None:
        return _of_document(data, document)
    if not data.lstrip().startswith(b"[") and (found := _of_lines(data)) is not None:
        return found
    if _begins_with_a_line(data):
        return None
    if not is_whole and os.path.getsize(path) <= MAX_DOCUMENT_BYTES:
        with open(path, "rb") as file:
            whole = file.read()
        if (document := _parsed(whole)) is not None:
            return _of_document(whole, document)
    return _of_keys(data)


def _parsed(data: bytes) -> dict[str, Raw] | list[Raw] | None:
    """A file that is one JSON document; None where it is none, or damaged."""
    try:
        document: dict[str, Raw] | list[Raw] = _decode_document(data)
    except BAD_JSON:
        return None
    return document


def _of_document(data: bytes, document: dict[str, Raw] | list[Raw]) -> str | None:
    if isinstance(document, list):
        return next(filter(None, map(_of_item, document[:10])), None)
    if b"\n" not in data.strip() and (found := _of_lines(data)) is not None:
        return found  # one line alone
    return _first(document, lambda each: each.of_document)


def _of_item(raw: Raw) -> str | None:
    try:
        return _first(_decode_object(raw), lambda each: each.of_item)
    except BAD_JSON:
        return None


def _of_lines(data: bytes) -> str | None:
    """The format that the first recognised line tells. Objects inside a document are indented."""
    for line in data.split(b"\n"):
        if line.startswith(b"{"):
            try:
                keys = _decode_object(line)
            except BAD_JSON:
                continue  # malformed, or cut
            if (found := _first(keys, lambda each: each.of_line)) is not None:
                return found
    return None


def _begins_with_a_line(data: bytes) -> bool:
    """Whether the first line is an object of its own, so that these are lines and no document."""
    line, _, rest = data.lstrip().partition(b"\n")
    try:
        return bool(rest.strip()) and _decode_object(line) is not None
    except BAD_JSON:
        return False


def _of_keys(data: bytes) -> str | None:
    """The format of a document that is damaged, or too long to be looked through: what will be told of it."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    keys = {key.decode(): None for key in _KEY.findall(data)}
    if data.lstrip().startswith(b"["):
        return _first(keys, lambda each: each.of_item)
    return _first(keys, lambda each: each.of_document)


def _first(
    keys: dict[str, Any], which: Callable[[Format], Callable[[dict[str, Any]], bool] | None]
) -> str | None:
    found = (each.name for each in ALL if (recognises := which(each)) is not None and recognises(keys))
    return next(found, None)


def _walk(folder: str, format: str | None) -> Iterator[Source]:
    """The files below a folder, sorted; hidden ones and those with another ending are passed over."""
    try:
        names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    except OSError as error:
        yield Source(folder, None, f"cannot be read: {error.strerror}")
        return
    if SESSIONS in names and format in (None, SEED, OWN):
        below = os.path.join(folder, SESSIONS)
        sessions = list(_files(below, sorted(os.listdir(below)), None)) if _is_open(below) else []
        if format == SEED or any(each.format in (SEED, OWN) for each in sessions):
            # The base folder of a store, or of the seed's program: the rest of it are documents, no sessions.
            yield from _of_store(sessions, format)
            return
    yield from _files(folder, names, format)
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            yield from _walk(path, format)


def _of_store(sessions: list[Source], format: str | None) -> Iterator[Source]:
    """The journals, and the seed's files of those sessions that have none."""
    journals = [each for each in sessions if each.format == OWN and format != SEED]
    yield from journals
    known = {os.path.splitext(each.path)[0] for each in journals}
    for each in sessions if format != OWN else ():
        stem, ending = os.path.splitext(each.path)
        if ending == ".json" and stem not in known:
            yield Source(each.path, SEED)


def _is_open(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)


def _files(folder: str, names: list[str], format: str | None) -> Iterator[Source]:
    endings = endings_of(format)
    paths = [os.path.join(folder, each) for each in names if may_be(each, endings)]
    # A link to nowhere is a file that cannot be read; a pipe or a folder is none.
    found = [source_at(path, format) for path in paths if os.path.isfile(path) or not os.path.exists(path)]
    is_seed = any(source.format == SEED for source in found)
    for source in found:
        # Beside session files of the seed's, what nobody recognises is a damaged one.
        damaged = is_seed and source.reason == _UNKNOWN and source.path.endswith(".json")
        yield Source(source.path, SEED) if damaged else source


def walk(folder: str, format: str | None, *, without: str) -> Iterator[str]:
    """The files below a folder that may be of a format; not those that are hidden, or below `without`."""
    endings = endings_of(format)
    for above, folders, files in os.walk(folder):
        folders[:] = sorted(
            each
            for each in folders
            if not each.startswith(".") and os.path.realpath(os.path.join(above, each)) != without
        )
        yield from (os.path.join(above, each) for each in sorted(files) if may_be(each, endings))


def may_be(path: str, endings: tuple[str, ...]) -> bool:
    """Whether a file at a path below a folder is looked at: with one of the endings, and nothing hidden."""
    return path.endswith(endings) and not any(part.startswith(".") for part in path.split(os.sep))


def endings_of(format: str | None) -> tuple[str, ...]:
    """The endings of files that may be of a format; None: of any."""
    return ENDINGS if format is None else BY_NAME[format].endings
