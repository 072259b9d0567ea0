"""Laws that hold for the import of every format."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal import StateStore
from journal.importers import FORMATS, Outcome, Problem, import_path
from projections import SessionCreated, UserMessageAdded
from projections.events import Change, Event

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]


def events_of(store: StateStore, session_id: str) -> list[Event]:
    return [record.event for record in store.records(session_id)]


def lines_of(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def fresh(folder: Path) -> StateStore:
    shutil.rmtree(folder, ignore_errors=True)
    return StateStore(folder, durability="os")


def test_a_problem_reads_as_path_line_reason() -> None:
    """Editors know how to jump to such a place."""
    assert str(Problem("a.jsonl", 7, "bad")) == "a.jsonl:7: bad"
    assert str(Problem("a.json", None, "bad")) == "a.json: bad"


def test_importing_the_library_loads_no_importer() -> None:
    """`import journal` costs nothing for formats that are not used."""
    code = "import sys, journal; sys.exit(any(name.startswith('journal.importers') for name in sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"path": "nowhere"}, FileNotFoundError),
        ({"format": "word"}, ValueError),
        ({"session_id": "../x"}, ValueError),
        ({"session_id": "one", "path": "."}, ValueError),
        ({"user_id": "\ud800"}, ValueError),
    ],
)
def test_a_call_that_cannot_work_writes_nothing(
    store: StateStore,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    error: type[Exception],
) -> None:
    """A wrong path, format, session or user is told before anything is written."""
    monkeypatch.chdir(tmp_path)
    Path("chat.jsonl").write_bytes(lines_of(*CHAT))

    with pytest.raises(error):
        import_path(store, **{"path": "chat.jsonl", **arguments})  # type: ignore[arg-type]

    assert not folder.exists()


@pytest.mark.parametrize("format", [None, *FORMATS])
@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_no_bytes_can_raise(tmp_path: Path, format: str | None, ending: str) -> None:
    """Whatever a file holds, it is imported or comes back as a problem that names it."""
    path = tmp_path / f"source{ending}"
    pieces = st.sampled_from(
        [
            *(
                b"\n",
                b"\x00" * 9,
                b"\xff\xfe",
                b"{",
                b"[",
                b'"\\ud800"',
                b"NaN",
                b"9" * 30,
                b"[" * 3000,
                b"\r",
            ),
            *lines_of(
                *CHAT, {"role": 1, "content": []}, {"role": "user"}, {"role": "tool", "content": 1}
            ).splitlines(keepends=True),
            b'{"type":"user","sessionId":"s","message":{"role":"user","content":"\\udc00"}}\n',
            b'{"type":"user","sessionId":"s","message":{"role":"user","content":[{"type":"text"},1]}}\n',
            b'{"type":"x","sessionId":"../s","timestamp":"9999-12-31T23:59:59-23:00"}\n',
            b'{"role":"user","content":"x","timestamp":1e300}\n',
            b'{"role":"user","content":"x","timestamp":"0001-01-01T00:00:00+23:00"}\n',
            b'{"id":"source","user_id":"u","created_at":"2026-01-01T00:00:00Z","updated_at":"x"}',
            b'[{"traj":[{"role":"user","content":"x"},3,{"role":"system"}],"n":NaN},{"messages":3},4]',
            b'{"messages":[{"role":"user","content":"\xff"}]}',
        ]
    )

    @quick
    @given(st.lists(st.one_of(pieces, st.binary(max_size=20)), max_size=8).map(b"".join))
    def law(data: bytes) -> None:
        path.write_bytes(data)
        with fresh(tmp_path / "fuzzed") as store:
            outcome = import_path(store, path, format=format)
            again = import_path(store, path, format=format)

            assert again.appended == again.created == 0
            assert again.problems == outcome.problems
            assert all(problem.path == str(path) for problem in outcome.problems)
            assert outcome.session_ids == again.session_ids
            assert sorted(outcome.session_ids) == store.session_ids()
            assert store.verify().ok

    law()


messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "odd"]),
        "content": st.sampled_from(["", "yes", "no", "Grüße 🎉", "a\nb"]),
    },
    optional={"timestamp": st.integers(0, 10**9)},
)


def as_claude(message: dict[str, object]) -> dict[str, object]:
    line: dict[str, object] = {"type": message["role"], "sessionId": "grown", "message": message}
    if isinstance(at := message.get("timestamp"), int):
        line["timestamp"] = datetime.fromtimestamp(at, UTC).isoformat()
    return line


@pytest.mark.parametrize("format", ["jsonl", "claude-code"])
def test_growing_line_by_line_equals_one_import(tmp_path: Path, format: str) -> None:
    """A file that is imported after each line makes the same session as the whole file at once."""
    path = tmp_path / "grown.jsonl"

    @quick
    @given(st.lists(messages, max_size=6))
    def law(said: list[dict[str, object]]) -> None:
        lines = [json.dumps(each if format == "jsonl" else as_claude(each)).encode() for each in said]
        path.write_bytes(b"\n".join(lines))
        with fresh(tmp_path / "once") as store:
            import_path(store, path, format=format)
            once = events_of(store, "grown") if lines else []
        with fresh(tmp_path / "growing") as store:
            for size in range(len(lines) + 1):
                # The next line is there in part: it is a problem now, and whole the next time.
                torn = lines[size][:-1] if size < len(lines) else b""
                path.write_bytes(b"".join(line + b"\n" for line in lines[:size]) + torn)
                outcome = import_path(store, path, format=format)
                assert [problem.line for problem in outcome.problems] == ([size + 1] if torn else [])
            growing = events_of(store, "grown") if lines else []

        assert growing == once

    law()


def test_a_growing_document_equals_one_import(tmp_path: Path) -> None:
    """The same for a JSON document, which is laid out anew each time."""
    path = tmp_path / "grown.json"

    @quick
    @given(st.lists(messages, min_size=1, max_size=6))
    def law(said: list[dict[str, object]]) -> None:
        path.write_text(json.dumps(said))
        with fresh(tmp_path / "once") as store:
            import_path(store, path, format="openai")
            once = events_of(store, "grown")
        with fresh(tmp_path / "growing") as store:
            for size in range(len(said) + 1):
                path.write_text(json.dumps(said[:size], indent=size))
                import_path(store, path, format="openai")
            growing = events_of(store, "grown")

        assert growing == once

    law()


def test_what_was_said_twice_is_kept_twice(store: StateStore, tmp_path: Path) -> None:
    """Lines of the same content are not one line: each has its place."""
    path = tmp_path / "twice.jsonl"
    path.write_bytes(lines_of(CHAT[0], CHAT[0]))
    import_path(store, path)
    path.write_bytes(lines_of(CHAT[0], CHAT[0], CHAT[0]))
    outcome = import_path(store, path)

    assert outcome.appended == 1
    assert [type(event) for event in events_of(store, "twice")[1:]] == [UserMessageAdded] * 3


@pytest.mark.parametrize(
    "bad",
    [
        b'{"role":"user","content":"torn',
        b'{"role":"user","content":"\xff"}',
        b'{"role":"user","content":"\\ud800"}',
        b'{"role":"user","content":NaN}',
        b'{"role":"user","content":7}',
        b'{"role":7,"content":"x"}',
        b'{"role":"user"}',
        b'["role"]',
        b"\x00" * 4096,
        b'{"role":"tool","tool_call_id":"1","content":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"role":"tool","tool_call_id":"1","content":' + b"[" * 9999 + b"]" * 9999 + b"}",
        b'{"role":"tool","tool_call_id":"1","content":123456789012345678901234567890}',
        b'{"role":"user","content":"' + b"x" * (17 * 1024 * 1024) + b'"}',
        b'{"role":"user","content":"x","timestamp":"2026-01-01T00:00:00"}',
        b'{"role":"user","content":"x","timestamp":true}',
        b'{"role":"user","content":"x","timestamp":1e18}',
    ],
    ids=lambda bad: bad[:60].decode(errors="replace"),
)
def test_a_malformed_line_is_reported_and_the_rest_goes_on(
    store: StateStore, tmp_path: Path, bad: bytes
) -> None:
    """One bad line costs itself alone; the problem names file, line and reason."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(lines_of(CHAT[0]) + b"\n" + bad + b"\n" + lines_of(CHAT[1]))
    outcome = import_path(store, path)

    assert [(problem.path, problem.line) for problem in outcome.problems] == [(str(path), 3)]
    assert outcome.problems[0].reason
    assert (outcome.created, outcome.appended) == (1, 3)
    assert store.load_session("chat").exchange_count == 1  # type: ignore[union-attr]


