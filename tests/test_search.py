"""Search: it finds what a scan of all records finds, always up to date, and forgets what it must."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from journal import (
    ANY,
    Change,
    InvalidNameError,
    JournalClosedError,
    JournalError,
    JournalWarning,
    Session,
    StateStore,
    UserMessage,
    indexing,
    search_index,
)
from journal.excerpts import Excerpts
from journal.indexing import Indexer
from journal.words import Places, parse_query, spaced
from projections import (
    CustomEvent,
    MetadataSet,
    ReasoningAdded,
    SessionCreated,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from tests.strategies import START, a_store, said, texts


def found(store, text, **options):
    """The addresses of all hits."""
    return {hit.address for hit in store.search(text, limit=None, **options)}


def begin(store, session_id, *events, user_id="u"):
    """A session of these events, each a record."""
    created = SessionCreated(session_id=session_id, user_id=user_id)
    return store.append(session_id, [created, *events], expected_version=0)


def marked(hit):
    """The texts in a snippet that match."""
    return [hit.snippet[start:end] for start, end in hit.spans]


def internal_bytes(store):
    """All that stands in the files beside the journals."""
    return b"".join(
        path.read_bytes() for path in Path(store.base_path, ".journal").rglob("*") if path.is_file()
    )


@pytest.fixture
def small_parts(monkeypatch):
    """An index whose parts are full with next to nothing."""
    monkeypatch.setattr(search_index, "PART_BYTES", 60)
    monkeypatch.setattr(search_index, "PART_ROWS", 3)


# What is found


def test_what_was_said_called_returned_and_noted_is_found(store):
    """Each with its address, its type and whose words it is."""
    begin(
        store,
        "s",
        said("needle one"),
        ReasoningAdded(content="needle two"),
        ToolCalled(call_id="c", name="look", arguments={"in": ["the needle stack", 4711]}),
        ToolReturned(call_id="c", result={"needle_count": 3}),
        CustomEvent(name="needle.found", data={"deep": [{"er": "value"}]}),
        MetadataSet(key="needle", value=True),
    )
    hits = {hit.seq: hit for hit in store.search("needle")}

    assert {seq: hit.role for seq, hit in hits.items()} == {
        2: "user",
        3: "reasoning",
        4: "tool_call",
        5: "tool_result",
        6: "note",
        7: "note",
    }
    assert hits[4].type == "tool_called"
    assert (hits[2].address, hits[2].user_id, hits[2].snippet) == ("s@2", "u", "needle one")
    assert hits[2].at == next(record.at for record in store.records("s") if record.seq == 2)
    assert all(marked(hit) == ["needle"] for hit in hits.values())
    assert found(store, "4711 look") == {"s@4"}
    assert found(store, "value deep") == {"s@6"}


def test_a_whole_session_in_one_record_is_found_by_what_was_said_in_it(store, folder):
    """A replacement, and another program's file with no journal beside it, and with one."""
    session = Session.with_id("u", "s")
    session.add_user_message("a question")
    session.add_agent_response("an answer")
    store.save_session(session)
    session.user_messages[:] = [UserMessage("zebra crossing", START)]
    store.save_session(session)
    foreign = (
        '{"id":"f","user_id":"u","user_messages":[{"content":"hi","timestamp":"2026-08-14T12:30:00Z"}],'
        '"agent_responses":[{"content":"a zebra","timestamp":"2026-08-14T12:31:00Z"}],'
        '"created_at":"2026-08-14T12:30:00Z","updated_at":"2026-08-14T12:31:00Z"}'
    )
    (folder / "sessions" / "f.json").write_text(foreign)

    assert {hit.address: hit.role for hit in store.search("zebra")} == {"s@4": "user", "f@0": "agent"}
    store.update_session_with("f", lambda loaded: loaded.add_user_message("no stripes"))
    assert found(store, "zebra") == {"s@4", "f@1"}
    (folder / "sessions" / "g.json").write_text(foreign.replace('"f"', '"g"').replace("zebra", "gnu"))
    assert found(store, "gnu") == {"g@0"}
    (folder / "sessions" / "g.json").write_text(foreign.replace('"f"', '"g"').replace("zebra", "emu"))
    assert found(store, "gnu") == set()
    assert found(store, "emu") == {"g@0"}


