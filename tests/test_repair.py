"""Repair: what can be read is kept, nothing is made up, every byte stays in quarantine."""

import contextlib
import json
from pathlib import Path

import pytest
from crash import forging
from hypothesis import given
from hypothesis import strategies as st

from journal import Change, Session, StateStore
from journal.disk import Disk
from journal.errors import DurabilityError, SessionNotFoundError
from journal.pieces import chain_of
from journal.reader import Position, beginning
from journal.record import encode_batch, prepare
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    MetadataSet,
    SessionReplaced,
    UserMessageAdded,
)
from tests.strategies import CREATED, START, a_store, contents, said

pytestmark = pytest.mark.filterwarnings("ignore::journal.JournalWarning")


# A journal to damage


def batch_of(*events, **options):
    return [prepare(Change(event=event, at=START), **options) for event in events]


def written(batches, position=None):
    """The bytes of batches behind a position."""
    version, chain, _ = position or beginning("s")
    data = b""
    for batch in batches:
        lines, version, chain = encode_batch(batch, version, chain)
        data += lines
    return data


def spoken(*words):
    """A journal of one batch a word, behind the one that creates the session."""
    return written([batch_of(CREATED), *(batch_of(said(word)) for word in words)]).splitlines(keepends=True)


@st.composite
def histories(draw):
    """A session's batches: short and long texts, actors, a text that looks like a record."""
    events = st.one_of(
        st.builds(UserMessageAdded, content=st.text(max_size=40)),
        st.builds(AgentResponseAdded, content=st.sampled_from(["", "x" * 700, '{"v":1,"seq":2,"id":"'])),
        st.builds(MetadataSet, key=st.sampled_from("kl"), value=st.integers(0, 9)),
        st.builds(CustomEvent, name=st.just("note"), data=st.none() | st.text(max_size=5)),
    )
    by = st.none() | st.sampled_from(["ann", 'a"b\\', "agent:ü"])
    batches = draw(st.lists(st.lists(events, min_size=1, max_size=3), min_size=1, max_size=5))
    return [batch_of(*batch, by=draw(by)) for batch in [[CREATED], *batches]]


@st.composite
def damages(draw, journal):
    """What disks, editors and other programs do to a file."""
    lines = journal.splitlines(keepends=True)
    at = draw(st.integers(0, len(journal) - 1))
    until = draw(st.integers(at + 1, min(len(journal), at + 400)))
    one, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines)))
    before, cut, behind = journal[:at], journal[at:until], journal[until:]
    foreign = [b"\n", b"{}\n", b"note to self\n", b'{"v":1,"seq":3}\n', bytes(600) + b"\n"]
    kinds = ("bit", "nul", "garbage", "cut", "insert", "double", "drop", "move", "join", "foreign", "again")
    match draw(st.sampled_from([*kinds, "edit"])):
        case "bit":
            return before + bytes([cut[0] ^ (1 << draw(st.integers(0, 7)))]) + cut[1:] + behind
        case "nul":
            return before + bytes(len(cut)) + behind
        case "garbage":
            return before + draw(st.binary(min_size=len(cut), max_size=len(cut))) + behind
        case "cut":
            return before + behind
        case "insert":
            return before + draw(st.binary(min_size=1, max_size=60)) + cut + behind
        case "double":
            lines.insert(other, lines[one])
        case "drop":
            del lines[one]
        case "move":
            lines.insert(other, lines.pop(one))
        case "join":
            lines[one] = lines[one][:-1]
        case "foreign":
            lines.insert(other, draw(st.sampled_from(foreign)))
        case "again":
            lines += lines
        case "edit":
            lines[one] = lines[one].replace(b"a", b"b")
    return b"".join(lines)


