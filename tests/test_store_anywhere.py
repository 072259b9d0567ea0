"""What a store promises holds wherever it is: in a folder, in memory, on one server, on three.

The model of tests/machine.py runs on files in tests/test_model.py, with mishaps that only files know.
"""

import asyncio
import contextlib
import uuid

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from journal import (
    ANY,
    AsyncStateStore,
    AttachmentError,
    InvalidEventError,
    InvalidNameError,
    JournalClosedError,
    OwnerMismatchError,
    Session,
    SessionNotFoundError,
    StateStore,
    VersionConflictError,
)
from journal.importers import import_path
from journal.note import SigningKey
from journal.seal import open_seal
from projections import CustomEvent, MetadataSet, SessionCreated, Transcript, UserMessageAdded
from tests.clusters import SERVERS
from tests.machine import Machine

KEY = SigningKey.new("example.com/audit")


def connect(place, **options):
    return StateStore.connect(place, durability="os", **options)


@pytest.fixture
def store(place):
    with connect(place, actor="me") as opened:
        yield opened


@pytest.fixture
def other(place):
    """Another process has it, or another machine."""
    with connect(place) as opened:
        yield opened


def talk(store, session_id="s", user_id="u", count=3):
    session = Session.with_id(user_id, session_id)
    for n in range(count):
        session.add_user_message(f"question {n}")
        session.add_agent_response(f"answer {n}")
    store.save_session(session)
    return session


@pytest.mark.parametrize(("kind", "examples"), [("memory", 40), *((each, 12) for each in SERVERS)])
def test_two_stores_and_a_model_agree_after_each_step(request, kind, examples):
    """Whatever users do, in any order: the machine of test_model.py, without what only files know."""
    cluster = None if kind == "memory" else request.getfixturevalue(kind)

    @contextlib.contextmanager
    def places():
        name = f"model-{uuid.uuid4().hex}"
        yield f"memory:{name}" if cluster is None else cluster.url(name)

    class Anywhere(Machine):
        pass

    Anywhere.places = staticmethod(places)
    run_state_machine_as_test(Anywhere, settings=settings(max_examples=examples, stateful_step_count=20))


def test_what_one_saves_the_other_loads_and_lists(store, other):
    session = talk(store)
    assert other.load_session("s").to_document() == session.to_document()
    (summary,) = other.list_sessions()
    assert (summary.id, summary.user_id, summary.version, summary.message_count) == ("s", "u", 7, 3)
    assert [record.by for record in other.records("s")] == ["me"] * 7
    assert other.session_ids() == ["s"]
    assert other.load_session("t") is None
    assert other.load_session("s", at=3).user_messages[-1].content == "question 0"


def test_a_writer_that_saw_less_writes_nothing(store, other):
    talk(store)
    mine, theirs = store.load_session("s"), other.load_session("s")
    theirs.add_user_message("theirs")
    other.save_session(theirs)
    mine.add_user_message("mine")
    with pytest.raises(VersionConflictError) as caught:
        store.save_session(mine)
    assert (caught.value.version, caught.value.expected) == (8, 7)
    assert store.save_session(mine, expected_version=ANY) == 9
    assert [each.content for each in other.load_session("s").user_messages][-2:] == ["theirs", "mine"]


def test_a_batch_is_there_whole_however_large(store, other):
    """More records, and longer ones, than a message of a server may hold."""
    store.append("s", [SessionCreated(session_id="s", user_id="u")], expected_version=0)
    many = [UserMessageAdded(content=str(n)) for n in range(2_500)]
    assert store.append("s", many, expected_version=1) == 2_501
    long = [CustomEvent(name="long", data={"text": "x" * 5_000_000})]
    assert store.append("s", long, expected_version=2_501) == 2_502
    assert [record.seq for record in other.records("s")] == [*range(1, 2_503)]
    assert other.verify().ok
    assert len(other.load_session("s").user_messages) == 2_500


def test_a_retry_with_a_key_is_known_wherever_it_comes_from(store, other):
    talk(store, count=0)
    event = [UserMessageAdded(content="once")]
    assert store.append("s", event, expected_version=1, key="k") == 2
    assert other.append("s", event, expected_version=1, key="k") == 2
    with pytest.raises(InvalidEventError, match="another content"):
        other.append("s", [UserMessageAdded(content="other")], expected_version=1, key="k")
    assert other.load_session("s").version == 2


def test_what_is_bad_is_refused_before_anything_changes(store, other):
    talk(store)
    with pytest.raises(InvalidEventError):
        store.append("s", [MetadataSet(key="k", value=float("nan"))], expected_version=7)
    with pytest.raises(InvalidNameError):
        store.load_session("../s")
    with pytest.raises(OwnerMismatchError):
        store.get_or_create_session("somebody", "s")
    with pytest.raises(SessionNotFoundError):
        store.update_session_with("t", lambda session: None)
    with pytest.raises(SessionNotFoundError):
        list(store.records("t"))
    assert other.load_session("s").version == 7
    assert other.session_ids() == ["s"]