def test_all_words_must_be_there_and_none_of_the_unwanted(store):
    """Words, phrases, beginnings, exclusions; capitals and accents make no difference."""
    begin(store, "s", said("The café's blue door"), said("A blue café"), said("cafeteria doors"))

    assert found(store, "blue cafe") == {"s@2", "s@3"}
    assert found(store, '"BLUE DOOR"') == {"s@2"}
    assert found(store, '"blue door') == {"s@2"}
    assert found(store, "caf*") == {"s@2", "s@3", "s@4"}
    assert found(store, "caf* -blue") == {"s@4"}
    assert found(store, 'blue -"blue door"') == {"s@3"}
    assert found(store, '"a blue c"*') == {"s@3"}
    assert found(store, "caf") == set()


@pytest.mark.parametrize(
    ("query", "addresses"),
    [
        ("退款", {"s@2", "s@3"}),
        ("款", {"s@2", "s@3"}),
        ("申请 酒店", {"s@3"}),
        ("店酒", set()),
        ("東京タワー", {"s@4"}),
        ("タワ", {"s@4"}),
        ("iPhone を", {"s@5"}),
        ("買い", {"s@5"}),
        ("예약", {"s@6"}),
        ("예약*", {"s@6"}),
        ("退款 -酒店", {"s@2"}),
        ("𠮷野", {"s@7"}),
        ("5月", {"s@3"}),
    ],
)
def test_chinese_japanese_and_korean_need_no_spaces(store, query, addresses):
    """Any run of characters is found, and marked as it stands."""
    begin(
        store,
        "s",
        said("我想退款。"),
        said("请问5月的酒店可以申请退款吗？"),
        said("東京タワーへ行きたい"),
        said("新しいiPhoneを買いました"),
        said("호텔 예약을 취소하고 싶어요"),
        said("𠮷野家"),
    )
    hits = store.search(query)

    assert {hit.address for hit in hits} == addresses
    words = set(query.replace("*", "").split()) - {"-酒店"}
    assert all(set(marked(hit)) == words for hit in hits)


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("中文かなカナ한글ab \n")))
def test_spaces_around_characters_are_known_by_their_places(text):
    """Every character is found again where it was."""
    place = Places(text)
    wide = spaced(text)
    ends = [at for at in range(len(wide)) if text[place(at) : place(at) + 1] == wide[at]]

    assert {place(at) for at in ends} >= set(range(len(text)))
    assert [place(at) for at in range(len(wide))] == sorted(place(at) for at in range(len(wide)))
    assert place(len(wide)) == len(text)


TYPED = r"""
" "" * - -- AND NOT NEAR( ( ) a^b text: {a}:c + ? % %d \ -* -" a"b ^a a*b* a'; 𞤀
""".split()  # noqa: SIM905
MORE_TYPED = [
    "",
    "a\0b",
    "\ue000",
    "a OR",
    "a AND",
    "NOT a",
    "; drop table session",
    "w1 " * 99,
    '"' + "x " * 5000,
]


@pytest.mark.parametrize(
    "query",
    TYPED + MORE_TYPED,
    ids=lambda query: repr(query[:12]),
)
def test_whatever_is_typed_is_a_question(store, query):
    """Or asks for nothing, which is said; it is never an error of SQLite's."""
    begin(store, "s", said("a b c AND NOT OR NEAR text x w1"))
    with contextlib.suppress(InvalidNameError):
        assert found(store, query) <= {"s@2"}

    assert found(store, "a") == {"s@2"}


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=[]) | st.sampled_from('"*-()^:{}+ abAND中')))
def test_no_text_is_an_error_in_a_query(text):
    """SQLite takes every query that is made of one."""
    excerpts = Excerpts()
    with contextlib.suppress(InvalidNameError), contextlib.closing(excerpts):
        excerpts.of(parse_query(text), ["a b", "中文"])


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "no word"),
        ("?! …", "no word"),
        ("-draft", "what must not be found"),
        ("\ud800", "Unicode"),
        ("w " * 101, "over 100 words"),
    ],
)
def test_a_question_that_asks_for_nothing_is_refused(store, folder, query, reason):
    """Before anything is made."""
    with pytest.raises(InvalidNameError, match=reason):
        store.search(query)

    assert not folder.exists()


WORDS = ["alpha", "beta", "gamma", "日本", "東京", "étude"]


