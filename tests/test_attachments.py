"""Attachments: what is too large for a record is kept beside it, once; it comes back, and goes, with it."""

import asyncio
import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import (
    ANY,
    AsyncStateStore,
    AttachmentError,
    DurabilityError,
    InvalidEventError,
    JournalClosedError,
    JournalError,
    JournalWarning,
    NondeterminismError,
    Session,
    StateStore,
)
from journal.attachment_files import MAX_ATTACHMENT_BYTES, AttachmentFiles
from journal.disk import Disk
from journal.doctor import check_store
from journal.errors import UnsafePathError
from journal.layout import Layout
from journal.log import Log
from journal.references import references_in, referring_files
from journal.upkeep import diagnose_store, repair_store
from projections import CustomEvent, MetadataSet, Redaction, StepFinished, Transcript
from projections.attachment import Attachment, attachment_of
from projections.transcript import to_markdown
from tests.strategies import CREATED, a_store, json_values, said, some
from tests.test_erase import SECRET, holding

LARGE = "large " * 60_000  # over 256 KiB


def never(*args, **kwargs):
    raise AssertionError("it ran again")


def files(folder):
    """The attachments that a store keeps."""
    return sorted(
        path.name for path in Path(folder, ".journal", "attachments").glob("??/*") if path.is_file()
    )


def digest_of(value):
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return sha256(data).hexdigest()


def noted(store, session_id, *values):
    """A session with an event of a program's own for each value, record 2 and on."""
    with store.open_session(session_id, user_id="u") as live:
        for value in values:
            live.add_event("noted", value)


def old(folder, *names):
    """Let files be of yesterday."""
    for path in Path(folder, ".journal", "attachments").glob("??/*"):
        if not names or path.name in names:
            os.utime(path, (time.time() - 86400,) * 2)


def path_of(folder, digest):
    return Path(folder, ".journal", "attachments", digest[:2], digest)


# What comes back is what went in


def lookalikes():
    """Values that a careless reader takes for what stands in the place of an attachment."""
    return st.builds(
        lambda digest, is_value: Attachment(digest=digest, size_bytes=3, is_value=is_value).to_json(),
        st.sampled_from(["0" * 64, digest_of("x")]),
        st.booleans(),
    )


@some
@given(json_values() | lookalikes(), json_values() | lookalikes(), st.sampled_from([0, 40, 400, 300_000]))
def test_what_comes_back_is_what_went_in(given, result, over):
    """Of steps and of tools, whatever of it stands beside the record, also under another limit."""
    with a_store(attach_over_bytes=over) as store:
        with store.open_session("s", user_id="u") as live:
            live.add_user_message("go")
            first = live.step("plan", lambda _: result, given)
            tool = live.run_tool("look", lambda given: result, {"given": given}, call_id="c")
            live.add_event("noted", result, key="n")
        for later in (over, 10):
            again = StateStore(store.base_path, durability="os", attach_over_bytes=later)
            with again, again.open_session("s") as live:
                assert live.step("plan", never, given) == first == result
                assert live.run_tool("look", never, {"given": given}, call_id="c") == tool == result
                live.add_event("noted", result, key="n")
        with StateStore(store.base_path) as fresh:
            missing = [each for each in fresh.verify("s").findings if "is not there" not in each]

            assert missing == []
            assert len(list(fresh.records("s"))) == 6


@given(st.binary(max_size=300), st.sampled_from(["image/png", "text/plain; charset=utf-8"]))
def test_what_was_attached_is_there(data, media_type):
    with a_store() as store:
        reference = store.attach(data, media_type)

        assert store.attachment(reference) == data
        assert store.attach(data, media_type) == reference
        assert attachment_of(reference).size_bytes == len(data)
        assert attachment_of(reference).media_type == media_type


def test_a_record_stays_small_and_the_payload_is_there_once(store, folder, journal_file):
    noted(store, "a", LARGE, LARGE)
    noted(store, "b", LARGE)

    assert files(folder) == [digest_of(LARGE)]
    assert journal_file("a").stat().st_size < 3000
    event = list(store.records("a"))[1].event
    assert json.loads(store.attachment(event.data)) == LARGE
    assert event.data == {
        "$attachment": digest_of(LARGE),
        "size_bytes": len(LARGE) + 2,
        "media_type": "application/json",
        "is_value": True,
    }


def test_what_is_just_small_enough_stays_in_its_record(folder):
    with StateStore(folder, durability="os", attach_over_bytes=1000) as store:
        noted(store, "s", "x" * 998, "y" * 999, ["z" * 996])

        assert files(folder) == [digest_of("y" * 999)]


