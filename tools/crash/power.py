"""The power is cut while writers write: what was acknowledged is there when the file system is mounted again.

The file system is one of its own, in a file; the cut is the kernel's: nothing that had not reached the image
does from then on. (What the cache of a drive loses is not in it.) All writers end with it, in the middle of
their calls; then the log of the file system is replayed, the store held against what they told, and written
again.

That such a cut takes what was not synced is tried as well, with a store that syncs no file: it must lose.
"""

import itertools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from crash.campaign import Campaign
from crash.crew import Crew, Failed
from crash.deeds import Task, expect_deeds, write
from crash.loop_volume import MAKERS, LoopVolume, loop_volume, why_not
from crash.witness import Witness
from journal import StateStore
from journal.disk import Disk

WRITERS: Final = 4
# A new image now and then: so that the first saves of a store are cut, too.
CUTS_ON_AN_IMAGE: Final = 10
# From the start of the writers on: some are cut in their first steps, most in the midst of their deeds.
LATEST_SECONDS: Final = 0.15
CARELESS_EVERY: Final = 5
# A cut takes something of a careless store more often than not.
CARELESS_ENOUGH: Final = 20


class CarelessDisk(Disk):
    """Syncs folders, and no file."""

    sync = staticmethod(lambda fd: None)


class CarelessStore(StateStore):
    """Acknowledges what is not on disk."""

    _new_disk = CarelessDisk


def run(campaign: Campaign, *, make_store: Callable[..., StateStore] = StateStore) -> None:
    """Units are cuts."""
    kinds = []
    for kind in MAKERS:
        if why := why_not(campaign.folder / f"try-{kind}", kind):
            campaign.skip(f"{kind}: {why}")
        else:
            kinds.append(kind)
    cuts = campaign.units() if kinds else iter(())
    for first, kind in zip(cuts, itertools.cycle(kinds), strict=False):
        with loop_volume(campaign.folder / str(first), kind) as volume:
            store = _Store(campaign, volume, volume.root / "store", make_store)
            for cut in itertools.chain([first], itertools.islice(cuts, CUTS_ON_AN_IMAGE - 1)):
                if cut % CARELESS_EVERY == CARELESS_EVERY - 1:
                    _cut_careless(campaign, volume, cut)
                elif problems := store.cut():
                    for problem in problems:
                        campaign.breach(f"seed {campaign.seed}, cut {cut}, {kind}: {problem}")
                    break  # what is lost would be missed after each further cut
            campaign.figures.update(store.witness.figures)
    figures = campaign.figures
    if figures["cuts without syncs"] >= CARELESS_ENOUGH and not figures["losses without syncs (as expected)"]:
        campaign.breach(f"seed {campaign.seed}: cuts take nothing that was not synced: they prove nothing")


def _cut_careless(campaign: Campaign, volume: LoopVolume, cut: int) -> None:
    problems = _Store(campaign, volume, volume.root / f"careless-{cut}", CarelessStore).cut()
    lost = sum(problem.endswith("is lost") for problem in problems)
    campaign.figures["cuts without syncs"] += 1
    campaign.figures["cuts without syncs that lost something"] += bool(lost)
    campaign.figures["losses without syncs (as expected)"] += lost


class _Store:
    """A store on a volume, and what its writers told."""

    def __init__(
        self, campaign: Campaign, volume: LoopVolume, folder: Path, make_store: Callable[..., StateStore]
    ) -> None:
        self.campaign, self.volume, self.folder, self.make_store = campaign, volume, folder, make_store
        self.random = campaign.random
        self.is_careless = make_store is CarelessStore
        self.witness = Witness()
        expect_deeds(self.witness, WRITERS)

    def cut(self) -> list[str]:
        """Let writers write, cut the power, mount it again; what is broken of what they were promised."""
        with Crew() as crew:
            for writer in range(WRITERS):
                crew.start(write, self._task(writer))
            problems = self._hear_for(crew, self.random.uniform(0, LATEST_SECONDS))
            # No process outlives a power cut. Killed first, each ends in the kernel, at the call it is at.
            # Living on, they would tell of an fdatasync that the cut met half-way: the kernel may call that
            # a success (with a bare write and fdatasync, too).
            for member in crew.members:
                member.process.kill()
            self.volume.cut(flush_log=not self.is_careless and self.random.random() < 0.2)
            for member in crew.members:
                problems += self._hear(member.kill())
        self.volume.unmount()
        self.volume.mount()
        with StateStore(self.folder) as store:
            problems += self.witness.check(store)
        for writer in range(WRITERS):
            self.witness.settle(writer)
        if not self.is_careless:
            self.campaign.figures[f"cuts of {self.volume.kind}"] += 1
        return problems

    def _task(self, writer: int) -> Task:
        return Task(
            folder=self.folder,
            writer=writer,
            seed=self.random.getrandbits(32),
            first_number=self.witness.next_number(writer),
            last_try=self.witness.last_try(writer),
            make_store=self.make_store,
        )

    def _hear_for(self, crew: Crew, seconds: float) -> list[str]:
        """Hear what the writers tell in so many seconds; how any failed."""
        end = time.monotonic() + seconds
        failed = []
        while (left := end - time.monotonic()) > 0 and crew.wait(left):
            for member in crew.members:
                failed += self._hear(member.heard())
        return failed

    def _hear(self, told: Iterable[Any]) -> list[str]:
        failed = []
        for each in told:
            if isinstance(each, Failed):
                failed.append(f"a writer failed: {each.trace}")
            else:
                self.witness.hear(each)
        return failed