@settings(max_examples=40)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6), max_size=12), st.sampled_from(WORDS))
def test_a_search_finds_what_a_scan_finds(messages, word):
    """Every record that has the word, and no other; the spans are where it stands."""
    with a_store() as store:
        begin(store, "s", *(said(" ".join(words)) for words in messages))
        hits = store.search(word, limit=None)

        assert {hit.seq for hit in hits} == {n for n, words in enumerate(messages, 2) if word in words}
        for hit in hits:
            assert set(marked(hit)) == {word}


@settings(max_examples=60)
@given(texts(60), st.integers(0, 60))
def test_an_excerpt_is_a_piece_of_the_text(text, at):
    """Whatever is in it; and the spans are in the excerpt."""
    text = f"{text[:at]} needle {text[at:]}"
    with contextlib.closing(Excerpts()) as excerpts:
        excerpt = excerpts.of(parse_query("needle"), [text])[0]

    assert excerpt.text.removeprefix("…").removesuffix("…") in text
    assert [excerpt.text[start:end] for start, end in excerpt.spans] == ["needle"]


def test_an_excerpt_shows_where_most_of_it_matches():
    """Not only the beginning of a long text."""
    text = "red " + "grey " * 500 + "a red house and a blue door" + " grey" * 500
    with contextlib.closing(Excerpts()) as excerpts:
        excerpt = excerpts.of(parse_query("red blue"), [text])[0]

    assert [excerpt.text[start:end] for start, end in excerpt.spans] == ["red", "blue"]
    assert len(excerpt.text) < 220


# Which records, and in which order


def test_filters_by_user_and_by_the_records_time(store):
    """Since is inside, until is outside; filters can be combined."""
    hour = timedelta(hours=1)
    for number, user in enumerate("uvuv"):
        created = SessionCreated(session_id=f"s{number}", user_id=user)
        changes = [Change(event=each, at=START + number * hour) for each in (created, said("word"))]
        store.append(f"s{number}", changes, expected_version=0)

    assert found(store, "word", user_id="u") == {"s0@2", "s2@2"}
    assert found(store, "word", since=START + hour, until=START + 3 * hour) == {"s1@2", "s2@2"}
    assert found(store, "word", user_id="v", since=START + 2 * hour) == {"s3@2"}
    assert found(store, "word", user_id="nobody") == set()
    assert len(store.search("word", limit=3)) == 3
    with pytest.raises(ValueError, match="offset"):
        store.search("word", since=START.replace(tzinfo=None))


def test_the_best_come_first(store):
    """More of the words in less text."""
    begin(store, "s", said("a refund " + "of other things " * 20), said("refund refund"), *[said("x")] * 9)

    assert [hit.seq for hit in store.search("refund")] == [3, 2]
    scores = [hit.score for hit in store.search("refund")]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0


def test_what_is_new_is_weighed_as_what_is_old(store, small_parts):
    """However few records its part of the index holds, and however many of those have the word."""
    begin(store, "old", said("other"), said("a refund of an order and some more words"), said("another"))
    store.search("refund")
    begin(store, "new", said("refund"))

    assert [hit.address for hit in store.search("refund")] == ["new@2", "old@3"]


def test_of_a_word_that_is_everywhere_the_latest_are_weighed(store, small_parts, monkeypatch):
    """So many of them; and as many are found as were asked for, all where all were."""
    monkeypatch.setattr("journal.ranking.MOST_WEIGHED", 4)
    texts = ["word word", "word and others", "word word and", "a word and many others"]
    texts = [text for text in texts for _ in range(2)]
    for number, text in enumerate(texts):
        begin(store, f"s{number}", said(text), said(text))
        store.search("word")

    assert [hit.session_id for hit in store.search("word", limit=2)] == ["s7", "s7"]
    monkeypatch.setattr("journal.ranking.MOST_WEIGHED", 6)
    assert {hit.session_id for hit in store.search("word", limit=2)} <= {"s4", "s5"}
    assert len(store.search("word", limit=15)) == 15
    assert len(found(store, "word")) == 16


# Kept up to date


def scan(store, word):
    """What reading every record finds."""
    return {
        f"{session_id}@{record.seq}"
        for session_id in store.session_ids()
        for record in store.records(session_id)
        if isinstance(record.event, UserMessageAdded) and word in record.event.content.split()
    }