def test_other_arguments_than_those_beside_the_record_are_told(store):
    with store.open_session("s", user_id="u") as live:
        live.add_user_message("go")
        live.step("plan", len, {"a": LARGE, "b": 1})
        live.run_tool("look", lambda text: len(text), {"text": LARGE}, call_id="c")
    with store.open_session("s") as live:
        # The same object, made in another order.
        assert live.step("plan", never, {"b": 1, "a": LARGE}) == 2
    for asked in ({"a": LARGE, "b": 2}, {"a": LARGE, "b": True}, 7):
        with store.open_session("s") as live, pytest.raises(NondeterminismError) as told:
            live.step("plan", never, asked)

        assert len(str(told.value)) < 2000
    with store.open_session("s") as live, pytest.raises(NondeterminismError):
        live.run_tool("look", never, {"text": LARGE + "!"}, call_id="c")


def test_a_key_may_be_used_again_with_the_same_large_data_alone(store):
    with store.open_session("s", user_id="u") as live:
        version = live.add_event("noted", LARGE, key="k")

        assert live.add_event("noted", LARGE, key="k") == version
        with pytest.raises(InvalidEventError, match="another content"):
            live.add_event("noted", LARGE + "!", key="k")


def test_a_replay_does_not_diverge_over_what_is_large(store):
    def agent(live):
        for message in live.state.user_messages[-1:]:
            plan = live.step("plan", lambda text: [LARGE, text], message.content + LARGE)
            found = live.run_tool("look", lambda what: what * 2, {"what": plan[0]}, call_id="c1")
            live.add_event("noted", found)
            live.add_agent_response(str(len(found)))

    with store.open_session("s", user_id="u") as live:
        live.add_user_message("go")
        agent(live)
    replayed = store.replay("s", agent)

    assert replayed.divergence is None
    assert replayed.served == 5
    divergence = store.replay("s", lambda live: live.step("plan", never, LARGE)).divergence
    assert divergence.asked["arguments"]["$attachment"] == digest_of([LARGE])


