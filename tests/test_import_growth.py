"""Transcripts that grow, and those that were rewritten."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal import StateStore
from journal.importers import import_path
from projections.events import Event, UsageRecorded
from tests.test_import import fresh, lines_of

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def at(second: int) -> str:
    return f"2026-03-04T05:{second // 60:02}:{second % 60:02}.000Z"


def claude_code(texts: Sequence[str]) -> list[Any]:
    snapshot = {"type": "file-history-snapshot", "messageId": "m", "snapshot": {"timestamp": at(0)}}
    return [
        snapshot,
        *(
            {
                "type": ("user", "assistant", "system")[index % 3],
                "sessionId": "grown",
                "timestamp": at(index),
                "message": {"id": text, "content": text, "usage": {"output_tokens": index}},
            }
            for index, text in enumerate(texts)
        ),
    ]


def codex(texts: Sequence[str]) -> list[Any]:
    def line(index: int, text: str) -> Any:
        total = {"output_tokens": index}
        payload = (
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
            {"type": "function_call", "call_id": text, "name": "n", "arguments": "{}"},
            {"type": "token_count", "info": {"total_token_usage": total}},
        )[index % 3]
        return {
            "timestamp": at(index),
            "type": "event_msg" if index % 3 == 2 else "response_item",
            "payload": payload,
        }

    head = {"timestamp": at(0), "type": "session_meta", "payload": {"id": "grown"}}
    return [head, *(line(*each) for each in enumerate(texts))]


def copilot(texts: Sequence[str]) -> list[Any]:
    def line(index: int, text: str) -> Any:
        kind, data = (
            ("user.message", {"content": text}),
            ("assistant.message", {"content": text, "toolRequests": [{"toolCallId": text, "name": "n"}]}),
            ("tool.execution_start", {"toolCallId": text, "toolName": "n"}),
        )[index % 3]
        return {"type": kind, "data": data, "id": f"{index}", "timestamp": at(index), "parentId": None}

    head = {
        "type": "session.start",
        "data": {"sessionId": "grown"},
        "id": "h",
        "timestamp": at(0),
        "parentId": None,
    }
    return [head, *(line(*each) for each in enumerate(texts))]


def gemini(texts: Sequence[str]) -> list[Any]:
    def line(index: int, text: str) -> Any:
        message = {"id": text, "timestamp": at(index), "type": "gemini", "content": text}
        called = {"id": "c", "name": "n", "args": {}, "status": "success", "timestamp": at(index)}
        return (message, {**message, "toolCalls": [called]}, {"$set": {"summary": text}})[index % 3]

    head = {"sessionId": "grown", "projectHash": "h", "startTime": at(0), "lastUpdated": at(0)}
    return [head, *(line(*each) for each in enumerate(texts))]


def jsonl(texts: Sequence[str]) -> list[Any]:
    return [
        {"role": ("user", "assistant")[index % 2], "content": text, "timestamp": at(index)}
        for index, text in enumerate(texts)
    ]


LINES = [claude_code, codex, copilot, gemini, jsonl]
Written = Callable[[Sequence[str]], list[Any]]


def told(store: StateStore, session_id: str = "grown") -> list[tuple[Event, datetime, str | None]]:
    return [(record.event, record.at, record.key) for record in store.records(session_id)]


@pytest.mark.parametrize("written", LINES)
def test_imported_after_each_line_it_is_what_it_is_imported_once(tmp_path: Path, written: Written) -> None:
    """The same events with the same times and keys."""
    path = tmp_path / "grown.jsonl"

    @quick
    @given(st.lists(st.sampled_from(["a", "b", "…"]), min_size=1, max_size=8))
    def law(texts: list[str]) -> None:
        lines = written(texts)
        path.write_bytes(lines_of(*lines))
        with fresh(tmp_path / "once") as store:
            assert import_path(store, path).problems == []
            once = told(store)
        with fresh(tmp_path / "growing") as store:
            for size in range(1, len(lines) + 1):
                path.write_bytes(lines_of(*lines[:size]))
                assert import_path(store, path).problems == []
            growing = told(store)
            again = import_path(store, path)

        assert growing == once
        assert (again.problems, again.appended) == ([], 0)

    law()


@pytest.mark.parametrize("folder", ["claude-code-context-evaluator", "codex-agentv"])
def test_real_transcripts_imported_as_they_grow(tmp_path: Path, data: Path, folder: str) -> None:
    """Each after its first line, and then by a few lines at a time."""
    for path in sorted((data / folder).glob("*.jsonl")):
        lines = path.read_bytes().splitlines(keepends=True)
        growing = tmp_path / path.name
        steps = [1, 2, 3, *range(5, len(lines), max(len(lines) // 8, 1)), len(lines)]
        with fresh(tmp_path / "growing") as store:
            for size in steps:
                growing.write_bytes(b"".join(lines[:size]))
                outcome = import_path(store, growing)
                assert outcome.problems == []
            [session_id] = outcome.session_ids
            found = told(store, session_id)
        with fresh(tmp_path / "once") as store:
            import_path(store, path)

            assert found == told(store, session_id)


def changed(lines: list[Any]) -> list[tuple[str, list[Any]]]:
    """The ways in which a transcript does not go on from what it was."""
    other = json.loads(json.dumps(lines[2]).replace("second", "altered").replace("third", "altered"))
    return [
        ("altered", [*lines[:2], other, *lines[3:]]),
        ("taken out", [*lines[:2], *lines[3:]]),
        ("put in", [*lines[:2], other, *lines[2:]]),
        ("cut", lines[:2]),
        ("cut and gone on", [*lines[:2], other]),
        ("turned around", [lines[0], lines[2], lines[1], *lines[3:]]),
    ]


@pytest.mark.parametrize("written", LINES)
def test_a_rewritten_transcript_is_told_and_changes_nothing(tmp_path: Path, written: Written) -> None:
    """Whatever was done to it, and however it goes on since."""
    path = tmp_path / "grown.jsonl"
    lines = written(["first", "second", "third", "fourth"])
    more = written(["first", "second", "third", "fourth", "fifth", "sixth"])[-2:]
    for name, rewritten in changed(lines):
        with fresh(tmp_path / "state") as store:
            path.write_bytes(lines_of(*lines))
            import_path(store, path)
            before = told(store)
            for each in (rewritten, [*rewritten, *more]):
                path.write_bytes(lines_of(*each))
                outcome = import_path(store, path)

                assert [problem.path for problem in outcome.problems] == [str(path)], name
                assert "was rewritten" in outcome.problems[0].reason
                assert "'grown'" in outcome.problems[0].reason
                assert told(store) == before


def test_a_rewritten_transcript_can_be_had_under_another_id(store: StateStore, tmp_path: Path) -> None:
    """As the problem says."""
    path = tmp_path / "talk.jsonl"
    path.write_bytes(lines_of(*jsonl(["a", "b"])))
    import_path(store, path)
    path.write_bytes(lines_of(*jsonl(["x", "y"])))

    assert len(import_path(store, path).problems) == 1
    assert import_path(store, path, session_id="talk-2").appended == 3


def test_files_of_another_name_may_add_to_a_session(store: StateStore, tmp_path: Path) -> None:
    """What one has of the other comes once; each may grow on."""
    main, side = tmp_path / "main.jsonl", tmp_path / "agent-1.jsonl"
    lines, more = claude_code(["a", "b", "c"]), claude_code(["x", "y", "z", "u"])[1:]
    for mine, others in ((2, 2), (3, 3), (4, 4)):
        main.write_bytes(lines_of(*lines[:mine]))
        side.write_bytes(lines_of(*lines[:1], *more[:others]))
        outcomes = [import_path(store, each) for each in (main, side)]

        assert [outcome.problems for outcome in outcomes] == [[], []]
    assert len([each for each in told(store) if not isinstance(each[0], UsageRecorded)]) == 1 + 4 + 4


def test_two_files_of_one_name_are_not_mixed(store: StateStore, tmp_path: Path) -> None:
    """Two chats of the same name in two folders are two conversations."""
    for folder, text in (("a", "one"), ("b", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "chat.jsonl").write_bytes(lines_of(*jsonl([text])))
    outcome = import_path(store, tmp_path / "a")
    before = told(store, "chat")

    assert outcome.problems == []
    assert len(import_path(store, tmp_path / "b").problems) == 1
    assert told(store, "chat") == before


def test_what_could_never_be_stored_does_not_look_rewritten(store: StateStore, tmp_path: Path) -> None:
    """It is told each time, and the file goes on growing."""
    path = tmp_path / "talk.jsonl"
    bad = {"role": "tool", "tool_call_id": "1", "content": 2**70}
    lines = [*jsonl(["a"]), bad, *jsonl(["b", "c"])]
    for size in (3, 4):
        path.write_bytes(lines_of(*lines[:size]))
        outcome = import_path(store, path)

        assert [problem.line for problem in outcome.problems] == [2]
        assert "rewritten" not in outcome.problems[0].reason
    assert outcome.appended == 1


def test_an_erased_message_does_not_look_rewritten(store: StateStore, tmp_path: Path) -> None:
    """And does not come back."""
    path = tmp_path / "talk.jsonl"
    path.write_bytes(lines_of(*jsonl(["a", "b"])))
    import_path(store, path)
    store.erase("talk", [2], reason="asked for")
    path.write_bytes(lines_of(*jsonl(["a", "b", "c"])))
    outcome = import_path(store, path)
    session = store.load_session("talk")

    assert (outcome.problems, outcome.appended) == ([], 1)
    assert session is not None
    assert [message.content for message in session.user_messages] == ["", "c"]


def test_what_was_imported_before_files_were_marked_goes_on(store: StateStore, tmp_path: Path) -> None:
    """Keys without a mark of the file: nothing comes twice."""
    path = tmp_path / "talk.jsonl"
    path.write_bytes(lines_of(*jsonl(["a", "b"])))
    import_path(store, path)
    changes = [
        (record.event, (record.key or "").rpartition(".")[0]) for record in store.records("talk", after=1)
    ]
    from journal import Change
    from projections import SessionCreated

    with StateStore(tmp_path / "older") as older:
        now = next(iter(store.records("talk"))).at
        created = Change(event=SessionCreated(session_id="talk", user_id="user"), at=now)
        older.append(
            "talk", [created, *(Change(event=e, at=now, key=k) for e, k in changes)], expected_version=0
        )
        path.write_bytes(lines_of(*jsonl(["a", "b", "c"])))
        outcome = import_path(older, path)

    assert (outcome.problems, outcome.appended) == ([], 1)
