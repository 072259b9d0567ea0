"""A kept projection says at each call what a fold of the whole journal says."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import AsyncStateStore, Session, StateStore
from journal.errors import CorruptRecordError, InvalidNameError, JournalClosedError
from journal.kept import Unread
from projections import SessionCreated, Transcript, UserMessageAdded, fold
from projections.events import event_type
from tests.strategies import a_store, known_events, some


def test_there_is_nothing_before_the_session_and_after_its_deletion(tmp_path):
    with StateStore(tmp_path) as store:
        kept = store.keep(Transcript(), "s")
        before = kept.now()
        store.save_session(Session.with_id("ada", "s"))
        there = kept.now()
        store.delete_session("s")

        assert (before, [entry.title for entry in there or []], kept.now()) == (
            None,
            ["Session of ada created"],
            None,
        )


def test_a_new_session_of_the_same_name_is_read_anew(tmp_path):
    with StateStore(tmp_path) as store:
        kept = store.keep(Transcript(), "s")
        for word in ("one", "two"):
            store.append("s", [SessionCreated(session_id="s", user_id="u")], expected_version=0)
            store.append("s", [UserMessageAdded(content=word)], expected_version=1)

            assert [entry.text for entry in kept.now() or []] == ["", word]

            store.delete_session("s")


def test_an_erasure_reaches_it(tmp_path):
    with StateStore(tmp_path) as store:
        session = Session.with_id("u", "s")
        session.add_user_message("secret")
        store.save_session(session)
        kept = store.keep(Transcript(), "s")
        before = [entry.text for entry in kept.now() or []]
        store.erase("s", [2], reason="asked for")

        assert before == ["", "secret"]
        assert "secret" not in [entry.text for entry in kept.now() or []]


def test_only_what_is_new_is_read(tmp_path, monkeypatch):
    with StateStore(tmp_path) as store:
        session = Session.with_id("u", "s")
        store.save_session(session)
        kept = store.keep(Transcript(), "s")
        kept.now()
        monkeypatch.setattr(kept, "_records", None)  # a whole pass would fail
        for number in range(20):
            session.add_user_message(str(number))
            store.save_session(session)

            assert (kept.now() or [])[-1].text == str(number)


def test_the_state_stands_still_while_a_question_is_asked(tmp_path):
    """Another thread that asks at the same time waits, and does not bring it up to date meanwhile."""
    with StateStore(tmp_path, durability="os") as store:
        session = Session.with_id("u", "s")
        store.save_session(session)
        kept = store.keep(Transcript(), "s")
        seen = []

        def question(entries):
            seen.append(len(entries))
            if not others:
                with StateStore(tmp_path, durability="os") as other:
                    other.update_session_with("s", lambda s: s.add_user_message("more"))
                others.append(threading.Thread(target=kept.now))
                others[0].start()
                others[0].join(0.05)
            return len(entries)

        others: list[threading.Thread] = []
        answer = kept.ask(question)
        others[0].join()

        assert seen == [answer] == [1]
        assert kept.ask(len) == 2


def test_another_programs_file_is_its_adoption(tmp_path):
    with StateStore(tmp_path) as store:
        session = Session.with_id("u", "s")
        session.add_user_message("hello")
        store.save_session(session)
    (tmp_path / "sessions/s.jsonl").unlink()
    with StateStore(tmp_path) as store:
        kept = store.keep(Transcript(), "s")

        assert [entry.text for entry in kept.now() or []][-1] == "hello"


def test_a_bad_id_and_a_closed_store_are_refused(tmp_path):
    store = StateStore(tmp_path)
    with pytest.raises(InvalidNameError):
        store.keep(Transcript(), "../s")
    kept = store.keep(Transcript(), "s")
    store.close()

    with pytest.raises(JournalClosedError):
        kept.now()


@some
@given(
    batches=st.lists(st.tuples(st.booleans(), st.lists(known_events(), min_size=1, max_size=4)), max_size=6)
)
def test_it_equals_a_fold_whoever_writes(batches):
    with a_store(durability="os") as store, StateStore(store.base_path, durability="os") as other:
        store.append("s", [SessionCreated(session_id="s", user_id="u")], expected_version=0)
        kept = store.keep(Transcript(), "s")
        for by_other, events in batches:
            (other if by_other else store).append("s", events, expected_version=-1)

            assert kept.now() == fold(store.records("s"), Transcript())


class Late:
    """The records, of which messages are read when somebody looks."""

    name, version = "late", 1
    postponed = ("user_message_added", "metadata_set")

    def initial(self):
        return []

    def apply(self, state, record):
        return [*state, record]

    def postpone(self, state, unread):
        return [*state, unread]


def read(state):
    return [each.read() if isinstance(each, Unread) else each for each in state]


@some
@given(st.lists(st.tuples(st.booleans(), st.lists(known_events(), min_size=1, max_size=4)), max_size=6))
def test_what_was_postponed_is_what_was_written(batches):
    """Whether it was there before the first look, or came later; and nothing else is postponed."""
    with a_store(durability="os") as store, StateStore(store.base_path, durability="os") as other:
        store.append("s", [SessionCreated(session_id="s", user_id="u")], expected_version=0)
        kept = store.keep(Late(), "s")
        for by_other, events in batches:
            (other if by_other else store).append("s", events, expected_version=-1)
            state, afresh = kept.now() or [], other.keep(Late(), "s").now() or []
            records = list(store.records("s"))

            assert read(state) == read(afresh) == records
            for found in (state, afresh):
                assert [isinstance(each, Unread) for each in found] == [
                    event_type(record.event) in Late.postponed for record in records
                ]


def test_a_postponed_record_that_was_altered_is_told_when_it_is_read(tmp_path):
    """Where the snapshot stands for it, and nobody else would look."""
    session = Session.with_id("u", "s")
    for word in ("before", "hello"):
        session.add_user_message(word)
    with StateStore(tmp_path) as store:
        store.save_session(session)
    path = tmp_path / "sessions/s.jsonl"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"hello", b"hallo"))
    with StateStore(tmp_path) as store:
        _, before, altered = store.keep(Late(), "s").now() or []
        with pytest.raises(CorruptRecordError) as error:
            altered.read()

        assert (error.value.seq, error.value.path) == (3, str(path))
        assert data[error.value.offset :].startswith(b'{"v":1,"seq":3,')
        assert before.read().event == UserMessageAdded(content="before")


def test_it_awaits_too(tmp_path):
    async def main():
        async with AsyncStateStore(tmp_path) as store:
            kept = store.keep(Transcript(), "s")
            before = await kept.now()
            session = Session.with_id("u", "s")
            session.add_user_message("hello")
            await store.save_session(session)
            return before, [entry.text for entry in await kept.now() or []], await kept.ask(len)

    assert asyncio.run(main()) == (None, ["", "hello"], 2)