def erase(store, session_id, seq):
    """Take the content out of a record, as the format says; in a new file, as whoever erases does."""
    path = Path(store.base_path, "sessions", f"{session_id}.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    head, salt, _ = lines[seq - 1].partition(b'","salt":')
    lines[seq - 1] = head + salt + b'null,"event":{"type":"erased","was":"user_message_added"}}\n'
    new = path.with_suffix(".new")
    new.write_bytes(b"".join(lines))
    new.rename(path)


class Searched(RuleBasedStateMachine):
    """Whatever is done to the sessions, and to the index, by two stores: a search finds what a scan finds."""

    @initialize()
    def open(self):
        self.context = a_store()
        self.one = self.context.__enter__()
        self.two = StateStore(self.one.base_path, durability="os")
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(search_index, "PART_BYTES", 60)
        self.patch.setattr(search_index, "PART_ROWS", 3)

    def teardown(self):
        if hasattr(self, "two"):
            self.patch.undo()
            self.two.close()
            self.context.__exit__(None, None, None)

    stores = st.sampled_from(["one", "two"])
    sessions = st.sampled_from("abcd")
    messages = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)

    @rule(store=stores, session_id=sessions, batch=st.lists(messages, min_size=1, max_size=4))
    def write(self, store, session_id, batch):
        store = getattr(self, store)
        events = [said(" ".join(words)) for words in batch]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", JournalWarning)  # a torn tail is mended
            store.get_or_create_session("u", session_id)
            store.append(session_id, events, expected_version=ANY)

    @rule(store=stores, session_id=sessions)
    def delete(self, store, session_id):
        getattr(self, store).delete_session(session_id)

    @rule(store=stores, session_id=sessions, data=st.data())
    def erase(self, store, session_id, data):
        store = getattr(self, store)
        if session_id in store.session_ids():
            said_in = [r.seq for r in store.records(session_id) if isinstance(r.event, UserMessageAdded)]
            if said_in:
                erase(store, session_id, data.draw(st.sampled_from(said_in)))
                if data.draw(st.booleans()):
                    store._search.forget([session_id])

    @rule(session_id=sessions)
    def tear(self, session_id):
        path = Path(self.one.base_path, "sessions", f"{session_id}.jsonl")
        if path.exists():
            with path.open("ab") as file:
                file.write(b'{"v":1,"seq":')

    @rule(session_ids=st.sets(sessions))
    def forget_what_is_there(self, session_ids):
        self.one._search.forget(session_ids)

    @rule(name=st.sampled_from(["search.sqlite3", "catalog.sqlite3"]))
    def remove(self, name):
        for path in Path(self.one.base_path, ".journal").glob(f"{name}*"):
            path.unlink()

    @rule(garbage=st.sampled_from([b"garbage" * 900, b"SQLite format 3\0" + b"\xff" * 4000]))
    def garble(self, garbage):
        path = Path(self.one.base_path, ".journal", "search.sqlite3")
        if path.exists():
            path.write_bytes(garbage)

    @rule(share=st.floats(0, 0.9))
    def halve(self, share):
        path = Path(self.one.base_path, ".journal", "search.sqlite3")
        if path.exists():
            self.one._search.close()
            self.two._search.close()
            os.truncate(path, int(path.stat().st_size * share))

    @rule(store=stores)
    def reopen(self, store):
        if store == "two":
            self.two.close()
            self.two = StateStore(self.one.base_path, durability="os")

    @rule(store=stores, word=st.sampled_from(WORDS))
    def search(self, store, word):
        store = getattr(self, store)
        page = store.search(word, limit=None)
        assert {hit.address for hit in page} == scan(store, word)
        assert len(page) == len({hit.address for hit in page})
        assert page.unreadable == []


TestSearched = Searched.TestCase
TestSearched.settings = settings(max_examples=60, stateful_step_count=25)


def test_nothing_new_is_nothing_read(store, monkeypatch):
    """A search of an index that is up to date opens no journal but for its hits."""
    for number in range(5):
        begin(store, f"s{number}", said("word"), said("other"))
    store.search("word")
    opened = []
    real = store._disk.open

    def open_(path, **options):
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(store._disk, "open", open_, raising=False)
    store.search("word", limit=2)

    assert len([path for path in opened if path.endswith(".jsonl")]) == 2
    opened.clear()
    store.append("s3", [said("more")], expected_version=3)
    opened.clear()
    assert found(store, "nowhere") == set()
    assert {path for path in opened if path.endswith(".jsonl")} <= {f"{store.base_path}/sessions/s3.jsonl"}