def test_ids_of_any_script_are_sessions_of_their_own(store, other):
    """Among them some that mean something to a server, or differ in their case alone."""
    ids = ["*", ">", "a b", "A", "a", "ä", "日本", "x" * 100, "a%2Fb", "_INBOX", "$JS"]
    for each in ids:
        talk(store, each, count=1)
    assert other.session_ids() == sorted(ids)
    assert {each.id: each.version for each in other.list_sessions()} == dict.fromkeys(ids, 3)
    assert other.delete_session("*")
    assert store.session_ids() == sorted({*ids} - {"*"})
    assert store.verify().ok


def test_lists_have_pages_users_and_times(store, other):
    for n in range(7):
        talk(store, f"s{n}", f"u{n % 2}", count=1)
    page = other.list_sessions(limit=3)
    found = [*page]
    while page.next_page:
        page = other.list_sessions(limit=3, page=page.next_page)
        found += page
    assert [each.id for each in found] == [f"s{n}" for n in reversed(range(7))]
    assert [each.id for each in other.list_sessions("u1")] == ["s5", "s3", "s1"]
    store.update_session_with("s0", lambda session: session.add_user_message("newest"))
    assert other.list_sessions(limit=1)[0].id == "s0"


def test_words_are_found_and_forgotten(store, other):
    talk(store)
    assert [hit.seq for hit in other.search('"question 1"')] == [4]
    store.erase("s", [4], reason="asked for")
    assert other.search('"question 1"') == []
    store.delete_session("s")
    assert other.search("question") == []


def test_a_deletion_leaves_a_note_and_the_id_may_begin_anew(store, other):
    talk(store)
    assert other.delete_session("s", why="old")
    assert not store.delete_session("s")
    talk(store, user_id="v", count=1)
    assert other.load_session("s").user_id == "v"
    assert store.delete_session("s", why="again")
    for each in (store, other):
        assert [(note.id, note.version, note.why, note.by) for note in each.tombstones()] == [
            ("s", 7, "old", None),
            ("s", 3, "again", "me"),
        ]
    assert other.list_sessions() == []


def test_forks_rewinds_and_comparisons(store, other):
    talk(store)
    forked = other.fork("s", 3, new_id="f")
    assert (forked.version, store.load_session("f").version) == (3, 3)
    other.update_session_with("f", lambda session: session.add_user_message("elsewhere"))
    assert store.compare("s", "f").ancestor == 3
    assert store.rewind("s", 3) == 8
    assert len(other.load_session("s").user_messages) == 1
    assert store.verify().ok
    assert any("forked from session 's' at version 3" in note for note in other.verify("f").notes)
    assert {each.id: each.origin for each in other.list_sessions()} == {"s": None, "f": "s"}


def test_what_is_erased_is_gone_and_what_is_left_is_proved(store, other):
    talk(store)
    store.fork("s", new_id="f")
    erased = other.erase("s", [2], reason="asked for", by="the officer")
    assert sorted(each.session_id for each in erased) == ["f", "s"]
    for each in ("s", "f"):
        assert store.load_session(each).user_messages[0].content == ""
        assert [record.event.__class__.__name__ for record in store.records(each)][1] == "Erased"
    assert store.verify().ok
    assert other.verify().ok


def test_a_seal_tells_of_what_was_cut(store, other):
    talk(store)
    sealed = open_seal(other.seal(key=KEY).data, KEY.verifier())
    store.update_session_with("s", lambda session: session.add_user_message("more"))
    assert other.verify(seal=sealed).ok
    other.delete_session("s")
    talk(store, count=4)
    assert not other.verify(seal=sealed).ok


def test_followers_hear_what_the_other_writes(store, other):
    talk(store)
    followed = other.follow("s", after=6, timeout=20)
    everything = other.follow(timeout=20)
    assert next(followed).seq == 7
    assert [next(everything).seq for _ in range(7)] == [*range(1, 8)]
    for n in range(3):
        store.append("s", [UserMessageAdded(content=str(n))], expected_version=ANY)
        assert next(followed).event.content == str(n)
        assert next(everything).event.content == str(n)
    followed.close()
    talk(store, "t", count=0)
    assert next(everything).session_id == "t"
    everything.close()
    assert [each.seq for each in other.follow("s", after=8, timeout=0)] == [9, 10]


def test_documents_of_any_name_and_size(store, other):
    names = ["a", "b c", "日本", "x.y", "A"]
    for each in names:
        store.save_markdown("notes/deep", each, f"# {each}")
    store.save_json("notes", "large", {"text": "x" * 3_000_000})
    assert other.list_category("notes/deep") == sorted(names)
    assert other.list_category("notes") == ["large"]
    assert other.load_markdown("notes/deep", "日本") == "# 日本"
    assert len(other.load_json("notes", "large")["text"]) == 3_000_000
    other.save_json("notes", "large", 1)
    assert store.load_json("notes", "large") == 1
    assert store.delete_file("notes", "large")
    assert other.load_json("notes", "large") is None
    assert store.load_json("sessions", "none") is None