class Mended:
    """A session `s` with these bytes for a journal, repaired."""

    def __init__(self, store, damaged, **wishes):
        self.store = store
        self.folder = Path(store.base_path)
        self.path = self.folder / "sessions" / "s.jsonl"
        self.path.parent.mkdir(exist_ok=True, parents=True)
        self.path.write_bytes(damaged)
        self.plan = store.diagnose("s", **wishes)

        assert self.path.read_bytes() == damaged
        self.done = store.repair("s", **wishes)
        self.journal = self.path.read_bytes() if self.path.exists() else b""
        self.lines = self.journal.splitlines()
        if self.done:
            # Every byte is there: before the first bad place, or in quarantine.
            good = damaged.removesuffix(self.quarantined)
            assert good + self.quarantined == damaged
            assert self.journal.startswith(good)

    @property
    def quarantined(self):
        kept = self.folder / ".journal" / "quarantine"
        return next(path.read_bytes() for path in kept.iterdir() if ".json." not in path.name)

    @property
    def kinds(self):
        return [step.kind for step in self.plan.steps]

    @property
    def records(self):
        return [json.loads(line) for line in self.lines]

    @property
    def types(self):
        return [record["event"]["type"] for record in self.records]

    @property
    def told(self):
        """What the repair put on record."""
        return next(each["event"] for each in self.records if each["event"]["type"] == "journal_repaired")

    @property
    def said(self):
        return contents(self.store.load_session("s"))


def facts(line):
    """What a record says, all but its number and its place in the chain."""
    record = json.loads(line)
    for name in ("seq", "more", "first", "chain"):
        record.pop(name, None)
    return json.dumps(record, sort_keys=True)


def first_of(line):
    """With which record the batch of this one began."""
    record = json.loads(line)
    return record.get("first", record["seq"])


def is_told(line):
    """Whether the repair wrote this record, or took its content away."""
    return json.loads(line)["event"]["type"] in ("journal_repaired", "erased")


# Laws


@given(st.data())
def test_what_is_whole_is_kept_and_nothing_is_made_up(data):
    """Whatever happens once to a journal."""
    journal = written(data.draw(histories()))
    damaged = data.draw(damages(journal))
    originals = journal.splitlines()
    with a_store() as store:
        mended = Mended(store, damaged)
        if mended.plan.hopeless or not mended.lines:
            return  # the record that says whose the session is is lost
        ids = [record["id"] for record in mended.records]
        kept = {facts(line) for line in mended.lines if not is_told(line)}
        lost = [line for line in damaged.splitlines() if line in originals and facts(line) not in kept]

        assert len(ids) == len(set(ids))
        assert kept <= {facts(line) for line in originals}
        # At the very end, nothing proves that anybody acknowledged an incomplete batch.
        assert len({first_of(line) for line in lost}) <= 1
        assert store.verify("s").ok
        assert store.diagnose("s").steps == []


@given(st.data())
def test_nothing_is_made_up_whatever_happens_how_often(data):
    """What stays is word for word what was written, once."""
    journal = damaged = written(data.draw(histories()))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged = data.draw(damages(damaged)) or b"x"
    user_id = data.draw(st.none() | st.just("u"))
    with a_store() as store:
        mended = Mended(store, damaged, user_id=user_id)
        if mended.plan.hopeless:
            assert mended.journal == damaged
            assert user_id is None
            return
        ids = [record["id"] for record in mended.records]
        told = ["session_created"] if mended.types[:2] == ["session_created", "journal_repaired"] else []
        kept = [line for line in mended.lines[len(told) :] if not is_told(line)]
        assert len(ids) == len(set(ids))
        assert {facts(line) for line in kept} <= {facts(line) for line in journal.splitlines()}
        if mended.lines:
            assert store.verify("s").ok
            assert store.update_session_with("s", lambda session: session.add_user_message("on"))


@given(st.data())
def test_only_what_is_proven_stays_where_that_is_asked_for(data):
    """Each record has its old number and its old chain, with or without its content."""
    journal = damaged = written(data.draw(histories()))
    for _ in range(data.draw(st.integers(1, 2))):
        damaged = data.draw(damages(damaged)) or b"x"
    with a_store() as store:
        mended = Mended(store, damaged, only_proven=True)
        chains = [chain_of(line) for line in journal.splitlines()]
        stays = [chain_of(line) for line in mended.lines if "journal_repaired" not in line.decode()]

        assert mended.plan.hopeless == []
        assert stays == chains[: len(stays)]
        assert len(mended.lines) - len(stays) <= 1


