"""An agent is killed at random moments and started again, until it has finished: each payment is made once.

It always comes to its end, no payment is made twice, each is on record with its outcome, and the journal
verifies. See clerk.py for the agent.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from crash import clerk
from crash.campaign import Campaign
from crash.clerk import Durability, Office
from crash.crew import Crew, Failed
from journal import StateStore
from projections import ToolReturned

BILLS = 6
DURABILITIES: tuple[Durability, ...] = ("disk", "os")
# Of the time that an agent takes which nobody kills: the latest kill of a life. Most hit it at work.
LATEST = 0.5
# Of one office: so many kills, and then it must be able to finish.
MOST_KILLS = 40


def run(
    campaign: Campaign, *, knows_the_bank: bool = True, make_office: Callable[[Path], Office] = Office
) -> None:
    """Units are kills, but for the few that come when the agent has finished."""
    kills = campaign.units()
    latest = {}
    for durability in DURABILITIES:
        office = _Office(campaign, campaign.folder / durability, durability, knows_the_bank, make_office)
        latest[durability] = LATEST * office.finish()
    for first in kills:
        durability = campaign.random.choice(DURABILITIES)
        one = _Office(campaign, campaign.folder / str(first), durability, knows_the_bank, make_office)
        for _ in itertools.chain([first], itertools.islice(kills, MOST_KILLS - 1)):
            if not one.kill(latest[durability]):
                break
        one.finish()


class _Office:
    def __init__(
        self,
        campaign: Campaign,
        folder: Path,
        durability: Durability,
        knows_the_bank: bool,
        make_office: Callable[[Path], Office],
    ) -> None:
        self.campaign, self.folder, self.durability = campaign, folder, durability
        self._rest = (self.durability, knows_the_bank, make_office)
        self.office = Office(folder)
        self.office.open(BILLS)

    def kill(self, latest: float) -> bool:
        """Let the agent work, and kill it within so many seconds; False where it had finished before."""
        with Crew() as crew:
            agent = crew.start(clerk.work, self.folder, *self._rest)
            told = []
            left = self.campaign.random.uniform(0, latest)
            agent.process.join(left)
            told = agent.kill()
        self._look(told, "killed")
        if None in told:
            return False
        self.campaign.figures["kills"] += 1
        return True

    def finish(self) -> float:
        """Let it come to its end, and look at what it has done; how many seconds that took."""
        with Crew() as crew:
            begin = time.monotonic()
            agent = crew.start(clerk.work, self.folder, *self._rest)
            agent.process.join(20)
            taken = time.monotonic() - begin
            told = agent.kill()
        self._look(told, "at the end")
        if None not in told:
            self._breach("it did not finish")
        self.campaign.figures["agents that finished"] += None in told
        paid = Counter(self.office.payments())
        references = [f"bill-{number}" for number in range(BILLS)]
        if missing := [reference for reference in references if not paid[reference]]:
            self._breach(f"never paid: {missing}")
        with StateStore(self.folder / "state") as store:
            report = store.verify(clerk.SESSION)
            if not report.ok:
                self._breach(f"the journal: {report.findings}")
            session = store.load_session(clerk.SESSION)
            said = [] if session is None else [response.content for response in session.agent_responses]
            if said != [f"bill-{number} is paid: {10 + number}." for number in range(BILLS)]:
                self._breach(f"it answered {said}")
            with store.open_session(clerk.SESSION) as live:
                if unfinished := live.unfinished():
                    self._breach(f"without an outcome: {unfinished}")
            events = [record.event for record in store.records(clerk.SESSION)]
            returned = Counter(event.call_id for event in events if isinstance(event, ToolReturned))
            if len(returned) != 3 * BILLS or max(returned.values()) > 1:
                self._breach(f"outcomes on record: {returned}")
        return taken

    def _look(self, told: list[object], when: str) -> None:
        for each in told:
            if isinstance(each, Failed):
                self._breach(f"{when}, it failed: {each.trace}")
        doubled = [reference for reference, times in Counter(self.office.payments()).items() if times > 1]
        if doubled:
            self._breach(f"{when}, paid twice: {doubled}")

    def _breach(self, what: str) -> None:
        self.campaign.breach(f"seed {self.campaign.seed}, {self.folder.name}, {self.durability!r}: {what}")
