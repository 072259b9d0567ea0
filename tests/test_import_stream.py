"""What comes through a pipe, or out of a zip."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from journal import StateStore
from journal.importers import import_path, import_stream, standins
from tests.test_import import CHAT, events_of, lines_of

CODEX = lines_of(
    {"timestamp": "2026-03-04T05:06:07Z", "type": "session_meta", "payload": {"id": "s"}},
    {"timestamp": "2026-03-04T05:06:08Z", "type": "compacted", "payload": {"message": "x"}},
)


def test_a_stream_is_a_file_of_its_content(store: StateStore, tmp_path: Path) -> None:
    """And a longer one goes on from it; the file itself, too."""
    import_stream(store, io.BytesIO(CODEX.splitlines(keepends=True)[0]))
    grown = import_stream(store, io.BytesIO(CODEX))
    (tmp_path / "r.jsonl").write_bytes(CODEX)

    assert (grown.session_ids, grown.appended, grown.problems) == (["s"], 1, [])
    assert import_path(store, tmp_path / "r.jsonl").appended == 0


def test_a_stream_has_no_name(store: StateStore, folder: Path) -> None:
    """Where its content does not say whose it is, the caller must; else nothing is written."""
    with pytest.raises(ValueError, match="give one"):
        import_stream(store, io.BytesIO(lines_of(*CHAT)))
    assert not folder.exists()
    assert import_stream(store, io.BytesIO(lines_of(*CHAT)), session_id="talk").session_ids == ["talk"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"x", "standard input: not a format"),
        (CODEX + b"{", "standard input:3: "),
        (b"", "standard input: not a"),
    ],
)
def test_the_problems_of_a_stream_name_it(store: StateStore, content: bytes, problem: str) -> None:
    """Not the file that stands in for it."""
    assert [str(each)[: len(problem)] for each in import_stream(store, io.BytesIO(content)).problems] == [
        problem
    ]


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return path


def test_a_zip_is_a_folder_of_what_it_holds(store: StateStore, tmp_path: Path) -> None:
    """Each file by its format; others are passed over, and problems say where they stand."""
    content = {"a__chat_jsonl": lines_of(*CHAT), "b__x_json": b'{"n": 1}', "README_md": b"#"}
    path = zipped(tmp_path / "talks.zip", **content, c__d__r_jsonl=CODEX)
    outcome = import_path(store, tmp_path)

    assert outcome.session_ids == ["chat", "s"]
    assert [each.path for each in outcome.problems] == [f"{path}/b/x.json"]
    assert len(events_of(store, "chat")) == 3
    assert import_path(store, path).appended == 0


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data[: len(data) // 2], "cannot be unpacked"),
        (lambda data: b"not a zip", "cannot be unpacked"),
        (lambda data: data.replace(b"assistant", b"assistent"), "cannot be unpacked"),
    ],
)
def test_a_damaged_zip_is_a_problem(store: StateStore, tmp_path: Path, damage: object, problem: str) -> None:
    """And nothing of what is damaged comes in."""
    path = tmp_path / "talks.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("chat.jsonl", lines_of(*CHAT))
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    outcome = import_path(store, path)

    assert [problem in each.reason for each in outcome.problems] == [True]
    assert outcome.session_ids == []


def test_a_zip_of_nothing_that_can_be_imported_is_a_problem(store: StateStore, tmp_path: Path) -> None:
    outcome = import_path(store, zipped(tmp_path / "x.zip", a_txt=b"x"))

    assert ["there is no file in it" in each.reason for each in outcome.problems] == [True]


def test_a_zip_that_promises_too_much_is_a_problem(
    store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds is not written out without end."""
    monkeypatch.setattr(standins, "MAX_UNPACKED_BYTES", 100_000)
    path = zipped(tmp_path / "x.zip", a_json=json.dumps(CHAT).encode() + b" " * 10_000_000, b_jsonl=CODEX)
    outcome = import_path(store, path)

    assert [each.path for each in outcome.problems] == [f"{path}/a.json"]
    assert outcome.session_ids == ["s"]
