"""The seed's session files: read as they are, adopted at the first change, written as it can read them."""

import json
import re
import shutil
from datetime import UTC, datetime

import pytest

from journal import (
    CorruptSnapshotError,
    JournalError,
    OwnerMismatchError,
    Session,
    StateStore,
    VersionConflictError,
)
from journal.snapshot import document_json
from projections import SessionAdopted, Transcript, UserMessage
from projections.difference import is_same
from projections.document import parse_document
from tests.strategies import nested

SEED_KEYS = ["id", "user_id", "user_messages", "agent_responses", "active_seed_id", "active_persona_id"]
SEED_KEYS += ["created_at", "updated_at", "metadata"]
PLAIN = {
    "id": "s",
    "user_id": "u",
    "created_at": "2026-01-02T03:04:05.123456789Z",
    "updated_at": "2026-01-02T03:04:05Z",
}


def moment(text):
    """A moment of the seed, to the microsecond, read with nothing of ours."""
    whole, fraction = re.fullmatch(r"(.{19})(?:\.(\d+))?Z", text).groups()
    return datetime.fromisoformat(whole).replace(
        microsecond=int(((fraction or "") + "000000")[:6]), tzinfo=UTC
    )


@pytest.fixture
def put(folder):
    """Put a file among the sessions, as another program does."""

    def write(name, text):
        (folder / "sessions").mkdir(parents=True, exist_ok=True)
        path = folder / "sessions" / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def adopted(folder, seed_files):
    """A copy of the folder that the seed's own program wrote."""
    shutil.copytree(seed_files / "sessions", folder / "sessions")
    return sorted((folder / "sessions").glob("*.json"))


def check_equal(session, plain):
    """Field by field, to the microsecond."""
    assert (session.id, session.user_id) == (plain["id"], plain["user_id"])
    assert [(m.content, m.timestamp) for m in session.user_messages] == [
        (m["content"], moment(m["timestamp"])) for m in plain["user_messages"]
    ]
    names = ("content", "session_id", "seed_id", "phase_reached", "evaluation_passed")
    assert [tuple(getattr(r, name) for name in names) for r in session.agent_responses] == [
        tuple(r[name] for name in names) for r in plain["agent_responses"]
    ]
    assert [r.timestamp for r in session.agent_responses] == [
        moment(r["timestamp"]) for r in plain["agent_responses"]
    ]
    assert session.active_seed_id == plain.get("active_seed_id")
    assert session.active_persona_id == plain.get("active_persona_id")
    assert (session.created_at, session.updated_at) == (
        moment(plain["created_at"]),
        moment(plain["updated_at"]),
    )
    assert repr(session.metadata) == repr(plain["metadata"])


def test_every_session_of_the_seed_is_loaded_equal(store, adopted):
    """Before anything is written, at version 0; listed and summed up as the seed does."""
    assert len(adopted) == 8
    for path in adopted:
        plain = json.loads(path.read_bytes())
        session = store.load_session(path.stem)
        check_equal(session, plain)
        assert session.version == 0
    page = store.list_sessions()

    assert page.unreadable == []
    assert sorted(each.id for each in page) == [path.stem for path in adopted]
    assert [each.updated_at for each in page] == sorted((each.updated_at for each in page), reverse=True)
    assert sorted(path.name for path in adopted[0].parent.iterdir()) == [path.name for path in adopted]


def test_a_session_of_the_seed_is_adopted_at_its_first_change(store, adopted, folder):
    """The document stands verbatim in the first record; what comes after is history like any other."""
    for path in adopted:
        text = path.read_bytes()
        plain = json.loads(text)
        version = store.update_session_with(path.stem, lambda session: session.add_user_message("more"))
        records = list(store.records(path.stem))
        assert version == len(records) == 2
        assert records[0].event == SessionAdopted(document=text.decode())
        check_equal(store.load_session(path.stem, at=1), plain)
        session = store.load_session(path.stem)
        assert [m.content for m in session.user_messages][-1] == "more"
        assert session.metadata == plain["metadata"]
        assert store.verify(path.stem).ok
    listed = [each.id for each in store.list_sessions()]
    assert sorted(listed) == [path.stem for path in adopted]
    assert listed[0] == adopted[-1].stem


def test_an_adopted_session_goes_on_without_a_warning(store, adopted, folder):
    """The seed's own file beside its journal is no rewriting by another program; compacting replaces it."""
    for path in adopted:
        store.update_session_with(path.stem, lambda session: session.add_user_message("more"))
    crashed = StateStore(folder, durability="os")
    for path in adopted:
        assert crashed.load_session(path.stem).version == 2
        assert crashed.verify(path.stem).ok
    crashed.close()
    store.close()
    with StateStore(folder, durability="os") as again:
        for path in adopted:
            assert again.load_session(path.stem).version == 2
            assert json.loads(path.read_bytes())["journal"]["version"] == 2


