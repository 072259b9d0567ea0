"""The viewer's API: what each endpoint answers, of whole sessions and of damaged ones."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from journal import ANY, StateStore
from journal.chain import first_chain
from journal.errors import JournalWarning
from journal.web.rows import rows
from projections.attachment import attachment_of
from projections.events import (
    ActiveSeedSet,
    AgentResponseAdded,
    ContextCompacted,
    CustomEvent,
    Event,
    MetadataSet,
    ReasoningAdded,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)
from tests.viewer import Visit, put, say, visiting

PICTURE = b"\x89PNG\r\n\x1a\nno more than its beginning"
EVENTS: tuple[Event, ...] = (
    UserMessageAdded(content="Find a flight."),
    ReasoningAdded(content="I should search."),
    ToolCalled(call_id="c1", name="search", arguments={"to": "Lima"}),
    ToolReturned(call_id="c1", result=["LA 1", "LA 2"], duration_ms=1200.0),
    ToolCalled(call_id="c2", name="book", arguments={"flight": "LA 1"}),
    ToolReturned(call_id="c2", result="no seats", is_error=True),
    StepFinished(name="plan", result={"a": 1}, duration_ms=20.0),
    UsageRecorded(model="m-1", input_tokens=100, output_tokens=20, cost=0.5),
    MetadataSet(key="plan", value={"steps": ["search", "book"]}),
    ActiveSeedSet(seed_id="seed"),
    CustomEvent(name="checkpoint", data={"n": 1}),
    AgentResponseAdded(content="There are two flights."),
    UserMessageAdded(content="Thanks."),
    ContextCompacted(summary="A flight was looked for.", through=3),
)


@pytest.fixture
def visit(store: StateStore) -> Iterator[Visit]:
    """A browser before a store with a session of one record of most types."""
    put(store, "trip", *EVENTS)
    with visiting(store) as made:
        yield made


def test_what_is_shown(visit: Visit, store: StateStore):
    """The store's name, whether the page may write, and how a command for it begins."""
    found = visit.json("/api/store")

    assert found | {"version": ""} == {
        "name": "state",
        "path": store.base_path,
        "allow_write": False,
        "version": "",
        "command": "journal --store state",
    }


def test_the_list_of_sessions(visit: Visit, store: StateStore):
    """The latest first, filtered, a page at a time; those that cannot be read are told."""
    for name in ("one", "two", "Tour"):
        say(store, name, "Hi", user="bob")
    bad = Path(store.base_path) / "sessions" / "bad.jsonl"
    bad.write_bytes((bad.parent / "one.jsonl").read_bytes())
    found = visit.json("/api/sessions")
    first = visit.json("/api/sessions", limit=3)
    rest = visit.json("/api/sessions", limit=3, page=first["next_page"])

    assert [each["id"] for each in found["sessions"]] == ["Tour", "two", "one", "trip"]
    assert (found["total"], found["next_page"]) == (4, None)
    assert [each["id"] for each in found["unreadable"]] == ["bad"]
    assert set(found["sessions"][0]) == {
        *("id", "user_id", "version", "message_count", "response_count", "created_at", "updated_at"),
        *("size_bytes", "origin", "origin_version"),
    }
    assert [each["id"] for page in (first, rest) for each in page["sessions"]] == [
        "Tour",
        "two",
        "one",
        "trip",
    ]
    assert (first["total"], rest["total"], rest["next_page"]) == (4, 4, None)
    assert [each["id"] for each in visit.json("/api/sessions", text="t", user="bob")["sessions"]] == [
        "Tour",
        "two",
    ]
    assert visit.json("/api/sessions", until="2020-01-01T00:00Z")["total"] == 0


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/api/sessions", {"limit": "0"}),
        ("/api/sessions", {"limit": "10001"}),
        ("/api/sessions", {"since": "yesterday"}),
        ("/api/sessions", {"since": "2026-01-01T00:00"}),
        ("/api/s/trip/rows", {"count": "1001"}),
        ("/api/s/trip/rows", {"from": "x"}),
        ("/api/s/trip/rows", {"from": "9" * 30}),
        ("/api/s/trip/rows", {"from": "٣"}),
        ("/api/s/trip/records/x", {}),
        ("/api/s/trip/records/-1", {}),
        ("/api/s/trip/diff", {"from": "1"}),
        ("/api/s/trip/first", {}),
        ("/api/s/trip/first", {"expr": "event.typ = 1"}),
        ("/api/s/trip/first", {"expr": "(" * 9000}),
        ("/api/s/trip/next", {"from": "1", "by": "chance"}),
        ("/api/search", {"q": ""}),
        ("/api/search", {"q": "-"}),
        ("/api/compare", {"left": "trip"}),
        ("/api/compare", {"left": "trip", "right": "../trip"}),
        ("/api/attachments/..%2f..", {}),
        ("/api/s/trip/live", {"after": "now"}),
    ],
)
def test_what_makes_no_sense_is_refused(visit: Visit, path: str, wrong: dict[str, str]):
    """With a sentence, and no traceback."""
    error = visit.json(path, 400, **wrong)["error"]

    assert error["message"]
    assert set(error) == {"kind", "message", "what_to_do"}


