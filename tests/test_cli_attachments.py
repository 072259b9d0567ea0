"""Attachments, as the command shows them, brings them out, exports them and takes them in."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from journal import ANY, Session, StateStore
from journal.cli.commands import app
from journal.export import export_attachments, export_lines
from journal.importers import import_path
from projections import CustomEvent, Redaction
from tests.strategies import said
from tests.test_attachments import LARGE, digest_of, files, noted, old, path_of

Call = Callable[..., Result]
PICTURE = b"\x89PNG\r\n"


@pytest.fixture
def call(folder: Path) -> Call:
    """Run the command on the test's store."""

    def run(*args: str, store: Path = folder) -> Result:
        return CliRunner().invoke(app, ["--store", str(store), *args], catch_exceptions=False)

    return run


@pytest.fixture
def full(store: StateStore) -> StateStore:
    """The session "s": record 2 is too large, 3 has a picture and a text, 4 has nothing. "t" shares."""
    noted(store, "s", LARGE)
    attached = {"a": store.attach(PICTURE, "image/png"), "b": store.attach(b"a \x1b[31mtext", "text/plain")}
    store.append("s", [CustomEvent(name="seen", data=attached), said("small")], expected_version=ANY)
    noted(store, "t", LARGE)
    return store


def test_log_and_show_tell_of_them_readably(full: StateStore, call: Call) -> None:
    log = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["--store", full.base_path, "log", "s"]).stdout
    shown = call("show", "s@3").stdout

    assert f"[attachment of 360,002 bytes, application/json, SHA-256 {digest_of(LARGE)}]" in log
    assert (
        f"attachment of 6 bytes, image/png, SHA-256 {digest_of(PICTURE)}; `journal attachment s@3`" in shown
    )
    assert shown.count("attached:") == 2
    assert "attached" not in call("show", "s@4").stdout


def test_it_is_brought_out_whole(full: StateStore, call: Call, tmp_path: Path) -> None:
    target = tmp_path / "out"

    assert call("attachment", "s@2").stdout == json.dumps(LARGE)
    assert call("attachment", "s@3", "--hash", digest_of(PICTURE)[:5]).stdout_bytes == PICTURE
    done = call("attachment", "s@3", "--hash", digest_of(PICTURE).upper(), "-o", str(target))
    assert (done.exit_code, done.stdout) == (0, "")
    assert target.read_bytes() == PICTURE
    found = json.loads(call("attachment", "s@2", "-o", str(target), "--json").stdout)
    assert (found["path"], found["hash"]) == (str(target), digest_of(LARGE))
    assert target.read_text() == json.dumps(LARGE)


def test_which_there_are_is_listed(full: StateStore, call: Call) -> None:
    listed = call("attachment", "s@3", "--list").stdout.splitlines()
    found = json.loads(call("attachment", "s@3", "--json").stdout)

    assert listed == [
        f"{digest_of(PICTURE)}             6  image/png",
        f"{digest_of(bytes.fromhex('61201b5b33316d74657874'))}            11  text/plain",
    ]
    assert found["address"] == "s@3"
    assert [each["media_type"] for each in found["attachments"]] == ["image/png", "text/plain"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["s@4"], 1, "nothing is attached to s@4"),
        (["s"], 1, "nothing is attached to s@4"),
        (["s@3", "--hash", "zz"], 1, "begins with zz"),
        (["s@3"], 2, "2 are attached to s@3; say which one with --hash"),
        (["s@9"], 3, "there is no record 9"),
        (["x"], 3, "was not found"),
        (["s@2..3"], 2, "one point is needed"),
        (["s@2", "-o", "/tmp"], 2, "is a folder"),
    ],
)
def test_what_cannot_be_meant_says_what_to_do(
    full: StateStore, call: Call, words: list[str], code: int, says: str
) -> None:
    done = call("attachment", *words)

    assert done.exit_code == code
    assert says in done.stderr