def test_a_saved_session_that_was_loaded_from_the_seed_is_adopted_too(store, adopted):
    """By save_session, by hand, and by append."""
    ids = [path.stem for path in adopted]
    by_method, by_hand = store.load_session(ids[0]), store.load_session(ids[1])
    by_method.set_metadata("k", 1)
    by_hand.user_messages.clear()
    by_hand.metadata["k"] = 2
    assert store.save_session(by_method) == 2
    assert store.save_session(by_hand) == 2

    with StateStore(store.base_path, durability="os") as other:
        for session in (by_method, by_hand):
            assert is_same(other.load_session(session.id), session)
        assert other.get_or_create_session(by_hand.user_id, by_hand.id).metadata["k"] == 2


def test_looking_at_a_session_of_the_seed_writes_nothing(store, adopted, folder):
    """Loading, verifying, compacting, projecting and saving without a change leave it as it is."""
    before = {path.name: path.read_bytes() for path in adopted}
    for path in adopted:
        session = store.load_session(path.stem)
        assert store.save_session(session) == 0
        assert store.project(Transcript(), path.stem) is not None
        assert store.verify(path.stem).ok
        assert [record.seq for record in store.records(path.stem)] == [0]
    assert store.compact() == 0
    store.close()

    assert {path.name: path.read_bytes() for path in (folder / "sessions").iterdir()} == before


def test_a_session_of_the_seed_has_its_owner_and_can_be_deleted(store, adopted):
    """As any other."""
    with pytest.raises(OwnerMismatchError):
        store.get_or_create_session("mallory", adopted[0].stem)
    assert store.delete_session(adopted[0].stem) is True
    assert store.load_session(adopted[0].stem) is None
    assert store.delete_session(adopted[0].stem) is False
    assert adopted[0].stem not in store.session_ids()


def test_what_the_seed_accepts_is_loaded(store, seed_files, put):
    """Each of its accepted inputs, and its fields are what they say."""
    for path in sorted((seed_files / "parse" / "accepted").iterdir()):
        put("s.json", path.read_bytes())
        session = store.load_session("s")
        assert (session.id, session.user_id) == ("s", "u")
        assert session.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        if session.user_messages:
            assert session.user_messages[0].timestamp == datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)
        assert [each.id for each in store.list_sessions()] == ["s"]


def test_what_the_seed_rejects_is_an_error_that_names_the_file(store, seed_files, put):
    """And the list reports it, with its reason, beside the sessions that can be read."""
    store.save_session(Session.with_id("u", "good"))
    names = []
    for path in sorted((seed_files / "parse" / "rejected").iterdir()):
        text = path.read_bytes().replace(b'"id": "s"', b'"id": "%b"' % path.stem.encode())
        written = put(path.name, text)
        names.append(path.stem)
        with pytest.raises(CorruptSnapshotError) as caught:
            store.load_session(path.stem)
        assert caught.value.path == str(written)
        assert len(caught.value.reason) > 5
        with pytest.raises(CorruptSnapshotError):
            store.update_session_with(path.stem, lambda session: None)
        assert not store.verify(path.stem).ok
        assert written.read_bytes() == text
    page = store.list_sessions()

    assert [each.id for each in page] == ["good"]
    assert [each.id for each in page.unreadable] == names
    for each in page.unreadable:
        assert f"{each.id}.json" in each.reason


