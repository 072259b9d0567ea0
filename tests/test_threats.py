"""The threat model's table of attacks: each is carried out, and comes out as the table says."""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.forging import CREATED, SAID, forged

from journal import Session, StateStore
from journal.chain import event_bytes
from journal.seal import Seal, open_seal
from tests.strategies import contents
from tests.test_seal import KEY, PUBLIC, lines_of, put, speak

PAGE = Path(__file__).parents[1] / "docs/explanation/threat-model.md"
# These are about the seal or the proof itself: what they name are their tests.
OF_SEALS = {
    "the seal altered, or signed by another key",
    "the seal of another session or store",
    "a proof that was altered, or put together anew",
}
# What a note says that is not of every day.
NOTED = ("the last batch is incomplete", "as a tombstone says, which nobody signed")


class Ground:
    """A store with snapshots, a catalog and a search index, sealed at two times; nobody has it open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self.opened() as store:
            speak(store, "s", "one", "two")
            self.older = store.seal(key=KEY)
            session = store.load_session("s")
            assert session is not None
            for text in ("three", "four"):
                session.add_user_message(text)
            session.set_metadata("plan", "look")
            store.save_session(session)  # the last batch has three records: 4, 5, 6
            speak(store, "t", "other", "more")
            store.fork("s", 3, new_id="fork")
            speak(store, "e", "secret", "end")
            store.erase("e", [2], reason="asked for")
            store.compact()
            store.list_sessions()
            store.search("one")
            self.seal = store.seal(key=KEY)

    def opened(self) -> StateStore:
        return StateStore(self.folder, durability="os")

    def lines(self, session_id: str = "s") -> list[bytes]:
        return lines_of(self.folder, session_id)

    def put(self, lines: list[bytes], session_id: str = "s") -> None:
        """Other lines in the journal's place. The snapshot goes: it must not be what gives them away."""
        put(self.folder, session_id, b"".join(lines))

    def replace(self, number: int, old: bytes, new: bytes, session_id: str = "s") -> None:
        """Other bytes in one record."""
        lines = self.lines(session_id)
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new)
        self.put(lines, session_id)

    def execute(self, file: str, statement: str) -> None:
        """Change a database, as anybody can."""
        path = self.folder / ".journal" / file
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            assert database.execute(statement).rowcount

    def found(self, seal: Seal | None) -> str:
        """What a process makes of it that never saw the store before, in the words of the table."""
        with self.opened() as store:
            report = store.verify(seal=None if seal is None else open_seal(seal.data, PUBLIC))
        if not report.ok:
            return "found"
        return "noted" if any(word in note for note in report.notes for word in NOTED) else "not found"


def edit_text(ground: Ground) -> None:
    ground.replace(3, b"two", b"2wo")


def edit_header(ground: Ground) -> None:
    ground.replace(3, b'"at":"2', b'"at":"1')


def edit_the_last(ground: Ground) -> None:
    ground.replace(6, b"look", b"book")


def insert(ground: Ground) -> None:
    lines = ground.lines()
    ground.put([*lines[:3], forged([CREATED], [SAID]).splitlines(keepends=True)[1], *lines[3:]])


def delete(ground: Ground) -> None:
    lines = ground.lines()
    ground.put([*lines[:2], *lines[3:]])


def double(ground: Ground) -> None:
    lines = ground.lines()
    ground.put([*lines[:3], *lines[2:]])


def reorder(ground: Ground) -> None:
    lines = ground.lines()
    ground.put([lines[0], lines[2], lines[1], *lines[3:]])


def take_content_out(ground: Ground) -> None:
    lines = ground.lines()
    head, _, _ = lines[2].partition(b'","salt":')
    lines[2] = head + b'","salt":null,"event":{"type":"erased","was":"user_message_added"}}\n'
    ground.put(lines)


def add_to_what_was_erased(ground: Ground) -> None:
    ground.replace(2, b'"type":"erased"', b'"type":"erased","x":1', "e")


def call_what_was_erased_another_type(ground: Ground) -> None:
    ground.replace(2, b"user_message_added", b"metadata_set", "e")


def swap_sessions(ground: Ground) -> None:
    ground.put(ground.lines("t"), "s")


def splice_into_the_middle(ground: Ground) -> None:
    lines = ground.lines()
    ground.put([*lines[:2], ground.lines("t")[2], *lines[3:]])


def splice_onto_the_end(ground: Ground) -> None:
    ground.put([*ground.lines()[:2], *ground.lines("t")[2:]])


def splice_a_fork_onto_its_origin(ground: Ground) -> None:
    """The copies have the same ids and digests, and another chain."""
    ground.put([*ground.lines()[:2], ground.lines("fork")[2], *ground.lines()[3:]])


def forge_a_fork(ground: Ground) -> None:
    first = ground.lines("fork")[0]
    put(ground.folder, "fork", forged([event_bytes(first), SAID], session_id="fork"))


def edit_snapshot(ground: Ground) -> None:
    path = ground.folder / "sessions" / "s.json"
    path.write_text(path.read_text().replace('"two"', '"2wo"'))


def edit_catalog(ground: Ground) -> None:
    ground.execute("catalog.sqlite3", "update session set user_id = 'mallory' where id = 's'")


def edit_search_index(ground: Ground) -> None:
    ground.execute("search.sqlite3", "update record set seq = 9 where seq = 2")


def cut_within_the_last_batch(ground: Ground) -> None:
    ground.put(ground.lines()[:-1])


def cut(ground: Ground) -> None:
    ground.put(ground.lines()[:-3])


