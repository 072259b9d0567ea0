"""The witness: what was acknowledged, and whether a store holds all of it, whole, once, and nothing else."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from crash.history import History, look
from crash.told import Batch, Began, Broken, Deleted, Deleting, Done, Keeping, Kept, Refused
from journal import JournalError, StateStore

CATEGORY = "notes"


@dataclass
class _Session:
    """What was told of a session; `seen` is what the last look at it showed."""

    owner: int | None
    acknowledged: dict[Batch, int] = field(default_factory=dict)
    expected: dict[Batch, int] = field(default_factory=dict)
    open: set[Batch] = field(default_factory=set)
    seen: History = field(default_factory=History)
    is_deleting: bool = False
    deletions_begun: int = 0
    deletions: int = 0

    def begin_anew(self) -> None:
        self.acknowledged.clear()
        self.expected.clear()
        self.seen, self.is_deleting = History(), False


@dataclass
class _Document:
    owner: int
    acknowledged: int | None = None
    open: int | None = None
    seen: int | None = None


class Witness:
    """What the writers of one store told, held against the store.

    What one writer owns is looked at when that writer is dead; it may come and go. All other sessions are
    only ever added to, and are looked at while they are written.
    """

    def __init__(self) -> None:
        self.figures: Counter[str] = Counter()
        self._problems: list[str] = []
        self._sessions: dict[str, _Session] = {}
        self._documents: dict[str, _Document] = {}
        self._numbers: Counter[int] = Counter()
        self._tries: dict[int, Began] = {}

    def expect(self, session_id: str, *, owner: int | None = None) -> None:
        """A session that will be written: by its owner, or by everybody."""
        self._sessions[session_id] = _Session(owner)

    def expect_document(self, name: str, *, owner: int) -> None:
        """A document that will be written by its owner."""
        self._documents[name] = _Document(owner)

    def next_number(self, writer: int) -> int:
        """The number of a writer's next batch."""
        return self._numbers[writer]

    def last_try(self, writer: int) -> Began | None:
        """The append with a key whose outcome a writer did not live to learn."""
        return self._tries.get(writer)

    def hear(self, told: Any) -> None:
        """Note what a writer told."""
        match told:
            case Began(session_id, batch):
                self._sessions[session_id].open.add(batch)
                self._numbers[batch.writer] = max(self._numbers[batch.writer], batch.number + 1)
                self._tries.pop(batch.writer, None)
                if told.expected is not None:
                    self._tries[batch.writer] = told
            case Done(session_id, batch, version, expected):
                self._tries.pop(batch.writer, None)
                self._sessions[session_id].open.discard(batch)
                earlier = self._sessions[session_id].acknowledged.setdefault(batch, version)
                if earlier != version:
                    self._problems.append(f"{session_id}: {batch} was at {earlier}, now at {version}")
                if expected is not None:
                    self._sessions[session_id].expected[batch] = expected
                self.figures["batches acknowledged"] += 1
            case Refused(session_id, batch):
                if batch in self._sessions[session_id].acknowledged:
                    self._problems.append(
                        f"{session_id}: {batch} stands there, and a retry of it was refused"
                    )
                self._tries.pop(batch.writer, None)
                self._sessions[session_id].open.discard(batch)
                self.figures["batches refused"] += 1
            case Deleting(session_id):
                self._sessions[session_id].is_deleting = True
                self._sessions[session_id].deletions_begun += 1
            case Deleted(session_id, was_there):
                if was_there != bool(self._sessions[session_id].acknowledged):
                    self._problems.append(
                        f"{session_id}: deletion says {was_there}: {self._sessions[session_id]}"
                    )
                self._sessions[session_id].begin_anew()
                self._sessions[session_id].deletions += was_there
                self.figures["deletions acknowledged"] += 1
            case Keeping(name, number):
                self._documents[name].open = number
            case Kept(name, number):
                self._documents[name].acknowledged, self._documents[name].open = number, None
                self.figures["documents acknowledged"] += 1
            case Broken(what):
                self._problems.append(what)
            case unheard_of:
                self._problems.append(str(unheard_of))

    def check(
        self,
        store: StateStore,
        *,
        alive: Collection[int] = (),
        listen: Callable[[], None] = lambda: None,
        another: Callable[[], StateStore] | None = None,
    ) -> list[str]:
        """Look at the store; what it breaks of what was acknowledged, in sentences.

        `alive`: the writers that go on meanwhile; `listen` hears what they tell. `another` opens the store
        once more, to list it: where it is, unless given.
        """
        # What is acknowledged by now must be there; what is there must have been begun when it was read.
        required = {
            session_id: dict(session.acknowledged)
            for session_id, session in self._sessions.items()
            if session.owner is None or session.owner not in alive
        }
        histories = {each: look(store, each, self._sessions[each].seen) for each in required}
        problems = list(_check_catalog(another or (lambda: StateStore(store.base_path)), histories))
        listen()
        for session_id, history in histories.items():
            session = self._sessions[session_id]
            problems += history.problems
            problems += [f"{session_id}: {each}" for each in _judge(session, required[session_id], history)]
            session.seen = history
        problems += self._check_documents(store, alive)
        problems += self._check_tombstones(Path(store.base_path), histories)
        self._problems, told = [], self._problems
        return told + problems

    def settle(self, writer: int) -> None:
        """A writer is dead: what the last look showed of its open deeds is so for good."""
        for session in self._sessions.values():
            for batch in [each for each in session.open if each.writer == writer]:
                session.open.discard(batch)
                self.figures[
                    f"batches cut short, {'whole' if batch in session.seen.batches else 'not there'}"
                ] += 1
                if batch in session.seen.batches:
                    session.acknowledged[batch] = session.seen.batches[batch]
            if session.owner == writer and session.is_deleting:
                session.is_deleting = False
                self.figures[f"deletions cut short, {'not done' if session.seen.version else 'done'}"] += 1
                if not session.seen.version:
                    session.begin_anew()
        for document in self._documents.values():
            if document.owner == writer:
                document.acknowledged, document.open = document.seen, None

    def _check_documents(self, store: StateStore, alive: Collection[int]) -> Iterator[str]:
        for name, document in self._documents.items():
            if document.owner in alive:
                continue
            try:
                value = store.load_json(CATEGORY, name)
            except (JournalError, OSError) as error:
                yield f"the document {name} cannot be read: {error!r}"
                continue
            document.seen = value["number"] if isinstance(value, dict) else None  # type: ignore[assignment]
            if document.seen not in (document.acknowledged, document.open):
                yield f"the document {name} is {document.seen}: {document}"

    def _check_tombstones(self, folder: Path, session_ids: Iterable[str]) -> Iterator[str]:
        """Every deletion left its note."""
        path = folder / ".journal" / "tombstones.jsonl"
        notes: Counter[str] = Counter()
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                notes[msgspec.json.decode(line)["id"]] += 1
            except msgspec.DecodeError:
                notes["torn"] += 1  # it was never acknowledged, or another note is missing now
        for session_id in session_ids:
            session = self._sessions[session_id]
            if not session.deletions <= notes[session_id] <= session.deletions_begun:
                yield f"{session_id}: {notes[session_id]} tombstones, {session.deletions} deletions"


