"""Recognition: which files there are, and which format each one is, by its content."""

import os
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from journal.importers import claude_code, jsonl, openai, own, seed
from journal.importers.source import BAD_JSON, head
from journal.names import SESSIONS

_DOCUMENTS: Final = (seed, openai)  # one JSON document a file
_LINES: Final = (own, claude_code, jsonl)  # one JSON object a line
ENDINGS: Final = {each.NAME: ".json" for each in _DOCUMENTS} | {each.NAME: ".jsonl" for each in _LINES}
NOTHING: Final = "nothing"
"""The format of a file of lines that has none yet."""

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_KEY: Final = re.compile(rb'"([a-z_]{2,20})"\s*:')

_UNKNOWN: Final = f"not a format that this can import ({', '.join(sorted(ENDINGS))})"


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
    return [_source(path, format)]


def _source(path: str, format: str | None) -> Source:
    try:
        found = format or recognise(path)
    except OSError as error:
        return Source(path, None, f"cannot be read: {error.strerror}")
    return Source(path, found, "" if found else _UNKNOWN)


def recognise(path: str) -> str | None:
    """The format of a file, by its content; None where it is of no format. Raises OSError."""
    data, is_whole = head(path)
    if not data.strip():
        return NOTHING if path.endswith(".jsonl") and is_whole else None
    if is_whole and (found := _of_document(data)) is not None:
        return found
    if not data.lstrip().startswith(b"[") and (found := _of_lines(data)) is not None:
        return found
    return None if _begins_with_a_line(data) else _of_keys(data)


def _of_document(data: bytes) -> str | None:
    """The format of a file that is one JSON document."""
    try:
        document = _decode_object(data)
    except BAD_JSON:
        return _of_list(data)
    if len(data.strip().splitlines()) == 1 and (found := _of_lines(data)) is not None:
        return found  # one line alone
    return _first(_DOCUMENTS, document)


def _of_list(data: bytes) -> str | None:
    try:
        found = [_first((openai,), _decode_object(raw)) for raw in _decode_list(data)[:10]]
    except BAD_JSON:
        return None
    return next(filter(None, found), None)


def _of_lines(data: bytes) -> str | None:
    """The format that the first recognised line tells. Objects inside a document are indented."""
    for line in data.split(b"\n"):
        if line.startswith(b"{"):
            try:
                keys = _decode_object(line)
            except BAD_JSON:
                continue  # malformed, or cut
            if (found := _first(_LINES, keys)) is not None:
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
    """The format of a document that is damaged, or too long to be looked through."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    keys = {key.decode(): None for key in _KEY.findall(data)}
    return _first((seed, openai) if data.lstrip().startswith(b"{") else (openai,), keys)


def _first(formats: tuple[Any, ...], keys: dict[str, Any]) -> str | None:
    return next((each.NAME for each in formats if each.recognises(keys)), None)


def _walk(folder: str, format: str | None) -> Iterator[Source]:
    """The files below a folder, sorted; hidden ones and those with another ending are passed over."""
    try:
        names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    except OSError as error:
        yield Source(folder, None, f"cannot be read: {error.strerror}")
        return
    if SESSIONS in names and format in (None, seed.NAME, own.NAME):
        below = os.path.join(folder, SESSIONS)
        sessions = list(_files(below, sorted(os.listdir(below)), None)) if _is_open(below) else []
        if format == seed.NAME or any(each.format in (seed.NAME, own.NAME) for each in sessions):
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
    journals = [each for each in sessions if each.format == own.NAME and format != seed.NAME]
    yield from journals
    known = {os.path.splitext(each.path)[0] for each in journals}
    for each in sessions if format != own.NAME else ():
        stem, ending = os.path.splitext(each.path)
        if ending == ".json" and stem not in known:
            yield Source(each.path, seed.NAME)


def _is_open(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)


def _files(folder: str, names: list[str], format: str | None) -> Iterator[Source]:
    endings = (".json", ".jsonl") if format is None else (ENDINGS[format],)
    paths = [os.path.join(folder, n) for n in names if n.endswith(endings) and not n.startswith(".")]
    # A link to nowhere is a file that cannot be read; a pipe or a folder is none.
    found = [_source(path, format) for path in paths if os.path.isfile(path) or not os.path.exists(path)]
    is_seed = any(source.format == seed.NAME for source in found)
    for source in found:
        # Beside session files of the seed's, what nobody recognises is a damaged one.
        damaged = is_seed and source.reason == _UNKNOWN and source.path.endswith(".json")
        yield Source(source.path, seed.NAME) if damaged else source
