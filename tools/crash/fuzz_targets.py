"""What the fuzz campaign's inputs are given to: an answer or a JournalError must come of it, nothing else.

Each target takes the files of a store by their places in it, and says in a word what came of them. Whatever
it raises is a broken promise.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from crash.simulated_disk import BASE, SimulatedDisk
from crash.simulated_volume import Volume
from journal import CorruptRecordError, JournalError, Session, StateStore
from journal.chain import Damage
from journal.disk import Disk
from journal.export import export_json, export_lines, export_markdown
from journal.importers import import_path
from journal.reader import Reader, TornTail, beginning
from journal.record import decode_record
from journal.snapshot import document_json, read_marker, read_snapshot
from projections.session import SessionProjection, apply_event
from projections.summary import summarize

Files: TypeAlias = dict[str, bytes]

JOURNAL: Final = "sessions/s.jsonl"
SNAPSHOT: Final = "sessions/s.json"
QUARANTINE: Final = ".journal/quarantine"


class Broken(Exception):
    """What must hold does not."""


class OneFile(Disk):
    """A disk that holds one file, whatever path is asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data
        self._status = os.stat_result((0o100600, 1, 1, 1, 0, 0, len(data), 0, 0, 0))

    def open(self, path: str, *, write: bool = False, create: bool = False, exclusive: bool = False) -> int:
        """The file."""
        return 0

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Its bytes."""
        return self._data[offset : offset + size]

    def status_of(self, fd: int) -> os.stat_result:
        """Its size."""
        return self._status

    def close(self, fd: int) -> None:
        """Nothing was opened."""


def read_a_journal(files: Files, folder: Path) -> str:
    """Read, decode and fold a journal, as every load does."""
    data = files[JOURNAL]
    reader = Reader(OneFile(data), 0, JOURNAL, beginning("s"))
    session = SessionProjection().initial()
    end = seq = 0
    for offset, line in reader:
        _require(
            offset == end and data.startswith(line + b"\n", offset), "a line that is not what stands there"
        )
        end, seq = offset + len(line) + 1, seq + 1
        try:
            record = decode_record(line)
        except Damage:
            return "a record that no writer writes"
        _require(record.seq == seq, f"record {record.seq} where record {seq} belongs")
        apply_event(session, record.event, record.at)
    _show(session)
    _require(
        reader.position.version == seq and reader.position.offset == end, "a position that is not behind it"
    )
    match reader.rest:
        case None:
            _require(end == len(data), f"bytes {end} to {len(data)} are passed over")
            return "whole"
        case TornTail(offset, size, _):
            _require(offset == end and offset + size == len(data), "a torn tail that is not the end")
            return "torn"
        case CorruptRecordError() as error:
            _require(end <= error.offset < len(data), "damage where nothing is")
            return "damaged"


def read_a_snapshot(files: Files, folder: Path) -> str:
    """Read a session file, of ours or of another program."""
    disk = OneFile(files[SNAPSHOT])
    read_marker(disk, SNAPSHOT)
    try:
        snapshot = read_snapshot(disk, SNAPSHOT)
    except JournalError:
        return "refused"
    _require(snapshot is not None, "it is there")
    assert snapshot is not None
    _show(snapshot.session)
    return "read"


def _show(session: Session) -> None:
    """What every session must be good for, however it came to be."""
    if session.id:
        document_json(session)
        summarize(session)


def use_a_store(files: Files, folder: Path) -> str:
    """Read it, save to it, repair it, in memory; see that it works then and that no byte is lost."""
    volume = Volume()
    for place, data in files.items():
        volume.put(f"{BASE}/{place}", data)
    before = volume.data(f"{BASE}/{JOURNAL}")
    with _opened(BASE, volume) as store:
        for read in _READS:
            with contextlib.suppress(JournalError):
                read(store)
        _require(volume.data(f"{BASE}/{JOURNAL}") == before, "reading changed the journal")
    with _opened(BASE, volume) as store:
        for write in _WRITES:
            with contextlib.suppress(JournalError):
                write(store)
    with _opened(BASE, volume) as store:
        outcome = _works(store)
    quarantine = volume.at(f"{BASE}/{QUARANTINE}")
    names = getattr(quarantine, "names", {})
    kept = [volume.data(f"{BASE}/{QUARANTINE}/{name}") or b"" for name in names]
    _check_kept(before or b"", volume.data(f"{BASE}/{JOURNAL}") or b"", kept)
    return outcome


def use_a_folder(files: Files, folder: Path) -> str:
    """The same in real files, with SQLite and its catalog."""
    base = folder / "store"
    for place, data in files.items():
        path = base / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    before = files.get(JOURNAL, b"")
    for calls in (_READS, _LISTS, _WRITES, _LISTS):
        with _opened(base) as store:
            for call in calls:
                with contextlib.suppress(JournalError):
                    call(store)
            now = (base / JOURNAL).read_bytes() if (base / JOURNAL).exists() else b""
            _require(calls is _WRITES or calls is _LISTS or now == before, "reading changed the journal")
    with _opened(base) as store:
        outcome = _works(store)
        page = store.list_sessions()
        listed = {summary.id for summary in page} | {each.id for each in page.unreadable}
        _require("s" in listed or store.load_session("s") is None, "a session that no list shows")
    kept = [path.read_bytes() for path in (base / QUARANTINE).glob("*")]
    _check_kept(before, (base / JOURNAL).read_bytes() if (base / JOURNAL).exists() else b"", kept)
    return outcome


def import_a_file(files: Files, folder: Path) -> str:
    """Import it, twice: what is taken in can be proved and given out, and is not taken in again."""
    ((format, data),) = files.items()
    source = folder / "source.x"
    source.write_bytes(data)
    volume = Volume()
    with _opened(BASE, volume) as store:
        outcome = import_path(store, source, format=format, session_id="s" if len(data) % 2 else None)
        for session_id in outcome.session_ids:
            _require(store.verify(session_id).ok, "what was imported does not verify")
            export_json(store, session_id)
        again = import_path(store, source, format=format, session_id="s" if len(data) % 2 else None)
        _require(again.appended == 0, f"{again.appended} records were imported twice")
    return "taken in" if not outcome.problems else "with problems" if outcome.appended else "refused"


TARGETS: Final[dict[str, Callable[[Files, Path], str]]] = {
    "journal": read_a_journal,
    "snapshot": read_a_snapshot,
    "store": use_a_store,
    "folder": use_a_folder,
    "import": import_a_file,
}

_READS: Final[tuple[Callable[[StateStore], Any], ...]] = (
    lambda store: store.load_session("s"),
    lambda store: store.load_session("s", at=1),
    lambda store: [str(record) for record in store.records("s")],
    lambda store: store.verify("s"),
    lambda store: store.diagnose("s"),
    lambda store: export_markdown(store, "s"),
    lambda store: export_lines(store, "s", lambda line: None),
    lambda store: store.load_json("notes", "a"),
    lambda store: store.load_markdown("notes", "a"),
)
_LISTS: Final[tuple[Callable[[StateStore], Any], ...]] = (
    lambda store: store.list_sessions(),
    lambda store: store.list_sessions(user_id="u", limit=1),
    lambda store: store.session_ids(),
    lambda store: store.verify(),
)
_WRITES: Final[tuple[Callable[[StateStore], Any], ...]] = (
    lambda store: store.update_session_with("s", lambda session: session.add_user_message("x")),
    lambda store: store.compact("s"),
    lambda store: store.save_json("notes", "a", 1),
    lambda store: store.repair("s"),
)


def _opened(base: str | Path, volume: Volume | None = None) -> contextlib.AbstractContextManager[StateStore]:
    return _Simulated(base, volume) if volume is not None else StateStore(base, durability="os")


class _Simulated(StateStore):
    """A store in memory."""

    def __init__(self, base: str | Path, volume: Volume) -> None:
        self._new_disk = lambda: SimulatedDisk(volume)
        super().__init__(base, durability="os", allow_network=True)


def _works(store: StateStore) -> str:
    """The session can be written and proved; or it says why nothing can mend it. Raises Broken."""
    outcome = "works"
    try:
        session = store.load_session("s")
    except JournalError as error:
        _require(bool(store.diagnose("s").hopeless), f"unreadable, and no word on it: {error}")
        # Where it is lost whose the session is, a person can say it.
        outcome = "works, when it is told its owner"
        store.repair("s", user_id="u")
        try:
            session = store.load_session("s")
        except JournalError:
            _require(bool(store.diagnose("s").hopeless), "unreadable still, and no word on it")
            return "beyond repair"
    if session is None:
        store.save_session(Session.with_id("u", "s"))
        outcome = "works, anew"
    store.update_session_with("s", lambda each: each.add_user_message("works"))
    report = store.verify("s")
    _require(report.ok, f"after a repair: {report.findings}")
    return outcome


def _check_kept(before: bytes, now: bytes, kept: list[bytes]) -> None:
    """Every line that was there is there still: in the journal, or in one of the files in quarantine."""
    lost = [
        line for line in before.split(b"\n") if line not in now and not any(line in each for each in kept)
    ]
    _require(not lost, f"of a journal of {len(before)} bytes some are gone: {lost[:1]}")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def chunks_of(data: bytes, size: int) -> Iterator[tuple[int, int]]:
    """The places of a file's pieces."""
    return ((at, min(at + size, len(data))) for at in range(0, len(data), size))