REJECTED = {
    "empty": b"",
    "no object": b"[]",
    "no id": json.dumps({k: v for k, v in PLAIN.items() if k != "id"}).encode(),
    "null user": json.dumps({**PLAIN, "user_id": None}).encode(),
    "null metadata": json.dumps({**PLAIN, "metadata": None}).encode(),
    "metadata that is a list": json.dumps({**PLAIN, "metadata": []}).encode(),
    "null responses": json.dumps({**PLAIN, "agent_responses": None}).encode(),
    "content that is a number": json.dumps(
        {**PLAIN, "user_messages": [{"content": 5, "timestamp": PLAIN["created_at"]}]}
    ).encode(),
    "a message without a time": json.dumps({**PLAIN, "user_messages": [{"content": "x"}]}).encode(),
    "a message that is null": json.dumps({**PLAIN, "user_messages": [None]}).encode(),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(PLAIN).encode(),
    "a trailing comma": json.dumps(PLAIN).encode()[:-1] + b",}",
    "something behind it": json.dumps(PLAIN).encode() + b"{}",
    "infinity": json.dumps({**PLAIN, "metadata": {"a": float("inf")}}).encode(),
    "overflow": json.dumps(PLAIN).encode()[:-1] + b', "metadata": {"a": 1e999}}',
    "a lone surrogate": json.dumps(PLAIN).encode()[:-1] + b', "metadata": {"a": "\\ud83d"}}',
    "a lone surrogate in a key": json.dumps(PLAIN).encode()[:-1] + b', "metadata": {"\\ud83d": 1}}',
    "no UTF-8": json.dumps(PLAIN).encode().replace(b'"u"', b'"\xff"'),
    "a control character": json.dumps(PLAIN).encode().replace(b'"u"', b'"\x01"'),
    "UTF-16": json.dumps(PLAIN).encode("utf-16"),
    "metadata nested 126 deep": json.dumps({**PLAIN, "metadata": {"a": nested(126)}}).encode(),
    "nested 100,000 deep": json.dumps(PLAIN).encode()[:-1] + b', "x": ' + b"[" * 100_000,
    "an unknown key nested 200,000 deep": json.dumps(PLAIN).encode()[:-1]
    + b', "x": '
    + b"[" * 200_000
    + b"]" * 200_000
    + b"}",
    "a repeated key in a message": json.dumps(PLAIN).encode()[:-1]
    + b', "user_messages": [{"content": "x", "content": "y", "timestamp": "2026-01-02T03:04:05Z"}]}',
    "a time without an offset": json.dumps({**PLAIN, "updated_at": "2026-01-02T03:04:05"}).encode(),
    "a time of day alone": json.dumps({**PLAIN, "updated_at": "03:04:05Z"}).encode(),
    "a number as a time": json.dumps({**PLAIN, "updated_at": 1_700_000_000}).encode(),
    "the 30th of February": json.dumps({**PLAIN, "updated_at": "2026-02-30T03:04:05Z"}).encode(),
}


def test_a_file_that_claims_to_be_a_snapshot_of_ours_is_read_as_strictly(store, put):
    """No snapshot of ours holds such a number: it is another program's, and reads as with that."""
    marker = {"version": 1, "offset": 3, "chain": "", "fold": ""}
    put("s.json", json.dumps({**PLAIN, "metadata": {"n": 2**64}, "journal": marker}).encode())
    assert store.load_json("sessions", "s")["metadata"] == {"n": 2.0**64}
    assert store.update_session_with("s", lambda session: session.add_user_message("x")) > 0
    assert store.verify("s").ok


@pytest.mark.parametrize("text", REJECTED.values(), ids=REJECTED.keys())
def test_a_file_that_is_no_session_is_a_clear_error(store, put, text):
    """Whatever is wrong with it, one error that names it; it is left as it is."""
    path = put("s.json", text)
    with pytest.raises(CorruptSnapshotError) as caught:
        store.load_session("s")

    assert caught.value.path == str(path)
    assert [each.id for each in store.list_sessions().unreadable] == ["s"]
    assert path.read_bytes() == text


def test_a_repeated_unknown_key_is_ignored(store, put):
    """Only the keys that the seed knows may not come twice."""
    put("s.json", json.dumps(PLAIN)[:-1] + ', "x": 1, "x": 2, "metadata": {"a": 1, "a": 2}}')

    assert store.load_session("s").metadata == {"a": 2}


def test_integers_past_64_bits_go_on_in_floating_point(store, put):
    """As in the seed's reader; those of 64 bits are exact."""
    put("s.json", json.dumps({**PLAIN, "metadata": {"a": 2**64 - 1, "b": 2**64, "c": -(2**63) - 1}}))
    metadata = store.load_session("s").metadata

    assert repr(metadata) == repr({"a": 2**64 - 1, "b": 1.8446744073709552e19, "c": -9.223372036854776e18})
    store.update_session_with("s", lambda session: session.add_user_message("x"))
    assert store.load_session("s").metadata == metadata


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-02T03:04:05Z", 0),
        ("2026-01-02T03:04:05.123Z", 123000),
        ("2026-01-02T03:04:05.123456Z", 123456),
        ("2026-01-02T03:04:05.123456789Z", 123456),
        ("2026-01-02T03:04:05.999999999Z", 999999),
        ("2026-01-02T05:04:05.1234567+02:00", 123456),
        ("2026-01-01T22:34:05.5-04:30", 500000),
    ],
)
def test_fractions_are_cut_to_microseconds(text, microsecond):
    """Cut, never rounded into the future; any offset becomes the same moment."""
    document = parse_document(json.dumps({**PLAIN, "created_at": text}))

    assert document.created_at == datetime(2026, 1, 2, 3, 4, 5, microsecond, UTC)


def test_the_original_text_stays_in_the_journal(store, put):
    """Nanoseconds, spaces and unknown keys included; also after the file was compacted away."""
    text = '{"id": "s",  "user_id": "u", "created_at": "2026-01-02T03:04:05.123456789Z",\n "mood": [1],'
    text += ' "updated_at": "2026-01-02T03:04:05.987654321Z"}\n'
    put("s.json", text)
    store.update_session_with("s", lambda session: session.add_user_message("x"))
    store.close()
    with StateStore(store.base_path) as other:
        [first, _] = other.records("s")

    assert first.event == SessionAdopted(document=text)