def test_what_is_missing_or_altered_is_never_brought_out(
    full: StateStore, call: Call, folder: Path, tmp_path: Path
) -> None:
    path_of(folder, digest_of(LARGE)).unlink()
    path_of(folder, digest_of(PICTURE)).write_bytes(b"other")
    for words, says in ((["s@2"], "not there"), (["s@3", "--hash", digest_of(PICTURE)], "altered")):
        done = call("attachment", *words, "-o", str(tmp_path / "out"))
        assert (done.exit_code, says in done.stderr) == (4, True)
    done = call("verify", "--all")

    assert done.exit_code == 4
    assert not (tmp_path / "out").exists()
    assert f"record 2: the attachment {digest_of(LARGE)} is not there" in done.stdout
    assert done.stdout.count("DAMAGED") == 2


def test_a_terminal_is_never_steered(full: StateStore, folder: Path) -> None:
    from tests.test_cli import at_a_terminal

    words = ["--store", str(folder), "attachment", "s@3", "--hash"]
    text = at_a_terminal(*words, digest_of(b"a \x1b[31mtext"))

    assert text == "a ␛[31mtext\r\n"
    assert "image/png is not for a terminal" in at_a_terminal(*words, digest_of(PICTURE))


def test_info_and_stats_count_them(full: StateStore, call: Call) -> None:
    assert "3 files, 360 kB" in call("info", "s").stdout
    assert json.loads(call("info", "t", "--json").stdout)["attachments"] == {"count": 1, "size_bytes": 360002}
    assert json.loads(call("info", "t@1", "--json").stdout)["attachments"] is None
    assert "3 files, 360 kB" in call("stats").stdout
    assert json.loads(call("stats", "--json").stdout)["attachments"] == {"count": 3, "size_bytes": 360019}
    assert json.loads(call("stats", "--json", "--user", "u").stdout)["attachments"] is None


def test_an_erasure_tells_which_go(full: StateStore, call: Call, folder: Path) -> None:
    planned = call("erase", "s@2..3", "--reason", "r")
    assert digest_of(PICTURE) in planned.stdout
    assert digest_of(LARGE) not in planned.stdout  # "t" has it, too
    assert len(files(folder)) == 3
    done = call("erase", "s@2..3", "--reason", "r", "--yes")

    assert f"    and the attachment {digest_of(PICTURE)}\n" in done.stdout
    assert files(folder) == [digest_of(LARGE)]


def test_doctor_finds_what_is_left_over_and_what_is_missing(
    full: StateStore, call: Call, folder: Path
) -> None:
    assert "attachments  3 files, 360,019 bytes" in call("doctor").stdout
    full.attach(b"left over")
    old(folder, digest_of(b"left over"))
    done = call("doctor")
    assert done.exit_code == 0
    assert "no record refers to 1 file" in done.stdout
    assert "next: journal repair --catalog --yes" in done.stderr
    path_of(folder, digest_of(LARGE)).unlink()
    done = call("doctor")
    assert done.exit_code == 4
    assert done.stdout.count("MISSING ATTACHMENT") == 2
    assert "repair s" not in done.stderr  # it could do nothing
    assert "removed 1 attachment" in call("repair", "--catalog", "--yes").stdout

    assert digest_of(b"left over") not in files(folder)
    assert len(files(folder)) == 2


# Out, and in again


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def test_a_store_that_was_exported_comes_back_as_it_was(
    full: StateStore, call: Call, folder: Path, copy: Path, tmp_path: Path
) -> None:
    done = call("export", "--all", "-o", str(copy), "--attachments", str(copy / "attachments"))
    assert done.exit_code == 0
    assert "wrote 3 attachments" in done.stderr
    assert sorted(os.listdir(copy / "attachments")) == files(folder)
    other = tmp_path / "other"
    taken = call("import", str(copy), store=other)
    assert (taken.exit_code, taken.stdout) == (0, "2 sessions, 2 new; 6 records appended\n")

    for each in ("s", "t"):
        name = Path("sessions", f"{each}.jsonl")
        assert (other / name).read_bytes() == (folder / name).read_bytes()
    assert files(other) == files(folder)
    assert call("verify", "--all", store=other).exit_code == 0
    again = call("import", str(copy), store=other)
    assert again.stdout == "2 sessions, 0 new; 0 records appended\n"


