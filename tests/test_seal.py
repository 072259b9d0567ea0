"""Seals: what is signed holds; a cut, a rewrite and a removal show, which the chain alone does not tell."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from crash.forging import CREATED, SAID, forged
from hypothesis import given
from hypothesis import strategies as st

from journal import InvalidKeyError, JournalWarning, SealError, Session, SessionNotFoundError, StateStore
from journal.disk import Disk
from journal.merkle import audit_path, merkle_root
from journal.note import SigningKey, sign
from journal.seal import MAX_SEAL_BYTES, Head, Statement, make_seal, open_seal, read_statement
from projections import ContentErased
from tests.strategies import said
from tests.test_note import GO_KEY, GO_SECRET

# The same for each process that runs some of the tests.
KEY = SigningKey.parse("PRIVATE+KEY+example.com/audit+29b87bfc+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")
PUBLIC = KEY.verifier()
OTHER = SigningKey.new("example.com/audit")
AT = datetime(2026, 11, 22, 15, 0, 0, 250_000, tzinfo=UTC)
CHAIN = "4GLsEKp_3dBd8YuF9rCBqo_1f3CXdrPPkDCz_0Z1a-o"


def speak(store: StateStore, session_id: str, *texts: str) -> None:
    """A batch for each text; the first one begins the session."""
    session = store.load_session(session_id) or Session.with_id("ada", session_id)
    for text in texts:
        session.add_user_message(text)
        store.save_session(session)


@pytest.fixture
def talks(store: StateStore, folder: Path) -> StateStore:
    """Three sessions: s of four records in three batches, t and u of two."""
    speak(store, "s", "one", "two", "three")
    speak(store, "t", "other")
    speak(store, "u", "third")
    return store


def lines_of(folder: Path, session_id: str) -> list[bytes]:
    return (folder / "sessions" / f"{session_id}.jsonl").read_bytes().splitlines(keepends=True)


def put(folder: Path, session_id: str, data: bytes) -> None:
    """Another file in the journal's place, as a program that knows no locks does it."""
    (folder / "sessions" / f"{session_id}.json").unlink(missing_ok=True)
    path = folder / "sessions" / f"{session_id}.jsonl"
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def verified(folder: Path, session_id: str | None, seal):
    """What a process that never saw the session finds."""
    with StateStore(folder, durability="os") as fresh:
        return fresh.verify(session_id, seal=open_seal(seal.data, PUBLIC))


# What a seal is


def test_a_seal_of_a_session_is_a_note_of_six_lines(talks):
    seal = talks.seal("s", key=KEY)
    head = talks.verify("s").head
    text = seal.data.decode().split("\n\n")[0]

    assert text.split("\n") == [
        "session-journal/seal/1",
        "scope session",
        f"time {seal.at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "session s",
        "version 4",
        f"chain {head}",
    ]
    assert seal.heads == {"s": Head("s", 4, head)}
    assert seal.signers == ("example.com/audit",)
    assert open_seal(seal.data, PUBLIC) == seal


def test_a_seal_of_a_store_signs_one_root_over_all_heads(talks):
    """By RFC 6962: leaf 0x00, node 0x01; the heads themselves stand behind the note, sorted."""
    seal = talks.seal(key=KEY)
    note, heads = seal.data.decode().rsplit("\n\n", 1)
    leaves = [hashlib.sha256(b"\0" + line.encode()).digest() for line in heads.splitlines()]
    left = hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest()
    root = hashlib.sha256(b"\1" + left + leaves[2]).digest()

    assert heads.splitlines() == [
        f"{report.version} {report.head} {each}" for each in "stu" for report in [talks.verify(each)]
    ]
    assert note.split("\n")[1] == "scope store"
    assert note.split("\n")[3:5] == ["sessions 3", f"root {_b64(root)}"]
    assert open_seal(seal.data, PUBLIC) == seal
    assert talks.seal(["t", "u"], key=KEY).scope == "sessions"
    assert set(talks.seal(["t", "u"], key=KEY).heads) == {"t", "u"}