def _check_catalog(another: Callable[[], StateStore], histories: dict[str, History]) -> Iterator[str]:
    """Everything that is there is listed, as it is."""
    try:
        # By a store of its own: no catalog may be open when the next writer is forked.
        with another() as store:
            page = store.list_sessions()
    except (JournalError, OSError) as error:
        yield f"the list cannot be read: {error!r}"
        return
    listed = {summary.id: summary for summary in page}
    yield from (f"listed as unreadable: {each}" for each in page.unreadable)
    for session_id, history in histories.items():
        version = listed[session_id].version if session_id in listed else 0
        # Others may have gone on writing since it was read.
        if version < history.version or (version and not history.version):
            yield f"{session_id} is at version {history.version} and listed as {version}"


def _judge(session: _Session, required: dict[Batch, int], history: History) -> Iterator[str]:
    """A history held against what was told before it was read (`required`), and until now (`session`)."""
    if not history.version and session.is_deleting:
        return
    for batch, version in required.items():
        if batch not in history.batches:
            yield f"{batch} was acknowledged as record {version} and is lost"
    for batch, version in history.batches.items():
        if batch not in session.acknowledged:
            if batch not in session.open:
                yield f"{batch} stands at record {version}; it was never begun, or refused, or absent before"
        elif session.acknowledged[batch] != version:
            yield f"{batch} was acknowledged as record {session.acknowledged[batch]} and is {version}"
        elif batch in session.expected:
            between = range(session.expected[batch] + 1, version - batch.size + 1)
            if not history.housekeeping.issuperset(between):
                yield f"{batch} is record {version}: its writer had seen {session.expected[batch]}"