def test_what_goes_costs_no_more_than_what_stood_beside_it(store, small_parts, monkeypatch):
    """The other parts of the index are as they were."""
    for number in range(9):
        begin(store, f"s{number}", *[said("word")] * 3)
        store.search("word")
    store.delete_session("s4")
    store.list_sessions()
    opened = []
    real = store._disk.open

    def open_(path, **options):
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(store._disk, "open", open_, raising=False)
    store.search("nowhere")
    read = {Path(path).stem for path in opened if path.endswith(".jsonl")}

    assert read <= {"s3", "s5"}
    assert len(found(store, "word")) == 24


def test_only_what_is_new_is_indexed(store):
    """The rest of a long session is not read again."""
    begin(store, "s", *[said("word")] * 50)
    told = []
    store.search("word")
    store.append("s", [said("more words")], expected_version=51)
    store.search("more", progress=lambda name, done, total: told.append((name, total)))

    assert [name for name, _ in told] == ["s"]
    assert 0 < told[0][1] < 1000


def test_whoever_never_searches_pays_nothing(store, folder):
    """There is no index before the first search, and writing does not touch it."""
    begin(store, "s", said("a"))
    store.list_sessions()
    assert not list(folder.glob(".journal/search*"))
    store.search("a")
    before = {path: path.read_bytes() for path in folder.glob(".journal/search*")}
    store.append("s", [said("b")], expected_version=2)

    assert before
    assert {path: path.read_bytes() for path in folder.glob(".journal/search*")} == before


def test_a_damaged_session_is_searched_up_to_the_damage(store, journal_file):
    """And it is told; once repaired, all of it is."""
    for session_id in ("good", "bad"):
        begin(store, session_id, said("first word"))
        store.append(session_id, [said("second word")], expected_version=2)
        store.append(session_id, [said("third word")], expected_version=3)
    assert len(found(store, "word")) == 6
    path = journal_file("bad")
    path.write_bytes(path.read_bytes().replace(b"second", b"sec0nd"))
    with StateStore(store.base_path, durability="os") as fresh:
        Path(store.base_path, ".journal", "search.sqlite3").unlink()
        page = fresh.search("word")
        assert {hit.address for hit in page} == {"good@2", "good@3", "good@4", "bad@2"}
        assert [each.id for each in page.unreadable] == ["bad"]
        assert str(path) in page.unreadable[0].reason
        assert fresh.search("nothing").unreadable == page.unreadable
        fresh.repair("bad")
        page = fresh.search("word")
        assert page.unreadable == []
        assert {hit.address for hit in page} == scan(fresh, "word")
        assert "bad@2" in scan(fresh, "word")


def test_damage_that_is_gone_again_leaves_nothing_twice(store, journal_file):
    """What stood before it in its batch was found then, and is found once now."""
    begin(store, "s", said("one word"), said("two word"), said("third word"))
    whole = journal_file("s").read_bytes()
    journal_file("s").write_bytes(whole.replace(b"third", b"thirt"))
    assert {hit.address for hit in store.search("word")} == {"s@2", "s@3"}
    with journal_file("s").open("r+b") as file:
        file.write(whole)

    page = store.search("word")
    assert sorted(hit.address for hit in page) == ["s@2", "s@3", "s@4"]
    assert page.unreadable == []


def test_a_session_that_cannot_be_read_just_now_is_read_the_next_time(store, monkeypatch):
    """A disk may think better of it."""
    begin(store, "s", said("word"))
    store.list_sessions()
    real = store._disk.read

    def refuse(fd, size, offset):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(store._disk, "read", refuse, raising=False)
        page = store.search("word")
        assert list(page) == []
        assert "Input/output error" in page.unreadable[0].reason
    assert store._disk.read == real
    page = store.search("word")
    assert {hit.address for hit in page} == {"s@2"}
    assert page.unreadable == []


def test_a_hit_says_what_the_record_says(store, folder):
    """An index that somebody wrote can hide a record, and can make up none."""
    begin(store, "s", said("alpha"), said("beta"))
    store.search("alpha")
    store.close()
    with contextlib.closing(sqlite3.connect(folder / ".journal" / "search.sqlite3")) as database, database:
        database.execute("update record set seq = 3, offset = (select offset from record where seq = 3)")
    with StateStore(folder, durability="os") as fresh:
        assert found(fresh, "alpha") == set()