@pytest.mark.parametrize("limit", [-1, 1.5, None, True, "1"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(folder, limit):
    with pytest.raises(ValueError, match="attach_over_bytes"):
        StateStore(folder, attach_over_bytes=limit)


# What is refused


@pytest.mark.parametrize("data", ["text", 5, None, ["x"]])
def test_only_bytes_are_attached(store, folder, data):
    with pytest.raises(InvalidEventError, match="is bytes"):
        store.attach(data)

    assert files(folder) == []


@pytest.mark.parametrize("media_type", ["", "a\nb", "é", "\ud800", 7, "x" * 300, " text"])
def test_a_media_type_is_a_short_plain_text(store, media_type):
    with pytest.raises(InvalidEventError, match="media type"):
        store.attach(b"x", media_type)


def test_too_many_bytes_are_refused_before_any_is_written(store, folder, monkeypatch):
    monkeypatch.setattr("journal.attachment_files.MAX_ATTACHMENT_BYTES", 400_000)
    assert MAX_ATTACHMENT_BYTES >= 16 * 1024 * 1024
    with store.open_session("s", user_id="u") as live:
        with pytest.raises(AttachmentError, match="may have"):
            store.attach(b"x" * 400_001)
        with pytest.raises(AttachmentError, match="nothing was written"):
            live._add(StepFinished(name="s", arguments=LARGE, result=LARGE + LARGE))

        assert files(folder) == []
        assert live.state.version == 1


def test_what_is_no_json_is_refused_however_large(store, folder):
    with store.open_session("s", user_id="u") as live:
        for value in ([LARGE, float("nan")], LARGE + "\ud800", [LARGE, 2**70], [LARGE, {1, 2}], {1: LARGE}):
            with pytest.raises(InvalidEventError):
                live.add_event("noted", value)

    assert files(folder) == []


@pytest.mark.parametrize(
    "reference",
    [
        None,
        "x",
        {},
        {"$attachment": "../../../etc/passwd", "size_bytes": 1, "media_type": "a"},
        {"$attachment": "0" * 63 + "/", "size_bytes": 1, "media_type": "a"},
        {"$attachment": "A" * 64, "size_bytes": 1, "media_type": "a"},
        {"$attachment": "0" * 64 + "\n", "size_bytes": 1, "media_type": "a"},
        {"$attachment": "0" * 64, "size_bytes": True, "media_type": "a"},
        {"$attachment": "0" * 64, "size_bytes": -1, "media_type": "a"},
        {"$attachment": "0" * 64, "size_bytes": 1, "media_type": "a", "is_value": False},
        {"$attachment": "0" * 64, "size_bytes": 1, "media_type": "a", "more": 1},
    ],
)
def test_what_is_no_reference_leads_nowhere(store, reference):
    with pytest.raises(AttachmentError, match="no reference"):
        store.attachment(reference)


def test_a_digest_that_is_none_is_no_path(store):
    with pytest.raises(AttachmentError, match="no SHA-256"):
        store._attachments.path("../x")


def test_a_store_that_is_closed_or_was_opened_before_a_fork_keeps_nothing(folder):
    with StateStore(folder, durability="os") as store:
        reference = store.attach(b"x")
        child = os.fork()
        if child == 0:
            refused = 0
            for act in (lambda: store.attach(b"y"), lambda: store.attachment(reference)):
                with contextlib.suppress(Exception):
                    try:
                        act()
                    except JournalClosedError:
                        refused += 1
            os._exit(0 if refused == 2 else 1)
        assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(JournalClosedError):
        store.attach(b"y")
    with pytest.raises(JournalClosedError):
        store.attachment(reference)

    assert files(folder) == [digest_of(b"x")]


# What stands in their place


def test_bytes_that_were_altered_or_are_gone_are_never_given_out(store, folder):
    noted(store, "s", LARGE)
    reference = store.attach(b"abc")
    path_of(folder, digest_of(b"abc")).write_bytes(b"abd")
    with pytest.raises(AttachmentError, match="altered"):
        store.attachment(reference)
    path_of(folder, digest_of(b"abc")).unlink()
    with pytest.raises(AttachmentError, match="not there"):
        store.attachment(reference)
    with store.open_session("t", user_id="u") as live:
        live.add_user_message("go")
        live.step("plan", lambda: LARGE)
    path_of(folder, digest_of(LARGE)).write_bytes(b"[]")
    with store.open_session("t") as live, pytest.raises(AttachmentError, match="altered"):
        live.step("plan", never)


def test_a_value_that_is_no_json_is_told(store):
    forged = Attachment(digest=digest_of(b"\xff"), size_bytes=1, is_value=True)
    store.attach(b"\xff")
    with store.open_session("s", user_id="u") as live:
        live.add_user_message("go")
        store.append(
            "s",
            [StepFinished(name="plan", result=forged.to_json(), arguments=[])],
            expected_version=2,
            key=KEY,
        )
        with pytest.raises(AttachmentError, match="no JSON"):
            live.step("plan", never)


KEY = "turn:2/plan#1"


def test_attaching_again_mends_what_is_not_whole(store, folder):
    reference = store.attach(b"abc")
    for wrong in (b"", b"ab", b"abd", b"abcd"):
        path_of(folder, digest_of(b"abc")).write_bytes(wrong)

        assert store.attach(b"abc") == reference
        assert store.attachment(reference) == b"abc"


@pytest.mark.parametrize("what", ["file", "folder", "all", "internal", "lock"])
def test_nothing_is_written_or_read_through_a_link(store, folder, tmp_path, what):
    reference = store.attach(b"abc")
    path = path_of(folder, digest_of(b"abc"))
    link = {
        "file": path,
        "folder": path.parent,
        "all": path.parents[1],
        "internal": path.parents[2],
        "lock": path.parents[1] / "lock",
    }[what]
    away = tmp_path / "away"
    shutil.move(link, away)
    link.symlink_to(away)
    before = {each: each.stat().st_mtime_ns for each in away.rglob("*")}
    with pytest.raises(UnsafePathError):
        store.attach(b"abc")
    with pytest.raises(UnsafePathError):
        store.attach(b"abc") if what == "lock" else store.attachment(reference)
    if what != "lock":
        assert store._attachments.problem(digest_of(b"abc")).kind == "unreadable_attachment"

    assert {each: each.stat().st_mtime_ns for each in away.rglob("*")} == before
    assert link.is_symlink()


def test_files_and_folders_are_for_their_owner_alone(store, folder):
    umask = os.umask(0)
    try:
        store.attach(b"abc")
    finally:
        os.umask(umask)
    path = path_of(folder, digest_of(b"abc"))

    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.stat().st_mode & 0o777 for each in (path.parent, path.parents[1])] == [0o700, 0o700]


class ReadOnly(Disk):
    """A disk that may only be read."""

    def open(self, path, *, write=False, create=False, exclusive=False):
        if write:
            raise OSError(errno.EROFS, "Read-only file system", path)
        return super().open(path)

    def make_folder(self, path):
        raise OSError(errno.EROFS, "Read-only file system", path)


def test_a_store_that_may_only_be_read_gives_them_out(store, folder, monkeypatch):
    reference = store.attach(b"abc")
    noted(store, "s", LARGE, reference)
    store.close()
    monkeypatch.setattr(StateStore, "_new_disk", staticmethod(ReadOnly))
    with StateStore(folder, durability="os") as only:
        assert only.attachment(reference) == b"abc"
        assert only.verify("s").ok
        with pytest.raises(DurabilityError, match="Read-only"):
            only.attach(b"abc")


class Failing(Disk):
    """A disk that refuses one kind of call, from when it is told to."""

    refuses = ""

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "refuses"):

            def refuse(*args, **kwargs):
                raise OSError(errno.EIO, "Input/output error")

            return refuse
        return super().__getattribute__(name)