def cut_and_write_on(ground: Ground) -> None:
    cut(ground)
    with ground.opened() as store:
        speak(store, "s", "another", "history", "to the same version")


def write_anew(ground: Ground) -> None:
    put(ground.folder, "s", forged([CREATED, SAID], [SAID], [SAID], [SAID], [SAID]))


def take_away(ground: Ground) -> None:
    for path in (ground.folder / "sessions").glob("t.*"):
        path.unlink()


def take_away_with_a_tombstone(ground: Ground) -> None:
    with ground.opened() as store:
        store.delete_session("t", why="nobody asked")


def put_another_under_its_id(ground: Ground) -> None:
    take_away_with_a_tombstone(ground)
    with ground.opened() as store:
        speak(store, "t", "never", "said", "before")


def replay_the_older_seal(ground: Ground) -> None:
    cut(ground)
    ground.seal = ground.older


def cut_what_came_since(ground: Ground) -> None:
    before = ground.lines()
    with ground.opened() as store:
        speak(store, "s", "since the seal")
    assert len(ground.lines()) > len(before)
    ground.put(before)


def write_anew_what_came_since(ground: Ground) -> None:
    cut_what_came_since(ground)
    with ground.opened() as store:
        speak(store, "s", "something else")


ATTACKS: dict[str, list[Callable[[Ground], None]]] = {
    "a changed record, in text or header": [edit_text, edit_header, edit_the_last],
    "records inserted, removed, doubled, in another order": [insert, delete, double, reorder],
    "content taken out, and no record says so": [take_content_out],
    "content added to an erased record, or its type changed": [
        add_to_what_was_erased,
        call_what_was_erased_another_type,
    ],
    "another session's records in its place": [swap_sessions],
    "records of another session, or of a fork, among its own": [
        splice_into_the_middle,
        splice_onto_the_end,
        splice_a_fork_onto_its_origin,
    ],
    "a fork whose records are not its origin's": [forge_a_fork],
    "the snapshot altered": [edit_snapshot],
    "the catalog altered": [edit_catalog],
    "the search index altered": [edit_search_index],
    "the tail cut within the last batch": [cut_within_the_last_batch],
    "the tail cut between two batches": [cut],
    "… and written on, to the same version": [cut_and_write_on],
    "all written anew": [write_anew],
    "a session taken away": [take_away],
    "… with a forged tombstone": [take_away_with_a_tombstone],
    "another session under the id of a deleted one": [put_another_under_its_id],
    "the tail cut back to an older seal, which is presented as the newest": [replay_the_older_seal],
    "what was written since the seal cut, or written anew": [cut_what_came_since, write_anew_what_came_since],
}


def table() -> dict[str, tuple[str, str]]:
    """The page's attacks, and what it says of each: by the chain alone, and with a seal."""
    text = PAGE.read_text().partition("| attack |")[2]
    rows = re.findall(r"^\| (.+?) \|(.*?)\|(.*?)\|$", text, re.MULTILINE)
    return {name: (alone.strip(), sealed.strip()) for name, alone, sealed in rows}


def verdict(cell: str) -> str:
    """What a cell of the table comes to."""
    return next(word for word in ("not found", "found", "noted") if cell.startswith(word))


def test_every_attack_of_the_table_is_tried():
    assert set(table()) == set(ATTACKS) | OF_SEALS


def test_what_nobody_attacked_is_well(folder: Path):
    ground = Ground(folder)

    assert [ground.found(seal) for seal in (None, ground.seal, ground.older)] == ["not found"] * 3


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
@pytest.mark.parametrize(
    ("name", "attack"),
    [pytest.param(name, attack, id=attack.__name__) for name, tried in ATTACKS.items() for attack in tried],
)
def test_an_attack_comes_out_as_the_table_says(folder: Path, name: str, attack: Callable[[Ground], None]):
    ground = Ground(folder)
    attack(ground)

    assert [ground.found(seal) for seal in (None, ground.seal)] == [verdict(cell) for cell in table()[name]]


def test_a_catalog_that_was_altered_lies_in_lists_and_nowhere_else(folder: Path):
    """And is the truth again where it was removed."""
    ground = Ground(folder)
    edit_catalog(ground)
    with ground.opened() as store:
        listed = {each.id for each in store.list_sessions(user_id="mallory")}
        session = store.load_session("s")
    (folder / ".journal" / "catalog.sqlite3").unlink()
    with ground.opened() as store:
        again = {each.id for each in store.list_sessions(user_id="mallory")}

    assert listed == {"s"}
    assert session is not None
    assert session.user_id == "ada"
    assert again == set()


def test_a_search_index_that_was_altered_hides_records_and_makes_up_none(folder: Path):
    """And is the truth again where it was removed."""
    ground = Ground(folder)
    with ground.opened() as store:
        before = {hit.address for hit in store.search("one")}
    edit_search_index(ground)
    with ground.opened() as store:
        during = {hit.address for hit in store.search("one")}
    for path in (folder / ".journal").glob("search.sqlite3*"):
        path.unlink()
    with ground.opened() as store:
        after = {hit.address for hit in store.search("one")}

    assert before == after == {"s@2", "fork@2"}
    assert during == set()


def test_a_snapshot_that_was_altered_is_believed_until_it_is_verified(folder: Path):
    ground = Ground(folder)
    edit_snapshot(ground)
    with ground.opened() as store:
        believed = store.load_session("s")
        report = store.verify("s")

    assert isinstance(believed, Session)
    assert contents(believed)[1] == "2wo"
    assert report.kinds == ["altered_snapshot"]
