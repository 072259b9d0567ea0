"""The format "seed": session files adopted as they are, and followed as they grow."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from journal import StateStore
from journal.export import export_json
from journal.importers import Problem, import_path
from projections import SessionAdopted, UserMessageAdded


def message(content: str, second: int, **more: Any) -> dict[str, Any]:
    return {"content": content, "timestamp": f"2026-01-02T03:04:{second:02}.123456789Z", **more}


def document(users: int = 1, agents: int = 0, **keys: Any) -> dict[str, Any]:
    return {
        "id": "s",
        "user_id": "u",
        "user_messages": [message(f"question {n}", 2 * n) for n in range(users)],
        "agent_responses": [message(f"answer {n}", 2 * n + 1, seed_id="x") for n in range(agents)],
        "created_at": "2026-01-02T03:04:00Z",
        "updated_at": f"2026-01-02T03:05:{users + agents:02}Z",
        "metadata": {},
        **keys,
    }


def put(folder: Path, value: object, name: str = "s") -> Path:
    (folder / "sessions").mkdir(exist_ok=True)
    path = folder / "sessions" / f"{name}.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2))
    return path


def moment(text: str) -> datetime:
    """An independent reading: microseconds, the rest cut."""
    whole, _, digits = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC, microsecond=int(digits[:6].ljust(6, "0")))


def as_read(value: dict[str, Any]) -> tuple[object, ...]:
    return (
        value["id"],
        value["user_id"],
        [(each["content"], moment(each["timestamp"])) for each in value["user_messages"]],
        [
            (
                *(each[key] for key in ("content", "session_id", "seed_id", "phase_reached")),
                each["evaluation_passed"],
                moment(each["timestamp"]),
            )
            for each in value["agent_responses"]
        ],
        value.get("active_seed_id"),
        value.get("active_persona_id"),
        moment(value["created_at"]),
        moment(value["updated_at"]),
        json.dumps(value["metadata"], sort_keys=True),
    )


def as_loaded(store: StateStore, session_id: str) -> tuple[object, ...]:
    session = store.load_session(session_id)
    assert session is not None
    return (
        session.id,
        session.user_id,
        [(each.content, each.timestamp) for each in session.user_messages],
        [
            (
                *(each.content, each.session_id, each.seed_id, each.phase_reached),
                each.evaluation_passed,
                each.timestamp,
            )
            for each in session.agent_responses
        ],
        session.active_seed_id,
        session.active_persona_id,
        session.created_at,
        session.updated_at,
        json.dumps(session.metadata, sort_keys=True),
    )


@pytest.mark.parametrize("below", ["", "sessions"])
def test_the_seeds_sessions_load_equal_to_the_microsecond(
    store: StateStore, seed_files: Path, below: str
) -> None:
    """Eight files, adopted byte for byte, read like an independent reading of them."""
    outcome = import_path(store, seed_files / below)
    paths = sorted((seed_files / "sessions").glob("*.json"))

    assert outcome.problems == []
    assert outcome.session_ids == [path.stem for path in paths]
    assert (outcome.created, outcome.appended) == (8, 8)
    for path in paths:
        assert as_loaded(store, path.stem) == as_read(json.loads(path.read_text(encoding="utf-8")))
        assert [record.event for record in store.records(path.stem)] == [
            SessionAdopted(document=path.read_text(encoding="utf-8"))
        ]
        assert store.verify(path.stem).ok
    assert import_path(store, seed_files / below).appended == 0


def test_what_the_seed_accepts_is_adopted(store: StateStore, seed_files: Path) -> None:
    """Missing lists and options, other offsets, unknown keys."""
    for index, path in enumerate(sorted((seed_files / "parse" / "accepted").glob("*.json"))):
        with StateStore(Path(store.base_path) / str(index), durability="os") as alone:
            outcome = import_path(alone, path, session_id="s")

            assert (outcome.problems, outcome.session_ids) == ([], ["s"])


def test_what_the_seed_rejects_is_a_problem_that_names_file_and_place(
    store: StateStore, seed_files: Path, tmp_path: Path
) -> None:
    """And the good files beside it go on."""
    folder = tmp_path / "sessions"
    folder.mkdir()
    paths = sorted((seed_files / "parse" / "rejected").glob("*.json"))
    for path in paths:
        shutil.copy(path, folder)
    put(tmp_path, document())
    outcome = import_path(store, tmp_path)

    assert [problem.path for problem in outcome.problems] == [str(folder / path.name) for path in paths]
    assert all("no session file: " in problem.reason for problem in outcome.problems)
    assert all(
        problem.line or "$" in problem.reason or "NaN" in problem.reason for problem in outcome.problems
    )
    assert outcome.session_ids == store.session_ids() == ["s"]


GROWTH = [
    document(1),
    document(1, 1),
    document(2, 1),
    document(4, 2, active_seed_id="seed", metadata={"a": 1}),
    document(4, 2, active_seed_id="seed", metadata={"a": 1}, updated_at="2026-01-03T00:00:00.5Z"),
    document(4, 4, metadata={"b": [None], "a": 2}, active_persona_id="p", updated_at="2026-01-04T00:00:00Z"),
]


def test_a_file_that_grew_brings_what_is_new(store: StateStore, tmp_path: Path) -> None:
    """After each import the session is the file's, to the microsecond; nothing comes twice."""
    for value in GROWTH:
        path = put(tmp_path, value)
        grown = import_path(store, path)
        again = import_path(store, path)

        assert grown.problems == again.problems == []
        assert grown.appended > again.appended == 0
        options = dict.fromkeys(("session_id", "seed_id", "phase_reached", "evaluation_passed"))
        value = {**value, "agent_responses": [{**options, **each} for each in value["agent_responses"]]}
        assert as_loaded(store, "s") == as_read(value)
    contents = [record.event for record in store.records("s")]
    assert len([event for event in contents if isinstance(event, UserMessageAdded)]) == 3


