"""One record and its bytes: what is stored comes back, what cannot be stored is refused."""

import base64
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from crash import forging
from hypothesis import given
from hypothesis import strategies as st

from journal import (
    Change,
    CorruptRecordError,
    InvalidEventError,
    InvalidNameError,
    Record,
    Session,
    StateStore,
    UserMessage,
)
from journal.chain import check_lines
from journal.reader import beginning
from journal.record import encode_batch
from projections import (
    ActiveSeedSet,
    AgentResponseAdded,
    CustomEvent,
    MetadataSet,
    ReasoningAdded,
    SessionCreated,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UserMessageAdded,
)
from tests.strategies import START, a_store, changes, events, json_values, names, nested, texts

CREATED = SessionCreated(session_id="s", user_id="u")


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def lines_of(store: StateStore, session_id: str = "s") -> list[bytes]:
    lines = Path(store.base_path, "sessions", f"{session_id}.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    return lines


def append(store: StateStore, *happened: Any, **options: Any) -> int:
    return store.append("s", [CREATED, *happened], expected_version=0, **options)


def chained_by_hand(session_id: str, lines: list[bytes]) -> list[tuple[str, str]]:
    """Digest and chain of each line, with nothing but a standard library."""
    previous = base64url(sha256(b"journal/session/1" + session_id.encode()).digest())
    found = []
    for line in lines:
        header = line[: line.index(b',"chain":')]
        event = line[line.index(b'","event":') + 10 : -1]
        salt = json.loads(line)["salt"]
        digest = base64url(sha256(b"journal/event/1" + salt.encode() + event).digest())
        previous = base64url(sha256(b"journal/record/1" + previous.encode() + header).digest())
        found.append((digest, previous))
    return found


# What is stored comes back


@given(st.lists(changes(), min_size=1, max_size=5))
def test_decode_after_encode_is_the_identity(batch):
    """Every event of every type comes back as it was given, with its envelope."""
    with a_store() as store:
        append(store, *batch, by="someone", cause="a cause")
        read = list(store.records("s"))[1:]

        assert [record.event for record in read] == [change.event for change in batch]
        assert [type(record.event) for record in read] == [type(change.event) for change in batch]
        assert [record.at for record in read] == [change.at for change in batch]
        assert [record.id for record in read] == [change.id for change in batch]
        assert [record.by for record in read] == [change.by or "someone" for change in batch]
        assert [record.cause for record in read] == [change.cause or "a cause" for change in batch]
        assert [record.key for record in read] == [change.key for change in batch]


@given(json_values())
def test_json_comes_back_with_its_types(value):
    """1, 1.0 and True stay apart; so do 0.0 and -0.0."""
    with a_store() as store:
        append(store, CustomEvent(name="n", data=value))
        event = list(store.records("s"))[1].event

        assert isinstance(event, CustomEvent)
        assert repr(event.data) == repr(value)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"session_dreamed"}',
        b'{ "type" : "session_dreamed" , "n" : 1.0e0 }',
        b'{"a":[1,  2],"type":"session_dreamed","a2":"\\u00e9\\/"}',
        '{"type":"session_dreamed","content":"é\u2028"}'.encode(),
    ],
)
def test_an_unknown_event_is_kept_byte_for_byte(store, raw):
    """Spaces, key order, escapes and number formats of a newer writer survive."""
    append(store, UnknownEvent(type="session_dreamed", raw=raw))
    [event] = [record.event for record in store.records("s", after=1)]

    assert event == UnknownEvent(type="session_dreamed", raw=raw)
    assert lines_of(store)[1].endswith(b'"event":' + raw + b"}")
    assert store.verify("s").ok


