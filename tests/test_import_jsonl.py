"""The format "jsonl": plain lines of role, content and time."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from journal import StateStore
from journal.importers import import_path
from journal.names import check_session_id

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


@pytest.mark.parametrize("role", ["assistant", "agent"])
def test_a_plain_conversation(store: StateStore, tmp_path: Path, role: str) -> None:
    """The session has the file's name, the user that was given, and the lines' own times."""
    path = write(
        tmp_path / "talk.jsonl",
        {"role": "system", "content": "Be kind", "timestamp": NOON.timestamp()},
        {"role": "user", "content": "Hello", "timestamp": "2026-11-22T13:00:00.5+01:00"},
        {"role": role, "content": "Hi"},
    )
    outcome = import_path(store, path, user_id="ann")
    session = store.load_session("talk")

    assert outcome.session_ids == ["talk"]
    assert session is not None
    assert (session.user_id, session.created_at) == ("ann", NOON)
    assert session.user_messages[0].timestamp == NOON.replace(microsecond=500_000)
    assert session.agent_responses[0].content == "Hi"
    assert session.agent_responses[0].timestamp == NOON.replace(microsecond=500_000)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-22T12:00:00Z", NOON),
        ("2026-11-22T12:00:00.123456789Z", NOON.replace(microsecond=123456)),
        ("2026-11-22T14:00:00+02:00", NOON),
        (1795348800, NOON),
        (1795348800.25, NOON.replace(microsecond=250_000)),
        ("2026-11-22T12:00:00", None),
        ("2026-11-22", None),
        ("yesterday", None),
        ("1795348800", None),
        (1795348800000000, None),
        (True, None),
        ([], None),
    ],
)
def test_times_as_people_write_them(
    store: StateStore, tmp_path: Path, written: object, moment: datetime | None
) -> None:
    """RFC 3339 with an offset, or seconds since 1970; anything else is a problem, never a guess."""
    path = write(tmp_path / "t.jsonl", {"role": "user", "content": "x", "timestamp": written})
    outcome = import_path(store, path)

    if moment is None:
        assert [(problem.line, "timestamp" in problem.reason) for problem in outcome.problems] == [(1, True)]
    else:
        assert [record.at for record in store.records("t")] == [moment, moment]


def test_without_any_time_it_is_that_of_the_import(store: StateStore, tmp_path: Path) -> None:
    """One moment for the whole file."""
    before = datetime.now(UTC)
    path = write(tmp_path / "t.jsonl", {"role": "user", "content": "a"}, {"role": "user", "content": "b"})
    import_path(store, path)
    times = {record.at for record in store.records("t")}

    assert len(times) == 1
    assert before <= times.pop() <= datetime.now(UTC)


@pytest.mark.parametrize("name", ["a b", "ünï", "a..b", "..", "x" * 240, "a\nb", "\udcff"])
def test_a_files_name_becomes_a_safe_id(store: StateStore, tmp_path: Path, name: str) -> None:
    """Always the same one, so that a second import finds the session again."""
    path = write(tmp_path / f"{name}.jsonl", {"role": "user", "content": "x"})
    first = import_path(store, path, format="jsonl")
    second = import_path(store, path, format="jsonl")

    assert first.session_ids == second.session_ids
    assert check_session_id(first.session_ids[0])
    assert (first.created, second.appended) == (1, 0)


def test_a_session_id_of_the_callers_choice(store: StateStore, tmp_path: Path) -> None:
    """It takes the place of the file's name."""
    path = write(tmp_path / "t.jsonl", {"role": "user", "content": "x"})

    assert import_path(store, path, session_id="mine").session_ids == store.session_ids() == ["mine"]