@given(st.data())
def test_every_flipped_bit_behind_the_first_batch_is_turned_back(data):
    """Proven by the hashes: the journal is what it was, byte for byte, and the repair behind it."""
    journal = written([*data.draw(histories()), batch_of(said("the end"))])
    at = data.draw(st.integers(0, len(journal) - 1))
    flipped = journal[at] ^ (1 << data.draw(st.integers(0, 7)))
    damaged = journal[:at] + bytes([flipped]) + journal[at + 1 :]
    with a_store() as store:
        mended = Mended(store, damaged)
        if "torn_tail" in mended.kinds or mended.plan.hopeless or flipped == 10:
            return  # the last batch, which nobody may have acknowledged; or one record became two lines

        assert mended.journal.startswith(journal)
        assert mended.types[-1] == "journal_repaired"
        assert mended.plan.steps[0].remedy.count("nothing that was acknowledged is lost") == 1


# Each kind


def test_edited_content_is_lost_and_its_record_keeps_its_place(store):
    """Numbers, hashes and proof of all others stay; the edited words become nobody's."""
    lines = spoken("one", "two", "three", "four")
    mended = Mended(store, b"".join(lines).replace(b'"two"', b'"2wo"'))

    assert mended.kinds == ["foreign_edit"]
    assert mended.said == ["one", "", "three", "four"]
    assert [line + b"\n" for line in mended.lines[:2]] == lines[:2]
    assert [line + b"\n" for line in mended.lines[3:5]] == lines[3:5]
    assert mended.records[2]["event"] == {"type": "erased", "was": "user_message_added"}
    assert mended.told["erased"] == [mended.records[2]["id"]]
    assert mended.told["erased_types"] == ["user_message_added"]
    assert any("repaired: record 3" in note for note in store.verify("s").notes)


def test_an_edited_header_is_given_up_and_what_follows_is_appended_anew(store):
    """Who said it and when is part of what was altered: it must not become a record again."""
    by_ann = [batch_of(CREATED), *(batch_of(said(word), by="ann") for word in ("one", "two", "three"))]
    lines = written(by_ann).splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"by":"ann"', b'"by":"eve"')
    mended = Mended(store, b"".join(lines))

    assert mended.kinds == ["foreign_edit"]
    assert mended.said == ["one", "three"]
    assert [record.get("by") for record in mended.records[:2]] == [None, "ann"]
    assert "lost: record 3" in mended.plan.steps[0].remedy
    assert mended.types == ["session_created", "user_message_added", "journal_repaired", "user_message_added"]
    assert mended.records[-1]["by"] == "ann"


def test_what_is_appended_anew_is_the_same_but_for_number_and_chain(store):
    """Id, time, actor, key, content, salt and digest: a retry is known, and a digest kept elsewhere fits."""
    batches = [
        batch_of(CREATED),
        batch_of(said("one")),
        batch_of(said("two"), said("three"), by="ann", key="k"),
    ]
    lines = written(batches).splitlines(keepends=True)
    mended = Mended(store, lines[0] + b"x" * 80 + b"\n" + b"".join(lines[2:]))

    assert mended.kinds == ["bad_batch"]
    assert [facts(line) for line in mended.lines[2:]] == [facts(line) for line in lines[2:]]
    assert [(each.get("more"), each.get("first")) for each in mended.records[2:]] == [(1, None), (None, 3)]
    retried = [Change(event=said("two"), at=START), Change(event=said("three"), at=START)]
    assert store.append("s", retried, expected_version=2, key="k") == 4