def test_growth_in_one_step_or_in_many_ends_the_same(store: StateStore, tmp_path: Path) -> None:
    """However often it was imported in between."""
    for value in GROWTH:
        import_path(store, put(tmp_path, value))
    with StateStore(tmp_path / "two", durability="os") as other:
        import_path(other, put(tmp_path, GROWTH[0]))
        import_path(other, put(tmp_path, GROWTH[-1]))

        assert other.load_session("s") == store.load_session("s")


def test_what_was_said_here_meanwhile_stays(store: StateStore, tmp_path: Path) -> None:
    """The file's growth goes on top of what our own users added."""
    import_path(store, put(tmp_path, document(1)))
    store.update_session_with("s", lambda session: session.add_user_message("ours"))
    path = put(tmp_path, document(2))
    outcome = import_path(store, path)
    session = store.load_session("s")

    assert (outcome.problems, outcome.appended) == ([], 1)
    assert session is not None
    assert [each.content for each in session.user_messages] == ["question 0", "ours", "question 1"]
    assert import_path(store, path).appended == 0


@pytest.mark.parametrize(
    "changed",
    [
        document(0),
        document(1, user_id="another"),
        document(1, created_at="2026-01-01T00:00:00Z"),
        document(1) | {"user_messages": [message("rewritten", 0)]},
    ],
)
def test_a_file_that_does_not_go_on_is_a_problem(
    store: StateStore, tmp_path: Path, changed: dict[str, Any]
) -> None:
    """What was imported is never rewritten."""
    import_path(store, put(tmp_path, document(1)))
    before = list(store.records("s"))
    path = put(tmp_path, changed)
    outcome = import_path(store, path)

    assert [problem.path for problem in outcome.problems] == [str(path)]
    assert "does not go on" in outcome.problems[0].reason
    assert list(store.records("s")) == before


def test_a_session_from_elsewhere_is_not_taken_over(store: StateStore, tmp_path: Path) -> None:
    """A file's id may be that of a session which has nothing to do with it."""
    store.get_or_create_session("u", "s")
    outcome = import_path(store, put(tmp_path, document(1)))

    assert len(outcome.problems) == 1
    assert outcome.appended == 0


def test_the_id_inside_must_be_the_files_name(store: StateStore, tmp_path: Path) -> None:
    """No file decides where else it is written."""
    put(tmp_path, document(1, id="../../x"), "innocent")
    put(tmp_path, document(1))
    outcome = import_path(store, tmp_path)

    assert "'../../x'" in outcome.problems[0].reason
    assert outcome.session_ids == store.session_ids() == ["s"]


@pytest.mark.parametrize("content", ["", "\x00\x00", "{", "\ufeff{}", '{"id": "s"}'])
def test_a_damaged_file_is_named_and_the_others_go_on(
    store: StateStore, tmp_path: Path, content: str
) -> None:
    """Half a file is what a crash of the seed's program leaves."""
    path = put(tmp_path, content, "damaged")
    put(tmp_path, document(1))
    outcome = import_path(store, tmp_path)

    assert [problem.path for problem in outcome.problems] == [str(path)]
    assert outcome.session_ids == ["s"]


def test_a_folder_shared_with_the_seeds_program(tmp_path: Path) -> None:
    """Importing a store's own folder into it changes nothing; its snapshots are no session files."""
    put(tmp_path, document(1))
    with StateStore(tmp_path, durability="os") as store:
        store.get_or_create_session("u", "t")
        store.update_session_with("t", lambda session: session.add_user_message("ours"))
        store.compact("t")
        outcome = import_path(store, tmp_path, format="seed")

        assert outcome.session_ids == ["s"]
        assert (outcome.created, outcome.appended) == (0, 0)
        assert outcome.problems == [
            Problem(
                str(tmp_path / "sessions" / "t.json"),
                None,
                "a snapshot of a journal at version 2; the journal beside it is what to keep",
            )
        ]


def test_an_adopted_session_exports_as_the_file_that_it_was(store: StateStore, seed_files: Path) -> None:
    """Key by key, but for digits past the microsecond."""
    import_path(store, seed_files)
    for path in (seed_files / "sessions").glob("*.json"):
        exported = json.loads(export_json(store, path.stem))

        assert list(exported) == list(json.loads(path.read_text(encoding="utf-8")))
        assert as_read(exported) == as_read(json.loads(path.read_text(encoding="utf-8")))