@pytest.mark.parametrize(
    "statements",
    [
        ["drop table words_1"],
        ["drop table record"],
        ["create table other (x)", "pragma user_version = 99"],
        ["update session set chain = 5, offset = 'x', file = ''"],
        ["update record set seq = 'x', offset = -5"],
        ["update record set size_bytes = 9223372036854775807"],
        ["update part set number = number + 7"],
        ["update part set last_row = 'x', is_lost = 1"],
        ["delete from seen"],
        ["update seen set change = 10"],
        ["delete from session"],
        ["insert into session values (77, '../up', 'u', '', 0, 0, x'', 0, null)"],
        ["insert into session values (77, x'00', 'u', 'f', 0, 0, x'', 0, null)"],
        ["create trigger t before insert on session begin select raise(abort, 'no'); end"],
    ],
    ids=lambda statements: statements[0],
)
def test_an_index_that_somebody_wrote_stops_no_search(folder, statements):
    """It may hide what it likes, but is made anew where it makes no sense."""
    with StateStore(folder, durability="os") as store:
        begin(store, "s", said("alpha"))
        store.search("alpha")
    with contextlib.closing(sqlite3.connect(folder / ".journal" / "search.sqlite3")) as database, database:
        for statement in statements:
            database.execute(statement)
    with StateStore(folder, durability="os") as store:
        store.append("s", [said("beta")], expected_version=2)
        assert found(store, "beta") <= {"s@3"}
        assert found(store, "alpha") <= {"s@2"}
        shutil.rmtree(folder / ".journal")
        assert found(store, "alpha") == {"s@2"}


# What it forgets

SECRETS = ["kq7vxsecretword", "zj9wyhiddenword", "合言葉は開けゴマ"]


def secrets_in(data):
    """Which secrets are in these bytes. Of words that begin alike SQLite writes the beginning once."""
    return [secret for secret in SECRETS if secret[4:].encode() in data]


def spread(store):
    """Secrets in two sessions, and the same records around them in both."""
    for session_id in "st":
        events = [said(f"word {n} and more of it") for n in range(20)]
        if session_id == "s":
            events[7] = said(" ".join(SECRETS[:2]))
        begin(store, session_id, *events)
        store.search("word")
    assert found(store, SECRETS[0]) == {"s@9"}
    assert secrets_in(internal_bytes(store)) == SECRETS[:2]


@pytest.mark.parametrize("is_parted", [False, True])
def test_what_was_erased_is_in_no_file_when_it_was_forgotten(store, is_parted, monkeypatch):
    """Not in the index, its free pages or its log; also while others have it open. The rest is found."""
    if is_parted:
        monkeypatch.setattr(search_index, "PART_ROWS", 4)
    spread(store)
    with StateStore(store.base_path, durability="os") as other:
        other.search("word")
        erase(store, "s", 9)
        store._search.forget(["s"])

        assert secrets_in(internal_bytes(store)) == []
        for each in (store, other):
            assert found(each, SECRETS[0]) == set()
            assert len(found(each, "word")) == 39
        assert secrets_in(internal_bytes(store)) == []


def test_what_was_erased_goes_with_the_next_search(store):
    """Where whoever erased it died before he said so."""
    spread(store)
    erase(store, "s", 9)

    assert found(store, SECRETS[0]) == set()
    assert secrets_in(internal_bytes(store)) == []
    assert len(found(store, "word")) == 39


def test_a_deleted_session_goes_with_the_next_search(store, folder):
    """Deleted by us, or removed by somebody else."""
    spread(store)
    begin(store, "u", said(SECRETS[2]))
    assert found(store, "開けゴマ") == {"u@2"}
    store.delete_session("s")
    (folder / "sessions" / "u.jsonl").unlink()

    assert len(found(store, "word")) == 20
    assert secrets_in(internal_bytes(store)) == []


def test_an_index_that_a_reader_holds_is_removed(store, folder, monkeypatch):
    """What must be forgotten does not wait for somebody who reads."""
    monkeypatch.setattr(search_index, "_FORGET_SECONDS", 0.1)
    spread(store)
    with contextlib.closing(sqlite3.connect(folder / ".journal" / "search.sqlite3")) as reader:
        reader.execute("begin")
        reader.execute("select * from session").fetchall()
        erase(store, "s", 9)
        store._search.forget(["s"])

        assert secrets_in(internal_bytes(store)) == []
    assert len(found(store, "word")) == 39