def test_a_session_at_a_glance(visit: Visit, store: StateStore):
    """As `journal info` tells it, with its family."""
    store.fork("trip", 5, new_id="fork")
    store.fork("fork", 3, new_id="grandchild")
    found = visit.json("/api/s/trip")
    grandchild = visit.json("/api/s/grandchild")

    assert (found["session_id"], found["version"], found["last"]) == ("trip", 15, 15)
    assert (found["turns"], found["open_calls"], found["damage"]) == (2, 0, None)
    assert found["usage"]["models"] == [
        {"model": "m-1", "calls": 1, "input_tokens": 100, "output_tokens": 20, "cost": 0.5}
    ]
    assert found["forks"] == [{"id": "fork", "version": 5}]
    assert found["ancestors"] == []
    assert grandchild["ancestors"] == [{"id": "fork", "version": 3}, {"id": "trip", "version": 5}]
    assert found["snapshot"]["state"] in ("current", "behind", "none")


def test_rows(visit: Visit):
    """One a record, with its role, a title in words, and what it says."""
    found = visit.json("/api/s/trip/rows")
    rows = found["rows"]

    assert found["last"] == 15
    assert [row["seq"] for row in rows] == list(range(1, 16))
    assert [(row["role"], row["title"]) for row in rows] == [
        ("journal", "session created for ada"),
        ("user", "user said"),
        ("reasoning", "agent thought"),
        ("tool", "called search"),
        ("tool", "search returned, 1.2 s"),
        ("tool", "called book"),
        ("tool", "book failed"),
        ("step", "step plan finished, 20 ms"),
        ("usage", "used m-1"),
        ("setting", "set metadata plan"),
        ("setting", "set the active seed"),
        ("note", "noted checkpoint"),
        ("agent", "agent answered"),
        ("user", "user said"),
        ("note", "shortened the prompt up to record 3"),
    ]
    assert [row["turn"] for row in rows] == [0] + [1] * 12 + [2, 2]
    assert [row["is_error"] for row in rows].index(True) == 6
    assert rows[1]["preview"] == "Find a flight."
    assert rows[3]["preview"] == '{"to": "Lima"}'
    assert (rows[4]["duration_ms"], rows[4]["call_id"]) == (1200.0, "c1")
    assert "cut" not in rows[4]
    assert rows[9]["preview"] == '{"steps": ["search", "book"]}'


def test_some_rows(visit: Visit):
    """A part of them; beyond the end there are none."""
    assert [row["seq"] for row in visit.json("/api/s/trip/rows", **{"from": 14, "count": 5})["rows"]] == [
        14,
        15,
    ]
    assert visit.json("/api/s/trip/rows", **{"from": 16}) == {"last": 15, "rows": []}


def test_the_first_rows_of_a_long_session_do_not_wait_for_the_rest(store: StateStore):
    """Only as much is read as is asked for; how long it is says its last line."""
    for _ in range(3):
        put(store, "long", *(UserMessageAdded(content=f"{n} " + "x" * 900) for n in range(1000)))
    with visiting(store) as visit:
        found = visit.json("/api/s/long/rows", count=10)
        past = visit.api.sessions.past("long", until=10)

        assert (found["last"], len(found["rows"])) == (3001, 10)
        assert not past.is_complete
        assert past.version < 3001
        assert visit.json("/api/s/long")["last"] == 3001
        assert visit.json("/api/s/long/rows", **{"from": 3001})["rows"][0]["preview"].startswith("999 ")