def _b64(raw: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_the_examples_of_the_format_page_are_seals_of_its_key():
    """One of a session, one of a store; what is made of the same heads is the same to the byte."""
    page = (Path(__file__).parents[1] / "docs" / "reference" / "seals.md").read_text()
    examples = re.findall(r"```text\n(session-journal/.*?)```", page, re.DOTALL)
    key = SigningKey.parse(GO_SECRET)
    seals = [open_seal(each.encode(), key.verifier()) for each in examples]

    assert f"`{GO_KEY}`" in page
    assert [seal.scope for seal in seals] == ["session", "store"]
    assert seals[0].heads["demo"] == seals[1].heads["demo"] == Head("demo", 3, CHAIN)
    for seal in seals:
        assert make_seal(list(seal.heads.values()), seal.scope, seal.at, key) == seal


heads = st.builds(
    Head,
    st.text(
        st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\."), min_size=1, max_size=20
    ),
    st.integers(1, 10**18 - 1),
    st.binary(min_size=32, max_size=32).map(_b64),
)


@given(st.lists(heads, min_size=1, max_size=9, unique_by=lambda head: head.session_id), st.booleans())
def test_every_seal_is_read_as_it_was_made(found, is_one):
    """Ids of any script, with spaces at their ends or inside."""
    found = found[:1] if is_one else found
    seal = make_seal(found, "session" if is_one else "store", AT, KEY)
    opened = open_seal(seal.data, PUBLIC)

    assert opened == seal
    assert sorted(opened.heads.values()) == sorted(found)
    assert opened.at == AT


def test_every_changed_byte_of_a_seal_is_refused(talks):
    """Of the signed text, and of the heads that nobody signed one by one."""
    data = talks.seal(key=KEY).data
    believed = []
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 7
        try:
            open_seal(bytes(changed), PUBLIC)
        except SealError:
            continue
        believed.append(at)

    assert believed == []


SEAL = make_seal([Head("a", 1, CHAIN), Head("b c", 2, CHAIN)], "store", AT, KEY).data.decode()
NOTE, HEADS = SEAL.rsplit("\n\n", 1)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "session-journal/seal/1\n",
        SEAL.replace("seal/1", "seal/2", 1),
        f"{NOTE}\n",
        f"{NOTE}\n\n",
        f"{NOTE}\n\n{HEADS}\n",
        f"{NOTE}\n\n{HEADS[:-1]}",
        f"{NOTE}\n\n\n{HEADS}",
        f"{NOTE}\n\n" + "".join(reversed(HEADS.splitlines(keepends=True))),
        f"{NOTE}\n\n{HEADS.splitlines()[0]}\n",
        f"{NOTE}\n\n{HEADS}3 {CHAIN} d\n",
    ],
)
def test_what_is_no_whole_seal_is_refused(data):
    """A head that is missing, doubled, out of order, or added."""
    assert data != SEAL
    with pytest.raises(SealError):
        open_seal(data.encode(), PUBLIC)


@pytest.mark.parametrize(
    "lines",
    [
        ["scope session", "time 2026-11-22T15:00:00.250000Z", "session a", "version 1"],
        ["scope session", "time 2026-11-22T15:00:00.250000Z", "session a", "version 01", f"chain {CHAIN}"],
        ["scope session", "time 2026-11-22T15:00:00.250000Z", "session a", "version 0", f"chain {CHAIN}"],
        ["scope session", "time 2026-11-22T15:00:00.250000Z", "session ../a", "version 1", f"chain {CHAIN}"],
        ["scope session", "time 2026-11-22T15:00:00.250000Z", "session a", "version 1", "chain x"],
        ["scope session", "time 2026-11-22T15:00:00.25Z", "session a", "version 1", f"chain {CHAIN}"],
        ["scope session", "time 2026-11-22T15:00:00.250000", "session a", "version 1", f"chain {CHAIN}"],
        ["scope session", "time 0001-01-01T00:00:00.0+14:00", "session a", "version 1", f"chain {CHAIN}"],
        ["scope all", "time 2026-11-22T15:00:00.250000Z", "session a", "version 1", f"chain {CHAIN}"],
        ["scope session", "time 2026-11-22T15:00:00.250000Z", "session a", "version 1", f"chain {CHAIN}", ""],
        ["scope store", "time 2026-11-22T15:00:00.250000Z", "sessions 0", f"root {CHAIN}"],
    ],
)
def test_a_good_signature_under_what_is_no_seal_makes_none(lines):
    """The same key may sign other notes."""
    data = sign("\n".join(["session-journal/seal/1", *lines, ""]), KEY)

    with pytest.raises(SealError):
        open_seal(data, PUBLIC)


