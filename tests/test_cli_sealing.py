"""The commands that make what others can check: key, seal, prove, and verify against a seal."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from journal import StateStore
from journal.cli.commands import app
from journal.cli.sealing import key_group
from journal.note import SigningKey, VerifierKey
from journal.seal import open_seal
from tests.test_seal import lines_of, put, speak


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def public(call):
    """The public key of audit.key."""
    return call("key", "new", "example.com/audit").stdout.strip()


@pytest.fixture
def talks(folder):
    """Sessions s, of three records in two batches, and t."""
    with StateStore(folder, durability="os") as store:
        speak(store, "s", "one", "two")
        speak(store, "t", "other")


def answer(result):
    return json.loads(result.stdout)


# Keys


def test_a_new_key_is_for_its_owner_alone_and_never_replaces_one(call):
    first = call("key", "new", "example.com/audit")
    key = Path("audit.key")
    before = key.read_text()
    again = call("key", "new", "example.com/audit")
    other = call("key", "new", "example.com/audit", "-o", "other.key", "--json")

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert str(SigningKey.parse(before.strip()).verifier()) == first.stdout.strip()
    assert before.strip() not in first.stdout + first.stderr
    assert again.exit_code == 2
    assert "not replaced" in again.stderr
    assert key.read_text() == before
    assert answer(other)["path"] == "other.key"
    assert VerifierKey.parse(answer(other)["public"]).name == "example.com/audit"


def test_a_key_does_not_go_through_a_link(call, tmp_path):
    """Nor into whatever stands there."""
    Path("audit.key").symlink_to(tmp_path / "elsewhere")

    assert call("key", "new", "audit").exit_code == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_that_appears_meanwhile_is_not_replaced(call, public, monkeypatch):
    """Between the look and the write, too."""
    before = Path("audit.key").read_text()
    monkeypatch.setattr("journal.cli.sealing._refuse_to_replace", lambda path: None)

    assert call("key", "new", "example.com/audit").exit_code == 2
    assert Path("audit.key").read_text() == before


def test_the_public_key_is_found_again(call, public):
    assert call("key", "public", "audit.key").stdout.strip() == public
    assert answer(call("key", "public", "audit.key", "--json")) == {"public": public}
    assert call("key", "public", "nowhere").exit_code == 3
    assert call("key", "new", "two words").exit_code == 2


def test_every_part_of_key_has_help_and_json():
    for name, command in key_group.commands.items():
        result = CliRunner().invoke(app, ["key", name, "--help"])

        assert result.exit_code == 0
        assert command.help
        assert "--json" in result.stdout
    assert set(key_group.commands) == {"new", "public"}


# Seals


def test_a_seal_goes_to_stdout_or_into_a_new_file(call, public, talks):
    shown = call("seal", "s", "--key", "audit.key")
    written = call("seal", "--all", "--key", "audit.key", "-o", "all.seal")
    again = call("seal", "--all", "--key", "audit.key", "-o", "all.seal")
    told = answer(call("seal", "s", "t", "--key", "audit.key", "--json"))
    key = VerifierKey.parse(public)

    assert open_seal(shown.stdout.encode(), key).heads.keys() == {"s"}
    assert written.exit_code == 0
    assert written.stdout == ""
    assert open_seal(Path("all.seal").read_bytes(), key).scope == "store"
    assert again.exit_code == 2
    assert (told["scope"], told["sessions"], told["signer"]) == ("sessions", 2, "example.com/audit")
    assert open_seal(told["seal"].encode(), key).heads.keys() == {"s", "t"}


def test_mistakes_with_seals_are_told(call, public, talks, folder):
    """Each with its exit code, in one line or two."""
    Path("audit.pub").write_text(public)
    Path("long").write_bytes(b"x" * 20_000)
    Path("bytes").write_bytes(b"\xff")
    secret = Path("audit.key").read_text().strip()
    for code, text, args in [
        (2, "say --all", ["seal", "--key", "audit.key"]),
        (2, "say --all", ["seal", "s", "--all", "--key", "audit.key"]),
        (2, "Missing option '--key'", ["seal", "s"]),
        (3, "no such file", ["seal", "s", "--key", "nowhere"]),
        (2, "no private key", ["seal", "s", "--key", "audit.pub"]),
        (2, "is no place for it", ["seal", "s", "--key", secret]),
        (2, "something else", ["seal", "s", "--key", "long"]),
        (2, "holds no key", ["seal", "s", "--key", "bytes"]),
        (2, "is a folder", ["seal", "s", "--key", "."]),
        (3, "was not found", ["seal", "nobody", "--key", "audit.key"]),
        (2, "whose seal is it", ["verify", "s", "--seal", "audit.pub"]),
        (2, "go with --seal", ["verify", "s", "--key", public]),
        (2, "go with --seal", ["verify", "s", "--min-version", "1"]),
        (2, "one session", ["verify", "--all", "--seal", "x", "--key", public, "--min-version", "1"]),
        (4, "audit.pub: no seal", ["verify", "s", "--seal", "audit.pub", "--key", public]),
        (3, "no such file", ["verify", "s", "--seal", "nowhere", "--key", public]),
        (2, "a private key", ["verify", "s", "--seal", "audit.pub", "--key", "audit.key"]),
        (2, "a private key", ["verify", "s", "--seal", "audit.pub", "--key", secret]),
    ]:
        result = call(*args)

        assert result.exit_code == code, args
        assert text in result.stderr
        assert "Traceback" not in result.stderr
        assert secret[-20:] not in result.stderr
    put(folder, "t", b"".join(lines_of(folder, "t")).replace(b"other", b"0ther"))
    damaged = call("seal", "--all", "--key", "audit.key", "-o", "x")
    assert damaged.exit_code == 4
    assert "'t':" in damaged.stderr
    assert not Path("x").exists()


def test_a_private_key_that_others_may_read_is_told(call, public, talks):
    Path("audit.key").chmod(0o644)
    result = call("seal", "s", "--key", "audit.key")

    assert result.exit_code == 0
    assert "others may read the private key" in result.stderr


def test_without_the_package_the_command_says_what_to_install(call, public, talks, folder):
    code = "import sys; sys.modules['cryptography'] = None; from journal.cli.commands import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--store", str(folder), "seal", "s", "--key", "audit.key"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 6
    assert "pip install 'session-journal[seal]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# Verify


def test_verify_says_what_the_seal_proves(call, public, talks, folder):
    call("seal", "--all", "--key", "audit.key", "-o", "all.seal")
    Path("audit.pub").write_text(public + "\n")
    against = ("--seal", "all.seal", "--key")
    call("say", "s", "more")
    whole = call("verify", "s", *against, public)
    of_all = answer(call("verify", "--all", *against, "audit.pub", "--json"))
    lines = lines_of(folder, "s")
    put(folder, "s", b"".join(lines[:2]))
    cut = call("verify", "s", *against, public)
    (folder / "sessions" / "t.jsonl").unlink()
    (folder / "sessions" / "t.json").unlink()
    gone = call("verify", "t", *against, public)
    both = answer(call("verify", "--all", *against, public, "--json"))

    assert whole.exit_code == 0
    assert "up to version 3 it is as sealed by 'example.com/audit'" in whole.stdout
    assert [each["sealed"] for each in of_all["sessions"]] == [3, 2]
    assert cut.exit_code == gone.exit_code == 4
    assert "its tail was cut" in cut.stdout
    assert "s: NOT AS SEALED, version 2" in cut.stdout
    assert "its journal is gone" in gone.stdout
    assert [(each["id"], each["ok"], each["sealed"]) for each in both["sessions"]] == [
        ("s", False, 0),
        ("t", False, 0),
    ]


def test_an_older_seal_is_refused_where_the_caller_knows_better(call, public, talks):
    call("seal", "s", "--key", "audit.key", "-o", "s.seal")
    against = ("verify", "s", "--seal", "s.seal", "--key", public)

    assert call(*against, "--after", "2020-01-01T00:00Z", "--min-version", "3").exit_code == 0
    assert call(*against, "--after", "2100-01-01T00:00Z").exit_code == 4
    assert call(*against, "--min-version", "4").exit_code == 4
    assert call(*against, "--after", "2020-01-01").exit_code == 2


# Prove


def test_a_proof_goes_to_stdout_or_into_a_new_file(call, public, talks):
    call("seal", "--all", "--key", "audit.key", "-o", "all.seal")
    shown = call("prove", "s@2", "--seal", "all.seal")
    written = answer(call("prove", "s@-2", "--seal", "all.seal", "-o", "proof", "--json"))

    assert answer(shown)["format"] == "session-journal/proof/1"
    assert answer(call("prove", "s@2", "--seal", "all.seal", "--json")) == answer(shown)
    assert Path("proof").read_text() == shown.stdout
    assert written == {
        "session_id": "s",
        "version": 2,
        "path": "proof",
        "size_bytes": len(shown.stdout_bytes),
    }
    assert call("prove", "s@2", "--seal", "all.seal", "-o", "proof").exit_code == 2
    assert call("prove", "s", "--seal", "all.seal").exit_code == 2
    assert call("prove", "nobody@1", "--seal", "all.seal").exit_code == 3
    assert call("prove", "s@1", "--seal", "audit.key").exit_code == 4
    assert call("prove", "s@9", "--seal", "all.seal").exit_code == 4
    assert call("prove", "s@2", "--seal", "nowhere").exit_code == 3