@pytest.mark.parametrize("call", ["write", "sync", "rename", "sync_folder", "make_folder", "flock"])
def test_what_could_not_be_kept_is_not_on_record(folder, monkeypatch, call):
    """No record refers to what is not there."""
    monkeypatch.setattr(StateStore, "_new_disk", staticmethod(Failing))
    with StateStore(folder) as store:
        live = store.open_session("s", user_id="u")
        store._disk.refuses = call
        with pytest.raises(JournalError):
            live.add_event("noted", LARGE)
        store._disk.refuses = ""
        with StateStore(folder) as fresh:
            assert fresh.load_session("s").version == 1
            assert fresh.verify("s").ok
            noted(fresh, "s", LARGE)
            assert fresh.verify("s").ok
            assert files(folder) == [digest_of(LARGE)]


# Secrets


def test_what_is_hidden_is_hidden_before_anything_is_on_disk(folder):
    with StateStore(folder, durability="os", redact=Redaction({"word": SECRET})) as store:
        with store.open_session("s", user_id="u") as live:
            live.add_user_message("go")
            live.step("plan", lambda _: LARGE + SECRET, LARGE + SECRET)
            live.run_tool("look", lambda text: [SECRET, text], {"text": LARGE + SECRET}, call_id="c")
            live.add_event("noted", LARGE + SECRET, key="k")
        with store.open_session("s") as live:
            assert live.step("plan", never, LARGE + SECRET) == LARGE + "[redacted:word]"
            live.add_event("noted", LARGE + SECRET, key="k")
        assert len(files(folder)) == 4
        assert store.verify("s").ok

    assert holding(folder, SECRET) == []


def test_a_redaction_leaves_a_reference_what_it_is(folder):
    """Else the attachment would be lost: a pattern may well match its hash."""
    redaction = Redaction({"hex": r"[0-9a-f]{8,}", "type": "png"})
    with StateStore(folder, durability="os", redact=redaction) as store:
        noted(store, "s", LARGE)
        kept = store.attach(b"abc", "image/png")
        noted(store, "s", {"deep": [kept]})
        first, second = (record.event.data for record in list(store.records("s"))[1:])

        assert json.loads(store.attachment(first)) == LARGE
        assert store.attachment(second["deep"][0]) == b"abc"
        assert second["deep"][0]["media_type"] == "image/[redacted:type]"
        assert store.verify("s").ok


# Shared, and removed when nothing refers to them


def test_sessions_share_and_the_last_one_takes_it_away(store, folder):
    kept = store.attach(b"picture", "image/png")
    noted(store, "a", LARGE, kept)
    noted(store, "b", LARGE)
    store.append("c", [CREATED.__class__(session_id="c", user_id="u")], expected_version=0)
    store.append("c", [MetadataSet(key="picture", value={"of": [kept]})], expected_version=1)
    store.delete_session("a")
    assert files(folder) == sorted([digest_of(LARGE), digest_of(b"picture")])
    store.delete_session("b")
    assert files(folder) == [digest_of(b"picture")]
    store.delete_session("c")

    assert files(folder) == []


@st.composite
def lives(draw):
    """What becomes of sessions that say large things."""
    acts, names = [], "abc"
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["note", "note", "note", "fork", "delete", "erase", "rewind", "prune"]))
        acts.append(
            (kind, draw(st.sampled_from(names)), draw(st.integers(0, 3)), draw(st.sampled_from(names)))
        )
    return acts


@some
@given(lives())
def test_what_is_kept_is_what_is_referred_to(acts):
    """After whatever happened: no attachment is missing, and none is left over."""
    with a_store(attach_over_bytes=30) as store:
        for kind, one, number, other in acts:
            session = store.load_session(one)
            if kind == "note":
                noted(store, one, str(number) * 50)
            elif kind == "fork" and session and store.load_session(other) is None:
                store.fork(one, new_id=other)
            elif kind == "delete":
                store.delete_session(one)
            elif kind == "rewind" and session:
                store.rewind(one, 1)
            elif kind == "erase" and session:
                last = list(store.records(one))[-1]
                if isinstance(last.event, CustomEvent):
                    said_before = store.erase(one, [last.seq], reason="r", dry_run=True)
                    assert store.erase(one, [last.seq], reason="r") == said_before
            elif kind == "prune":
                store.prune(keep=2)
        referred = set()
        for session_id in store.session_ids():
            referred |= {
                record.event.data["$attachment"]
                for record in store.records(session_id)
                if isinstance(record.event, CustomEvent)
            }

        assert set(files(store.base_path)) == referred
        assert store.verify().ok