def test_a_record_in_full(visit: Visit, store: StateStore):
    """Its header, its batch, its event, and its link to the one before, computed anew."""
    found = visit.json("/api/s/trip/records/4")
    first = visit.json("/api/s/trip/records/1")
    record = next(each for each in store.records("trip") if each.seq == 4)

    assert found["event"] == {
        "type": "tool_called",
        "call_id": "c1",
        "name": "search",
        "arguments": {"to": "Lima"},
    }
    assert (found["record"]["id"], found["record"]["chain"]) == (record.id, record.chain)
    assert found["record"]["batch"] == {"first": 2, "last": 15}
    assert first["record"]["batch"] == {"first": 1, "last": 1}
    assert found["link"]["holds"]
    assert first["link"] == {
        "previous_chain": first_chain("trip").decode(),
        "chain": first["record"]["chain"],
        "holds": True,
    }
    assert visit.json("/api/s/trip/records/16", 404)["error"]["kind"] == "SessionNotFoundError"
    assert visit.json("/api/s/trip/records/0", 404)


def test_a_record_s_own_bytes(visit: Visit, journal_file: Callable[[str], Path]):
    """The line as it stands in the file, to be saved and never shown."""
    answer = visit.client.get("/api/s/trip/raw/3")

    assert answer.content == journal_file("trip").read_bytes().split(b"\n")[2]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''trip%403.json"


def test_a_state(visit: Visit, store: StateStore):
    """The session's document at each version; of messages the last, of a path its value."""
    say(store, "long", *(f"message {n}" for n in range(60)))
    state = visit.json("/api/s/long/state/61")["state"]

    assert visit.json("/api/s/trip/state/0")["at"] is None
    assert "metadata" in visit.json("/api/s/trip/state/9")["state"]
    assert visit.json("/api/s/trip/state/9")["state"]["metadata"] == {}
    assert visit.json("/api/s/trip/state/10")["state"]["metadata"] == {"plan": {"steps": ["search", "book"]}}
    assert visit.json("/api/s/trip/state/10", path="metadata.plan.steps.1")["state"] == "book"
    assert visit.json("/api/s/trip/state/10", path="metadata.nothing")["is_absent"]
    assert visit.json("/api/s/trip/state/10", path="active_seed_id")["is_absent"]
    assert state["user_messages"]["count"] == 60
    assert [each["content"] for each in state["user_messages"]["last"]] == [
        f"message {n}" for n in range(10, 60)
    ]
    assert visit.json("/api/s/long/state/61", path="user_messages.-1.content")["state"] == "message 59"
    assert visit.json("/api/s/long/state/3", path="user_messages")["state"]["count"] == 2
    assert visit.json("/api/s/trip/state/99", 404)


def test_a_difference(visit: Visit):
    """Each value with what it was, what it became, and the record that made it so; both ways."""
    found = visit.json("/api/s/trip/diff", **{"from": 9, "to": 10})
    back = visit.json("/api/s/trip/diff", **{"from": 10, "to": 9})
    plan = {"steps": ["search", "book"]}

    assert (found["from"], found["to"]) == (9, 10)
    assert {"path": "metadata.plan", "kind": "added", "before": None, "after": plan, "version": 10} in found[
        "changes"
    ]
    assert "removed" in [each["kind"] for each in back["changes"] if each["path"] == "metadata.plan"]
    assert found["total"] == len(found["changes"])


def test_many_changes_are_told_in_part(store: StateStore):
    """The first 500, and how many there are; long values are short."""
    put(store, "s", *(UserMessageAdded(content="x" * 5000) for _ in range(600)))
    with visiting(store) as visit:
        found = visit.json("/api/s/s/diff", **{"from": 1, "to": 601})

    assert len(found["changes"]) == 500
    assert found["total"] >= 600
    assert len(found["changes"][0]["after"]["content"]) == 2000