def test_an_index_that_is_damaged_is_forgotten_whole(store, folder):
    """Nobody knows what is in it."""
    spread(store)
    store._search.close()
    path = folder / ".journal" / "search.sqlite3"
    path.write_bytes(b"no database" + path.read_bytes()[11:])
    erase(store, "s", 9)
    store._search.forget(["s"])

    assert secrets_in(internal_bytes(store)) == []


def test_who_was_reading_a_journal_does_not_bring_back_what_was_forgotten(store, monkeypatch):
    """What it read of the file that was replaced meanwhile is not added; the new file is read."""
    begin(store, "s", said(f"word {SECRETS[0]}"), said("word"))
    real = Indexer._flush
    erased = []

    def flush(self):
        if not erased and self._rows:
            erased.append(True)
            erase(store, "s", 2)
            search_index.forget(store._disk, store._layout.search, ["s"])
        real(self)

    monkeypatch.setattr(Indexer, "_flush", flush)

    assert found(store, "word") == {"s@3"}
    assert erased
    assert secrets_in(internal_bytes(store)) == []


def test_a_session_that_is_forgotten_while_it_is_indexed_is_indexed_anew(store, small_parts, monkeypatch):
    """From its beginning."""
    begin(store, "s")
    for version in range(1, 9):
        store.append("s", [said("word")], expected_version=version)
    real = Indexer._flush
    flushed = []

    def flush(self):
        real(self)
        flushed.append(True)
        if len(flushed) == 2:
            search_index.forget(store._disk, store._layout.search, ["s"])

    monkeypatch.setattr(Indexer, "_flush", flush)

    assert len(found(store, "word")) == 8
    assert len(flushed) > 3


def test_what_is_forgotten_and_still_there_is_found(store):
    """The next search reads it again, though nothing has changed."""
    begin(store, "s", said("word"))
    begin(store, "t", said("word"))
    assert len(found(store, "word")) == 2
    store._search.forget(["s"])

    assert found(store, "word") == {"s@2", "t@2"}


def test_what_is_forgotten_this_very_moment_hides_nothing_else(store, folder, monkeypatch):
    """Between bringing the index up to date and asking it; which is not made anew for that."""
    begin(store, "s", said("word"))
    begin(store, "t", said("word"))
    store.search("word")
    inode = (folder / ".journal" / "search.sqlite3").stat().st_ino
    real = Indexer.run
    forgotten = []

    def run(self, **options):
        real(self, **options)
        if not forgotten:
            forgotten.append(True)
            store._search.forget(["s"])

    monkeypatch.setattr(Indexer, "run", run)

    assert found(store, "word") == {"s@2", "t@2"}
    assert (folder / ".journal" / "search.sqlite3").stat().st_ino == inode


def test_a_session_that_does_not_say_what_it_said_is_read_again(store, monkeypatch):
    """Found out when the part of the index that it shares with another one is made anew."""
    begin(store, "s", said("word"))
    begin(store, "t", said("word"))
    store.search("word")
    store.delete_session("s")
    real = indexing.record_at
    asked = []

    def record_at(*place):
        asked.append(place)
        return None if len(asked) == 1 else real(*place)

    monkeypatch.setattr(indexing, "record_at", record_at)

    assert found(store, "word") == {"t@2"}
    assert asked


def test_forgetting_under_a_sessions_lock_waits_for_no_search(store, folder):
    """A search that waits for that session lets the index go meanwhile."""
    begin(store, "s", said("word"))
    store.search("word")
    with StateStore(folder, durability="os") as other:
        handle = store._handles.of("s")
        with handle.log.exclusive:
            with (folder / "sessions" / "s.jsonl").open("ab") as file:
                file.write(b"\n")  # so that the search looks at it
            searching = threading.Thread(target=other.search, args=("word",))
            searching.start()
            time.sleep(0.2)
            assert searching.is_alive()
            start = time.monotonic()
            store._search.forget(["s"])
            assert time.monotonic() - start < 5
        searching.join()


# Beside others


SEARCHER = """
import sys
from journal import StateStore
with StateStore(sys.argv[1], durability="os") as store:
    for _ in range(15):
        page = store.search("word", limit=None)
        assert len(page) == len({hit.address for hit in page}), "twice"
        assert not page.unreadable, page.unreadable
    print(len(page))
"""