def test_a_bad_item_in_a_long_batch_is_the_only_one_left_out(store: StateStore, tmp_path: Path) -> None:
    """Changes are appended by the hundred; one that cannot be stored does not take the others with it."""
    path = tmp_path / "chat.jsonl"
    tool = {"role": "tool", "tool_call_id": "1", "content": 2**70}
    path.write_bytes(lines_of(*CHAT * 300, tool, *CHAT * 300))
    outcome = import_path(store, path)

    assert [problem.line for problem in outcome.problems] == [601]
    assert outcome.appended == 1201


def test_another_users_session_is_a_problem_and_the_rest_goes_on(store: StateStore, tmp_path: Path) -> None:
    """An import never writes into a session that belongs to someone else."""
    (tmp_path / "in").mkdir()
    for name in ("alices", "bobs"):
        (tmp_path / "in" / f"{name}.jsonl").write_bytes(lines_of(*CHAT))
    created = SessionCreated(session_id="alices", user_id="alice")
    store.append("alices", [created], expected_version=0)
    outcome = import_path(store, tmp_path / "in", user_id="bob")

    assert [problem.path for problem in outcome.problems] == [str(tmp_path / "in" / "alices.jsonl")]
    assert "does not belong to user 'bob'" in outcome.problems[0].reason
    assert outcome.session_ids == ["bobs"]
    assert events_of(store, "alices") == [created]