def test_blame(visit: Visit, store: StateStore):
    """Who made a value what it is, the last first; only up to the version."""
    put(store, "trip", MetadataSet(key="plan", value="none"))
    found = visit.json("/api/s/trip/blame/16", path="metadata.plan")["found"]

    assert [(each["version"], each["type"], each["title"]) for each in found] == [
        (16, "metadata_set", "set metadata plan"),
        (10, "metadata_set", "set metadata plan"),
    ]
    assert (found[0]["before"], found[0]["after"]) == ({"steps": ["search", "book"]}, "none")
    assert [
        each["version"] for each in visit.json("/api/s/trip/blame/15", path="metadata.plan")["found"]
    ] == [10]
    assert visit.json("/api/s/trip/blame/15", path="user_messages.-1.content")["found"][0]["version"] == 14
    assert visit.json("/api/s/trip/blame/15", path="nothing")["found"] == []


def test_blame_goes_on_with_the_session(visit: Visit, store: StateStore):
    """What was asked before what came last does not stand in its way."""
    before = visit.json("/api/s/trip/blame/15", path="metadata.plan")["found"]
    put(store, "trip", MetadataSet(key="plan", value="none"))
    after = visit.json("/api/s/trip/blame/16", path="metadata.plan")["found"]

    assert [each["version"] for each in before] == [10]
    assert [each["version"] for each in after] == [16, 10]


def test_blame_of_what_is_long_tells_what_changed(visit: Visit):
    """Of a list how long it was, of the metadata the keys that were set; the whole is no value."""
    (said, _), (told,), (plan,) = (
        visit.json("/api/s/trip/blame/15", path=path)["found"]
        for path in ("user_messages", "agent_responses", "metadata")
    )

    assert (said["before"], said["after"], said["version"]) == ({"count": 1}, {"count": 2}, 14)
    assert (told["before"], told["after"]) == ({"count": 0}, {"count": 1})
    assert (plan["before"], plan["after"]) == ({}, {"plan": {"steps": ["search", "book"]}})
    assert visit.json("/api/s/trip/blame/15", 400)["error"]["kind"] == "BadInput"


def test_many_may_ask_at_once_while_a_session_is_read(store: StateStore):
    """Each gets the same as if it were alone; nobody waits for all of it who asks for its beginning."""
    for _ in range(4):
        put(store, "long", *(UserMessageAdded(content=f"{n} " + "x" * 900) for n in range(1000)))
    with visiting(store) as visit:
        sessions = visit.api.sessions

        def ask(until: int | None) -> tuple[int, int]:
            return sessions.ask("long", lambda past: (len(rows(past, 1, 20)), past.last), until=until)

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(ask, [None, 20, 4001, 20, None, 3000, 1, None]))
        past = sessions.past("long")

    assert found == [(20, 4001)] * 8
    assert past.figures.records == past.version == 4001


def test_the_first_of_which_something_is_true(visit: Visit):
    """Of the record, or of the state behind it."""
    assert visit.json("/api/s/trip/first", expr='event.type = "tool_called"') == {"version": 4}
    assert visit.json("/api/s/trip/first", expr="count(state.user_messages) = 2") == {"version": 14}
    assert visit.json("/api/s/trip/first", expr="event.is_error and state.version > 99") == {"version": None}


@pytest.mark.parametrize(
    ("by", "start", "direction", "expected"),
    [
        *(
            ("turn", 0, 1, 2),
            ("turn", 2, 1, 14),
            ("turn", 14, 1, None),
            ("turn", 13, -1, 2),
            ("turn", 2, -1, None),
        ),
        *(("error", 1, 1, 7), ("error", 7, 1, None), ("error", 15, -1, 7)),
        *(("same", 4, 1, 6), ("same", 6, -1, 4), ("same", 99, 1, None), ("same", 0, 1, None)),
        *(("type:metadata_set", 1, 1, 10), ("type:nothing", 1, 1, None), ("error", 10**9, -1, 7)),
    ],
)
def test_the_next_record_of_a_kind(visit: Visit, by: str, start: int, direction: int, expected: int | None):
    """Forward and back."""
    assert visit.json("/api/s/trip/next", **{"from": start, "dir": direction, "by": by}) == {"seq": expected}


