"""Processes write a few sessions at once: versions are unique, without gaps, and in the order of real time.

Each notes when a call began and when it was acknowledged: of two calls that do not overlap, the later one has
the higher version. Some repeat a call that was acknowledged, as whoever did not hear the answer does; some
never tell that they heard it.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from crash.campaign import Campaign
from crash.crew import Crew, Failed
from crash.told import Batch, Began, Broken, Done
from crash.witness import Witness
from journal import ANY, Session, StateStore, VersionConflictError

WRITERS = 6
SESSIONS = ("one", "two", "three", "four")
# A round begins with an empty folder: whoever loads a session copies all of it.
APPENDS_IN_A_ROUND = 5_000
TOLD_AT_ONCE = 50
REPEATED, UNHEARD = 0.1, 0.02


class Timed(NamedTuple):
    """An acknowledged call: where it stands, and between which moments it was made."""

    done: Done
    began_ns: int
    ended_ns: int


def run(campaign: Campaign, *, make_store: Callable[..., StateStore] = StateStore) -> None:
    """Units are acknowledged appends."""
    for number in itertools.count():
        left = APPENDS_IN_A_ROUND
        if campaign.count is not None:
            left = min(left, campaign.count - campaign.figures["appends acknowledged"])
        if left <= 0 or campaign.is_over:
            return
        _round(campaign, campaign.folder / str(number), left, make_store)


def _round(campaign: Campaign, folder: Path, appends: int, make_store: Callable[..., StateStore]) -> None:
    witness = Witness()
    for session_id in SESSIONS:
        witness.expect(session_id)
    times: list[Timed] = []
    start = time.monotonic()
    with Crew() as crew:
        for writer in range(WRITERS):
            quota = len(range(writer, appends, WRITERS))
            crew.start(write, crew.over, folder, writer, campaign.random.getrandbits(32), quota, make_store)
        while crew.is_at_work:
            crew.wait(1.0)
            for told in (each for member in crew.members for each in member.heard()):
                if isinstance(told, Failed):
                    campaign.breach(f"seed {campaign.seed}, {folder.name}: a writer failed: {told.trace}")
                    continue
                for each in told:
                    witness.hear(each.done if isinstance(each, Timed) else each)
                times += [each for each in told if isinstance(each, Timed)]
            if campaign.is_over:
                crew.over.set()
    campaign.figures["appends acknowledged"] += len(times)
    campaign.figures["seconds of writing"] += round(time.monotonic() - start)
    with StateStore(folder) as store:
        problems = witness.check(store)
    for problem in itertools.chain(problems, out_of_order(times)):
        campaign.breach(f"seed {campaign.seed}, {folder.name}: {problem}")


def out_of_order(times: Iterable[Timed]) -> Iterator[str]:
    """The calls that had been acknowledged before others with a lower version began."""
    by_session: dict[str, list[Timed]] = {}
    for each in times:
        by_session.setdefault(each.done.session_id, []).append(each)
    for found in by_session.values():
        found.sort(key=lambda each: -each.done.version)
        first_to_end = found[0] if found else None
        for each in found:
            assert first_to_end is not None
            if first_to_end.ended_ns < each.began_ns:
                yield f"{first_to_end} was acknowledged before {each} began"
            first_to_end = min(first_to_end, each, key=lambda timed: timed.ended_ns)


def write(
    tell: Callable[[Any], None],
    over: Any,
    folder: Path,
    writer: int,
    seed: int,
    appends: int,
    make_store: Callable[..., StateStore],
) -> None:
    """Append so often, or until it is over."""
    told: list[Any] = []
    random = Random(seed)
    store = make_store(folder, durability="os")
    hand = Hand(store, random)
    for number in range(appends):
        if over.is_set():
            break
        batch = Batch(writer, number, random.choice((1, 1, 2, 3)), random.choice((0, 100)))
        told += hand.append(random.choice(SESSIONS), batch)
        if len(told) >= TOLD_AT_ONCE:
            tell(told)
            told = []
    tell(told)
    store.close()


class Hand:
    """Appends in all the ways that there are."""

    def __init__(self, store: StateStore, random: Random, sessions: Iterable[str] = SESSIONS) -> None:
        self.store, self.random = store, random
        self.versions = {each: store.get_or_create_session("user", each).version for each in sessions}
        self.ways = [*[self._with_key] * 4, *[self._expecting] * 4, *[self._anyhow] * 4, *[self._update] * 6]
        self.ways += [self._save] * 2

    def append(self, session_id: str, batch: Batch) -> Iterator[Any]:
        """Append, again on conflict; yield what is to be told of it."""
        way = self.random.choice(self.ways)
        while True:
            began = time.monotonic_ns()
            try:
                done = way(session_id, batch)
            except VersionConflictError as conflict:
                self.versions[session_id] = conflict.version
            else:
                break
        ended = time.monotonic_ns()
        self.versions[session_id] = done.version
        if self.random.random() < UNHEARD:
            yield Began(session_id, batch)
            return
        yield Timed(done, began, ended)
        if way == self._with_key and self.random.random() < REPEATED:
            again = self._append(session_id, batch, done.expected, key=batch.key)
            if again != done:
                yield Broken(f"{done} is {again} when tried again")

    def _append(self, session_id: str, batch: Batch, expected: int | None, key: str | None = None) -> Done:
        at = ANY if expected is None else expected
        version = self.store.append(session_id, batch.events(), expected_version=at, key=key)
        return Done(session_id, batch, version, expected)

    def _with_key(self, session_id: str, batch: Batch) -> Done:
        return self._append(session_id, batch, self.versions[session_id], batch.key)

    def _expecting(self, session_id: str, batch: Batch) -> Done:
        return self._append(session_id, batch, self.versions[session_id])

    def _anyhow(self, session_id: str, batch: Batch) -> Done:
        return self._append(session_id, batch, None)

    def _update(self, session_id: str, batch: Batch) -> Done:
        def change(session: Session) -> None:
            for text in batch.texts():
                session.add_user_message(text)

        return Done(session_id, batch, self.store.update_session_with(session_id, change))

    def _save(self, session_id: str, batch: Batch) -> Done:
        session = self.store.load_session(session_id)
        assert session is not None
        expected = session.version
        for text in batch.texts():
            session.add_agent_response(text)
        return Done(session_id, batch, self.store.save_session(session), expected)