def test_a_run_of_nul_bytes_in_the_middle_takes_only_what_it_covers(store):
    lines = spoken("one", "two", "three")
    lines[2] = bytes(len(lines[2]) - 1) + b"\n"
    mended = Mended(store, b"".join(lines))

    assert mended.kinds == ["nul_run"]
    assert mended.said == ["one", "three"]


def test_a_run_of_nul_bytes_at_the_end_is_a_torn_tail(store):
    lines = spoken("one")
    mended = Mended(store, b"".join(lines) + bytes(4096))

    assert mended.kinds == ["nul_run"]
    assert "never acknowledged" in mended.plan.steps[0].findings[0]
    assert mended.said == ["one"]
    assert mended.quarantined == bytes(4096)


@pytest.mark.parametrize("where", [2, 3, 4])
def test_a_record_that_stands_twice_is_taken_once(store, where):
    """An editor's copy: nothing is lost, nothing moves."""
    lines = spoken("one", "two", "three")
    mended = Mended(store, b"".join([*lines[:where], lines[1], *lines[where:]]))

    assert mended.kinds == ["duplicate_sequence"]
    assert mended.journal.startswith(b"".join(lines))
    assert "nothing that was acknowledged is lost" in mended.plan.steps[0].remedy
    assert mended.said == ["one", "two", "three"]


def test_of_two_writers_without_locks_both_are_kept(store):
    """Two chains from one record on: one stays, the other is appended behind it."""
    batches = [batch_of(CREATED), batch_of(said("one"))]
    base = written(batches)
    fork = Position(2, chain_of(base.splitlines()[-1]), 0)
    ours = written([batch_of(said("ours")), batch_of(said("our second"))], fork).splitlines(keepends=True)
    theirs = written([batch_of(said("theirs")), batch_of(said("their second"))], fork).splitlines(
        keepends=True
    )
    mended = Mended(store, b"".join([base, ours[0], theirs[0], ours[1], theirs[1]]))

    assert mended.kinds == ["duplicate_sequence"]
    assert mended.said == ["one", "ours", "our second", "theirs", "their second"]
    assert mended.journal.startswith(base + ours[0] + ours[1])


def test_a_missing_record_is_told(store):
    lines = spoken("one", "two", "three", "four")
    mended = Mended(store, b"".join([*lines[:2], *lines[4:]]))

    assert mended.kinds == ["missing_record"]
    assert "records 3 to 4 are missing" in mended.plan.steps[0].findings[0]
    assert "lost: 2 records (3 to 4)" in mended.plan.steps[0].remedy
    assert mended.said == ["one", "four"]


def test_records_out_of_order_are_put_back(store):
    lines = spoken("one", "two", "three", "four")
    mended = Mended(store, b"".join([*lines[:2], lines[3], lines[2], lines[4]]))

    assert mended.journal.startswith(b"".join(lines))
    assert mended.said == ["one", "two", "three", "four"]


def test_a_line_of_another_program_is_set_aside(store):
    lines = spoken("one", "two")
    mended = Mended(store, b"".join([*lines[:2], b'{"role":"user","content":"hi"}\n', lines[2]]))

    assert mended.kinds == ["foreign_edit"]
    assert mended.journal.startswith(b"".join(lines))
    assert b'"hi"' in mended.quarantined


def test_another_sessions_records_do_not_become_this_ones(store):
    """One journal appended to another: each record is whole, and of somebody else."""
    other = Session.with_id("eve", "t")
    other.add_user_message("not yours")
    store.save_session(other)
    foreign = Path(store.base_path, "sessions", "t.jsonl").read_bytes()
    mended = Mended(store, b"".join(spoken("one")) + foreign)

    assert mended.kinds == ["foreign_edit"]
    assert mended.said == ["one"]
    assert store.load_session("s").user_id == "u"