def test_the_minimap(visit: Visit):
    """Every record in one column, in order."""
    for columns in (1, 4, 15, 240):
        found = visit.json("/api/s/trip/strip", columns=columns)["columns"]

        assert len(found) == min(columns, 15)
        assert [found[0]["first"], found[-1]["last"]] == [1, 15]
        assert sum(each["records"] for each in found) == 15
        assert sum(each["errors"] for each in found) == 1
        assert max(each["slowest_ms"] or 0 for each in found) == 1200.0


def test_the_charts(visit: Visit):
    """Usage and errors with where they are."""
    found = visit.json("/api/s/trip/charts")

    assert found["usage"] == [
        {
            "seq": 9,
            "at": found["usage"][0]["at"],
            "model": "m-1",
            "input_tokens": 100,
            "output_tokens": 20,
            "cost": 0.5,
        }
    ]
    assert [(each["seq"], each["title"]) for each in found["errors"]] == [(7, "book failed")]
    assert found["sampled"] is False


def test_charts_of_much_are_sampled(store: StateStore):
    """At most 2,000 points each, and no token is lost."""
    used = [UsageRecorded(model=f"m{n % 3}", input_tokens=1, output_tokens=2) for n in range(5000)]
    failed = [ToolReturned(call_id="c", result="no", is_error=True) for _ in range(3000)]
    put(store, "s", *used, *failed)
    with visiting(store) as visit:
        found = visit.json("/api/s/s/charts")

    assert found["sampled"]
    assert max(len(found[each]) for each in ("activity", "latency", "usage", "errors")) <= 2000
    assert sum(each["input_tokens"] for each in found["usage"]) == 5000


def test_what_the_model_saw(visit: Visit):
    """The prompt as it stood at a record."""
    found = visit.json("/api/s/trip/seen/5")
    later = visit.json("/api/s/trip/seen/15")

    assert found["shape"] == "openai"
    assert [each["role"] for each in found["messages"]] == ["user", "assistant", "tool"]
    assert "A flight was looked for." in later["messages"][0]["content"]


def test_verify(visit: Visit, store: StateStore):
    """Of one session as an answer, of all as events."""
    found = visit.json("/api/s/trip/verify")
    events = visit.client.get("/api/verify").text

    assert (found["ok"], found["version"], found["trusted_to"]) == (True, 15, 15)
    assert (found["findings"], found["links"]) == ([], {"checked": 15})
    assert found["head"] == store.verify("trip").head
    assert "event: report" in events
    assert '"id":"trip","ok":true' in events
    assert 'event: done\r\ndata: {"sessions":1,"failed":0}' in events


def test_two_forks_are_compared_from_where_they_parted(visit: Visit, store: StateStore):
    """The last record that both have, and what leads from one state to the other."""
    store.fork("trip", 10, new_id="fork")
    put(store, "fork", MetadataSet(key="plan", value="another"))
    found = visit.json("/api/compare", left="trip@15", right="fork@11")
    same = visit.json("/api/compare", left="trip@4", right="trip")

    assert found["ancestor"] == {"session_id": "trip", "version": 10}
    assert (found["left"], found["right"]) == (
        {"session_id": "trip", "version": 15},
        {"session_id": "fork", "version": 11},
    )
    changed = {each["path"]: each for each in found["changes"]}
    assert changed["metadata.plan"]["version"] == 11
    assert changed["user_messages.1"]["kind"] == "removed"
    assert same["ancestor"] == {"session_id": "trip", "version": 4}
    say(store, "other", "Hi")
    assert visit.json("/api/compare", left="trip", right="other")["ancestor"] is None
    assert visit.json("/api/compare", 404, left="trip@99", right="fork")


def test_search(visit: Visit):
    """Hits with where they are and what matches."""
    found = visit.json("/api/search", q="flight*")

    assert {hit["address"] for hit in found["hits"]} >= {"trip@2", "trip@13"}
    assert set(found["hits"][0]) == {
        *("session_id", "seq", "address", "at", "user_id", "type", "role", "snippet", "spans")
    }
    assert visit.json("/api/search", q="flights", user="bob")["hits"] == []