@pytest.mark.parametrize("ids", [["b", "a"], ["a", "a"], ["a", "b", "a"]])
def test_heads_that_are_not_sorted_or_stand_twice_make_no_seal(ids):
    """Even if that was signed: of a session there is one head."""
    statement = Statement(AT, "store", tuple(Head(each, 1, CHAIN) for each in ids))
    data = sign(statement.text(), KEY) + statement.rest().encode()

    with pytest.raises(SealError):
        open_seal(data, PUBLIC)


@pytest.mark.parametrize("behind", ["\n", "x\n", "\nx\n", f"\n1 {CHAIN} b\n"])
def test_nothing_stands_behind_the_seal_of_one_session(behind):
    data = make_seal([Head("a", 1, CHAIN)], "session", AT, KEY).data

    assert open_seal(data, PUBLIC).heads.keys() == {"a"}
    with pytest.raises(SealError):
        open_seal(data + behind.encode(), PUBLIC)


def test_a_seal_that_is_too_long_is_refused_unread():
    with pytest.raises(SealError, match="over"):
        open_seal(SEAL.encode() + b" " * MAX_SEAL_BYTES, PUBLIC)


def test_a_seal_by_another_key_is_refused(talks):
    """A namesake's, too."""
    with pytest.raises(SealError, match="not signed by"):
        open_seal(talks.seal("s", key=OTHER).data, PUBLIC)


# The tree


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_the_root_is_that_of_the_specification(leaves):
    """RFC 6962, section 2.1, as it defines it: split at the largest power of two below the number."""

    def mth(part):
        if len(part) < 2:
            return hashlib.sha256(b"\0" + part[0] if part else b"").digest()
        split = 1 << (len(part) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + mth(part[:split]) + mth(part[split:])).digest()

    assert merkle_root(leaves) == mth(leaves)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_a_path_is_that_of_the_specification(leaves, data):
    """RFC 6962, section 2.1.1."""

    def path(index, part):
        if len(part) == 1:
            return []
        split = 1 << (len(part) - 1).bit_length() - 1
        if index < split:
            return [*path(index, part[:split]), merkle_root(part[split:])]
        return [*path(index - split, part[split:]), merkle_root(part[:split])]

    index = data.draw(st.integers(0, len(leaves) - 1))

    assert audit_path(leaves, index) == path(index, leaves)


# What holds


def test_what_was_sealed_holds(talks, folder):
    for name, scope in (("s", "s"), (None, None), ("t", None)):
        report = verified(folder, name, talks.seal(scope, key=KEY))

        assert report.ok
        assert report.findings == []
        assert (
            sum("as sealed by 'example.com/audit' at 2" in note for note in report.notes) == report.sessions
        )


def test_what_comes_after_the_seal_is_chained_to_it_and_not_signed(talks, folder):
    seal = talks.seal(key=KEY)
    speak(talks, "s", "four", "five")
    speak(talks, "new", "hello")
    report = verified(folder, "s", seal)
    of_all = dict(talks.verify_each(seal=seal))

    assert report.ok
    assert (report.version, report.sealed) == (6, 4)
    assert any("up to version 4" in note and "2 later records" in note for note in report.notes)
    assert all(each.ok for each in of_all.values())
    assert [each for each in of_all if of_all[each].sealed == 0] == ["new"]
    assert any("nothing of it is signed" in note for note in of_all["new"].notes)


batches = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(before=batches, after=batches, data=st.data())
def test_what_was_sealed_holds_with_whatever_follows_and_without_any_of_it_never(
    tmp_path_factory, before, after, data
):
    """Any end at or behind the sealed one holds, and none before it."""
    folder = tmp_path_factory.mktemp("law") / "state"
    with StateStore(folder, durability="os") as store:
        version = store.save_session(Session.with_id("ada", "s"))
        for size in before:
            version = store.append("s", [said("x")] * size, expected_version=version)
        seal = store.seal("s", key=KEY)
        for size in after:
            version = store.append("s", [said("y")] * size, expected_version=version)
        holds = store.verify("s", seal=seal)
    sealed = seal.heads["s"].version
    lines = lines_of(folder, "s")
    keep = data.draw(st.integers(0, len(lines)))
    put(folder, "s", b"".join(lines[:keep]))
    left = verified(folder, "s", seal)

    assert (holds.ok, holds.sealed) == (True, sealed)
    assert left.ok == (keep >= sealed)
    assert left.sealed == (sealed if left.ok else 0)