def test_a_prune_looks_through_the_sessions_once(store, folder, monkeypatch):
    for each in "abcd":
        noted(store, each, LARGE + each, LARGE)
    store.append("e", [CREATED.__class__(session_id="e", user_id="v")], expected_version=0)
    passes = []
    monkeypatch.setattr(
        "journal.references.referring_files", lambda *args: passes.append(args) or referring_files(*args)
    )
    pruned = store.prune(keep=1, user_id="u")

    assert len(pruned.sessions) == 3
    assert len(passes) == 1
    assert len(files(folder)) == 2
    store.prune(keep=1, user_id="v")
    store.delete_session("e")
    assert len(passes) == 1  # nothing was attached to it


def test_a_dry_run_of_a_prune_takes_nothing_away(store, folder):
    noted(store, "a", LARGE)
    noted(store, "b", LARGE + "b")
    store.prune(keep=1, dry_run=True)

    assert len(files(folder)) == 2


def test_where_it_cannot_tell_nothing_goes_and_the_deletion_stands(store, folder):
    noted(store, "a", LARGE)
    (folder / "sessions" / "b.jsonl").symlink_to(folder / "nowhere")
    with pytest.warns(JournalWarning, match=r"b\.jsonl.*journal doctor"):
        assert store.delete_session("a")

    assert store.session_ids() == ["b"]
    assert files(folder) == [digest_of(LARGE)]


def test_what_stands_in_quarantine_counts(store, folder, journal_file):
    """It may be wanted back."""
    noted(store, "s", LARGE, "small")
    data = journal_file("s").read_bytes()
    journal_file("s").write_bytes(data.replace(b'"name":"noted"', b'"name":"nated"', 1))
    store.close()
    with StateStore(folder, durability="os") as store:
        store.repair("s")
        assert [type(record.event).__name__ for record in store.records("s")][1] != "CustomEvent"
        noted(store, "t", LARGE)
        store.delete_session("t")

        assert files(folder) == [digest_of(LARGE)]


@pytest.mark.parametrize(
    "text",
    [
        '{"$attachment":"%s"',
        '{"$attachment": "%s"',
        '{\\"$attachment\\":\\"%s\\"',
        '{\\\\\\"$attachment\\\\\\": \\\\\\"%s',
        '"$attachment"\n : "%s',
    ],
)
def test_a_reference_is_found_however_it_is_written(text, tmp_path):
    digest = digest_of(b"x")

    assert references_in((text % digest).encode()) == {digest}
    assert references_in((text % digest[:-1]).encode()) == set()


@given(st.integers(-200, 20))
def test_a_reference_is_found_wherever_it_stands_in_a_file(shift):
    """Also across the pieces in which files are read."""
    from journal.references import references_of

    with a_store() as store:
        path = os.path.join(store.base_path, "file")
        os.mkdir(store.base_path)
        digest = digest_of(b"x")
        Path(path).write_bytes(
            b"." * (2**18 + shift) + b'{"$attachment":"%b"' % digest.encode() + b"." * 2**18
        )

        assert references_of(Disk(), path) == {digest}


# At once


WRITER = """
import sys
from journal import StateStore
with StateStore(sys.argv[1], durability="os", attach_over_bytes=100) as store:
    with store.open_session(sys.argv[2], user_id="u") as live:
        for number in range(40):
            live.add_event("noted", str(number % 7) * 200)
            if sys.argv[3] == "sweep":
                with store.open_session("gone-" + sys.argv[2], user_id="u") as other:
                    other.add_event("noted", str(number % 7) * 200)
                store.delete_session("gone-" + sys.argv[2])
"""


def test_processes_that_add_and_remove_at_once_lose_nothing(folder):
    """They share seven payloads; each deletes sessions that refer to them while the others add some."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder), session_id, kind])
        for session_id, kind in (("a", "sweep"), ("b", "sweep"), ("c", "add"))
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with StateStore(folder) as store:
        assert store.verify().findings == []
        assert store.verify().sessions == 3
        assert len(files(folder)) == 7


HOLDER = """
import sys
from journal import ANY, StateStore
from projections import CustomEvent
with StateStore(sys.argv[1], durability="os") as store:
    with store._attachments.held():
        data = store._attachments.put(b"picture", "image/png").to_json()
        print("held", flush=True)
        sys.stdin.readline()
        store.append("s", [CustomEvent(name="picture", data=data)], expected_version=ANY)