def test_no_user_given_asks_for_none(store: StateStore, tmp_path: Path) -> None:
    """A session that was imported for someone grows without the name being said again."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(lines_of(CHAT[0]))
    import_path(store, path, user_id="alice")
    path.write_bytes(lines_of(*CHAT))
    outcome = import_path(store, path)

    assert (outcome.problems, outcome.appended) == ([], 1)
    assert store.load_session("chat").user_id == "alice"  # type: ignore[union-attr]


def test_a_writer_in_between_is_no_conflict(
    store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another import of the same file, at the same time, does not double anything."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(lines_of(*CHAT))
    append = store.append

    def append_second(session_id: str, events: list[Change], *, expected_version: int) -> int:
        monkeypatch.undo()
        path.write_bytes(lines_of(CHAT[0]))
        import_path(store, path)
        return append(session_id, events, expected_version=expected_version)

    monkeypatch.setattr(store, "append", append_second)
    outcome = import_path(store, path)

    assert (outcome.created, outcome.appended) == (0, 1)
    assert len(events_of(store, "chat")) == 3


def test_every_record_has_a_key_of_its_own(store: StateStore, tmp_path: Path) -> None:
    """But for the first, which says whose the session is."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(lines_of(*CHAT * 5))
    import_path(store, path)
    keys = [record.key for record in store.records("chat")]

    assert keys[0] is None
    assert None not in keys[1:]
    assert len(set(keys)) == 11