def test_erasing_content_afterwards_keeps_the_seal(talks, folder):
    """The chain covers the digest, not the content."""
    seal = talks.seal(key=KEY)
    lines = lines_of(folder, "s")
    put(folder, "s", b"".join([*lines[:2], erased(lines[2]), *lines[3:]]))
    with StateStore(folder, durability="os") as store:
        told = ContentErased(versions=[3], types=["user_message_added"], reason="asked to")
        store.append("s", [told], expected_version=4)
    report = verified(folder, "s", seal)

    assert report.ok
    assert report.sealed == 4


def erased(line: bytes) -> bytes:
    """A record's line without its content, as it stays in the journal."""
    return line.partition(b'","salt":')[0] + (
        b'","salt":null,"event":{"type":"erased","was":"user_message_added"}}\n'
    )


def test_ids_with_spaces_and_of_any_script_are_sealed_and_compared(store, folder):
    ids = ["a b", " ", "日本", "x\u2028y", "42 " + CHAIN]
    for each in ids:
        speak(store, each, "hello")
    seal = store.seal(key=KEY)

    assert set(seal.heads) == set(ids)
    assert verified(folder, None, seal).ok
    for each in ids:
        assert verified(folder, each, store.seal(each, key=KEY)).ok


# Attacks that the chain alone does not show


def test_a_tail_that_was_cut_is_found(talks, folder):
    for scope in ("s", None):
        put(folder, "s", b"".join(lines_of(folder, "s")))
        seal = talks.seal(scope, key=KEY)
        whole = lines_of(folder, "s")
        put(folder, "s", b"".join(whole[:-1]))
        report = verified(folder, "s", seal)
        with StateStore(folder, durability="os") as store:
            alone = store.verify("s")
        put(folder, "s", b"".join(whole))

        assert alone.ok
        assert not report.ok
        assert report.sealed == 0
        assert ["its tail was cut, 1 record at least" in each for each in report.findings] == [True]


def test_a_tail_that_was_cut_and_written_on_is_found(talks, folder):
    """The version is reached again, by other records."""
    seal = talks.seal("s", key=KEY)
    put(folder, "s", b"".join(lines_of(folder, "s")[:-1]))
    with StateStore(folder, durability="os") as store:
        speak(store, "s", "another three", "and four")
        assert store.verify("s").ok
    report = verified(folder, "s", seal)

    assert not report.ok
    assert ["its version 4 is not the one" in each for each in report.findings] == [True]


def test_a_history_that_was_written_anew_is_found(talks, folder):
    seal = talks.seal("s", key=KEY)
    put(folder, "s", forged([CREATED, SAID], [SAID], [SAID], [SAID]))
    with StateStore(folder, durability="os") as store:
        alone = store.verify("s")
    report = verified(folder, "s", seal)

    assert alone.ok
    assert not report.ok
    assert ["written anew" in each for each in report.findings] == [True]


def test_a_session_that_was_taken_away_is_found(talks, folder):
    """With its snapshot, or without."""
    seal = talks.seal(key=KEY)
    talks.compact()
    (folder / "sessions" / "s.jsonl").unlink()
    beside_its_snapshot = verified(folder, None, seal)
    (folder / "sessions" / "s.json").unlink()
    report = verified(folder, None, seal)
    of_one = verified(folder, "s", seal)

    for each in (beside_its_snapshot, report, of_one):
        assert not each.ok
        assert ["'s': its journal is gone and no tombstone" in text for text in each.findings] == [True]
    with StateStore(folder, durability="os") as store:
        assert store.verify().ok
        with pytest.raises(SessionNotFoundError):
            store.verify("s")


def test_records_of_another_session_in_its_place_are_found(talks, folder):
    """A splice between sessions: the chain tells, and so does the seal."""
    seal = talks.seal(key=KEY)
    put(folder, "s", b"".join(lines_of(folder, "t")))
    report = verified(folder, "s", seal)

    assert not report.ok
    assert "damage" in report.kinds
    assert any("version 4 was sealed" in each for each in report.findings)


def test_damage_before_the_sealed_version_is_not_called_a_cut(talks, folder):
    seal = talks.seal("s", key=KEY)
    lines = lines_of(folder, "s")
    put(folder, "s", b"".join([lines[0], lines[1].replace(b"one", b"ohe"), *lines[2:]]))
    report = verified(folder, "s", seal)

    assert not report.ok
    assert "only 1 of its records can be trusted" in report.findings[-1]