def test_attachments(visit: Visit, store: StateStore):
    """A picture is shown; whatever says that it is one, and is none, is saved."""
    picture, page = (
        store.attach(PICTURE, "image/png"),
        store.attach(b"<script>alert(1)</script>", "image/png"),
    )
    put(store, "trip", CustomEvent(name="shot", data=[picture, page]))
    row = visit.json("/api/s/trip/rows", **{"from": 16})["rows"][0]
    shown, saved = (visit.client.get(f"/api/attachments/{each['digest']}") for each in row["attachments"])
    attached = attachment_of(picture)
    assert attached is not None
    (Path(store.base_path) / ".journal/attachments" / attached.digest[:2] / attached.digest).write_bytes(
        b"other"
    )

    assert [each["media_type"] for each in row["attachments"]] == ["image/png", "image/png"]
    assert (shown.content, shown.headers["content-type"]) == (PICTURE, "image/png")
    assert "content-disposition" not in shown.headers
    assert saved.headers["content-type"] == "application/octet-stream"
    assert saved.headers["content-disposition"].startswith("attachment;")
    assert visit.json("/api/s/trip")["attachments"]["count"] == 2
    assert visit.json(f"/api/attachments/{attached.digest}", 422)["error"]["kind"] == "AttachmentError"
    assert visit.json(f"/api/attachments/{'0' * 64}", 404)


# What is not whole, and what is not there


def test_a_damaged_journal_is_shown_up_to_the_damage(
    visit: Visit, store: StateStore, journal_file: Callable[[str], Path]
):
    """With the reason, and the place; what stands there can be had as bytes."""
    say(store, "s", "one", "two", "three", "four")
    path = journal_file("s")
    path.write_bytes(path.read_bytes().replace(b"three", b"th\xffee"))
    found = visit.json("/api/s/s")
    verdict = visit.json("/api/s/s/verify")

    assert (found["version"], found["last"]) == (3, 3)
    assert (found["damage"]["seq"], found["damage"]["offset"]) == (
        4,
        len(b"".join(path.read_bytes().splitlines(True)[:3])),
    )
    assert found["damage"]["reason"] in found["damage"]["sentence"]
    assert [row["preview"] for row in visit.json("/api/s/s/rows")["rows"][1:]] == ["one", "two"]
    assert visit.json("/api/s/s/state/3")["state"]["user_messages"]["count"] == 2
    assert b"th\xffee" in visit.client.get("/api/s/s/raw/4").content
    assert visit.json("/api/s/s/records/4", 404)
    assert (verdict["ok"], verdict["trusted_to"]) == (False, 3)
    assert (verdict["findings"][0]["kind"], verdict["findings"][0]["seq"]) == ("damage", 4)
    assert verdict["findings"][0]["offset"] == found["damage"]["offset"]


def test_where_nothing_can_be_read_it_says_why(
    visit: Visit, store: StateStore, journal_file: Callable[[str], Path]
):
    """422, with the reason and what to do; 404 where nothing was ever acknowledged."""
    say(store, "bad", "one", "two")
    journal_file("bad").write_bytes(journal_file("bad").read_bytes().replace(b"created", b"crested", 1))
    journal_file("torn").write_bytes(b"no record\nand no other\n" * 5)
    error = visit.json("/api/s/bad", 422)["error"]

    assert error["kind"] == "CorruptRecordError"
    assert error["what_to_do"] == "journal repair bad"
    assert visit.json("/api/s/bad/rows") == {"last": 0, "rows": []}
    assert visit.json("/api/s/torn", 404)


def test_a_journal_that_is_repaired_is_read_again(
    visit: Visit, store: StateStore, journal_file: Callable[[str], Path]
):
    """What was damaged is whole, and so is what is shown."""
    say(store, "s", "one", "two", "three")
    path = journal_file("s")
    path.write_bytes(path.read_bytes().replace(b"two", b"owt"))
    assert visit.json("/api/s/s")["damage"]["seq"] == 3
    store.repair("s")

    assert visit.json("/api/s/s")["damage"] is None
    assert visit.json("/api/s/s/rows")["rows"][2]["is_erased"]