def test_two_processes_search_while_a_third_writes(store, small_parts):
    """Each finds everything that was saved before it asked, and nothing twice."""
    for number in range(6):
        begin(store, f"s{number}", *[said("word")] * 5)
    command = [sys.executable, "-W", "ignore", "-c", SEARCHER, store.base_path]
    searchers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    written = 30
    while any(each.poll() is None for each in searchers):
        store.append(f"s{written % 6}", [said("word")], expected_version=ANY)
        written += 1
        assert len(found(store, "word")) == written
    said_by = [(each.wait(), int(each.communicate()[0])) for each in searchers]

    assert [code for code, _ in said_by] == [0, 0]
    assert all(30 <= count <= written for _, count in said_by)


def test_a_write_that_lands_while_the_catalog_looks_is_found(store, folder, monkeypatch):
    """The catalog's word for the file is then older than what it has seen."""
    begin(store, "s", said("word"))
    with StateStore(folder, durability="os") as other:
        time.sleep(0.2)  # the folder's time must tell nothing
        assert len(found(other, "word")) == len(found(store, "word")) == 1
        pages = []
        searching = threading.Thread(target=lambda: pages.append(found(other, "word")))
        real = store._disk.write

        def write(fd, data):
            if b'"event"' in data:
                searching.start()
                searching.join(0.2)
            return real(fd, data)

        with monkeypatch.context() as patch:
            patch.setattr(store._disk, "write", write, raising=False)
            store.append("s", [said("word")], expected_version=2)
        searching.join()

        assert pages == [{"s@2", "s@3"}]
        assert found(other, "word") == {"s@2", "s@3"}


def test_threads_of_one_store_search_at_once(store):
    """Nobody fails, everybody finds."""
    begin(store, "s", *[said("word")] * 20)
    counts = []
    threads = [threading.Thread(target=lambda: counts.append(len(found(store, "word")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [20] * 8


def test_a_store_that_may_only_be_read_can_be_searched(store, monkeypatch):
    """The index is then in memory, and up to date all the same."""
    begin(store, "s", said("word"))
    with StateStore(store.base_path) as reader:
        monkeypatch.setattr(reader._disk, "may_write", lambda path: False)
        assert found(reader, "word") == {"s@2"}
        store.append("s", [said("word")], expected_version=2)
        assert found(reader, "word") == {"s@2", "s@3"}

    assert not list(Path(store.base_path, ".journal").glob("search*"))


def test_searching_a_missing_folder_creates_nothing(store, folder):
    """To look is not to write."""
    assert list(store.search("word")) == []
    assert not folder.exists()


def test_the_index_is_its_owners_alone(store, folder):
    """With all that SQLite puts beside it."""
    begin(store, "s", said("word"))
    store.search("word")

    assert {path.stat().st_mode & 0o777 for path in folder.glob(".journal/search*")} == {0o600}


def test_a_closed_store_does_not_search(store):
    """JournalClosedError, as for everything else."""
    store.search("word")
    store.close()

    with pytest.raises(JournalClosedError):
        store.search("word")


def test_a_python_without_fts5_is_told_so(store, monkeypatch):
    """Before an index is made."""
    monkeypatch.setattr("journal.excerpts.TOKENIZER", "no such tokenizer")
    with pytest.raises(JournalError, match=r"needs SQLite 3\.27 or later, with FTS5"):
        store.search("word")


def test_a_search_that_is_interrupted_goes_on_the_next_time(store, small_parts):
    """What was indexed by then is not read again."""
    for number in range(5):
        begin(store, f"s{number}", *[said("word")] * 4)

    def stop(name, done, total):
        if name == "s3":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.search("word", progress=stop)
    told = []
    assert len(store.search("word", limit=None, progress=lambda name, *_: told.append(name))) == 20
    assert "s0" not in told
    assert {"s3", "s4"} <= set(told)


def test_an_interruption_within_a_batch_loses_nothing(store, small_parts, monkeypatch):
    """Reading goes on where a batch begins."""
    begin(store, "s", *[said("word")] * 10)
    store.append("s", [said("word")] * 10, expected_version=11)
    real = Indexer._flush
    flushed = []

    def flush(self):
        real(self)
        flushed.append(True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Indexer, "_flush", flush)
        with pytest.raises(KeyboardInterrupt):
            store.search("word")
    page = store.search("word", limit=None)

    assert flushed == [True]
    assert sorted(hit.seq for hit in page) == list(range(2, 22))
    assert page.unreadable == []