def test_damage_behind_the_sealed_version_leaves_what_was_sealed_proven(talks, folder):
    seal = talks.seal("s", key=KEY)
    speak(talks, "s", "four", "five")
    lines = lines_of(folder, "s")
    put(folder, "s", b"".join([*lines[:4], lines[4].replace(b"four", b"tour"), *lines[5:]]))
    report = verified(folder, "s", seal)

    assert not report.ok
    assert report.sealed == 4
    assert len(report.findings) == 1


def test_a_seal_of_another_session_proves_nothing_of_this_one(talks, folder):
    report = verified(folder, "t", talks.seal("s", key=KEY))

    assert not report.ok
    assert ["is not of it; nothing is proven" in each for each in report.findings] == [True]
    with pytest.raises(SessionNotFoundError):
        verified(folder, "nobody", talks.seal("s", key=KEY))


def test_a_seal_of_another_store_says_so(talks, tmp_path):
    """None of its sessions is here; or they are here, and are others."""
    seal = talks.seal(key=KEY)
    with StateStore(tmp_path / "other", durability="os") as other:
        speak(other, "x", "hello")
        elsewhere = other.verify(seal=seal)
        for each in "stu":
            speak(other, each, "one", "two", "three")
        namesakes = other.verify(seal=seal)

    assert len(elsewhere.findings) == len(namesakes.findings) == 3
    assert all("is this the store that was sealed?" in each for each in elsewhere.findings)
    assert all("another session of that id" in each for each in namesakes.findings)


def test_an_older_seal_is_a_good_one_unless_the_caller_knows_of_a_later(talks, folder):
    """Not caught by itself: whoever cut the tail presents the seal from before it."""
    older = talks.seal("s", key=KEY)
    speak(talks, "s", "four")
    newer = talks.seal("s", key=KEY)
    put(folder, "s", b"".join(lines_of(folder, "s")[:-1]))
    report = verified(folder, "s", older)

    assert report.ok
    assert not verified(folder, "s", newer).ok
    for expected in ({"after": older.at}, {"versions": {"s": 5}}, {"versions": {"t": 1}}):
        with pytest.raises(SealError):
            older.expect(**expected)
    newer.expect(after=older.at, versions={"s": 5})
    older.expect(after=older.at - timedelta(microseconds=1), versions={"s": 4})


# Deletions


def test_a_session_that_was_deleted_with_a_tombstone_is_noted(talks, folder):
    seal = talks.seal(key=KEY)
    speak(talks, "s", "four")
    assert talks.delete_session("s", why="asked to")
    assert talks.delete_session("t")
    report = verified(folder, None, seal)

    assert report.ok
    assert sum("a tombstone says, which nobody signed" in note for note in report.notes) == 2


@pytest.mark.parametrize("change", [{"version": 3}, {"chain": CHAIN}, {"id": "x"}])
def test_a_tombstone_of_less_than_was_sealed_tells_nothing(talks, folder, change):
    """Of an earlier version, of another history at the same version, of another session."""
    seal = talks.seal("s", key=KEY)
    talks.delete_session("s")
    path = folder / ".journal" / "tombstones.jsonl"
    tombstone = json.loads(path.read_text())
    path.write_text("no tombstone\n" + json.dumps(tombstone | change) + "\n")
    told = verified(folder, "s", seal)
    path.write_text("no tombstone\n" + json.dumps(tombstone) + "\n")

    assert not told.ok
    assert verified(folder, "s", seal).ok


def test_a_tombstone_of_one_session_does_not_excuse_another(talks, folder):
    seal = talks.seal(key=KEY)
    speak(talks, "u", "one", "two", "three", "four")
    talks.delete_session("u")
    talks.compact()
    for name in ("s.jsonl", "s.json"):
        (folder / "sessions" / name).unlink(missing_ok=True)
    report = verified(folder, None, seal)

    assert ["'s': its journal is gone" in each for each in report.findings] == [True]


def test_another_session_under_a_deleted_ones_id_is_a_finding(talks, folder):
    """A tombstone, which anybody can write, must not make a rewrite pass."""
    seal = talks.seal("s", key=KEY)
    talks.delete_session("s")
    speak(talks, "s", "one", "two", "three", "four")
    talks.delete_session("u")
    report = verified(folder, "s", seal)

    assert not report.ok
    assert ["The one that was sealed was deleted" in each for each in report.findings] == [True]


# What is not sealed


