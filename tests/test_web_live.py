"""Live: a page is told of what comes, of what was erased, and of a session that is gone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from journal import StateStore
from projections.events import CustomEvent
from tests.viewer import put, say, served


class Told(NamedTuple):
    """An event as a browser gets it."""

    name: str
    data: Any
    id: str | None


def told(answer: httpx.Response) -> Iterator[Told]:
    """The events of an answer, as they come."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Told(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}


@pytest.fixture
def client(store: StateStore) -> Iterator[httpx.Client]:
    """A browser that was let in, before a server with the session `s` of three records."""
    say(store, "s", "one", "two")
    with served(store) as made:
        yield made


def test_what_is_there_comes_and_then_what_is_saved(client: httpx.Client, store: StateStore):
    """Each row once, its number as the event's id."""
    with client.stream("GET", "/api/s/s/live", params={"after": 1}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        events = told(answer)
        first = next(events)
        say(store, "s", "three")
        second = next(events)
        say(store, "s", "four")
        third = next(events)

    assert [row["preview"] for row in first.data["rows"]] == ["one", "two"]
    assert (first.name, first.id, first.data["last"]) == ("rows", "3", 3)
    assert [row["preview"] for row in second.data["rows"]] == ["three"]
    assert [row["preview"] for row in third.data["rows"]] == ["four"]
    assert (third.id, third.data["last"]) == ("5", 5)


def test_it_goes_on_where_the_browser_was(client: httpx.Client):
    """The last event's id wins over the address, which is older."""
    with client.stream("GET", "/api/s/s/live", params={"after": 0}, headers={"last-event-id": "2"}) as answer:
        assert [row["seq"] for row in next(told(answer)).data["rows"]] == [3]


def test_of_very_much_the_last_rows_come(client: httpx.Client, store: StateStore):
    """And how many came before them."""
    put(store, "s", *(CustomEvent(name=f"n{n}") for n in range(500)))
    with client.stream("GET", "/api/s/s/live", params={"after": 3}) as answer:
        found = next(told(answer)).data

    assert (len(found["rows"]), found["skipped"], found["last"]) == (200, 300, 503)
    assert [found["rows"][0]["seq"], found["rows"][-1]["seq"]] == [304, 503]


def test_an_erasure_is_told(client: httpx.Client, store: StateStore):
    """What is shown may be gone: the page reads again, and goes on."""
    with client.stream("GET", "/api/s/s/live", params={"after": 2}) as answer:
        events = told(answer)
        assert next(events).name == "rows"
        store.erase("s", [2], reason="asked to")
        changed = next(events)
        say(store, "s", "three")
        after = next(events)

    assert (changed.name, changed.data["reason"], changed.id) == ("changed", "erased", "4")
    assert [row["preview"] for row in after.data["rows"]] == ["three"]


def test_a_page_that_comes_back_is_told_of_what_was_erased(client: httpx.Client, store: StateStore):
    """It was away while the file was replaced, and cannot know it."""
    store.erase("s", [2], reason="asked to")
    with client.stream("GET", "/api/s/s/live", headers={"last-event-id": "3"}) as answer:
        found = next(told(answer))

    assert (found.name, found.data["reason"], found.id) == ("changed", "erased", "4")


def test_damage_and_its_repair_are_told(
    client: httpx.Client, store: StateStore, journal_file: Callable[[str], Path]
):
    """While it is looked at."""
    path = journal_file("s")
    with client.stream("GET", "/api/s/s/live", params={"after": 2}) as answer:
        events = told(answer)
        assert next(events).name == "rows"
        altered = path.with_suffix(".new")
        altered.write_bytes(path.read_bytes().replace(b'"one"', b'"eno"'))
        altered.replace(path)  # at once: a file that is empty for a moment is a session that is gone
        damaged = next(events)
        store.repair("s")
        repaired = next(events)

    assert (damaged.name, damaged.data["reason"]) == ("changed", "damaged")
    assert (repaired.name, repaired.data["reason"]) == ("changed", "repaired")


def test_a_deletion_is_told_and_ends_it(client: httpx.Client, store: StateStore):
    """With when and why; whoever asks again gets no stream."""
    with client.stream("GET", "/api/s/s/live", params={"after": 3}) as answer:
        events = told(answer)
        store.delete_session("s", why="no longer needed")
        found = list(events)

    assert [each.name for each in found] == ["gone"]
    assert found[0].data["reason"] == "deleted"
    assert found[0].data["message"].endswith(": no longer needed")
    assert client.get("/api/s/s/live").status_code == 410


def test_a_session_that_is_another_one_now_is_told(client: httpx.Client, store: StateStore):
    """Deleted and begun anew between two looks, or with a page that knows more than there is."""
    with client.stream("GET", "/api/s/s/live", params={"after": 99}) as answer:
        found = next(told(answer))

    assert (found.name, found.id) == ("changed", "3")


def test_two_follow_side_by_side(client: httpx.Client, store: StateStore):
    """Each gets all of it."""
    with (
        client.stream("GET", "/api/s/s/live", params={"after": 3}) as one,
        client.stream("GET", "/api/s/s/live", params={"after": 3}) as other,
    ):
        say(store, "s", "three")
        found = [next(told(answer)).data["rows"][0]["preview"] for answer in (one, other)]

    assert found == ["three", "three"]