def test_a_line_that_was_altered_in_place_is_found(
    visit: Visit, store: StateStore, journal_file: Callable[[str], Path]
):
    """After it was read, too."""
    say(store, "s", "one", "two", "three")
    visit.json("/api/s/s/rows")
    path = journal_file("s")
    with open(path, "r+b") as file:
        file.seek(path.read_bytes().index(b"two"))
        file.write(b"six")

    assert [row["preview"] for row in visit.json("/api/s/s/rows")["rows"]][1:] == ["one"]
    assert visit.json("/api/s/s")["damage"]["seq"] == 3


def test_a_session_that_was_deleted_says_so(visit: Visit, store: StateStore):
    """410, with when, by whom and why; one that never was is a 404, and so is an unknown point of one."""
    visit.json("/api/s/trip")
    with store.acting(by="bob"):
        store.delete_session("trip", why="no longer needed")
    error = visit.json("/api/s/trip", 410)["error"]

    assert "was deleted by bob at " in error["message"]
    assert error["message"].endswith("at version 15: no longer needed")
    assert visit.json("/api/s/trip/rows", 410)
    assert visit.json("/api/s/never", 404)["error"]["kind"] == "SessionNotFoundError"
    say(store, "trip", "again")
    assert visit.json("/api/s/trip")["version"] == 2
    assert visit.json("/api/s/trip/records/9", 404)


def test_an_erased_record_keeps_its_place(visit: Visit, store: StateStore):
    """Its content is gone from every answer, whatever was read before."""
    visit.json("/api/s/trip/rows")
    store.erase("trip", [2], reason="asked to")
    row = visit.json("/api/s/trip/rows")["rows"][1]

    assert (row["is_erased"], row["role"], row["preview"]) == (True, "user", "")
    assert row["title"] == "erased; it was user message added"
    assert "Find a flight." not in visit.client.get("/api/s/trip/raw/2").text
    assert "Find a flight." not in visit.client.get("/api/s/trip/state/15").text
    assert visit.json("/api/s/trip/rows", **{"from": 16})["rows"][0]["title"] == "content of record 2 erased"


def test_another_program_s_file_is_shown(visit: Visit, snapshot_file: Callable[[str], Path]):
    """It has no record yet, and one state."""
    snapshot_file("old").write_text(
        '{"id":"old","user_id":"u","user_messages":[{"content":"Hi","timestamp":"2026-01-01T00:00:00Z"}],'
        '"agent_responses":[],"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","metadata":{}}'
    )
    found = visit.json("/api/s/old")

    assert (found["version"], found["user_id"], found["snapshot"]["state"]) == (0, "u", "adopted")
    assert visit.json("/api/s/old/rows") == {"last": 0, "rows": []}
    assert visit.json("/api/s/old/state/0")["state"]["user_messages"]["count"] == 1


def test_what_is_no_file_is_not_followed(visit: Visit, journal_file: Callable[[str], Path]):
    """A link out of the store, or a folder, in the place of a journal."""
    journal_file("link").symlink_to(__file__)
    journal_file("folder").mkdir()
    for name in ("link", "folder"):
        assert visit.json(f"/api/s/{name}/rows", 422)["error"]["kind"] == "UnsafePathError"


def test_a_torn_tail_is_no_damage(visit: Visit, journal_file: Callable[[str], Path], store: StateStore):
    """It was never acknowledged; the next save goes on behind what was."""
    with open(journal_file("trip"), "ab") as file:
        file.write(b'{"v":1,"seq":16,"id":"01a2')

    assert visit.json("/api/s/trip")["damage"] is None
    assert visit.json("/api/s/trip/rows", **{"from": 15})["last"] == 15
    with pytest.warns(JournalWarning):
        put(store, "trip", CustomEvent(name="after"))
    assert [row["title"] for row in visit.json("/api/s/trip/rows", **{"from": 16})["rows"]] == [
        "journal repaired",
        "noted after",
    ]


def test_other_sessions_do_not_stay_in_memory(store: StateStore):
    """However many are looked at."""
    for n in range(30):
        say(store, f"s{n}", "Hi")
    with visiting(store) as visit:
        for n in range(30):
            visit.json(f"/api/s/s{n}")

        assert len(visit.api.sessions._recent) == 16


# Writing


def post(visit: Visit, path: str, body: Any, **headers: str) -> Any:
    return visit.client.post(path, json=body, headers={"x-journal-write": "yes"} | headers)