def test_nobody_becomes_the_owner_by_a_repair(store):
    """A record that fits its own hash and gives the session to another user is not taken."""
    lines = spoken("one", "two")
    stolen = Session.with_id("eve", "s").to_document()
    unlinked = Position(3, b"A" * 43, 0)
    theft = written([batch_of(SessionReplaced(session=stolen)), batch_of(said("two more"))], unlinked)
    mended = Mended(store, b"".join([*lines[:2], b"x\n", theft, lines[2]]))

    assert store.load_session("s").user_id == "u"
    assert "session_replaced" not in mended.types


def test_a_record_of_a_newer_format_is_left_to_a_newer_library(store):
    """Also behind other damage."""
    lines = spoken("one", "two", "three")
    lines[3] = lines[3].replace(b'{"v":1', b'{"v":2')
    damaged = b"".join([*lines[:2], b"x\n", *lines[2:]])
    mended = Mended(store, damaged)

    assert mended.plan.steps == mended.done == []
    assert "update session-journal" in mended.plan.hopeless[0]
    assert mended.journal == damaged


def test_a_torn_batch_behind_damage_is_not_acknowledged_by_the_repair(store):
    lines = spoken("one", "two")
    end = Position(3, chain_of(lines[2]), 0)
    torn = written([batch_of(said("three"), said("four"), said("five"))], end).splitlines(keepends=True)
    mended = Mended(store, b"".join([lines[0], b"x\n", lines[2], *torn[:2]]))

    assert mended.said == ["two"]
    assert "torn_tail" not in mended.kinds
    assert any("nobody acknowledged it" in finding for finding in mended.plan.steps[0].findings)


def test_an_event_that_this_library_does_not_understand_loses_its_content_alone(store):
    head = b'"id":"01a20399-45b2-7f69-8480-15375043654e","at":"2026-11-22T12:05:00.000000Z"'
    bad = (b'{"type":"user_message_added"}', head, b"A" * 22)
    mended = Mended(store, written([batch_of(CREATED), batch_of(said("one")), [bad], batch_of(said("two"))]))

    assert mended.kinds == ["unreadable_event"]
    assert "content" in mended.plan.steps[0].findings[0]
    assert mended.told["erased"] == [mended.records[2]["id"]]
    assert mended.said == ["one", "", "two"]


def test_a_record_that_is_no_utf8_is_damage(store):
    """Its hashes fit, and no reader can read it: it loses its content, and hides nothing behind it."""
    head = b'"id":"01a20399-45b2-7f69-8480-15375043654e","at":"2026-11-22T12:05:00.000000Z"'
    bad = (b'{"type":"note","x":"\xff"}', head, b"A" * 22)
    mended = Mended(store, written([batch_of(CREATED), batch_of(said("one")), [bad], batch_of(said("two"))]))

    assert mended.said == ["one", "two"]


def test_content_that_was_taken_out_goes_on_record(store):
    """An erased record that no record names: a finding, until a person has decided."""
    lines = spoken("one", "two")
    erased = (
        lines[1].split(b'"salt"')[0] + b'"salt":null,"event":{"type":"erased","was":"user_message_added"}}\n'
    )
    damaged = b"".join([lines[0], erased, lines[2]])
    store_path = Path(store.base_path, "sessions", "s.jsonl")
    store_path.parent.mkdir(parents=True)
    store_path.write_bytes(damaged)

    assert not store.verify("s").ok
    assert [step.kind for step in store.diagnose("s").steps] == ["erased_record"]
    assert len(store.repair("s")) == 1
    assert store_path.read_bytes().startswith(damaged)
    assert store.verify("s").ok
    assert store.diagnose("s").steps == []


# Where the beginning is lost


def test_without_its_first_record_a_session_needs_an_owner(store):
    """No default: who it belongs to is not for a program to guess."""
    lines = spoken("one", "two")
    damaged = b"".join(lines).replace(b'"user_id":"u"', b'"user_id":"eve"')
    mended = Mended(store, damaged)

    assert mended.done == []
    assert "--user" in mended.plan.hopeless[0]
    assert mended.journal == damaged

    mended = Mended(store, damaged, user_id="u")
    assert mended.said == ["one", "two"]
    assert mended.types[:2] == ["session_created", "journal_repaired"]
    assert store.load_session("s").user_id == "u"
    assert store.verify("s").ok


