"""Writers of one store are killed at random and started again: what was acknowledged is there.

After each kill, while the others go on, and when all are dead, the store is held against what the writers
told: every acknowledged batch is there, whole, once, at its version; of the others, whole ones or none. A
writer whose predecessor did not learn an append's outcome tries it again with its key.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from crash.campaign import Campaign
from crash.crew import Crew, Failed, Member
from crash.deeds import BIG_BYTES, SHARED, Durability, Task, expect_deeds, write
from crash.told import Batch, Began, Deleting, Done, Keeping
from crash.witness import Witness
from journal import ANY, JournalError, StateStore

WRITERS = 4
DURABILITIES: tuple[Durability, ...] = ("disk", "os")
# A round begins with an empty folder: so that first saves are killed too, and a look takes no second.
KILLS_IN_A_ROUND = 12
# A kill that comes so long after a deed began hits any part of it, and of the next one.
LATEST_SECONDS = 0.0015


def run(campaign: Campaign, *, make_store: Callable[..., StateStore] = StateStore) -> None:
    """Units are kills."""
    kills = campaign.units()
    for first in kills:
        with Crew() as crew:
            one = _Round(campaign, crew, campaign.folder / str(first), make_store)
            for kill in itertools.chain([first], itertools.islice(kills, KILLS_IN_A_ROUND - 1)):
                one.kill(kill)
            one.end()


def _takes_long(told: Any) -> bool:
    """Whether a kill may hit the write itself."""
    return isinstance(told, Keeping | Deleting) or (
        isinstance(told, Began) and told.batch.padding == BIG_BYTES
    )


class _Round:
    def __init__(
        self, campaign: Campaign, crew: Crew, folder: Path, make_store: Callable[..., StateStore]
    ) -> None:
        self.campaign, self.crew, self.folder, self.make_store = campaign, crew, folder, make_store
        self.random = campaign.random
        self.durability: Durability = self.random.choice(DURABILITIES)
        self.witness = Witness()
        expect_deeds(self.witness, WRITERS)
        # Looks from a store that has seen what was, and from one that has not.
        self.store = StateStore(folder)
        self.writers = {writer: self._start(writer) for writer in range(WRITERS)}

    def _start(self, writer: int) -> Member:
        task = Task(
            folder=self.folder,
            writer=writer,
            seed=self.random.getrandbits(32),
            first_number=self.witness.next_number(writer),
            last_try=self.witness.last_try(writer),
            durability=self.durability,
            make_store=self.make_store,
        )
        return self.crew.start(write, task)

    def kill(self, kill: int) -> None:
        """Kill one in the middle of something, look at the store, start another in its place."""
        writer = self.random.randrange(WRITERS)
        self._await_a_deed(writer)
        time.sleep(self.random.uniform(0, LATEST_SECONDS))
        self._end(writer)
        self.campaign.figures["kills"] += 1
        self._check(f"kill {kill}, of writer {writer}, durability {self.durability!r}")
        self.witness.settle(writer)
        self.writers[writer] = self._start(writer)

    def _await_a_deed(self, writer: int) -> None:
        """Hear the others until this writer begins something: anything, or something that takes long."""
        takes_long = self.random.random() < 0.5
        deeds = 1 if takes_long else self.random.randint(1, 20)
        while deeds > 0 and self.crew.wait(1.0) and not self.writers[writer].has_ended:
            for told in self._listen(writer):
                deeds -= _takes_long(told) if takes_long else isinstance(told, Began)

    def _listen(self, to: int | None = None) -> Iterator[Any]:
        """Hear them all; what one of them told."""
        for writer, member in self.writers.items():
            for told in member.heard():
                self._hear(writer, told)
                if writer == to:
                    yield told

    def _hear(self, writer: int, told: Any) -> None:
        if isinstance(told, Failed):
            self._breach(f"writer {writer} failed: {told.trace}")
        else:
            self.witness.hear(told)

    def _end(self, writer: int) -> None:
        member = self.writers.pop(writer)
        for told in member.kill():
            self._hear(writer, told)
        self.crew.leave(member)

    def _listen_to_all(self) -> None:
        for _ in self._listen():
            pass

    def _check(self, when: str) -> None:
        if self.random.random() < 0.5:
            self.store.close()
            self.store = StateStore(self.folder)
        for problem in self.witness.check(self.store, alive=self.writers, listen=self._listen_to_all):
            self._breach(f"{when}: {problem}")

    def _breach(self, what: str) -> None:
        self.campaign.breach(f"seed {self.campaign.seed}, {self.folder.name}: {what}")

    def end(self) -> None:
        """Kill them all; the next save of each session works all the same."""
        for writer in list(self.writers):
            self._end(writer)
        self._check("all killed")
        for writer in range(WRITERS):
            self.witness.settle(writer)
        for number, session_id in enumerate(SHARED):
            batch = Batch(WRITERS, number)
            self.witness.hear(Began(session_id, batch))
            try:
                version = self.store.append(session_id, batch.events(), expected_version=ANY)
            except (JournalError, OSError) as error:
                self._breach(f"all killed, and the next save fails: {error!r}")
            else:
                self.witness.hear(Done(session_id, batch, version))
        self._check("written once more")
        self.store.close()
        self.campaign.figures.update(self.witness.figures)
        self.campaign.figures["torn tails cut"] += len(list(self.folder.glob(".journal/quarantine/*")))