def test_our_snapshot_without_its_journal_is_a_session_of_the_seed(store, folder):
    """What we write, its reader reads: required keys, no nulls where it wants lists, times with a Z."""
    session = Session.with_id("u", "s")
    session.add_user_message("é \u0001 😀")
    session.add_agent_response("x")
    session.set_active_seed("seed")
    session.set_metadata("k", {"a": [2**64 - 1, 1e300, -0.0, None]})
    store.save_session(session)
    store.close()
    (folder / "sessions" / "s.jsonl").unlink()
    text = (folder / "sessions" / "s.json").read_text()

    assert list(json.loads(text)) == [key for key in SEED_KEYS if key != "active_persona_id"] + ["journal"]
    assert re.findall(r'"(?:timestamp|created_at|updated_at)": "([^"]*)"', text)
    for found in re.findall(r'"(?:timestamp|created_at|updated_at)": "([^"]*)"', text):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", found)
    assert not text.endswith("\n")
    with StateStore(folder) as other:
        assert is_same(other.load_session("s"), session)


def test_a_snapshot_of_a_session_of_the_seed_differs_only_in_what_changed(store, adopted):
    """Same keys, same order, same layout as its own program's, times to the microsecond."""
    for path in adopted:
        theirs = json.loads(path.read_bytes())
        store.update_session_with(path.stem, lambda session: session.set_active_seed("new"))
        store.compact(path.stem)
        ours = json.loads(path.read_bytes())
        assert ours.pop("journal")["version"] == 2
        expected = {**theirs, "active_seed_id": "new", "updated_at": ours["updated_at"]}
        assert list(ours) == [key for key in SEED_KEYS if key in expected]
        cut = re.compile(r"(\.\d{6})\d{3}Z")
        assert json.loads(cut.sub(r"\1Z", json.dumps(ours))) == json.loads(
            cut.sub(r"\1Z", json.dumps(expected))
        )


def test_a_foreign_session_beside_its_empty_journal_is_adopted(store, put, folder):
    """A crash right after the journal's file was made leaves an empty one."""
    put("s.json", json.dumps(PLAIN))
    put("s.jsonl", b"")

    assert store.load_session("s").user_id == "u"
    assert store.update_session_with("s", lambda session: session.add_user_message("x")) == 2
    assert isinstance(next(store.records("s")).event, SessionAdopted)


def test_a_torn_adoption_is_made_again(store, put, folder):
    """A crash in the first batch loses neither the foreign session nor its history."""
    put("s.json", json.dumps(PLAIN))
    store.update_session_with("s", lambda session: session.add_user_message("x"))
    journal = folder / "sessions" / "s.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    with StateStore(folder, durability="os") as other:
        assert other.load_session("s").user_id == "u"
        assert other.load_session("s").is_empty
        with pytest.warns(UserWarning, match="quarantine"):
            other.update_session_with("s", lambda session: session.add_user_message("y"))
        assert [m.content for m in other.load_session("s").user_messages] == ["y"]
        assert isinstance(next(other.records("s")).event, SessionAdopted)
    assert issubclass(CorruptSnapshotError, JournalError)


def test_a_file_that_no_record_can_hold_is_adopted_as_its_events(folder, monkeypatch):
    """A session of many megabytes goes on like any other; the file itself is kept."""
    monkeypatch.setattr("journal.event_json.MAX_EVENT_BYTES", 2_000)
    big = Session(id="big", user_id="u", user_messages=[UserMessage("x" * 1_000) for _ in range(5)])
    path = folder / "sessions" / "big.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(document_json(big))
    text = path.read_bytes()
    with StateStore(folder, durability="os") as store:
        session = store.load_session("big")
        assert session == big
        session.add_user_message("and one more")
        store.save_session(session)
    with StateStore(folder, durability="os") as store:
        kept = list((folder / ".journal" / "quarantine").iterdir())

        assert store.load_session("big") == session
        assert store.verify("big").ok
        assert [each.read_bytes() for each in kept] == [text]


def test_what_another_program_saved_meanwhile_is_not_overwritten(folder):
    """A foreign file has no version; to save what was loaded before it changed is a conflict all the same."""
    path = folder / "sessions" / "s.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(document_json(Session(id="s", user_id="u")))
    with StateStore(folder, durability="os") as store:
        session = store.load_session("s")
        path.write_bytes(document_json(Session(id="s", user_id="u", user_messages=[UserMessage("theirs")])))
        session.add_user_message("ours")
        with pytest.raises(VersionConflictError, match="rewritten"):
            store.save_session(session)
        store.update_session_with("s", lambda session: session.add_user_message("ours"))

        assert [message.content for message in store.load_session("s").user_messages] == ["theirs", "ours"]
