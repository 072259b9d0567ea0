"""The campaign of many machines: what happens to the servers, and that each broken promise is noticed."""

import time
from random import Random

import pytest
from crash import cluster as chaos
from crash import cluster_writers, outages
from crash.awaited import Awaited
from crash.campaign import Campaign
from crash.cluster_follow import Given, problems
from crash.outages import Outage, Outages
from crash.told import Batch, Began, Broken, Done
from crash.writers import Timed, out_of_order

from journal import ANY, AsyncStateStore, DurabilityError, StateStore, VersionConflictError
from journal.backend import Unclear, Unreachable

MS = 1_000_000


SILENT_FOR_SECONDS = chaos.SILENT_FOR_SECONDS


@pytest.fixture
def hasty(monkeypatch):
    """Outages that are short, and that servers get over at once."""
    monkeypatch.setattr(outages, "SHORT_SECONDS", (0.05, 0.1))
    monkeypatch.setattr(outages, "LONG_ONES", 0.0)
    monkeypatch.setattr(outages, "REACHES", ("a follower",))
    monkeypatch.setattr(chaos, "SILENT_FOR_SECONDS", 1.0)


class Recorded:
    """A cluster that only notes what is done to it."""

    def __init__(self, leader=0):
        self.servers = [Recorded.Node() for _ in range(3)]
        self.did = []
        self._leader = leader

    class Node:
        is_running, is_paused = True, False

    def leader(self, stream):
        return self._leader

    def _away(self, what, nodes):
        self.did.append((what, nodes))
        for node in nodes:
            self.servers[node].is_running = False

    def kill(self, *nodes):
        self._away("kill", nodes)

    def stop(self, *nodes):
        self._away("stop", nodes)

    def pause(self, *nodes):
        self.did.append(("pause", nodes))
        for node in nodes:
            self.servers[node].is_paused = True

    def restart(self, *nodes):
        self.did.append(("restart", nodes))
        for node in nodes:
            self.servers[node].is_running, self.servers[node].is_paused = True, False


# What happens


def test_each_sort_of_outage_comes_once_before_any_comes_again():
    cluster = Recorded()
    happened = Outages(cluster, "s", Random(1), lambda seconds: None)
    first, second = ({happened.happen() for _ in range(15)} for _ in range(2))

    assert len(first) == 15
    assert first == second == {Outage(blow, reach) for blow in outages.BLOWS for reach in outages.REACHES}
    assert all(server.is_running and not server.is_paused for server in cluster.servers)


@pytest.mark.parametrize(
    ("reach", "hits"),
    [("the leader", [{1}]), ("two", [2]), ("all at once", [{0, 1, 2}]), ("one after the other", [1, 1, 1])],
)
def test_an_outage_hits_whom_it_says(reach, hits, monkeypatch):
    monkeypatch.setattr(outages, "REACHES", (reach,))
    cluster = Recorded(leader=1)
    Outages(cluster, "s", Random(1), lambda seconds: None).happen()
    struck = [nodes for what, nodes in cluster.did if what != "restart"]
    mended = [nodes for what, nodes in cluster.did if what == "restart"]

    assert struck == mended
    assert [
        len(nodes) if isinstance(hit, int) else set(nodes) for nodes, hit in zip(struck, hits, strict=True)
    ] == hits


def test_a_follower_is_not_the_leader(monkeypatch):
    monkeypatch.setattr(outages, "REACHES", ("a follower",))
    cluster = Recorded(leader=2)
    happened = Outages(cluster, "s", Random(1), lambda seconds: None)
    for _ in range(9):
        happened.happen()

    assert {nodes for _, nodes in cluster.did} == {(0,), (1,)}


@pytest.mark.parametrize(
    ("reach", "counts"), [("two", False), ("the leader", True), ("one after the other", True)]
)
def test_a_stall_does_not_count_the_time_without_a_majority(reach, counts, monkeypatch):
    monkeypatch.setattr(outages, "REACHES", (reach,))
    monkeypatch.setattr(outages, "SHORT_SECONDS", (0.1, 0.1))
    monkeypatch.setattr(outages, "LONG_ONES", 0.0)
    happened = Outages(Recorded(), "s", Random(1), time.sleep)
    begin = time.monotonic_ns()
    happened.happen()
    waited = time.monotonic_ns() - begin
    stall = happened.stall_ns(begin, begin + waited)

    assert waited >= 100 * MS
    assert stall == waited if counts else stall < 50 * MS
    assert happened.stall_ns(begin - 5 * MS, begin) == 5 * MS


# What is noticed