def test_a_store_comes_in_from_its_folder(full: StateStore, folder: Path, tmp_path: Path) -> None:
    """Its journals, not its snapshots; and of the seed's files those that have no journal beside them."""
    full.compact()
    seed = folder / "sessions" / "seed.json"
    document = json.loads((folder / "sessions" / "t.json").read_text())
    seed.write_text(json.dumps({key: document[key] for key in document if key != "journal"} | {"id": "seed"}))
    with StateStore(tmp_path / "other", durability="os") as other:
        outcome = import_path(other, folder)

        assert outcome.problems == []
        assert outcome.session_ids == ["s", "t", "seed"]
        assert [record.digest for record in other.records("s")] == [
            record.digest for record in full.records("s")
        ]
        assert files(other.base_path) == files(folder)
        assert other.verify().ok


def test_what_grew_is_taken_in_behind_what_is_there(full: StateStore, copy: Path, tmp_path: Path) -> None:
    copy.mkdir()
    with StateStore(tmp_path / "other", durability="os") as other:
        for added in (0, 1, 1):
            if added:
                full.append("s", [said("more")], expected_version=ANY)
            with (copy / "s.jsonl").open("wb") as file:
                export_lines(full, "s", file.write)
            outcome = import_path(
                other, copy / "s.jsonl", attachments=Path(full.base_path, ".journal/attachments")
            )

            assert outcome.problems == []
            assert outcome.appended == (added or 4)
            assert other.load_session("s") == full.load_session("s")
        shorter = (copy / "s.jsonl").read_bytes().splitlines(keepends=True)[:2]
        (copy / "s.jsonl").write_bytes(b"".join(shorter))

        assert import_path(other, copy / "s.jsonl").appended == 0
        assert other.load_session("s") == full.load_session("s")


def refused(store: StateStore, path: Path, **options: Any) -> str:
    """Why an import takes nothing in."""
    before = {each: store.load_session(each) for each in store.session_ids()}
    outcome = import_path(store, path, **options)

    assert outcome.appended == 0
    assert {each: store.load_session(each) for each in store.session_ids()} == before
    (problem,) = outcome.problems
    return problem.reason


def test_what_cannot_be_taken_over_is_told_and_nothing_is_taken(
    full: StateStore, copy: Path, tmp_path: Path
) -> None:
    copy.mkdir()
    path = copy / "s.jsonl"
    with path.open("wb") as file:
        export_lines(full, "s", file.write)
    data = path.read_bytes()
    with StateStore(tmp_path / "other", durability="os") as other:
        assert "cannot have another id" in refused(other, path, session_id="x")
        assert "does not belong to user" in refused(other, path, user_id="x")
        path.write_bytes(data.replace(b"small", b"smell"))
        assert "hashes do not fit" in refused(other, path)
        path.write_bytes(data.split(b"\n", 1)[1])
        assert "does not say which session" in refused(other, path)
        path.write_bytes(data)
        with StateStore(tmp_path / "redacting", redact=Redaction()) as redacting:
            assert "cannot be redacted" in refused(redacting, path)
        session = Session.with_id("u", "s")
        other.save_session(session)
        assert "another history" in refused(other, path)


def test_another_programs_file_is_not_overwritten(full: StateStore, copy: Path, tmp_path: Path) -> None:
    copy.mkdir()
    with (copy / "t.jsonl").open("wb") as file:
        export_lines(full, "t", file.write)
    full.compact()
    document = json.loads(Path(full.base_path, "sessions", "t.json").read_text())
    del document["journal"]
    with StateStore(tmp_path / "other", durability="os") as other:
        theirs = Path(other.base_path, "sessions", "t.json")
        theirs.parent.mkdir(parents=True)
        theirs.write_text(json.dumps(document))

        assert "another history" in refused(other, copy / "t.jsonl")
        assert json.loads(theirs.read_text()) == document