def test_attachments_come_and_go_with_what_refers_to_them(store, other):
    data = bytes(range(256)) * 8_000
    talk(store, count=0)
    reference = store.attach(data, "image/png")
    store.append("s", [MetadataSet(key="image", value=reference)], expected_version=1)
    assert other.attachment(reference) == data
    assert other.verify().ok
    store.delete_session("s")
    assert other.load_session("s") is None
    for each in (store, other):
        with pytest.raises(AttachmentError, match="is not there"):
            each.attachment(reference)


def test_who_writes_nothing_knows_what_others_wrote(store, other):
    """Nothing is sent that could be refused, and an assertion that holds no more is refused all the same."""
    session = talk(store)
    other.append("s", [UserMessageAdded(content="more")], expected_version=7)
    with pytest.raises(VersionConflictError):
        store.append("s", [], expected_version=7)
    with pytest.raises(VersionConflictError):
        store.append("s", [], expected_version=7)
    other.append("s", [UserMessageAdded(content="and more")], expected_version=8)
    with pytest.raises(VersionConflictError):
        store.save_session(session)


def test_a_retry_of_what_others_deleted_is_no_success(store, other):
    talk(store, count=0)
    message = [UserMessageAdded(content="once")]
    for _ in range(2):
        assert store.append("s", message, expected_version=1, key="turn-1") == 2
    assert other.delete_session("s")
    with pytest.raises((InvalidEventError, VersionConflictError)):
        store.append("s", message, expected_version=1, key="turn-1")
    assert other.load_session("s") is None


def test_what_others_deleted_meanwhile_is_attached_anew(store, other):
    data = b"the same bytes"
    for session_id in ("s", "t"):
        talk(store, session_id, count=0)
        reference = store.attach(data)
        store.append(session_id, [MetadataSet(key="file", value=reference)], expected_version=1)
        assert other.attachment(reference) == data
        if session_id == "s":
            assert other.delete_session("s")
    assert other.verify().ok
    assert other.attachment(reference) == data


def test_an_import_brings_an_attachment_that_others_deleted(store, other, tmp_path):
    with connect(tmp_path / "from") as source:
        talk(source, count=0)
        reference = source.attach(b"bytes")
        source.append("s", [MetadataSet(key="file", value=reference)], expected_version=1)
    for _ in range(2):
        import_path(store, tmp_path / "from")
        assert other.attachment(reference) == b"bytes"
        assert store.verify().ok
        assert other.delete_session("s")


def test_live_sessions_go_on_where_another_one_stopped(store, other):
    with store.open_session("s", user_id="u") as live:
        live.add_user_message("hello", key="turn-1")
        assert live.step("think", lambda: 41) == 41
        assert live.run_tool("add", lambda a, b: a + b, {"a": 1, "b": 2}, call_id="c") == 3
    with other.open_session("s") as live:
        assert live.add_user_message("hello", key="turn-1") == 2
        assert live.step("think", lambda: 0 / 0) == 41
        assert live.run_tool("add", lambda a, b: 0 / 0, {"a": 1, "b": 2}, call_id="c") == 3
        assert [each["role"] for each in live.messages()][:1] == ["user"]
    kept = store.keep(Transcript(), "s")
    kept.now()
    other.append("s", [UserMessageAdded(content="more")], expected_version=ANY)
    assert kept.now() == store.project(Transcript(), "s")


def test_nothing_is_wrong_and_nothing_needs_repair(store, other):
    talk(store)
    assert other.repair("s") == []
    assert (other.diagnose("s").steps, other.diagnose("s").hopeless) == ([], [])
    assert store.compact() == 1
    assert other.prune(keep=1).sessions == []


def test_a_closed_store_says_so(place):
    store = connect(place)
    talk(store)
    store.close()
    store.close()
    for use in (lambda: store.load_session("s"), store.list_sessions, lambda: talk(store, "t")):
        with pytest.raises(JournalClosedError):
            use()


def test_tasks_do_what_threads_do(place):
    """Many sessions at once, each its own history; beside them lists, forks, searches, followers."""

    async def main():
        async with (
            await AsyncStateStore.connect(place, durability="os") as one,
            await AsyncStateStore.connect(place, durability="os") as two,
        ):

            async def follow(store):
                found = set()
                async for record in store.follow(timeout=20):
                    found.add((record.session_id, record.seq))
                    if len(found) == 20 * 6 + 6:
                        break
                return found

            async def write(n):
                store = (one, two)[n % 2]
                session = Session.with_id("u", f"s{n}")
                for m in range(5):
                    session.add_user_message(f"{n}.{m}")
                    await store.save_session(session)
                return session

            listening = asyncio.create_task(follow(two))
            async with asyncio.timeout(60):
                sessions = await asyncio.gather(*(write(n) for n in range(20)))
                for n, session in enumerate(sessions):
                    loaded = await (two, one)[n % 2].load_session(session.id)
                    assert loaded.to_document() == session.to_document()
                    assert loaded.version == 6
                listed, forked, hits = await asyncio.gather(
                    one.list_sessions(), two.fork("s3", new_id="f"), one.search('"7.4"')
                )
                assert len(listed) in (20, 21)
                assert forked.version == 6
                assert [hit.session_id for hit in hits] == ["s7"]
                assert (await two.verify()).ok
                assert len(await listening) == 126

    asyncio.run(main())