def test_what_a_snapshot_stands_for_was_acknowledged(store):
    """A last batch that looks torn, and of which a snapshot knows: damage, and the snapshot's words stay."""
    session = Session.with_id("u", "s")
    store.save_session(session)
    for word in ("one", "two", "three"):
        session.add_user_message(word)
    store.save_session(session)
    store.compact("s")
    path = Path(store.base_path, "sessions", "s.jsonl")
    damaged = path.read_bytes().replace(b'"content":"two"', bytes(15))
    path.write_bytes(damaged)
    assert not store.verify("s").ok
    mended = Mended(store, damaged)

    assert mended.said == ["one", "two", "three"]
    assert mended.plan.steps[0].remedy.count("which nothing proves") == 1
    assert mended.types.count("erased") == 1
    assert store.verify("s").ok


def test_a_session_whose_first_batch_is_broken_begins_anew_with_its_first_record(store):
    """That one is proven; but its place in the batch is not to be kept."""
    batches = [batch_of(CREATED, said("one"), said("two")), batch_of(said("three"))]
    lines = written(batches).splitlines(keepends=True)
    mended = Mended(store, b"".join([*lines[:2], b"x" * 300 + b"\n", lines[3]]))

    assert mended.types == ["session_created", "journal_repaired", *["user_message_added"] * 2]
    assert facts(mended.lines[0]) == facts(lines[0])
    assert mended.said == ["one", "three"]
    assert "lost: record 3" in mended.plan.steps[0].remedy


@pytest.mark.parametrize(
    "more",
    [b'"at":"2026-11-22T12:00:00+02:00","more":2', b'"at":"2026-11-22T12:00:00.000000Z","more":1,"more":2'],
)
def test_a_first_record_that_is_not_written_as_records_are_is_not_written_anew(store, more):
    """Its hashes fit: who may write the folder can compute them. It cannot get another place."""
    first = forging.forged([(b'"id":"x",%b' % more, forging.CREATED)])
    path = Path(store.base_path, "sessions", "s.jsonl")
    path.parent.mkdir(parents=True)
    path.write_bytes(first + b'{"digest":""}\n')
    store.repair("s")
    assert store.load_session("s") is None
    assert len(list(Path(store.base_path, ".journal", "quarantine").iterdir())) == 1


def test_without_its_first_record_a_session_goes_on_from_its_snapshot(store):
    """What the snapshot holds is not told twice; what came after it is appended anew."""
    session = Session.with_id("u", "s")
    for word in ("one", "two"):
        session.add_user_message(word)
    store.save_session(session)
    store.compact("s")
    session.add_user_message("three")
    store.save_session(session)
    path = Path(store.base_path, "sessions", "s.jsonl")
    mended = Mended(store, path.read_bytes().replace(b'"user_id":"u"', b'"user_id":"eve"'))

    assert mended.types == ["session_adopted", "journal_repaired", "user_message_added"]
    assert mended.said == ["one", "two", "three"]
    assert store.load_session("s").user_id == "u"
    assert store.verify("s").ok


def test_without_one_readable_record_a_session_ends_with_a_tombstone(store):
    mended = Mended(store, b"x\n" * 3 + spoken("one")[1])

    assert mended.plan.hopeless != []
    mended = Mended(store, b"x\n" * 3 + spoken("one")[1], only_proven=True)
    assert not mended.path.exists()
    assert "the session ends" in mended.done[0]
    tombstone = json.loads((mended.folder / ".journal" / "tombstones.jsonl").read_bytes())
    assert tombstone["id"] == "s"
    assert "quarantine" in tombstone["why"]
    with pytest.raises(SessionNotFoundError):
        store.repair("s")


