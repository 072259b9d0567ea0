"""Retention: whole sessions that nobody changed for long, and only those."""

import json
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import JournalWarning, Session, SessionSummary, StateStore
from journal.cli.duration import parse_duration
from journal.handle import Handle
from journal.retention import Retention
from tests.command import Call

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def aged(store: StateStore, session_id: str, user: str, days: int) -> None:
    """A session whose last change was so many days ago."""
    session = Session.with_id(user, session_id)
    session.add_user_message("x")
    session.updated_at = NOW - days * DAY
    store.save_session(session)


@pytest.fixture
def old(store: StateStore) -> StateStore:
    """Ann's sessions of 1, 10, 20 and 30 days, and bob's of 40."""
    for session_id, user, days in (
        ("a1", "ann", 1),
        ("a10", "ann", 10),
        ("a20", "ann", 20),
        ("a30", "ann", 30),
    ):
        aged(store, session_id, user, days)
    aged(store, "b40", "bob", 40)
    return store


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        ({"older_than": 15 * DAY}, ["b40", "a30", "a20"]),
        ({"older_than": 15 * DAY, "keep": 1}, ["a30", "a20"]),
        ({"older_than": 15 * DAY, "keep": 3}, ["a30"]),
        ({"keep": 2}, ["a30", "a20"]),
        ({"older_than": 15 * DAY, "user_id": "bob"}, ["b40"]),
        ({"older_than": 50 * DAY}, []),
        ({"older_than": 15 * DAY, "user_id": "nobody"}, []),
    ],
)
def test_only_what_every_rule_lets_go_goes(old: StateStore, rule: dict[str, Any], gone: list[str]) -> None:
    """A dry run says the same and deletes nothing; the oldest come first; again, there is nothing left."""
    before = old.session_ids()

    assert [each.id for each in old.prune(**rule, dry_run=True).sessions] == gone
    assert old.session_ids() == before
    assert [each.id for each in old.prune(**rule).sessions] == gone
    assert old.session_ids() == [each for each in before if each not in gone]
    assert old.prune(**rule).sessions == []


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 100)), max_size=12),
    st.none() | st.integers(1, 100),
    st.none() | st.integers(0, 4),
)
def test_the_newest_of_each_user_and_the_young_always_stay(
    sessions: list[tuple[str, int]], days: int | None, keep: int | None
) -> None:
    """And everything else goes."""
    if days is None and not keep:
        with pytest.raises(ValueError, match="nothing says"):
            Retention(None, keep)
        return
    summaries = [
        SessionSummary(id=str(n), user_id=user, message_count=0, created_at=NOW, updated_at=NOW - age * DAY)
        for n, (user, age) in enumerate(sorted(sessions, key=lambda each: each[1]))
    ]
    gone = list(Retention(None if days is None else days * DAY, keep).expired(summaries, NOW))
    stay = [each for each in summaries if each not in gone]
    for user in "ab":
        its = [each for each in summaries if each.user_id == user]

        assert [each for each in its if each in stay][: keep or 0] == its[: keep or 0]
        assert all(NOW - each.updated_at > (days or 0) * DAY for each in gone if days is not None)
        assert all(
            each in its[: keep or 0] or (days is not None and NOW - each.updated_at <= days * DAY)
            for each in its
            if each in stay
        )


@pytest.mark.parametrize(
    "rule", [{}, {"keep": 0}, {"older_than": timedelta()}, {"older_than": DAY, "keep": -1}]
)
def test_a_rule_that_could_mean_everything_is_refused(old: StateStore, rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"older_than|keep"):
        old.prune(**rule)
    assert len(old.session_ids()) == 5


def test_each_leaves_a_tombstone_that_says_why(folder: Path) -> None:
    with StateStore(folder, durability="os", actor="janitor") as store:
        aged(store, "s", "ann", 9)
        aged(store, "t", "ann", 8)
        head = store.verify("s").head
        store.prune(7 * DAY, 1)
        (tombstone,) = store.tombstones()

        assert (tombstone.id, tombstone.version, tombstone.chain) == ("s", 2 + 1, head)
        assert tombstone.by == "janitor"
        assert tombstone.why == (
            "retention: its last change is older than 7 days, 0:00:00 and 1 of the same user changed later"
        )