"""


@pytest.mark.parametrize("removal", ["delete", "erase", "strays"])
def test_a_removal_waits_for_whoever_is_about_to_refer_to_it(store, folder, removal):
    noted(store, "s")
    noted(store, "t", store.attach(b"picture"))
    if removal == "strays":
        store.delete_session("t")
        store.attach(b"picture")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    old(folder)
    acts = {
        "delete": lambda: store.delete_session("t"),
        "erase": lambda: store.erase("t", [2], reason="r"),
        "strays": store._attachments.sweep_strays,
    }
    remover = threading.Thread(target=acts[removal])
    remover.start()
    remover.join(0.3)
    assert remover.is_alive()
    holder.communicate(b"\n")
    remover.join()

    assert holder.returncode == 0
    assert store.attachment(list(store.records("s"))[-1].event.data) == b"picture"
    assert store.verify("s").ok


def test_a_live_session_holds_what_it_puts_until_its_record_is_there(store, folder, monkeypatch):
    with store.open_session("s", user_id="u") as live:
        kind, waited = type(live._handle()), []
        append = kind.append

        def slowly(*args, **kwargs):
            sweep = threading.Thread(target=store._attachments.sweep, args=([digest_of(LARGE)],))
            sweep.start()
            sweep.join(0.3)
            waited.append(sweep)
            assert sweep.is_alive()
            return append(*args, **kwargs)

        monkeypatch.setattr(kind, "append", slowly)
        live.add_event("noted", LARGE)
        waited[0].join()

    assert files(folder) == [digest_of(LARGE)]


def test_a_forked_child_does_not_hold_what_its_parent_gave_back(store, folder):
    """A child has its parent's open files, and their locks."""
    noted(store, "s", LARGE)
    reading, writing = os.pipe()
    with store._attachments.held():
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)  # until the parent is done
            os._exit(0)
    done = threading.Event()
    threading.Thread(target=lambda: (store.delete_session("s"), done.set()), daemon=True).start()
    in_time = done.wait(20)
    os.close(writing)
    os.waitpid(child, 0)

    assert in_time
    assert files(folder) == []


def test_a_fork_of_a_session_that_is_deleted_meanwhile_keeps_what_it_refers_to(store, folder, monkeypatch):
    """The deletion waits for the fork, which is written while nobody else writes its source."""
    noted(store, "s", LARGE)
    replace, deleting = Log.replace, []

    def meanwhile(log, pieces, **options):
        deleting.append(threading.Thread(target=store.delete_session, args=("s",)))
        deleting[0].start()
        time.sleep(0.1)
        replace(log, pieces, **options)

    monkeypatch.setattr(Log, "replace", meanwhile)
    store.fork("s", new_id="t")
    deleting[0].join()

    assert store.session_ids() == ["t"]
    assert store.verify("t").findings == []


# What a crash leaves


class Killed(BaseException):
    """The end of a process."""


def left_by_a_crash(store):
    """An attachment that is kept, and no record of it."""
    with pytest.MonkeyPatch.context() as patched, store.open_session("s", user_id="u") as live:

        def die(*args, **kwargs):
            raise Killed

        patched.setattr(type(live._handle()), "append", die)
        with pytest.raises(Killed):
            live.add_event("noted", LARGE)


def test_what_a_crash_left_is_told_and_mended_when_nobody_can_be_at_it(store, folder):
    left_by_a_crash(store)
    noted(store, "s", LARGE + "!")
    disk, layout = Disk(), Layout(folder)
    assert len(files(folder)) == 2
    assert diagnose_store(disk, layout).steps == []
    old(folder)
    (remark,) = [each for each in check_store(disk, layout) if each.about == "attachments"]
    assert "no record refers to 1 file" in remark.text
    assert remark.advice == "journal repair --catalog --yes"
    (step,) = diagnose_store(disk, layout).steps
    assert step.kind == "stray_attachments"
    assert digest_of(LARGE) in step.findings[0]
    assert repair_store(disk, layout) == ["removed 1 attachment."]

    assert files(folder) == [digest_of(LARGE + "!")]
    assert store.verify("s").ok


def test_what_is_attached_anew_has_its_hour_again(store, folder):
    store.attach(b"abc")
    old(folder)
    store.attach(b"abc")

    assert store._attachments.sweep_strays() == set()
    old(folder)
    assert store._attachments.sweep_strays() == {digest_of(b"abc")}


def test_what_a_crash_left_half_written_goes(store, folder):
    noted(store, "s", LARGE)
    half = path_of(folder, digest_of(LARGE)).with_name(f".{digest_of(LARGE)}.0123456789abcdef.tmp")
    half.write_bytes(b"large")
    disk, layout = Disk(), Layout(folder)
    store.compact()
    assert half.exists()
    old(folder)
    assert [step.kind for step in diagnose_store(disk, layout).steps] == ["stray_temporaries"]
    store.compact()
    assert not half.exists()
    half.write_bytes(b"large")
    old(folder)
    repair_store(disk, layout)
    assert not half.exists()
    half.write_bytes(b"large")
    store.erase("s", [2], reason="r")

    assert not half.exists()
    assert files(folder) == []


# Verify