def test_unknown_fields_of_a_known_type_are_kept(store, folder, journal_file):
    """A newer version's optional field stays in the file whatever this version does with the session."""
    append(store)
    previous = json.loads(lines_of(store)[0])["chain"]
    event = b'{"type":"user_message_added","content":"hi","mood":"glad"}'
    digest = base64url(sha256(b"journal/event/1" + b"A" * 22 + event).digest()).encode()
    header = b'{"v":1,"seq":2,"id":"x","at":"2026-11-22T12:00:00.000000Z","digest":"%b"' % digest
    chain = base64url(sha256(b"journal/record/1" + previous.encode() + header).digest()).encode()
    line = b'%b,"chain":"%b","salt":"%b","event":%b}\n' % (header, chain, b"A" * 22, event)
    with journal_file("s").open("ab") as file:
        file.write(line)

    store.update_session_with("s", lambda session: session.add_user_message("more"))
    store.compact()

    assert line in journal_file("s").read_bytes()
    assert [message.content for message in store.load_session("s").user_messages] == ["hi", "more"]
    assert store.verify("s").ok


# The bytes


@given(st.lists(changes(), max_size=4), st.none() | names(), st.none() | names(), st.none() | names())
def test_keys_stand_in_the_order_of_the_format(batch, by, cause, key):
    """One order, and what is empty is left out; `first` is left out on the record that it names."""
    with a_store() as store:
        append(store, *batch, by=by, cause=cause, key=key)
        decoded = [json.loads(line) for line in lines_of(store)]

        order = ["v", "seq", "id", "at", "by", "cause", "key", "more", "first"]
        order += ["digest", "chain", "salt", "event"]
        for index, keys in enumerate(decoded):
            assert list(keys) == [name for name in order if name in keys]
            assert keys["v"] == 1
            assert keys["seq"] == index + 1
            assert keys.get("more", 0) == len(decoded) - 1 - index
            assert keys.get("more") != 0
            assert keys.get("first", 1) == 1
            assert ("first" in keys) == (index > 0)
            assert len(keys["digest"]) == len(keys["chain"]) == 43
            assert len(keys["salt"]) == 22
            assert None not in [keys.get(name, "") for name in ("by", "cause", "key")]


@given(st.lists(changes(), max_size=3), st.lists(changes(), min_size=1, max_size=3))
def test_hashes_can_be_recomputed_with_a_standard_library(first, second):
    """Digest and chain follow from the bytes as they stand, across batches."""
    with a_store() as store:
        version = append(store, *first)
        store.append("s", second, expected_version=version)
        lines = lines_of(store)

        keys = [json.loads(line) for line in lines]
        assert chained_by_hand("s", lines) == [(each["digest"], each["chain"]) for each in keys]
        assert [(r.digest, r.chain) for r in store.records("s")] == chained_by_hand("s", lines)
        assert store.verify("s").head == keys[-1]["chain"]


def test_the_first_chain_depends_on_the_id_in_utf8(store):
    """A journal is tied to its session's id, whatever its letters."""
    store.save_session(Session.with_id("u", "é 空"))
    lines = lines_of(store, "é 空")

    assert chained_by_hand("é 空", lines)[0][1] == json.loads(lines[0])["chain"]


def test_times_are_written_in_utc_with_six_digits(store):
    """Whatever offset and fraction a moment was given with."""
    at = datetime(2026, 11, 22, 14, 5, tzinfo=timezone(timedelta(hours=2)))
    append(store, Change(event=ActiveSeedSet(seed_id="x"), at=at))

    assert json.loads(lines_of(store)[1])["at"] == "2026-11-22T12:05:00.000000Z"


def test_ids_are_uuid7_and_salts_are_never_used_twice(store):
    """Version 7, variant 10; no two records share an id or a salt."""
    append(store, *[CustomEvent(name="n")] * 500)
    keys = [json.loads(line) for line in lines_of(store)]

    assert len({each["id"] for each in keys}) == len({each["salt"] for each in keys}) == 501
    assert {each["id"][14] for each in keys} == {"7"}
    assert {each["id"][19] for each in keys} <= set("89ab")