def test_a_page_that_may_only_read_writes_nothing(visit: Visit, store: StateStore):
    """403, whatever is asked for."""
    for deed in ("fork", "rewind", "erase"):
        answer = post(visit, f"/api/s/trip/{deed}", {"at": 3})
        assert answer.status_code == 403
        assert answer.json()["error"]["kind"] == "ReadOnly"

    assert store.session_ids() == ["trip"]


def test_with_leave_the_page_writes(store: StateStore):
    """Fork, rewind, erase; each only as it is asked for."""
    put(store, "trip", *EVENTS)
    with visiting(store, allow_write=True) as visit:
        assert visit.json("/api/store")["allow_write"]
        fork = post(visit, "/api/s/trip/fork", {"at": 3, "new_id": "fork"})
        taken = post(visit, "/api/s/trip/fork", {"at": 3, "new_id": "fork"})
        tricky = post(visit, "/api/s/trip/fork", {"at": 3, "new_id": "../x"})
        conflict = post(visit, "/api/s/trip/rewind", {"to": 3, "expected_version": 14})
        rewound = post(visit, "/api/s/trip/rewind", {"to": 3, "expected_version": 15})
        seen = post(visit, "/api/s/trip/erase", {"versions": [3], "reason": "asked to"})
        assert visit.json("/api/s/trip/rows", **{"from": 3})["rows"][0]["is_erased"] is False
        erased = post(visit, "/api/s/trip/erase", {"versions": [3], "reason": "asked to", "dry_run": False})

        assert fork.json() == {"id": "fork", "version": 3}
        assert (taken.status_code, tricky.status_code, conflict.status_code) == (409, 400, 409)
        assert rewound.json() == {"version": 16}
        assert seen.json()["erased"] == erased.json()["erased"] == {"trip": [3], "fork": [3]}
        assert visit.json("/api/s/trip/rows", **{"from": 3})["rows"][0]["is_erased"]


@pytest.mark.parametrize(
    ("deed", "body"),
    [
        *(("fork", {}), ("fork", {"at": "3"}), ("fork", {"at": 3, "more": 1}), ("fork", [])),
        *(("rewind", {"to": 3}), ("rewind", {"to": 3, "expected_version": ANY})),
        *(("erase", {"versions": [1]}), ("erase", {"versions": [2], "reason": " "})),
        ("erase", {"versions": [1], "reason": "the first record must stay"}),
    ],
)
def test_a_write_that_makes_no_sense_is_refused(store: StateStore, deed: str, body: Any):
    """And nothing is written."""
    put(store, "trip", *EVENTS)
    with visiting(store, allow_write=True) as visit:
        assert post(visit, f"/api/s/trip/{deed}", body).status_code == 400

    assert store.session_ids() == ["trip"]
    assert store.verify("trip").version == 15


def test_a_write_needs_its_header_and_comes_from_the_page(store: StateStore):
    """What a form of another page can send is refused before that."""
    put(store, "trip", *EVENTS)
    with visiting(store, allow_write=True) as visit:
        bare = visit.client.post("/api/s/trip/fork", json={"at": 3})
        foreign = post(visit, "/api/s/trip/fork", {"at": 3}, origin="http://evil.example")
        long = visit.client.post(
            "/api/s/trip/fork", content=b" " * (1024 * 1024 + 1), headers={"x-journal-write": "yes"}
        )

    assert (bare.status_code, foreign.status_code, long.status_code) == (403, 403, 400)
    assert store.session_ids() == ["trip"]


def test_a_session_may_be_called_anything_that_is_safe(store: StateStore):
    """Ids with spaces, signs that mean something in an address, other scripts."""
    names = ["a b", "a@3", "a?b#c", "100%", "é", "日本", "a&b=c", "<b>", "a+b", "rows"]
    for name in names:
        say(store, name, "Hi")
    from urllib.parse import quote

    with visiting(store) as visit:
        for name in names:
            found = visit.json(f"/api/s/{quote(name, safe='')}/rows")
            assert found["rows"][1]["preview"] == "Hi"
            assert visit.json(f"/api/s/{quote(name, safe='')}")["session_id"] == name