def test_verify_tells_of_those_that_are_missing_or_were_altered(store, folder):
    noted(store, "s", LARGE, LARGE + "!", [LARGE])
    path_of(folder, digest_of(LARGE)).unlink()
    path = path_of(folder, digest_of(LARGE + "!"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    report = store.verify("s")

    assert not report.ok
    assert report.kinds == ["altered_attachment", "missing_attachment"]
    assert [each.split(":")[0].rsplit(", ", 1)[1] for each in report.findings] == ["record 2", "record 3"]
    assert f"the attachment {digest_of(LARGE)} is not there" in report.findings[0]
    assert f"the attachment {digest_of(LARGE + '!')} was altered" in report.findings[1]
    assert store.verify().kinds == report.kinds


def test_of_what_was_erased_nothing_is_missing(store):
    noted(store, "s", LARGE)
    store.erase("s", [2], reason="r")

    assert store.verify("s").findings == []


def test_a_text_that_quotes_a_reference_is_none(store):
    quoted = json.dumps(Attachment(digest="0" * 64, size_bytes=1).to_json())
    store.append("s", [CREATED, said(quoted), CustomEvent(name=quoted, data=[quoted])], expected_version=0)

    assert store.verify("s").findings == []


def test_verify_reads_what_sessions_share_once(store, monkeypatch):
    noted(store, "s", LARGE, LARGE, [LARGE])
    store.fork("s", new_id="t")
    looked_at = []
    problem = AttachmentFiles.problem
    monkeypatch.setattr(
        AttachmentFiles, "problem", lambda self, digest: looked_at.append(digest) or problem(self, digest)
    )
    assert store.verify().ok
    assert sorted(looked_at) == sorted([digest_of(LARGE), digest_of([LARGE])])
    assert store.verify("s").ok

    assert len(looked_at) == 4  # whoever asks again is not told what was


def test_workers_tell_the_same(folder, monkeypatch):
    from journal import workers

    with StateStore(folder, durability="os", attach_over_bytes=10) as store:
        for number in range(6):
            noted(store, f"s{number}", "x" * 50, str(number) * 50)
        path_of(folder, digest_of("3" * 50)).unlink()
        monkeypatch.setattr(workers, "WORTH_SESSIONS", 1)
        monkeypatch.setattr(workers, "CHUNK_SESSIONS", 1)
        reports = dict(store.verify_each())

    assert [each for each in sorted(reports) if not reports[each].ok] == ["s3"]
    assert reports["s3"].kinds == ["missing_attachment"]


# Erasing


def test_not_one_byte_of_what_is_erased_is_found(store, folder):
    """Neither in a payload nor anywhere else; what another record said stays."""
    noted(store, "s", LARGE + SECRET, LARGE, [SECRET, LARGE])
    with store.open_session("s") as live:
        live.add_user_message("go")
        live.step("plan", lambda text: text + SECRET, LARGE + SECRET)
    store.compact()
    store.fork("s", new_id="t")
    store.search("anything")
    planned = store.erase("s", [2, 4, 6], reason="asked for", dry_run=True)
    assert len(holding(folder, SECRET)) == 4
    erased = store.erase("s", [2, 4, 6], reason="asked for")

    assert erased == planned
    assert [each.session_id for each in erased] == ["s", "t"]
    assert len(erased[0].attachments) == 4
    assert holding(folder, SECRET) == []
    assert files(folder) == [digest_of(LARGE)]
    assert store.verify().ok


def test_what_another_session_refers_to_stays(store, folder):
    noted(store, "s", LARGE)
    noted(store, "t", LARGE)
    (erased,) = store.erase("s", [2], reason="r")
    assert erased.attachments == []
    assert files(folder) == [digest_of(LARGE)]
    (erased,) = store.erase("t", [2], reason="r")

    assert erased.attachments == [digest_of(LARGE)]
    assert files(folder) == []


def test_what_another_record_of_the_session_refers_to_stays(store, folder):
    noted(store, "s", LARGE, LARGE)

    assert store.erase("s", [3], reason="r")[0].attachments == []
    assert store.erase("s", [2], reason="r")[0].attachments == [digest_of(LARGE)]


def test_a_snapshot_and_the_sessions_quarantine_do_not_keep_what_is_erased(store, folder, journal_file):
    reference = store.attach(b"picture")
    session = Session.with_id("u", "s")
    session.set_metadata("picture", reference)
    store.save_session(session)
    with journal_file("s").open("ab") as file:
        file.write(b'{"v":1,"seq":3,' + json.dumps(reference).encode())
    with pytest.warns(JournalWarning):
        store.append("s", [said("x")], expected_version=ANY)
    store.compact()
    assert store.erase("s", [2], reason="r", dry_run=True)[0].attachments == [digest_of(b"picture")]
    store.erase("s", [2], reason="r")

    assert files(folder) == []


def test_what_comes_back_of_a_state_that_goes_keeps_its_attachments(store, folder):
    """A state that was set as a whole goes with one message of it; the metadata beside that is put back."""
    reference = store.attach(b"picture")
    store.append("s", [CREATED, said("a"), said(SECRET)], expected_version=0)
    session = store.load_session("s")
    del session.user_messages[0]
    session.metadata["picture"] = reference
    store.save_session(session)
    store.append("s", [MetadataSet(key="other", value=store.attach(b"other"))], expected_version=ANY)
    store.save_session(replaced(store, "s"))
    planned = store.erase("s", [3], reason="r", dry_run=True)
    assert store.erase("s", [3], reason="r") == planned

    assert store.load_session("s").metadata["picture"] == reference
    assert store.attachment(reference) == b"picture"
    assert store.verify("s").ok


def replaced(store, session_id):
    """A session of which so much was edited that it is set as a whole."""
    session = store.load_session(session_id)
    session.user_messages.insert(0, session.user_messages[0])
    return session


def test_after_a_crash_in_between_the_erasure_can_be_repeated(store, folder, monkeypatch):
    """The attachment goes first: the record that names it is still there."""
    noted(store, "s", LARGE + SECRET)

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Log, "replace", die)
        with pytest.raises(Killed):
            store.erase("s", [2], reason="r")
    assert store.verify("s").kinds == ["missing_attachment"]
    (erased,) = store.erase("s", [2], reason="r")

    assert erased.versions == [2]
    assert holding(folder, SECRET) == []
    assert store.verify("s").ok


def test_what_is_put_back_while_it_is_erased_goes_all_the_same(store, folder, monkeypatch):
    """And what another session refers to by then stays."""
    noted(store, "s", LARGE, LARGE + "!")
    replace = Log.replace

    def meanwhile(log, pieces, **options):
        store.attach(json.dumps(LARGE).encode())
        store.append("t", [CREATED.__class__(session_id="t", user_id="u")], expected_version=0)
        noted(store, "t", LARGE + "!")
        replace(log, pieces, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Log, "replace", meanwhile)
        store.erase("s", [2, 3], reason="r")

    assert files(folder) == [digest_of(LARGE + "!")]
    assert store.verify().ok


def test_all_of_a_user_goes_in_one_pass_over_the_sessions(store, folder, monkeypatch):
    for each in "abc":
        noted(store, each, LARGE, LARGE + each)
    with store.open_session("other", user_id="v") as live:
        live.add_event("noted", LARGE + "a")
    passes = []
    monkeypatch.setattr(
        "journal.references.referring_files", lambda *args: passes.append(args) or referring_files(*args)
    )
    planned = store.erase_user("u", reason="r", dry_run=True)
    assert len(passes) == 1
    erased = store.erase_user("u", reason="r")

    assert erased == planned
    assert files(folder) == [digest_of(LARGE + "a")]
    assert {each.session_id: len(each.attachments) for each in erased} == {"a": 1, "b": 2, "c": 2}
    assert len(passes) == 3  # before the journals, and what others still refer to once more behind them


def test_a_rewind_and_a_fork_share(store, folder):
    noted(store, "s", LARGE)
    store.rewind("s", 1)
    store.fork("s", new_id="t")
    store.delete_session("s")

    assert files(folder) == [digest_of(LARGE)]
    assert json.loads(store.attachment(list(store.records("t"))[1].event.data)) == LARGE
    assert store.verify("t").ok


def test_a_transcript_names_it_and_does_not_hold_it(store):
    with store.open_session("s", user_id="u") as live:
        live.run_tool("look", lambda: LARGE, call_id="c")
    page = to_markdown("s", store.project(Transcript(), "s"))

    assert f"[attachment of 360,002 bytes, application/json, SHA-256 {digest_of(LARGE)}]" in page


def test_a_missing_attachment_hides_nothing_else(store, folder, snapshot_file):
    noted(store, "s", LARGE)
    store.compact()
    snapshot_file("s").write_text(snapshot_file("s").read_text().replace('"user_id": "u"', '"user_id": "w"'))
    path_of(folder, digest_of(LARGE)).unlink()

    assert store.verify("s").kinds == ["missing_attachment", "altered_snapshot"]


def test_tasks_attach_and_ask_as_threads_do(folder):
    async def use():
        async with AsyncStateStore(folder, durability="os", attach_over_bytes=100) as store:
            references = await asyncio.gather(*(store.attach(bytes(number % 3)) for number in range(12)))
            async with store.open_session("s", user_id="u") as live:
                await live.add_user_message("go")
                first = await live.step("plan", lambda: "x" * 200)
            async with store.open_session("s") as live:
                again = await live.step("plan", never)
            return [await store.attachment(each) for each in references], first, again

    found, first, again = asyncio.run(use())

    assert found == [bytes(number % 3) for number in range(12)]
    assert first == again == "x" * 200
    assert len(files(folder)) == 4