def test_every_flipped_bit_is_noticed(store, journal_file):
    """Any bit of a journal: verify says so, or it is a torn tail that leaves the batches before it."""
    append(store, UserMessageAdded(content="é"))
    store.append("s", [MetadataSet(key="a", value=[1.5])], expected_version=2, by="b", key="k")
    whole = journal_file("s").read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    unnoticed = []
    for position in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            journal_file("s").write_bytes(flipped)
            report = store.verify("s")
            is_torn = position >= last and report.version == 2 and bool(report.notes)
            if report.ok and not is_torn:
                unnoticed.append((position, bit))
    journal_file("s").write_bytes(whole)

    assert unnoticed == []
    assert store.verify("s").ok


# What is refused


LONE = "half \ud83d"
LATE = datetime(2026, 11, 22, 12, 0)

REFUSED: dict[str, Callable[[], Any]] = {
    "NaN": lambda: CustomEvent(name="n", data=math.nan),
    "infinity": lambda: CustomEvent(name="n", data=[{"a": math.inf}]),
    "minus infinity": lambda: MetadataSet(key="k", value=-math.inf),
    "NaN in a result": lambda: ToolReturned(call_id="c", result=math.nan),
    "NaN as a duration": lambda: ToolReturned(call_id="c", result=1, duration_ms=math.nan),
    "NaN in arguments": lambda: ToolCalled(call_id="c", name="n", arguments={"x": math.nan}),
    "an integer of 65 bits": lambda: CustomEvent(name="n", data=2**64),
    "a negative integer of 65 bits": lambda: CustomEvent(name="n", data=-(2**63) - 1),
    "an integer far too large": lambda: CustomEvent(name="n", data=10**5000),
    "a lone surrogate in content": lambda: UserMessageAdded(content=LONE),
    "a lone surrogate in a value": lambda: CustomEvent(name="n", data=[LONE]),
    "a lone surrogate in a key of a value": lambda: CustomEvent(name="n", data={LONE: 1}),
    "a lone surrogate in a metadata key": lambda: MetadataSet(key=LONE, value=1),
    "a lone surrogate in a name": lambda: ToolCalled(call_id=LONE, name="n", arguments={}),
    "a lone surrogate escaped": lambda: UnknownEvent(type="x", raw=b'{"type":"x","a":"\\ud83d"}'),
    "nesting of 101": lambda: CustomEvent(name="n", data=nested(101)),
    "nesting of 101 in objects": lambda: MetadataSet(key="k", value=nested(101, dict)),
    "nesting of 100,000": lambda: CustomEvent(name="n", data=nested(100_000)),
    "over 16 MiB": lambda: UserMessageAdded(content="x" * (16 * 1024 * 1024)),
    "a key that is a number": lambda: CustomEvent(name="n", data={1: 2}),
    "a key that is None": lambda: CustomEvent(name="n", data={"a": {None: 2}}),
    "a tuple": lambda: CustomEvent(name="n", data=(1, 2)),
    "a set": lambda: MetadataSet(key="k", value={"a": {1}}),
    "a datetime": lambda: CustomEvent(name="n", data=START),
    "bytes": lambda: CustomEvent(name="n", data=[b"x"]),
    "an object": lambda: CustomEvent(name="n", data=object()),
    "content that is a number": lambda: UserMessageAdded(content=5),
    "content that is None": lambda: AgentResponseAdded(content=None),
    "content that is bytes": lambda: ReasoningAdded(content=b"x"),
    "a flag that is a text": lambda: AgentResponseAdded(content="x", evaluation_passed="yes"),
    "a key of metadata that is a number": lambda: MetadataSet(key=1, value=1),
    "a time without an offset": lambda: UserMessageAdded(content="x", timestamp=LATE),
    "a time that is a text": lambda: UserMessageAdded(content="x", timestamp="yesterday"),
    "a change at a time without an offset": lambda: Change(event=UserMessageAdded(content="x"), at=LATE),
    "a change by nobody": lambda: Change(event=UserMessageAdded(content="x"), at=START, by=LONE),
    "a change with a key too long": lambda: Change(
        event=UserMessageAdded(content="x"), at=START, key="k" * 5000
    ),
    "no event": lambda: "hello",
    "an unknown event of a known type": lambda: UnknownEvent(
        type="user_message_added", raw=b'{"type":"user_message_added","content":"x"}'
    ),
    "an unknown event of another type": lambda: UnknownEvent(type="x", raw=b'{"type":"y"}'),
    "an unknown event that is no JSON": lambda: UnknownEvent(type="x", raw=b'{"type":"x"'),
    "an unknown event of two lines": lambda: UnknownEvent(type="x", raw=b'{"type":"x",\n"a":1}'),
    "an unknown event with NaN": lambda: UnknownEvent(type="x", raw=b'{"type":"x","a":NaN}'),
    "an unknown event with a huge number": lambda: UnknownEvent(type="x", raw=b'{"type":"x","a":1e999}'),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_come_back_is_refused_before_a_byte_is_written(store, journal_file, make):
    """InvalidEventError, and the file is byte for byte as before; what was valid beside it is not written."""
    append(store)
    before = journal_file("s").read_bytes()

    with pytest.raises(InvalidEventError):
        store.append("s", [UserMessageAdded(content="valid"), make()], expected_version=1)

    assert journal_file("s").read_bytes() == before
    assert store.append("s", [UserMessageAdded(content="next")], expected_version=1) == 2


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_first_batch_creates_no_session(store, make):
    """A session that never was stays one that never was."""
    with pytest.raises(InvalidEventError):
        append(store, make())

    assert store.load_session("s") is None
    assert store.delete_session("s") is False


BAD_SESSIONS: dict[str, Callable[[Session], object]] = {
    "a message that is a number": lambda s: s.user_messages.append(UserMessage(5)),
    "a message that is a text": lambda s: s.user_messages.append("hello"),
    "a response among messages": lambda s: s.user_messages.extend(s.agent_responses),
    "a lone surrogate": lambda s: s.user_messages.append(UserMessage(LONE)),
    "a naive time": lambda s: s.user_messages.append(UserMessage("x", LATE)),
    "a naive time in both lists": lambda s: (
        s.user_messages.append(UserMessage("x", LATE)),
        s.agent_responses.extend(list(s.agent_responses)),
    ),
    "a naive updated_at": lambda s: setattr(s, "updated_at", LATE),
    "a naive created_at": lambda s: setattr(s, "created_at", LATE),
    "NaN in the metadata": lambda s: s.metadata.update(x=math.nan),
    "NaN set": lambda s: s.set_metadata("x", math.nan),
    "NaN inside the metadata": lambda s: s.metadata["list"].append(math.nan),
    "NaN in the metadata and a key less": lambda s: (s.metadata.clear(), s.metadata.update(x=math.nan)),
    "a tuple in the metadata": lambda s: s.metadata.update(x=(1,)),
    "a tuple set": lambda s: s.set_metadata("x", (1,)),
    "a number as a key": lambda s: s.metadata.update({1: 1}),
    "a number as a key, and a key less": lambda s: (s.metadata.clear(), s.metadata.update({1: 1})),
    "a lone surrogate as a key": lambda s: s.metadata.update({LONE: 1}),
    "a seed that is a number": lambda s: setattr(s, "active_seed_id", 5),
    "a seed set that is a number": lambda s: s.set_active_seed(5),
    "metadata nested too deep": lambda s: s.metadata.update(x=nested(101)),
    "metadata set too deep": lambda s: s.set_metadata("x", nested(101)),
    "metadata nested far too deep": lambda s: s.metadata.update(x=nested(5000)),
    "metadata set far too deep": lambda s: s.set_metadata("x", nested(5000)),
    "metadata that is a list": lambda s: setattr(s, "metadata", [1]),
    "metadata that holds itself": lambda s: s.metadata.update(x=s.metadata),
}


@pytest.mark.parametrize("spoil", BAD_SESSIONS.values(), ids=BAD_SESSIONS.keys())
def test_a_session_that_cannot_come_back_is_refused(store, journal_file, spoil):
    """Edited by hand or by its methods: InvalidEventError, the file is as before, the session can be read."""
    session = Session.with_id("u", "s")
    session.add_agent_response("answer")
    session.set_metadata("list", [1])
    store.save_session(session)
    before = journal_file("s").read_bytes()

    def spoil_and_save():
        spoil(session)
        store.save_session(session)

    with pytest.raises(InvalidEventError):
        spoil_and_save()
    assert journal_file("s").read_bytes() == before
    assert store.load_session("s").metadata == {"list": [1]}


@pytest.mark.parametrize("kind", [list, dict])
def test_nesting_of_100_is_accepted(store, kind):
    """The limit itself is inside."""
    append(
        store, CustomEvent(name="n", data=nested(100, kind)), MetadataSet(key="k", value=nested(100, kind))
    )
    store.compact()

    assert list(store.records("s"))[1].event.data == nested(100, kind)
    assert store.load_session("s").metadata == {"k": nested(100, kind)}


def test_metadata_at_the_limit_of_nesting_can_still_be_edited_by_hand(store):
    """What one event accepts, a SessionReplaced accepts too."""
    session = Session.with_id("u", "s")
    session.set_metadata("deep", nested(100))
    session.set_metadata("other", 1)
    store.save_session(session)
    del session.metadata["other"]
    store.save_session(session)

    assert store.load_session("s").metadata == {"deep": nested(100)}


def test_integers_of_64_bits_are_exact(store):
    """Signed and unsigned, in records and snapshots."""
    numbers = [-(2**63), 2**63, 2**64 - 1, 0]
    append(store, MetadataSet(key="k", value=numbers))
    store.compact()

    with StateStore(store.base_path) as other:
        assert other.load_session("s").metadata == {"k": numbers}


@pytest.mark.parametrize("session_id", [LONE, "", "a/b", "..", "../x", ".x", "a\0b", "x" * 201, "a\\b"])
def test_an_unsafe_id_is_refused_by_every_call(store, folder, session_id):
    """InvalidNameError, and nothing is touched."""
    session = Session.with_id("u", session_id)
    for call in (
        lambda: store.save_session(session),
        lambda: store.load_session(session_id),
        lambda: store.load_session(session_id, at=1),
        lambda: store.delete_session(session_id),
        lambda: store.append(session_id, [CREATED], expected_version=0),
        lambda: list(store.records(session_id)),
        lambda: store.verify(session_id),
        lambda: store.compact(session_id),
        lambda: store.get_or_create_session("u", session_id),
        lambda: store.update_session_with(session_id, lambda s: None),
    ):
        with pytest.raises(InvalidNameError):
            call()

    assert not folder.exists()


def test_a_user_id_with_a_lone_surrogate_is_refused(store):
    """Ids that are no file names are held to the same rule."""
    with pytest.raises(InvalidEventError):
        store.save_session(Session.with_id(LONE, "s"))

    assert store.load_session("s") is None


@given(texts())
def test_by_cause_and_key_hold_any_text(text):
    """A text that looks like a part of the header does no harm; an empty one is refused."""
    with a_store() as store:
        if not text:
            with pytest.raises(InvalidEventError):
                append(store, key=text)
            return
        append(store, UserMessageAdded(content="x"), by=text, cause=text, key=text)
        first, second = store.records("s")

        assert (first.by, first.cause, first.key) == (text, text, text)
        assert second.by == text
        assert store.verify("s").ok


# Moments at the edges


@pytest.mark.parametrize("seconds", [19 * 60 + 32, -30, 29, 1])
def test_a_moment_is_kept_whatever_its_offset(store, seconds):
    """Also in zones whose offset is no whole number of minutes, as most were before 1900."""
    at = datetime(1899, 5, 1, 12, 0, 0, 1, tzinfo=timezone(timedelta(seconds=seconds)))
    append(store, Change(event=UserMessageAdded(content="x", timestamp=at), at=at))
    with StateStore(store.base_path) as other:
        session = other.load_session("s")
    record = list(store.records("s"))[1]

    assert record.at == at
    assert record.event.timestamp == at
    assert session.user_messages[0].timestamp == at


@pytest.mark.parametrize(
    "at",
    [
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-5))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
    ],
)
@pytest.mark.parametrize("where", ["record", "message"])
def test_a_moment_that_utc_cannot_express_is_refused(store, at, where):
    """Refused when it is given, not when the snapshot is written."""
    event = UserMessageAdded(content="x", timestamp=at if where == "message" else None)

    with pytest.raises(InvalidEventError):
        append(store, Change(event=event, at=at if where == "record" else START))

    assert store.load_session("s") is None


