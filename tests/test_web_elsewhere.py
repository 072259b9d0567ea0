"""The viewer before a store that is elsewhere: what others write there is on the page."""

import uuid
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from journal import StateStore
from projections.events import CustomEvent
from tests.test_web_live import told
from tests.viewer import Visit, put, say, served, visiting


class Two(NamedTuple):
    """A store that is shown, and another one on the same sessions, which does not know of it."""

    shown: StateStore
    other: StateStore


@pytest.fixture
def two() -> Iterator[Two]:
    url = f"memory:{uuid.uuid4()}"
    with StateStore.connect(url) as shown, StateStore.connect(url) as other:
        yield Two(shown, other)


@pytest.fixture
def visit(two: Two) -> Iterator[Visit]:
    with visiting(two.shown, allow_write=True) as made:
        yield made


def test_what_others_write_is_shown(visit: Visit, two: Two) -> None:
    """The list, the rows, the state: as they are at each call."""
    assert visit.json("/api/sessions")["sessions"] == []
    say(two.other, "s", "one")
    assert [each["id"] for each in visit.json("/api/sessions")["sessions"]] == ["s"]
    assert visit.json("/api/s/s/rows", **{"from": 1, "count": 9})["last"] == 2
    say(two.other, "s", "two")
    found = visit.json("/api/s/s/rows", **{"from": 1, "count": 9})

    assert [row["preview"] for row in found["rows"]][1:] == ["one", "two"]
    assert visit.json("/api/s/s/state/3")["state"]["user_messages"]["count"] == 2
    assert visit.json("/api/s/s/verify")["ok"]
    assert [hit["session_id"] for hit in visit.json("/api/search", q="two")["hits"]] == ["s"]
    assert visit.json("/api/store")["path"] == two.shown.name


def test_attachments_of_others_are_shown(visit: Visit, two: Two) -> None:
    reference = two.other.attach(b"\x89PNG\r\n\x1a\npicture", "image/png")
    put(two.other, "s", CustomEvent(name="n", data={"file": reference}))
    answer = visit.client.get(f"/api/attachments/{reference['$attachment']}")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert visit.client.get(f"/api/attachments/{'0' * 64}").status_code == 404


def test_that_others_deleted_a_session_is_told_with_the_reason(visit: Visit, two: Two) -> None:
    say(two.other, "s", "one")
    visit.json("/api/s/s")
    with two.other.acting(by="bob"):
        two.other.delete_session("s", why="asked for")
    answer = visit.client.get("/api/s/s")

    assert answer.status_code in (404, 410)
    assert "deleted by bob" in answer.text
    assert "asked for" in answer.text


def test_what_others_save_comes_to_a_page_that_is_open(two: Two) -> None:
    """And what they erase, and that they deleted it."""
    say(two.other, "s", "one")
    with served(two.shown) as client, client.stream("GET", "/api/s/s/live", params={"after": 1}) as answer:
        events = told(answer)
        first = next(events)
        say(two.other, "s", "two")
        second = next(events)
        two.other.erase("s", [2], reason="asked for")
        third = next(events)
        two.other.delete_session("s")
        names = [third.name, *(event.name for event in events)]

    assert [row["preview"] for event in (first, second) for row in event.data["rows"]] == ["one", "two"]
    assert names[0] == "changed"
    assert names[-1] == "gone"


def test_what_the_page_writes_others_read(visit: Visit, two: Two) -> None:
    say(two.other, "s", "one", "two")
    headers = {"X-Journal-Write": "yes", "Origin": str(visit.client.base_url).rstrip("/")}
    forked = visit.client.post("/api/s/s/fork", json={"at": 2}, headers=headers).json()["id"]
    visit.client.post("/api/s/s/rewind", json={"to": 2, "expected_version": 3}, headers=headers)

    assert two.other.load_session(forked).version == 2
    assert [each.content for each in two.other.load_session("s").user_messages] == ["one"]
