"""What a writer does all day: deeds of every kind, each told before and after."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from crash.told import Batch, Began, Broken, Deleted, Deleting, Done, Keeping, Kept, Refused
from crash.witness import CATEGORY, Witness
from journal import ANY, Session, StateStore, VersionConflictError

Durability = Literal["disk", "os"]
SHARED = ("shared-0", "shared-1", "shared-2")
BIG_BYTES = 100_000


@dataclass(frozen=True, kw_only=True)
class Task:
    """How one writer is to work. `make_store` opens the store: a broken one, where a test wants that."""

    folder: Path
    writer: int
    seed: int
    first_number: int = 0
    last_try: Began | None = None
    durability: Durability = "disk"
    make_store: Callable[..., StateStore] = StateStore


def own_session(writer: int) -> str:
    """The session that only this writer writes, deletes and creates again."""
    return f"own-{writer}"


def own_document(writer: int) -> str:
    """The document that only this writer writes."""
    return f"document-{writer}"


def expect_deeds(witness: Witness, writers: int) -> None:
    """Tell a witness what so many writers will write."""
    for session_id in SHARED:
        witness.expect(session_id)
    for writer in range(writers):
        witness.expect(own_session(writer), owner=writer)
        witness.expect_document(own_document(writer), owner=writer)


def write(tell: Callable[[Any], None], task: Task) -> None:
    """Write until killed, or until the store fails."""
    writer = _Writer(tell, task)
    if task.last_try is not None:
        writer.try_again(task.last_try)
    while True:
        writer.one_deed()


class _Writer:
    def __init__(self, tell: Callable[[Any], None], task: Task) -> None:
        self.tell, self.task = tell, task
        self.random = Random(task.seed)
        self.numbers = itertools.count(task.first_number)
        self.own_id, self.document = own_session(task.writer), own_document(task.writer)
        self.store = self._open()
        # Sessions that this writer loaded or saved; another one may have gone on since.
        self.held: dict[str, Session] = {}
        for session_id in SHARED:
            self.store.get_or_create_session("user", session_id)
        self.deeds = [
            *[self.append] * 8,
            *[self.save] * 6,
            *[self.update] * 6,
            *[self.save_own] * 6,
            *[self.append_anyhow] * 3,
            *[self.keep_document] * 2,
            *[self.compact] * 2,
            *[self.list] * 2,
            *[self.delete] * 1,
            *[self.reopen] * 1,
        ]

    def _open(self) -> StateStore:
        snapshots = self.random.choice(["auto", "auto", "always"])
        return self.task.make_store(self.task.folder, durability=self.task.durability, snapshots=snapshots)

    def one_deed(self) -> None:
        """Do something, by chance."""
        self.random.choice(self.deeds)()

    def _batch(self, *, big: float = 0.001) -> Batch:
        """The next batch. `big`: how likely it is one that takes so long that a kill may leave half of it."""
        if self.random.random() < big:
            return Batch(self.task.writer, next(self.numbers), 1, BIG_BYTES)
        size, padding = self.random.choice((1, 1, 1, 2, 3, 7)), self.random.choice((0, 50, 300))
        return Batch(self.task.writer, next(self.numbers), size, padding)

    def append(self) -> None:
        """Append with the version that this writer believes in, and a key."""
        session_id = self.random.choice(SHARED)
        session = self._held(session_id)
        if self.random.random() < 0.8:
            session = self._load(session_id)
        self.try_again(Began(session_id, self._batch(), session.version))

    def try_again(self, began: Began) -> None:
        """Append with a key: for the first time, or because the outcome is not known."""
        self.tell(began)
        session_id, batch, expected = began
        assert expected is not None
        try:
            version = self.store.append(session_id, batch.events(), expected_version=expected, key=batch.key)
        except VersionConflictError:
            self.tell(Refused(session_id, batch))
        else:
            self.tell(Done(session_id, batch, version, expected))

    def append_anyhow(self) -> None:
        """Append on top of whatever is there."""
        session_id, batch = self.random.choice(SHARED), self._batch()
        self.tell(Began(session_id, batch))
        version = self.store.append(session_id, batch.events(), expected_version=ANY)
        self.tell(Done(session_id, batch, version))

    def save(self) -> None:
        """Save a session that was loaded now, or a while ago."""
        session_id, batch = self.random.choice(SHARED), self._batch()
        session = self._held(session_id) if self.random.random() < 0.5 else self._load(session_id)
        self._save(session, batch)

    def _save(self, session: Session, batch: Batch) -> None:
        for text in batch.texts():
            self.random.choice((session.add_user_message, session.add_agent_response))(text)
        self.tell(Began(session.id, batch))
        expected = session.version
        try:
            version = self.store.save_session(session)
        except VersionConflictError:
            self.tell(Refused(session.id, batch))
            del self.held[session.id]
        else:
            self.tell(Done(session.id, batch, version, expected))

    def update(self) -> None:
        """Load, change and save in one."""
        session_id, batch = self.random.choice(SHARED), self._batch()

        def change(session: Session) -> None:
            for text in batch.texts():
                session.add_user_message(text)

        self.tell(Began(session_id, batch))
        self.tell(Done(session_id, batch, self.store.update_session_with(session_id, change)))

    def save_own(self) -> None:
        """Save the session that nobody else writes; create it where it is not."""
        session = self.held.get(self.own_id) or self.store.load_session(self.own_id)
        if session is None:
            session = Session.with_id("user", self.own_id)
        self.held[self.own_id] = session
        batch = self._batch(big=0.3)
        self._save(session, batch)
        if self.own_id not in self.held:
            self.tell(Broken(f"{self.own_id}: {batch} met a conflict, and nobody else writes there"))

    def delete(self) -> None:
        """Delete this writer's own session; the next save creates it anew."""
        self.held.pop(self.own_id, None)
        self.tell(Deleting(self.own_id))
        self.tell(Deleted(self.own_id, self.store.delete_session(self.own_id)))
        if self.own_id in self.store.session_ids():
            self.tell(Broken(f"{self.own_id} was deleted and is listed"))

    def keep_document(self) -> None:
        """Replace this writer's own document."""
        number = next(self.numbers)
        self.tell(Keeping(self.document, number))
        self.store.save_json(
            CATEGORY,
            self.document,
            {"number": number, "text": "x" * self.random.choice((0, 5_000, BIG_BYTES))},
        )
        self.tell(Kept(self.document, number))

    def compact(self) -> None:
        """Bring a snapshot up to date, or all."""
        self.store.compact(self.random.choice((*SHARED, None)))

    def list(self) -> None:
        """List all sessions; what this writer saved last is among them, as it was saved."""
        page = self.store.list_sessions()
        versions = {summary.id: summary.version for summary in page}
        for session_id, session in self.held.items():
            if versions.get(session_id, 0) < session.version:
                version = versions.get(session_id)
                self.tell(Broken(f"{session_id} is at {session.version} at least and listed as {version}"))
        if page.unreadable:
            self.tell(Broken(f"listed as unreadable: {page.unreadable}"))

    def reopen(self) -> None:
        """Close the store and open it again."""
        self.store.close()
        self.store = self._open()

    def _held(self, session_id: str) -> Session:
        return self.held.get(session_id) or self._load(session_id)

    def _load(self, session_id: str) -> Session:
        session = self.store.load_session(session_id)
        assert session is not None, f"{session_id} is not there"
        self.held[session_id] = session
        return session