def of_files(folder, kind, asynchronous=AsyncStateStore):
    """A store of files in the place of one in a cluster: what is noticed does not depend on it."""

    async def opened():
        return asynchronous(folder, durability="os")

    def connect(where, *, timeout, is_async=False):
        return Awaited(opened) if is_async else kind(folder, durability="os")

    return connect


def campaign(folder, connect, count=400):
    short = Campaign(seed=1, count=count, seconds=60, folder=folder)
    chaos.run(short, connect=connect)
    return short


def test_a_store_that_keeps_its_promises_passes(tmp_path, hasty):
    short = campaign(tmp_path, of_files(tmp_path / "store", StateStore))

    assert short.breaches == []
    assert short.figures["appends acknowledged"] >= 400
    assert sum(times for what, times in short.figures.items() if "a follower" in what) >= 1


class Turning(StateStore):
    """Acknowledges at once, and writes behind what comes next."""

    held = None

    def append(self, session_id, events, *, expected_version, key=None):
        held, self.held = self.held, None
        if held is None and Random().random() < 0.1:
            self.held = (session_id, events)
            return self.load_session(session_id).version + len(events)
        version = super().append(session_id, events, expected_version=ANY)
        if held is not None:
            super().append(*held, expected_version=ANY)
        return version


class Tearing(StateStore):
    """Writes a batch in two pieces, between which others may write."""

    def append(self, session_id, events, *, expected_version, key=None):
        version = super().append(session_id, events[:1], expected_version=expected_version)
        if len(events) == 1:
            return version
        return super().append(session_id, [*events[1:], events[0]], expected_version=version)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Turning, "was acknowledged as record"),
        (Tearing, "is cut off before"),
    ],
)
def test_a_store_that_writes_in_another_order_is_noticed(tmp_path, hasty, kind, says):
    short = campaign(tmp_path, of_files(tmp_path / "store", kind))

    assert any(says in breach for breach in short.breaches), short.breaches[:3]


def test_an_append_that_overtakes_an_acknowledged_one_is_noticed():
    """By the moments between which the calls were made."""
    late = Timed(Done("one", Batch(0, 0), 3), 0, 10)
    early = Timed(Done("one", Batch(1, 0), 2), 11, 20)

    assert [*out_of_order([late, early])]
    assert [*out_of_order([late, early._replace(began_ns=9)])] == []


class _Careless(StateStore):
    """Its followers are not given what they should be."""

    def _follow(self, *arguments):
        for some in super()._follow(*arguments):
            yield self.handled(some)


class Withholding(_Careless):
    def handled(self, some):
        return some[1:]


class Repeating(_Careless):
    def handled(self, some):
        return [*some, *some[-1:]]


class Shuffling(_Careless):
    def handled(self, some):
        return some[::-1]


@pytest.mark.parametrize(
    ("kind", "says"), [(Withholding, "not given out"), (Repeating, "twice"), (Shuffling, "another order")]
)
def test_followers_who_are_given_something_else_are_noticed(tmp_path, hasty, kind, says):
    short = campaign(tmp_path, of_files(tmp_path / "store", kind))

    assert any("the follower of all: " in each and says in each for each in short.breaches)


def test_a_record_that_is_given_out_and_is_not_there_is_noticed():
    first, second = Given("s", 1, "a"), Given("s", 2, "b")

    assert list(problems([first, second], {"s": [first, second]})) == []
    assert ["that are not there" in each for each in problems([first, second], {"s": [first]})] == [True]


def test_a_writer_that_hangs_is_noticed(tmp_path, hasty, monkeypatch):
    """It takes longer than it was given, and does not come to its end."""
    monkeypatch.setattr(cluster_writers, "TIMEOUTS", (0.2,))
    monkeypatch.setattr(cluster_writers, "LATE_SECONDS", 0.5)

    class Hanging(StateStore):
        def update_session_with(self, session_id, change):
            time.sleep(1.2 if session_id == "one" else 30 if session_id == "ONE" else 0)
            return super().update_session_with(session_id, change)

    short = campaign(tmp_path, of_files(tmp_path / "store", Hanging), count=100)
    told = "\n".join(short.breaches)

    assert "update took 1.2 s, where 0.2 s were asked for, and was acknowledged" in told
    assert "a writer hangs" in told


def test_a_writer_that_fails_is_noticed(tmp_path, hasty):
    class Failing(StateStore):
        def append(self, *arguments, **options):
            raise ZeroDivisionError

    short = campaign(tmp_path, of_files(tmp_path / "store", Failing), count=50)

    assert any("a writer failed" in breach and "ZeroDivisionError" in breach for breach in short.breaches)