def test_a_renamed_journal_is_told_its_name(store):
    """It is whole, and of another session: a repair would take it apart."""
    store.save_session(Session.with_id("u", "t"))
    renamed = Path(store.base_path, "sessions", "t.jsonl").read_bytes()
    mended = Mended(store, renamed)

    assert "journal of the session 't'" in mended.plan.hopeless[0]
    assert (mended.done, mended.journal) == ([], renamed)


# Faults in the middle of a repair


class Crash(BaseException):
    """The process ends here."""


class FailingDisk(Disk):
    """Fails at its n-th change of something, once."""

    def __init__(self, error):
        super().__init__()
        self.error, self.left = error, -1

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name in ("write", "truncate", "unlink", "rename", "sync", "sync_folder", "make_folder"):

            def counted(*arguments):
                self.left -= 1
                if self.left == 0:
                    raise self.error
                return found(*arguments)

            return counted
        return found


def on_disk(disk):
    """A StateStore with another disk."""
    return type("Store", (StateStore,), {"_new_disk": staticmethod(lambda: disk)})


@pytest.mark.parametrize("error", [Crash(), OSError(28, "No space left on device")], ids=["crash", "full"])
@pytest.mark.parametrize("kind", ["torn", "content", "header", "first", "snapshot", "lost"])
def test_a_repair_that_breaks_off_can_be_done_again(tmp_path, kind, error):
    """At whatever change of a file it ends: each step is there or not, and trying twice loses nothing."""
    results = set()
    for number in range(1, 200):
        folder = tmp_path / str(number)
        with StateStore(folder, durability="os") as store:
            path = damage(store, kind)
            damaged = path.read_bytes()
        disk = FailingDisk(error)
        with on_disk(disk)(folder) as store, contextlib.suppress(Crash, DurabilityError):
            disk.left = number
            store.repair("s")
        has_ended = disk.left > 0
        disk.left = -1
        with StateStore(folder, durability="os") as store:
            again = store.repair("s")
            quarantine = folder / ".journal" / "quarantine"
            kept = [each.read_bytes() for each in quarantine.iterdir() if ".json." not in each.name]

            assert store.verify("s").ok
            assert store.diagnose("s").steps == []
            assert kind == "snapshot" or any(damaged.endswith(each) for each in kept)
            results.add((tuple(contents(store.load_session("s"))), store.load_session("s").user_id))
        if has_ended:
            assert again == []
            break
    else:
        pytest.fail("it never came to an end")

    assert len(results) == 1


def damage(store, kind):
    session = Session.with_id("u", "s")
    for word in ("one", "two", "three"):
        session.add_user_message(word)
        store.save_session(session)
    store.compact("s")
    folder = Path(store.base_path) / "sessions"
    path = folder / "s.jsonl"
    data = path.read_bytes()
    match kind:
        case "torn":
            data += b'{"v":1,"seq'
        case "content":
            data = data.replace(b'"two"', b'"2wo"')
        case "header":
            lines = data.splitlines(keepends=True)
            data = b"".join([*lines[:2], b"x" * 200 + b"\n", *lines[3:]])
        case "first":
            data = data.replace(b'"user_id":"u"', b'"user_id":"e"')
        case "snapshot":
            document = json.loads((folder / "s.json").read_bytes())
            del document["journal"]
            document["metadata"]["mood"] = "fine"
            (folder / "s.json").write_text(json.dumps(document))
        case "lost":
            data = data.replace(b'"two"', b'"2wo"')
            (folder / "s.json").write_bytes(b"{")
    path.write_bytes(data)
    return path


def test_a_full_disk_leaves_a_damaged_session_as_it_is(tmp_path):
    """And says so, as a DurabilityError."""
    disk = FailingDisk(OSError(28, "No space left on device"))
    with StateStore(tmp_path, durability="os") as store:
        path = damage(store, "content")
    damaged = path.read_bytes()
    with on_disk(disk)(tmp_path) as store:
        disk.left = 3
        with pytest.raises(DurabilityError, match="No space left"):
            store.repair("s")
        assert not store.verify("s").ok

    assert path.read_bytes() == damaged