def test_damage_is_not_sealed_and_is_named(talks, folder):
    lines = lines_of(folder, "t")
    put(folder, "t", b"".join(lines).replace(b"other", b"0ther"))
    for ids in ("t", None, ["s", "t"]):
        with pytest.raises(SealError, match=r"'t': .*record 2.* Nothing was signed"):
            talks.seal(ids, key=KEY)

    assert set(talks.seal(["s", "u"], key=KEY).heads) == {"s", "u"}


def test_a_session_without_a_journal_is_not_sealed_and_is_named(talks, folder):
    talks.compact()
    (folder / "sessions" / "t.jsonl").unlink()
    snapshot = json.loads((folder / "sessions" / "t.json").read_text())
    del snapshot["journal"]
    (folder / "sessions" / "t.json").write_text(json.dumps(snapshot))

    with pytest.raises(SealError, match="'t': it has no journal yet"):
        talks.seal(key=KEY)


def test_what_is_not_there_is_not_sealed(talks, tmp_path):
    with pytest.raises(SessionNotFoundError):
        talks.seal("nobody", key=KEY)
    with pytest.raises(SealError, match="'nobody'"):
        talks.seal(["s", "nobody"], key=KEY)
    with StateStore(tmp_path / "empty") as empty, pytest.raises(SealError, match="no session to seal"):
        empty.seal(key=KEY)


def test_a_key_that_cannot_sign_is_told_before_anything_else(tmp_path):
    """Not after all sessions were read."""
    wrong = SigningKey(KEY.name, b"1234", KEY.seed)
    with StateStore(tmp_path / "empty") as empty, pytest.raises(InvalidKeyError):
        empty.seal(key=wrong)


def test_a_torn_tail_is_not_part_of_what_is_sealed(talks, folder):
    """It was never acknowledged; the repair that cuts it goes on from the sealed head."""
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(path.read_bytes() + b'{"v":1,"seq":5')
    seal = talks.seal("s", key=KEY)
    with pytest.warns(JournalWarning, match="quarantine"):
        speak(talks, "s", "four")

    assert seal.heads["s"].version == 4
    assert verified(folder, "s", seal).ok


class CountingDisk(Disk):
    """Notes what was synced."""

    def __init__(self):
        super().__init__()
        self.synced = set()

    def sync(self, fd):
        self.synced.add(self.status_of(fd).st_ino)
        super().sync(fd)


def test_what_is_sealed_is_on_disk(folder, monkeypatch):
    """Else a power cut would look like a cut tail, in a store whose saves do not wait for the disk."""
    monkeypatch.setattr(StateStore, "_new_disk", staticmethod(CountingDisk))
    with StateStore(folder, durability="os") as store:
        speak(store, "s", "one")
        speak(store, "t", "one")
        before = set(store._disk.synced)
        store.seal(key=KEY)
        inodes = {(folder / "sessions" / f"{each}.jsonl").stat().st_ino for each in "st"}

        assert before == set()
        assert store._disk.synced >= inodes


def test_sealing_and_comparing_change_nothing(talks, folder):
    talks.compact()
    before = {path: path.read_bytes() for path in (folder / "sessions").iterdir()}
    seal = talks.seal(key=KEY)
    talks.verify(seal=seal)
    talks.prove("s", 2, seal=seal.data)

    assert {path: path.read_bytes() for path in (folder / "sessions").iterdir()} == before


def test_verifying_without_a_seal_is_as_it_was(talks):
    assert talks.verify("s").sealed == 0
    assert talks.verify("s").notes == []
    assert talks.verify().ok


@given(st.binary(max_size=300))
def test_any_bytes_are_a_seal_or_a_seal_error(data):
    for each in (data, SEAL.encode()[:100] + data, NOTE.encode() + b"\n\n" + data):
        with pytest.raises(SealError):
            open_seal(each, PUBLIC)
        if each != SEAL.encode():
            with pytest.raises(SealError):
                read_statement(each)


def test_messages_said_in_a_seal_are_those_of_its_signers(talks):
    """A seal that two keys signed, and both are trusted, names both."""
    seal = talks.seal("s", key=KEY)
    second = SigningKey.new("example.org/witness")
    text = seal.data.decode().split("\n\n")[0] + "\n"
    data = seal.data + sign(text, second).decode().split("\n\n")[1].encode()
    both = open_seal(data, PUBLIC, second.verifier())
    report = talks.verify("s", seal=both)

    assert both.signers == ("example.com/audit", "example.org/witness")
    assert "'example.com/audit' and 'example.org/witness'" in report.notes[-1]