# On the servers themselves


@pytest.fixture
def appending(monkeypatch):
    """Put something between the writers and the servers; they are forked, and have it with them."""
    journals = pytest.importorskip("journal.nats.journals").NatsJournals

    def put(between):
        append = journals.append

        async def instead(self, session_id, lines, after):
            return await between(lambda after=after: append(self, session_id, lines, after), after)

        monkeypatch.setattr(journals, "append", instead)

    return put


def on_servers(folder, count=300, seconds=60):
    short = Campaign(seed=1, count=count, seconds=seconds, folder=folder)
    chaos.run(short)
    return short


def test_a_few_outages(tmp_path, monkeypatch):
    """Nothing is lost, doubled or out of order."""
    monkeypatch.setattr(chaos, "APPENDS_BETWEEN", 20)
    short = on_servers(tmp_path, count=100)

    assert short.breaches == []
    assert short.figures["appends acknowledged"] >= 100
    assert list(tmp_path.glob("session-journal-*"))  # of the followers, who are killed at the end


def test_answers_that_get_lost_make_no_difference(tmp_path, hasty, appending, monkeypatch):
    """The writers find out what became of their appends."""
    # What is expected comes; on a busy machine a follower may need more than a second to begin.
    monkeypatch.setattr(chaos, "SILENT_FOR_SECONDS", SILENT_FOR_SECONDS)

    async def losing_answers(append, after):
        place = await append()
        if Random().random() < 0.1:
            raise Unclear("the answer was lost")
        return place

    appending(losing_answers)
    short = on_servers(tmp_path)

    assert short.breaches == []


async def believing(append, after):
    """Takes for written what was not sent."""
    return after + 1 if Random().random() < 0.05 else await append()


async def denying(append, after):
    """Says that nothing was written, when it was."""
    place = await append()
    if Random().random() < 0.05:
        raise Unreachable("nobody is there")
    return place


async def again(append, after):
    """Sends twice what was acknowledged."""
    place = await append()
    return await append(place) if Random().random() < 0.05 else place


@pytest.mark.parametrize(
    ("between", "says"), [(believing, "is lost"), (denying, "twice"), (again, "cannot be read")]
)
def test_a_client_that_breaks_a_promise_is_noticed(tmp_path, hasty, appending, between, says, monkeypatch):
    monkeypatch.setattr(cluster_writers, "TIMEOUTS", (2.0,))  # some of these writers come to no end
    appending(between)
    short = on_servers(tmp_path, seconds=5)

    assert any(says in breach for breach in short.breaches), short.breaches[:3]


# What a writer does when it gets no answer


class Scripted:
    """A store whose appends end as they are told to."""

    def __init__(self, *ends):
        self.ends, self.asked = list(ends), []

    def get_or_create_session(self, user, session_id):
        return type("Session", (), {"version": 1})

    def append(self, session_id, events, *, expected_version, key=None):
        self.asked.append((expected_version, key))
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


def unknown(outcome_unknown=True):
    return DurabilityError("there", "no answer", outcome_unknown=outcome_unknown)


def handed(way, *ends, timeout=5.0):
    """What a writer tells of one append, and what it asked of its store."""
    store = Scripted(*ends)
    hand = cluster_writers.PatientHand(store, Random(1), ("s",), timeout)
    hand.ways = [getattr(hand, way)]
    return list(hand.append("s", Batch(0, 0))), store.asked


def test_without_a_key_an_unknown_outcome_is_left_open():
    told, asked = handed("_expecting", unknown())

    assert [type(each) for each in told] == [cluster_writers.Failure, cluster_writers.Unheard]
    assert told[-1].began == Began("s", Batch(0, 0))
    assert asked == [(1, None)]


def test_with_a_key_an_unknown_outcome_is_tried_again():
    told, asked = handed("_with_key", unknown(), unknown(), 2)

    assert told[-1].done == Done("s", Batch(0, 0), 2, 1)
    assert asked == [(1, "0.0")] * 3


def test_what_was_not_written_is_tried_again_also_without_a_key():
    told, asked = handed("_expecting", unknown(outcome_unknown=False), VersionConflictError("s", 4, 1), 5)

    assert told[-1].done == Done("s", Batch(0, 0), 5, 4)
    assert asked == [(1, None), (1, None), (4, None)]


def test_a_call_that_takes_too_long_is_told(monkeypatch):
    monkeypatch.setattr(cluster_writers, "LATE_SECONDS", -3.0)
    told, _ = handed("_expecting", 2, timeout=1.0)

    assert [type(each) for each in told] == [Broken, Timed]
