"""Files that somebody made to do harm, as sources of an import: what cannot be taken in is a Problem."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from journal import StateStore
from journal.export import export_json
from journal.importers import FORMATS, import_path
from tests.test_forged import VALUES, nested
from tests.test_hostile import DOCUMENT, MIB, sparse, tried

_LINE = b'{"role":"user","content":%b}\n'
_METADATA = b',"metadata":{"k":%b}'
SOURCES: dict[str, tuple[str, Callable[[Path], object], float]] = {
    "gigabytes in one line": ("jsonl", lambda path: sparse(path, 3 * 1024 * MIB, _LINE % b'"x"'), 200),
    "gigabytes in a document": ("json", lambda path: sparse(path, 10 * 1024 * MIB, b'[{"role":'), 60),
    "gigabytes in a session": ("json", lambda path: sparse(path, 10 * 1024 * MIB, b'{"user_messages":'), 60),
    "a million bad lines": ("jsonl", lambda path: path.write_bytes(_LINE % b"5" + b"x\n" * 1_000_000), 60),
    "a million bad items": (
        "json",
        lambda path: path.write_bytes(b'[{"role":"user","content":"x"}' + b",0" * 1_000_000 + b"]"),
        200,
    ),
    "deep lines": (
        "jsonl",
        lambda path: path.write_bytes(_LINE % (b"[" * 3_000_000) + _LINE % nested(900)),
        60,
    ),
    "a deep document": ("json", lambda path: path.write_bytes(b"[" * 3_000_000), 60),
    "a deep session": ("json", lambda path: path.write_bytes(DOCUMENT % (_METADATA % nested(500_000))), 60),
    "repeated keys": (
        "json",
        lambda path: path.write_bytes(b"{" + b'"messages":0,' * 500_000 + b'"messages":0}'),
        100,
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_hostile_file_is_told_as_a_problem(folder: Path, tmp_path: Path, name: str):
    """Memory does not grow with the file."""
    ending, write, most_mib = SOURCES[name]
    source = tmp_path / "source"
    source.mkdir()
    write(source / f"s.{ending}")

    assert tried(folder, "import", source=source, most_mib=most_mib)["import"] > 0  # type: ignore[operator]


def _with(value: bytes, format: str) -> bytes:
    """A file of a format with any JSON wherever there is room for it."""
    match format:
        case "jsonl":
            tool = b'{"role":"tool","tool_call_id":"c","content":%b}' % value
            return b'{"role":"user","content":"x","extra":%b}\n%b' % (value, tool)
        case "claude-code":
            block = b'{"type":"x","y":%b},{"type":"tool_use","id":"c","name":"n","input":%b}' % (value, value)
            line = b'{"type":"user","uuid":"u","sessionId":"s","message":{"content":[%b]}}' % block
            return line + b'\n{"type":"system","uuid":"u","x":%b}' % value
        case "openai":
            call = b'{"id":"c","function":{"name":"n","arguments":%b}}' % value
            said = b'{"role":"user","content":"x","extra":%b},{"role":"assistant","tool_calls":[%b]}'
            return b'{"extra":%b,"messages":[%b]}' % (value, said % (value, call))
        case _:
            return DOCUMENT % (_METADATA % value)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", VALUES)
def test_odd_values_are_taken_in_or_told(folder: Path, tmp_path: Path, format: str, name: str):
    """And what is taken in can be verified and given out again."""
    path = tmp_path / "s"
    path.write_bytes(_with(VALUES[name], format))
    with StateStore(folder, durability="os") as store:
        outcome = import_path(store, path, format=format)
        for session_id in outcome.session_ids:
            assert store.verify(session_id).ok
            assert msgspec.json.decode(export_json(store, session_id))
        again = import_path(store, path, format=format)

    assert outcome.problems or outcome.appended
    assert again.appended == 0