@pytest.mark.parametrize("at", [datetime.min, datetime.max])
def test_the_first_and_the_last_moment_come_back(store, at):
    """The whole range of datetime, in UTC."""
    at = at.replace(tzinfo=UTC)
    append(store, Change(event=UserMessageAdded(content="x", timestamp=at), at=at))
    store.compact()

    with StateStore(store.base_path) as other:
        assert other.load_session("s").updated_at == at
        assert other.load_session("s").user_messages[0].timestamp == at


@given(events())
def test_records_are_values(event):
    """A record cannot be changed after it was read."""
    first = Record(seq=1, id="i", at=START, event=event, digest="d", chain="c")

    with pytest.raises(AttributeError):
        first.seq = 2


def test_a_number_that_is_not_the_next_is_damage_whatever_its_hashes_say() -> None:
    """They hold the number, and who may write the folder can compute them."""
    _, chain, _ = beginning("s")
    pending = [(forging.SAID, forging.HEAD, forging.SALT)]
    first, later = (encode_batch(pending, before, chain)[0].rstrip(b"\n") for before in (0, 1))
    assert check_lines([first], 1, chain)[2] is None
    damage = check_lines([later], 1, chain)[2]
    assert damage is not None
    assert damage.reason == "record 2 stands where record 1 belongs"


