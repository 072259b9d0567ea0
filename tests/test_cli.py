"""The command `journal`, as docs/reference/cli.md describes it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from journal import ANY, StateStore
from journal.cli.commands import app
from journal.cli.text import cells, preview, safe_json, visible
from tests.command import COMMAND, Call, at_a_terminal, run
from tests.strategies import said


@pytest.fixture
def talk(call: Call) -> str:
    """A session of five records: created, two questions, two answers."""
    for verb, text in (("say", "Hello"), ("reply", "Hi!"), ("say", "Why?"), ("reply", "Because.")):
        call(verb, "s-42", text, *(["--user", "ann"] if text == "Hello" else []))
    return "s-42"


def lines(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# say, reply


def test_say_begins_a_session_and_prints_each_version(call: Call) -> None:
    assert call("say", "s", "one", "--user", "ann").stdout == "2\n"
    assert call("say", "s", "two").stdout == "3\n"
    assert json.loads(call("reply", "s", "three", "--json").stdout) == {"session_id": "s", "version": 4}
    assert json.loads(call("state", "s", "--path", "user_id").stdout) == "ann"


def test_a_text_of_one_dash_is_stdin_without_its_last_newline(call: Call) -> None:
    call("say", "s", "-", "--user", "ann", input="two\nlines\n")

    assert json.loads(call("state", "s", "--path", "user_messages.0.content").stdout) == "two\nlines"
    assert call("say", "s", "-", input=b"\xff").exit_code == 2


def test_expect_refuses_what_it_has_not_seen(call: Call, talk: str) -> None:
    """5 is for a conflict; nothing is written, and the message holds both versions."""
    for verb in ("say", "reply"):
        result = call(verb, talk, "late", "--expect", "3")
        assert result.exit_code == 5
        assert "version 5, expected 3" in result.stderr
    assert call("say", talk, "now", "--expect", "5").stdout == "6\n"
    assert call("say", "new", "x", "--user", "ann", "--expect", "4").exit_code == 5
    assert call("say", "new", "x", "--user", "ann", "--expect", "0").stdout == "2\n"


def test_another_users_session_is_not_spoken_in(call: Call, talk: str) -> None:
    result = call("say", talk, "me too", "--user", "mallory")

    assert result.exit_code == 1
    assert "does not belong to user 'mallory'" in result.stderr


def test_reply_needs_a_session(call: Call, talk: str) -> None:
    result = call("reply", "s-24", "hm")

    assert result.exit_code == 3
    assert "did you mean 's-42'?" in result.stderr


# ls


def test_ls_gives_one_object(call: Call, talk: str) -> None:
    call("say", "t", "x", "--user", "bob")
    found = json.loads(call("ls", "--json").stdout)

    assert [each["id"] for each in found["sessions"]] == ["t", "s-42"]
    assert found["sessions"][1]["message_count"] == 2
    assert (found["unreadable"], found["next_page"]) == ([], None)
    assert [each["id"] for each in json.loads(call("ls", "--json", "--user", "ann").stdout)["sessions"]] == [
        "s-42"
    ]


def test_ls_pages(call: Call) -> None:
    for number in range(5):
        call("say", f"s{number}", "x", "--user", "ann")
    seen, page = [], None
    while True:
        found = json.loads(call("ls", "--json", "-n", "2", *(["--page", page] if page else [])).stdout)
        seen += [each["id"] for each in found["sessions"]]
        if not (page := found["next_page"]):
            break

    assert seen == ["s4", "s3", "s2", "s1", "s0"]


def test_ls_of_nothing_that_matches_is_a_no(call: Call, talk: str) -> None:
    assert call("ls", "--user", "nobody").exit_code == 1
    assert call("ls", "--until", "2020-01-01T00:00Z").exit_code == 1


def test_ls_counts_what_it_cannot_read(call: Call, folder: Path, talk: str) -> None:
    (folder / "sessions" / "broken.json").write_text("{")
    result = call("ls")

    assert result.exit_code == 0
    assert "broken  UNREADABLE" in result.stdout
    assert "1 session could not be read" in result.stderr
    assert json.loads(call("ls", "--json").stdout)["unreadable"][0]["id"] == "broken"


# Addresses


@pytest.mark.parametrize(
    ("address", "seqs"),
    [
        ("s-42", [1, 2, 3, 4, 5]),
        ("s-42@3", [1, 2, 3]),
        ("s-42@-2", [1, 2, 3, 4]),
        ("s-42@2..4", [2, 3, 4]),
        ("s-42@4..", [4, 5]),
        ("s-42@..2", [1, 2]),
        ("s-42@-2..-1", [4, 5]),
        ("s-42@2..99", [2, 3, 4, 5]),
        ("s-42@..2099-01-01T00:00Z", [1, 2, 3, 4, 5]),
        ("s-42@2020-01-01T00:00Z..", [1, 2, 3, 4, 5]),
    ],
)
def test_a_range_names_its_records(call: Call, talk: str, address: str, seqs: list[int]) -> None:
    assert [record["seq"] for record in lines(call("log", address, "--json"))] == seqs


def test_a_moment_names_the_last_record_that_is_not_later(call: Call, talk: str) -> None:
    times = [record["at"] for record in lines(call("log", talk, "--json"))]

    assert json.loads(call("show", f"{talk}@{times[3]}", "--json").stdout)["seq"] == 4
    assert [record["seq"] for record in lines(call("log", f"{talk}@{times[2]}..{times[3]}", "--json"))] == [
        3,
        4,
    ]
    assert call("show", f"{talk}@1999-01-01T00:00Z").exit_code == 3


@pytest.mark.parametrize("session_id", ["a@7", "ann@example.org", "ünï cödé 1.2", "a@b@c"])
def test_an_id_may_look_like_an_address(call: Call, session_id: str) -> None:
    """The whole text is tried as an id first; points go behind the last @."""
    call("say", session_id, "x", "--user", "ann")

    assert json.loads(call("show", session_id, "--json").stdout)["session_id"] == session_id
    assert json.loads(call("show", f"{session_id}@1", "--json").stdout)["seq"] == 1


@pytest.mark.parametrize(
    ("address", "code", "hint"),
    [
        ("s-42@yesterday", 2, "Points are 7, -1"),
        ("s-42@2026-11-22T12:00", 2, "write 2026-11-22T12:00Z for UTC"),
        ("s-42@2026-11-22", 2, "write 2026-11-22T00:00Z for UTC"),
        ("s-42@1..2", 2, "one point is needed"),
        ("@3", 2, "names no session"),
        ("../x", 2, "slash"),
        ("s-42@6", 3, "there is no record 6"),
        ("s-42@-6", 3, "it has 5 records"),
        ("s-4@6", 3, "did you mean 's-42'"),
    ],
)
def test_a_bad_address_says_what_to_write(call: Call, talk: str, address: str, code: int, hint: str) -> None:
    result = call("show", address)

    assert result.exit_code == code
    assert hint in result.stderr
    assert result.stderr.startswith("journal: ")


# log, show, state


def test_log_filters_and_ends_with_a_no_where_nothing_matches(call: Call, talk: str) -> None:
    assert [each["seq"] for each in lines(call("log", talk, "--json", "-n", "2"))] == [4, 5]
    assert [each["seq"] for each in lines(call("log", talk, "--json", "-r", "-n", "2"))] == [5, 4]
    assert [each["seq"] for each in lines(call("log", talk, "--json", "--type", "agent_response_added"))] == [
        3,
        5,
    ]
    assert call("log", talk, "--type", "nothing").exit_code == 1
    assert call("log", talk, "--by", "nobody").exit_code == 1
    assert call("log", talk, "--since", "2999-01-01T00:00Z").exit_code == 1
    assert call("log", talk, "--since", "2999-01-01").exit_code == 2


def test_a_record_is_the_same_object_everywhere(call: Call, talk: str, folder: Path) -> None:
    """The keys of the file, in its order, with its hashes; the event as it stands there."""
    shown = json.loads(call("show", f"{talk}@2", "--json").stdout)
    stored = json.loads((folder / "sessions" / "s-42.jsonl").read_text().splitlines()[1])

    assert shown == lines(call("log", f"{talk}@2..2", "--json"))[0]
    assert list(shown) == ["session_id", "seq", "id", "at", "digest", "chain", "event"]
    assert {name: stored[name] for name in list(shown)[1:]} == {name: shown[name] for name in list(shown)[1:]}


def test_log_of_a_damaged_journal_gives_what_is_good_and_says_so(call: Call, talk: str, folder: Path) -> None:
    path = folder / "sessions" / "s-42.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Because", b"be cause"))
    result = call("log", talk, "--json")

    assert [record["seq"] for record in lines(result)] == [1, 2, 3, 4]
    assert result.exit_code == 4
    assert "record 5" in result.stderr
    assert json.loads(call("state", f"{talk}@3", "--path", "agent_responses.0.content").stdout) == "Hi!"


def test_state_is_the_session_at_a_point(call: Call, talk: str) -> None:
    assert [*json.loads(call("state", talk).stdout)][:3] == ["id", "user_id", "user_messages"]
    assert json.loads(call("state", f"{talk}@2", "--path", "agent_responses").stdout) == []
    assert (
        json.loads(call("state", f"{talk}@-1", "--path", "/agent_responses/1/content").stdout) == "Because."
    )
    assert call("state", f"{talk}@0").exit_code == 3
    assert call("state", f"{talk}@9").exit_code == 3


@pytest.mark.parametrize("path", ["nothing", "user_messages.7", "user_messages.x", "id.x"])
def test_a_path_that_leads_nowhere_is_a_no(call: Call, talk: str, path: str) -> None:
    result = call("state", talk, "--path", path)

    assert result.exit_code == 1
    assert result.stderr.startswith("journal: there is no ")


def test_a_file_of_another_program_can_be_looked_at(call: Call, folder: Path) -> None:
    (folder / "sessions").mkdir(parents=True)
    document = (
        '{"id":"old","user_id":"ann","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}'
    )
    (folder / "sessions" / "old.json").write_text(document)

    assert json.loads(call("state", "old", "--path", "user_id").stdout) == "ann"
    assert json.loads(call("state", "old@-1", "--path", "user_id").stdout) == "ann"
    assert lines(call("log", "old", "--json"))[0]["event"]["type"] == "session_adopted"
    assert json.loads(call("show", "old", "--json").stdout)["seq"] == 0
    assert call("verify", "old").exit_code == 0


# What a terminal would obey

HOSTILE = "a\x1b[31mred\x1b]52;c;x\x07\x9b31m\u202eevil\x00\x7f\rb"


def test_no_control_character_reaches_a_person(call: Call) -> None:
    call("say", "s", HOSTILE, "--user", "ann\x1b[2J")
    for args in (
        ["log", "s"],
        ["show", "s"],
        ["show", "s@1"],
        ["ls"],
        ["state", "s"],
        ["log", "s", "--json"],
    ):
        text = call(*args).stdout

        assert not [c for c in text if (c < " " and c != "\n") or "\x7f" <= c <= "\x9f" or c == "\u202e"]
    assert "a␛[31mred" in call("log", "s").stdout
    assert json.loads(call("state", "s", "--path", "user_messages.0.content").stdout) == HOSTILE


def test_previews_are_one_line_and_fit(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    call("say", "s", "多行\n文字" * 50, "--user", "ann")
    monkeypatch.setenv("COLUMNS", "72")
    found = call("log", "s").stdout.splitlines()

    assert "多行⏎文" in found[1]
    assert max(map(cells, found)) <= 72


@pytest.mark.parametrize(
    "text", ["", "\n\n", "x" * 50, "多" * 50, "\x1b" * 50, "e\u0301" * 50, "👨‍👩‍👧" * 20]
)
@pytest.mark.parametrize("width", [1, 2, 7, 30])
def test_a_preview_is_never_too_wide(text: str, width: int) -> None:
    assert cells(preview(text, width)) <= width


def test_escaping_json_does_not_change_what_it_says() -> None:
    value = {"k\u202e": HOSTILE + "\U000e0041\u2028"}
    text = safe_json(json.dumps(value, ensure_ascii=False))

    assert json.loads(text) == value
    assert visible(text) == text


# The store


@pytest.mark.parametrize(
    "args",
    [
        ["ls"],
        ["log", "x"],
        ["show", "x"],
        ["state", "x"],
        ["info", "x"],
        ["stats"],
        ["verify", "--all"],
        ["compact"],
        ["repair", "x"],
        ["export", "x"],
        ["rm", "x", "--yes"],
        ["reply", "x", "y"],
    ],
)
def test_what_only_reads_creates_nothing(call: Call, folder: Path, args: list[str]) -> None:
    result = call(*args)

    assert result.exit_code == 3
    assert "does not exist" in result.stderr
    assert not folder.exists()
    folder.mkdir()
    assert "holds no sessions" in call(*args).stderr
    assert list(folder.iterdir()) == []


def test_the_store_is_given_or_in_the_environment_or_here(
    call: Call, talk: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bare(*args: str) -> Result:
        return CliRunner().invoke(app, list(args))

    monkeypatch.chdir(tmp_path)
    result = bare("ls")
    assert result.exit_code == 2
    for way in ("--store DIR", "JOURNAL_STORE", "sessions/"):
        assert way in result.stderr
    assert bare("ls", "--store", str(folder)).exit_code == 0
    monkeypatch.setenv("JOURNAL_STORE", str(folder))
    assert bare("ls").exit_code == 0
    monkeypatch.delenv("JOURNAL_STORE")
    monkeypatch.chdir(folder)
    assert bare("ls").exit_code == 0


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert CliRunner().invoke(app, ["--store", str(tmp_path / "file"), "ls"]).exit_code == 2


# verify, compact, rm, import, export


def test_verify_ends_with_a_line_a_session_and_4_for_damage(call: Call, talk: str, folder: Path) -> None:
    call("say", "t", "x", "--user", "ann")
    with StateStore(folder) as store:
        head = store.verify(talk).head
    assert call("verify", talk).stdout == f"s-42: ok, version 5, head {head}\n"
    assert call("verify").exit_code == 2

    path = folder / "sessions" / "t.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"bob"'))
    result = call("verify", "--all")
    assert result.exit_code == 4
    assert "s-42: ok" in result.stdout
    assert "t: DAMAGED" in result.stdout
    assert "2 sessions: 1 ok, 1 damaged" in result.stderr
    found = json.loads(call("verify", "--all", "--json").stdout)
    assert [(each["id"], each["ok"]) for each in found["sessions"]] == [("s-42", True), ("t", False)]
    assert call("verify", "nobody").exit_code == 3


def test_compact_writes_what_is_out_of_date(call: Call, talk: str, folder: Path) -> None:
    (folder / "sessions" / "s-42.json").unlink()

    assert call("compact").stdout == "1 snapshot written, of 1 sessions\n"
    assert json.loads(call("compact", talk, "--json").stdout) == {"sessions": 1, "written": [], "failed": []}


def test_rm_asks_and_leaves_a_tombstone(call: Call, talk: str, folder: Path) -> None:
    refused = call("rm", talk)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert call("rm", talk, "nobody", "--yes").exit_code == 3
    assert call("state", talk).exit_code == 0

    assert json.loads(call("rm", talk, "--yes", "--why", "asked to", "--json").stdout) == {
        "deleted": ["s-42"]
    }
    assert call("state", talk).exit_code == 3
    tombstone = json.loads((folder / ".journal" / "tombstones.jsonl").read_text())
    assert (tombstone["id"], tombstone["version"], tombstone["why"]) == ("s-42", 5, "asked to")


def test_import_says_what_came_and_what_did_not(call: Call, tmp_path: Path) -> None:
    source = tmp_path / "chat.jsonl"
    source.write_text('{"role":"user","content":"hi"}\n{"role":"assistant","content":"ho"}\n')
    assert call("import", str(source), "--session", "c", "--user", "ann").exit_code == 0
    assert json.loads(call("state", "c", "--path", "user_id").stdout) == "ann"
    assert json.loads(call("import", str(source), "--session", "c", "--user", "ann", "--json").stdout) == {
        "session_ids": ["c"],
        "created": 0,
        "appended": 0,
        "problems": [],
    }

    with source.open("a") as file:
        file.write("{no\n")
    result = call("import", str(source), "--session", "c", "--user", "ann")
    assert result.exit_code == 1
    assert f"journal: {source}:3: " in result.stderr
    assert call("import", str(tmp_path / "nothing")).exit_code == 3
    assert call("import", str(source), "--format", "nothing").exit_code == 2
    assert call("import", str(tmp_path), "--session", "c").exit_code == 2


def test_import_takes_a_pipe(folder: Path) -> None:
    """Its session is named by the caller where the content does not; it cannot be watched."""
    chat = '{"role":"user","content":"hi"}\n'

    def piped(*args: str) -> Result:
        return CliRunner().invoke(app, ["--store", str(folder), "import", "-", *args], input=chat)

    assert piped("--session", "c", "--json").stdout == (
        '{"session_ids":["c"],"created":1,"appended":2,"problems":[]}\n'
    )
    assert piped().exit_code == 2
    assert "give one" in piped().stderr
    assert piped("--session", "c", "--watch").exit_code == 2


def test_export_writes_the_whole_or_nothing(call: Call, talk: str, folder: Path, tmp_path: Path) -> None:
    journal = (folder / "sessions" / "s-42.jsonl").read_bytes()
    assert call("export", talk).stdout_bytes == journal
    target = tmp_path / "out"
    assert json.loads(call("export", talk, "-o", str(target), "--json").stdout)["size_bytes"] == len(journal)
    assert target.read_bytes() == journal
    assert json.loads(call("export", f"{talk}@2", "--format", "json").stdout)["agent_responses"] == []
    assert "Because." in call("export", talk, "--format", "markdown").stdout
    assert call("export", f"{talk}@2").exit_code == 2

    (folder / "sessions" / "s-42.jsonl").write_bytes(journal.replace(b"Because", b"be cause"))
    assert call("export", talk, "-o", str(target)).exit_code == 4
    assert target.read_bytes() == journal
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out", "state"]


# Colour, help, mistakes


@pytest.mark.parametrize(
    ("args", "environment", "colored"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colour_obeys(
    call: Call,
    talk: str,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    environment: dict[str, str],
    colored: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    for command in (["ls"], ["log", talk], ["show", talk], ["state", talk], ["verify", talk]):
        assert ("\x1b[" in call(*command, *args).stdout) == colored


def test_a_mistake_is_a_sentence_and_2(call: Call) -> None:
    for args in (["lss"], ["log"], ["ls", "--nothing"], ["ls", "--limit", "0"], ["say", "s"]):
        result = call(*args)

        assert result.exit_code == 2
        assert result.stderr.startswith("journal: ")
        assert "--help` says how" in result.stderr
    assert "Did you mean" in call("lss").stderr or "No such command" in call("lss").stderr


def test_every_command_has_help_and_json() -> None:
    for name, command in app.commands.items():
        result = CliRunner().invoke(app, [name, "--help"])

        assert result.exit_code == 0
        assert command.help
        assert "--json" in result.stdout


# As a process


def test_a_reader_that_leaves_early_is_no_error(folder: Path) -> None:
    with StateStore(folder, durability="os") as store:
        session = store.get_or_create_session("ann", "s")
        for number in range(3000):
            session.add_user_message(f"{number} " + "x" * 300)
        store.save_session(session)
    command = " ".join(COMMAND)
    for args in ("log s", "log s --json", "state s", "export s"):
        result = subprocess.run(
            ["sh", "-c", f"({command} --store '{folder}' {args}; echo $? >'{folder}/code') | head -1"],
            capture_output=True,
            timeout=60,
            check=True,
        )

        assert result.stderr == b""
        assert result.stdout.count(b"\n") == 1
        assert (folder / "code").read_text() == "141\n"


def test_without_click_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from journal.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)

    assert result.returncode == 2
    assert result.stderr.decode().count("\n") == 1
    assert "pip install 'session-journal[cli]'" in result.stderr.decode()


def test_help_needs_no_rich() -> None:
    code = "import sys; sys.modules['rich'] = None; from journal.cli.commands import app; app(['--help'])"

    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False).returncode
        == 0
    )


def test_an_interrupt_ends_with_130(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(text: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("journal.cli.writing._text", interrupted)

    assert call("say", "s", "x").exit_code == 130


def test_a_warning_of_the_engine_is_one_line(folder: Path) -> None:
    run("--store", str(folder), "say", "s", "x", "--user", "ann")
    with (folder / "sessions" / "s.jsonl").open("ab") as file:
        file.write(b"{")
    result = run("--store", str(folder), "say", "s", "y")

    assert (result.returncode, result.stdout) == (0, b"4\n")
    assert result.stderr.startswith(b"journal: warning: ")
    assert result.stderr.count(b"\n") == 1


def test_at_a_terminal_there_is_colour_and_a_pager_for_what_is_long(folder: Path) -> None:
    with StateStore(folder, durability="os") as store:
        session = store.get_or_create_session("ann", "s")
        for number in range(50):
            session.add_user_message(str(number))
        store.save_session(session)
    pager = "sed 's/^/| /'"

    assert "\x1b[" in at_a_terminal("--store", str(folder), "ls")
    assert "\x1b[" not in at_a_terminal("--store", str(folder), "ls", NO_COLOR="1")
    assert at_a_terminal("--store", str(folder), "log", "s", PAGER=pager).count("| ") == 51
    assert "| " not in at_a_terminal("--store", str(folder), "log", "s", "-n", "5", PAGER=pager)
    assert "| " not in at_a_terminal("--store", str(folder), "log", "s", "--no-pager", PAGER=pager)
    assert "| " not in at_a_terminal("--store", str(folder), "log", "s", "--json", PAGER=pager)


def test_progress_is_on_stderr_at_a_terminal_and_the_answer_where_it_was_sent(
    folder: Path, tmp_path: Path
) -> None:
    run("--store", str(folder), "say", "s", "x", "--user", "ann")
    outer, inner = pty.openpty()
    code = "import journal.cli, journal.cli.progress as p; p._AFTER_SECONDS = 0; journal.cli.main()"
    with (tmp_path / "answer").open("wb") as answer:
        subprocess.run(
            [sys.executable, "-c", code, "--store", str(folder), "verify", "--all"],
            stdout=answer,
            stderr=inner,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
            timeout=60,
            check=True,
        )
    os.close(inner)
    shown = os.read(outer, 65536).decode()
    os.close(outer)

    assert "verifying s" in shown
    assert "s: ok" not in shown
    assert "s: ok" in (tmp_path / "answer").read_text()


# Who, and what for


def test_who_writes_goes_on_record(call: Call, folder: Path, tmp_path: Path) -> None:
    """`--by` of every command that writes; without it, whoever deletes or repairs is the user."""
    source = tmp_path / "chat.jsonl"
    source.write_text('{"role":"user","content":"hi"}\n')
    call("import", str(source), "--session", "s", "--user", "ann", "--by", "importer")
    call("say", "s", "one", "--by", "ann")
    call("reply", "s", "two", "--by", "agent")
    call("reply", "s", "three")
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(path.read_bytes().replace(b"three", b"there"))
    call("repair", "s", "--yes", "--only-proven", "--by", "doctor")
    found = [record.get("by") for record in lines(call("log", "s", "--json"))]
    call("rm", "s", "--yes", "--by", "janitor")

    assert found == ["importer", "importer", "ann", "agent", None, "doctor"]
    assert json.loads((folder / ".journal" / "tombstones.jsonl").read_text())["by"] == "janitor"


def test_nobody_without_a_name_writes(call: Call, folder: Path) -> None:
    assert call("say", "s", "one", "--user", "ann", "--by", "").exit_code == 2
    assert not (folder / "sessions" / "s.jsonl").exists()


def test_log_shows_and_finds_what_a_record_led_to(call: Call, talk: str, folder: Path) -> None:
    """By its number in the session; a cause from elsewhere by its id, made visible."""
    with StateStore(folder, durability="os") as store:
        asked = next(record for record in store.records(talk) if record.seq == 4)
        for by, cause in (("agent", asked.id), (None, asked.id), ("agent", "else\x1b[2J")):
            with store.acting(by=by, cause=cause):
                store.update_session_with(talk, lambda session: session.add_agent_response("So."))
    shown = call("log", talk, "-n", "3").stdout.splitlines()

    assert ["[agent ← 4]" in shown[0], "[← 4]" in shown[1], "[agent ← else␛[2J]" in shown[2]] == [True] * 3
    assert [each["seq"] for each in lines(call("log", talk, "--json", "--cause", "4"))] == [6, 7]
    assert [each["seq"] for each in lines(call("log", talk, "--json", "--cause", asked.id))] == [6, 7]
    assert [each["seq"] for each in lines(call("log", f"{talk}@7..", "--json", "--cause", "4"))] == [7]
    assert call("log", talk, "--cause", "5").exit_code == 1
    assert call("log", talk, "--cause", "99").exit_code == 3
    assert f"cause:        {asked.id}" in call("show", f"{talk}@6").stdout


def test_a_cause_far_back_is_told_by_its_id(
    call: Call, talk: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays flat however long the session is."""
    monkeypatch.setattr("journal.cli.reading._MOST_NUMBERED", 3)
    with StateStore(folder, durability="os") as store:
        first, *_, last = store.records(talk)
        for cause in (first.id, last.id):
            store.append(talk, [said("x")], expected_version=ANY, cause=cause)
    shown = call("log", talk).stdout

    assert f"[← {first.id}]" in shown
    assert "[← 5]" in shown