def test_a_folder_is_walked_and_only_json_is_looked_at(store: StateStore, tmp_path: Path) -> None:
    """Sorted; hidden files and other endings are passed over; unknown JSON is a problem."""
    root = tmp_path / "in"
    (root / "b" / ".hidden").mkdir(parents=True)
    (root / "b" / "two.jsonl").write_bytes(lines_of(*CHAT))
    (root / "b" / ".hidden" / "no.jsonl").write_bytes(lines_of(*CHAT))
    (root / "one.json").write_text(json.dumps(CHAT))
    (root / "empty.jsonl").write_bytes(b"\n")
    (root / "README.md").write_text("# no conversation")
    (root / ".no.jsonl").write_bytes(lines_of(*CHAT))
    (root / "package.json").write_text('{"name": "x"}')
    (root / "codex.jsonl").write_bytes(lines_of({"type": "session_meta", "payload": {"role": "user"}}) * 2)
    outcome = import_path(store, root)

    assert outcome.session_ids == ["one", "two"]
    assert [Path(problem.path).name for problem in outcome.problems] == ["codex.jsonl", "package.json"]
    assert all("not a format that this can import" in problem.reason for problem in outcome.problems)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", lines_of(*CHAT), None),
        ("a.json", lines_of(CHAT[0]), None),
        ("a.txt", b"garbage\n" + lines_of(*CHAT), None),
        ("a.json", json.dumps(CHAT).encode(), None),
        ("a.json", json.dumps(CHAT, indent=2).encode(), None),
        ("a.json", b"[\n  " + lines_of(*CHAT).strip().replace(b"\n", b",\n  ") + b"\n]", None),
        ("a.json", b'{"messages": [\n' + lines_of(*CHAT).strip().replace(b"\n", b",\n") + b"\n]}", None),
        ("a.json", json.dumps({"traj": CHAT, "id": 1, "user_id": 2}).encode(), None),
        ("a.json", json.dumps({"messages": CHAT, "n": "x" * 300_000}).encode(), None),
        ("a.json", json.dumps({"n": "x" * 300_000, "user_messages": 1}).encode(), "no session file"),
        ("a.json", json.dumps({"messages": [{"text": "x"}]}).encode(), "not a format"),
        ("a.json", json.dumps({"history": [{"role": "user"}]}).encode(), "not a format"),
        ("a.json", json.dumps({"sessionId": "s", "messages": [1]}).encode(), "not a format"),
        ("a.json", json.dumps({"n": "x" * 300_000, "role": "x"}).encode(), "not a format"),
        ("a.jsonl", lines_of({"type": "session_meta", "payload": {}}) * 2, "not a format"),
        ("a.jsonl", lines_of({"type": "user.message", "data": {}}) * 2, "not a format"),
        ("a.jsonl", lines_of(*map(as_claude, CHAT)), None),
        ("a.json", b"", "not a format"),
        ("a.json", b"[]", "not a format"),
        ("a.json", b"7", "not a format"),
        ("a.bin", b"\x00" * 100, "not a format"),
        ("a.json", b'[{"role": "user", "content": "x"}', "truncated"),
        ("a.json", b'{"id": "a", "user_id": "u", "user_messages": [', "no session file"),
    ],
)
def test_a_format_is_recognised_by_its_content(
    store: StateStore, tmp_path: Path, name: str, content: bytes, problem: str | None
) -> None:
    """Not by its name; a damaged file of a known format is named as such."""
    (tmp_path / name).write_bytes(content)
    outcome = import_path(store, tmp_path / name)
    reasons = [each.reason for each in outcome.problems if each.line != 1 or problem]

    if problem is None:
        assert reasons == []
        assert outcome.created == 1
        assert store.load_session(outcome.session_ids[0]).user_messages  # type: ignore[union-attr]
    else:
        assert len(reasons) == 1
        assert problem in reasons[0]


def test_progress_ends_at_the_whole(store: StateStore, tmp_path: Path) -> None:
    """Bytes done never go back, never exceed the total, and end there."""
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(lines_of(*CHAT * 20_000))
    seen: list[tuple[str, int, int]] = []
    import_path(store, tmp_path, progress=lambda *step: seen.append(step))
    done = [step[1] for step in seen]

    assert len(seen) > 2
    assert done == sorted(done)
    assert done[-1] == seen[-1][2] == 2 * (tmp_path / "a.jsonl").stat().st_size


def test_a_file_that_cannot_be_read_is_a_problem(store: StateStore, tmp_path: Path) -> None:
    """The others go on."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "in" / "there.jsonl").write_bytes(lines_of(*CHAT))
    outcome = import_path(store, tmp_path / "in")

    assert outcome.session_ids == ["there"]
    assert ["gone.jsonl: cannot be read" in str(problem) for problem in outcome.problems] == [True]


def snapshot_of_answers(store: StateStore, outcome: Outcome) -> list[object]:
    return [
        [(store.load_session(each), store.verify(each).head) for each in outcome.session_ids],
        [
            (summary.id, summary.message_count)
            for summary in sorted(store.list_sessions(), key=lambda s: s.id)
        ],
    ]


def test_all_real_data_imports_and_state_is_disposable(data: Path, folder: Path) -> None:
    """738 sessions verify; importing again adds nothing; without snapshots and catalog, all is the same."""
    with StateStore(folder, durability="os") as store:
        outcome = import_path(store, data)
        again = import_path(store, data)
        answers = snapshot_of_answers(store, outcome)
        verified = [store.verify(each).ok for each in outcome.session_ids]
    for snapshot in (folder / "sessions").glob("*.json"):
        snapshot.unlink()
    shutil.rmtree(folder / ".journal")
    with StateStore(folder, durability="os") as store:
        answers_again = snapshot_of_answers(store, outcome)

    assert verified == [True] * (8 + 16 + 200 + 2 + 12 + 500)
    assert outcome.problems == []
    assert (again.created, again.appended) == (0, 0)
    assert answers_again == answers