def test_a_line_that_no_writer_makes_so_long_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its hashes say."""
    _, chain, _ = beginning("s")
    line = encode_batch([(forging.SAID, forging.HEAD, forging.SALT)], 0, chain)[0].rstrip(b"\n")
    monkeypatch.setattr("journal.chain.MAX_LINE_BYTES", len(line))
    assert check_lines([line], 1, chain)[2] is None
    monkeypatch.setattr("journal.chain.MAX_LINE_BYTES", len(line) - 1)
    damage = check_lines([line], 1, chain)[2]
    assert damage is not None
    assert "a line of over" in damage.reason


def test_a_record_that_says_another_place_in_its_batch_is_damage(tmp_path: Path) -> None:
    """A batch is whole or not there: what says that it is of another one must not end this one."""
    middle = forging.HEAD + b',"more":%d'
    journal = tmp_path / "sessions" / "s.jsonl"
    journal.parent.mkdir()
    for first, whole in ((2, True), (1, False), (3, False)):
        second = forging.HEAD + b',"first":%d' % first
        lines = forging.forged(
            [forging.CREATED], [(middle % 1, forging.SAID)], [(second, forging.SAID)], [forging.SAID]
        )
        journal.write_bytes(lines)
        with StateStore(tmp_path) as store:
            assert store.verify("s").ok is whole
            if not whole:
                with pytest.raises(CorruptRecordError):
                    store.load_session("s")