@pytest.mark.parametrize("what", ["changed", "deleted", "made anew"])
def test_a_session_that_changed_meanwhile_stays(
    old: StateStore, folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Between the look at all and its turn, by another process."""
    plain = Handle.delete

    def delete(handle: Handle, **options: Any) -> bool:
        if options.get("expected") is not None and handle.session_id == "a30":
            with StateStore(folder, durability="os") as other:
                if what == "changed":
                    other.update_session_with("a30", lambda session: session.add_user_message("back"))
                else:
                    other.delete_session("a30")
                if what == "made anew":
                    aged(other, "a30", "ann", 0)
        return plain(handle, **options)

    monkeypatch.setattr(Handle, "delete", delete)
    pruned = old.prune(25 * DAY)

    assert [each.id for each in pruned.sessions] == ["b40"]
    assert pruned.changed == ["a30"]
    assert ("a30" in old.session_ids()) == (what != "deleted")


def test_what_cannot_be_read_stays_and_is_told(old: StateStore, folder: Path) -> None:
    path = folder / "sessions" / "a30.jsonl"
    path.write_bytes(path.read_bytes().replace(b"ann", b"bob"))
    with StateStore(folder, durability="os") as other:
        pruned = other.prune(DAY / 2)

        assert [each.id for each in pruned.unreadable] == ["a30"]
        assert other.session_ids() == ["a30"]


def test_another_programs_session_can_be_pruned(store: StateStore, seed_files: Path, folder: Path) -> None:
    """It has a last change, too."""
    (folder / "sessions").mkdir(parents=True)
    (folder / "sessions" / "rich.json").write_bytes((seed_files / "sessions" / "rich.json").read_bytes())
    store.prune(timedelta(microseconds=1))

    assert store.session_ids() == []
    assert [each.id for each in store.tombstones()] == ["rich"]


def test_a_tombstone_that_cannot_be_read_is_told(old: StateStore, folder: Path) -> None:
    """The others are there; without deletions there are none."""
    assert old.tombstones() == []
    old.delete_session("a1", why="asked")
    with (folder / ".journal" / "tombstones.jsonl").open("ab") as file:
        file.write(b"{half\n")
    old.delete_session("a10")
    with pytest.warns(JournalWarning, match="line 2 is no tombstone"):
        found = old.tombstones()

    assert [(each.id, each.why) for each in found] == [("a1", "asked"), ("a10", None)]


# On the command line


def test_prune_lists_and_with_yes_deletes(old: StateStore, call: Call) -> None:
    listed = call("prune", "--older-than", "2w", "--keep", "1", "--user", "ann")
    assert listed.exit_code == 1
    assert [line.split("  ")[0] for line in listed.stdout.splitlines()] == [
        "would delete a30",
        "would delete a20",
    ]
    assert "nothing was deleted; --yes does it" in listed.stderr
    assert len(old.session_ids()) == 5
    done = call("prune", "--older-than", "2w", "--keep", "1", "--user", "ann", "--yes", "--json")
    found = json.loads(done.stdout)

    assert done.exit_code == 0
    assert (found["deleted"], [each["id"] for each in found["sessions"]]) == (True, ["a30", "a20"])
    assert old.session_ids() == ["a1", "a10", "b40"]
    assert call("prune", "--older-than", "2w", "--keep", "1", "--user", "ann").exit_code == 0


@pytest.mark.parametrize("words", [[], ["--keep", "0"], ["--user", "ann", "--yes"], ["--older-than", "90"]])
def test_prune_without_a_rule_is_a_mistake(old: StateStore, call: Call, words: list[str]) -> None:
    result = call("prune", *words)

    assert result.exit_code == 2
    assert "older-than" in result.stderr
    assert len(old.session_ids()) == 5


def test_ls_deleted_shows_tombstones(old: StateStore, call: Call) -> None:
    assert call("ls", "--deleted").exit_code == 0
    call("rm", "a1", "--why", "asked\x1b[2J", "--yes")
    call("rm", "b40", "--yes")
    shown = call("ls", "--deleted").stdout.splitlines()

    assert [line.split("  ")[1] for line in shown] == ["b40", "a1"]
    assert shown[1].endswith("asked␛[2J")
    assert [each["id"] for each in json.loads(call("ls", "--deleted", "--json").stdout)["tombstones"]] == [
        *("b40", "a1")
    ]
    assert call("ls", "--deleted", "--until", "2020-01-01T00:00Z").exit_code == 1
    assert call("ls", "--deleted", "--user", "ann").exit_code == 2


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90d", 90 * DAY),
        ("12h", DAY / 2),
        ("2w", 14 * DAY),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("1.5 H", timedelta(minutes=90)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("90", "has no unit"),
        ("3mo", "there is no unit 'mo'"),
        ("1y", "in days"),
        ("d", "is no duration"),
        ("-1d", "is no duration"),
        ("", "is no duration"),
        ("1d12h", "is no duration"),
        ("0d", "no time at all"),
        ("9" * 400 + "d", "longer than"),
        ("9" * 12 + "w", "longer than"),
    ],
)
def test_what_is_no_duration_says_what_is(text: str, reason: str) -> None:
    with warnings.catch_warnings(), pytest.raises(ValueError, match=reason):
        parse_duration(text)
