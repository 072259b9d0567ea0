"""Sessions are followed while their writers are killed, and their files erased, damaged, mended and deleted.

Two followers, one of all sessions and one of a single one, tell what they are given. At the end each record
that is on record was given to each of them, once and in its order.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from crash import mischief
from crash.campaign import Campaign
from crash.crew import Crew, Failed, Member
from journal import (
    ANY,
    InvalidEventError,
    JournalError,
    SessionNotFoundError,
    StateStore,
    VersionConflictError,
)
from projections import JournalRepaired, SessionCreated, UserMessageAdded

SESSIONS: Final = ("one", "two", "three")
FOLLOWED: Final = (None, "one")
# How long a writer may write before something happens to it, or to its session.
LATEST_SECONDS: Final = 0.1
# So many appends without a rest: long journals take long to repair.
IN_A_ROW: Final = 25
REST_SECONDS: Final = 0.02
# Whoever says nothing for so long has nothing more to say.
SILENT_FOR_SECONDS: Final = 60.0

Tell: TypeAlias = Callable[[Any], None]
MakeStore: TypeAlias = Callable[..., StateStore]


class Given(NamedTuple):
    """A record that a follower was given."""

    session_id: str
    id: str


def run(campaign: Campaign, *, make_store: MakeStore = StateStore) -> None:
    """Units are things that happen."""
    with Crew() as crew:
        world = _World(campaign, crew, campaign.folder / "store", make_store)
        for _ in campaign.units():
            time.sleep(campaign.random.uniform(0, LATEST_SECONDS))
            world.happen(campaign.random.choice(SESSIONS))
            world.hear()
        world.end()


def write(tell: Tell, folder: Path, session_id: str, make_store: MakeStore) -> None:
    """Append until somebody ends it, now and then a batch; wait where the journal waits for its repair."""
    with make_store(folder, durability="os") as store:
        for number in itertools.count():
            if number % IN_A_ROW == 0:
                time.sleep(REST_SECONDS)
            events = [UserMessageAdded(content=f"{number}") for _ in range(4 if number % 7 == 0 else 1)]
            try:
                store.append(session_id, events, expected_version=ANY)
            except InvalidEventError:
                _begin(store, session_id)
            except JournalError:
                time.sleep(REST_SECONDS)


def _begin(store: StateStore, session_id: str) -> None:
    created = SessionCreated(session_id=session_id, user_id="u")
    with contextlib.suppress(VersionConflictError):  # somebody was first
        store.append(session_id, [created], expected_version=0)


def follow(tell: Tell, over: Any, folder: Path, session_id: str | None, make_store: MakeStore) -> None:
    """Tell what is given out."""
    with make_store(folder) as store:
        for some in store._follow(session_id, 0, None, lambda *_: None, over.is_set):
            tell([Given(each.session_id, each.id) for each in some])


class _World:
    def __init__(self, campaign: Campaign, crew: Crew, folder: Path, make_store: MakeStore) -> None:
        self.campaign, self.crew, self.folder, self.make_store = campaign, crew, folder, make_store
        self.random = campaign.random
        self.store = StateStore(folder, durability="os")
        for session_id in SESSIONS:
            _begin(self.store, session_id)
        self.given: dict[str | None, list[Given]] = {each: [] for each in FOLLOWED}
        self.followers = {each: crew.start(follow, crew.over, folder, each, make_store) for each in FOLLOWED}
        self.writers = {session_id: self._start(session_id) for session_id in SESSIONS}
        self.happenings = (self._kill, self._kill, self._erase, self._damage, self._lose_proof, self._delete)

    def happen(self, session_id: str) -> None:
        """Do something to a session, or to its writer."""
        happening = self.random.choice(self.happenings)
        happening(session_id)
        self.campaign.figures[happening.__name__.strip("_").replace("_", " ")] += 1

    def hear(self) -> None:
        """What the followers were given since the last time."""
        for session_id, member in self.followers.items():
            for told in member.heard():
                if isinstance(told, Failed):
                    self._breach(f"the follower of {session_id or 'all'} failed: {told.trace}")
                else:
                    self.given[session_id] += told
        for session_id, member in self.writers.items():
            for told in member.heard():
                self._breach(f"the writer of {session_id} failed: {told}")

    def end(self) -> None:
        """Hold what is on record at last against what was given out."""
        for session_id in SESSIONS:
            self._stop(session_id)
            self.store.repair(session_id)
        there = {
            Given(each, record.id): isinstance(record.event, JournalRepaired)
            for each in SESSIONS
            for record in self.store.records(each)
        }
        self._hear_out(there)
        for followed in FOLLOWED:
            for problem in self._problems(followed, there):
                self._breach(f"the follower of {followed or 'all'}: {problem}")
        self.campaign.figures["records on record at the end"] = len(there)
        self.campaign.figures["records given out"] = sum(map(len, self.given.values()))
        self.crew.over.set()
        self.store.close()

    def _hear_out(self, there: Iterable[Given]) -> None:
        """Hear the followers until they were given everything, or say nothing for so long."""
        since = time.monotonic()
        while time.monotonic() < since + SILENT_FOR_SECONDS:
            if self.crew.wait(0.5):
                self.hear()
                since = time.monotonic()
            elif not any(self._missing(each, there) for each in FOLLOWED):
                return

    def _missing(self, followed: str | None, there: Iterable[Given]) -> set[Given]:
        return {each for each in there if followed in (None, each.session_id)}.difference(
            self.given[followed]
        )

    def _problems(self, followed: str | None, there: dict[Given, bool]) -> Iterator[str]:
        """What is wrong with what a follower was given, where `there` says which records tell of a repair."""
        given = self.given[followed]
        if missing := self._missing(followed, there):
            yield f"{len(missing)} records were not given out, as {min(missing)}"
        if len(given) != len(set(given)):
            yield f"{len(given) - len(set(given))} records were given out twice"
        # The record of a repair is younger than those that it appends anew behind itself.
        places = {each: place for place, (each, is_repair) in enumerate(there.items()) if not is_repair}
        for session_id in SESSIONS:
            order = [places[each] for each in given if each in places and each.session_id == session_id]
            if order != sorted(order):
                yield f"{session_id} was given out in another order"

    def _start(self, session_id: str) -> Member:
        return self.crew.start(write, self.folder, session_id, self.make_store)

    def _stop(self, session_id: str) -> None:
        self.crew.leave(self.writers.pop(session_id))

    def _breach(self, what: str) -> None:
        self.campaign.breach(f"seed {self.campaign.seed}: {what}")

    # What happens

    def _kill(self, session_id: str) -> None:
        self._stop(session_id)
        if self.random.random() < 0.5:
            mischief.tear(mischief.path_of(self.store, session_id))
        self.writers[session_id] = self._start(session_id)

    def _erase(self, session_id: str) -> None:
        version = self.random.randint(2, 50)
        with contextlib.suppress(InvalidEventError, SessionNotFoundError):  # of a repair; of a later one
            self.store.erase(session_id, [version], reason="asked for")

    def _damage(self, session_id: str, *, breaks_chain: bool = False) -> None:
        path = mischief.path_of(self.store, session_id)
        lines = path.read_bytes().count(b"\n")
        if lines > 2:
            mischief.damage(path, self.random.randrange(1, lines - 1), breaks_chain=breaks_chain)
            time.sleep(self.random.uniform(0, LATEST_SECONDS))
            self.store.repair(session_id)

    def _lose_proof(self, session_id: str) -> None:
        self._damage(session_id, breaks_chain=True)

    def _delete(self, session_id: str) -> None:
        self.store.delete_session(session_id)
        _begin(self.store, session_id)