def test_an_attachment_that_is_nowhere_is_told_and_can_follow(
    full: StateStore, call: Call, folder: Path, copy: Path, tmp_path: Path
) -> None:
    done = call("export", "s", "-o", str(tmp_path / "s.jsonl"))
    assert "left out 3 attachments: --attachments FOLDER" in done.stderr
    other = tmp_path / "other"
    taken = call("import", str(tmp_path / "s.jsonl"), store=other)
    assert taken.exit_code == 1
    assert f"record 2: the attachment {digest_of(LARGE)} is not beside it" in taken.stderr
    assert call("verify", "s", store=other).exit_code == 4
    missing = call("import", str(tmp_path / "s.jsonl"), "--attachments", str(copy), store=other)
    assert (missing.exit_code, "no such folder" in missing.stderr) == (3, True)
    export_attachments(full, "s", copy)
    (copy / digest_of(PICTURE)).write_bytes(b"other")
    taken = call("import", str(tmp_path / "s.jsonl"), "--attachments", str(copy), store=other)
    assert taken.exit_code == 1
    assert f"record 3: the attachment {digest_of(PICTURE)} is not in {copy}, or not whole" in taken.stderr
    shutil.copy(path_of(folder, digest_of(PICTURE)), copy)
    taken = call("import", str(tmp_path / "s.jsonl"), "--attachments", str(copy), store=other)

    assert taken.exit_code == 0
    assert call("verify", "s", store=other).exit_code == 0
    assert files(other) == files(folder)


def test_a_redacted_export_leaves_them_out(full: StateStore, call: Call, copy: Path) -> None:
    refused = call("export", "s", "--redact", "--attachments", str(copy))
    assert refused.exit_code == 2
    assert "attachments are not redacted" in refused.stderr
    assert not copy.exists()
    done = call("export", "s", "--redact")

    assert done.exit_code == 0
    assert "left out 3 attachments: they are not redacted" in done.stderr
    assert digest_of(LARGE) in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["s", "--format", "json"], "goes with --format lines or markdown"),
        (["--all", "--format", "parquet", "-o", "x.parquet"], "goes with --format lines or markdown"),
    ],
)
def test_attachments_go_with_what_refers_to_them(
    full: StateStore, call: Call, copy: Path, words: list[str], says: str
) -> None:
    done = call("export", *words, "--attachments", str(copy))

    assert done.exit_code == 2
    assert says in done.stderr
    assert not copy.exists()


def test_an_export_never_writes_into_the_store(full: StateStore, call: Call, folder: Path) -> None:
    before = files(folder)
    done = call("export", "s", "--attachments", str(folder / ".journal" / "attachments"))

    assert done.exit_code == 2
    assert "lies in the store itself" in done.stderr
    assert files(folder) == before


def test_what_is_missing_is_told_and_the_rest_is_exported(
    full: StateStore, call: Call, folder: Path, copy: Path
) -> None:
    path_of(folder, digest_of(LARGE)).unlink()
    done = call("export", "--all", "-o", str(copy), "--attachments", str(copy / "attachments"))

    assert done.exit_code == 4
    assert "is not there" in done.stderr
    assert sorted(os.listdir(copy)) == ["attachments", "s.jsonl", "t.jsonl"]
    assert len(os.listdir(copy / "attachments")) == 2


def test_a_store_without_any_is_exported_without_a_word_of_them(
    store: StateStore, call: Call, folder: Path, copy: Path
) -> None:
    store.save_session(Session.with_id("u", "s"))
    assert call("export", "s").stderr == ""
    done = call("export", "s", "--attachments", str(copy))

    assert "wrote 0 attachments" in done.stderr
    assert not (folder / ".journal" / "attachments").exists()
