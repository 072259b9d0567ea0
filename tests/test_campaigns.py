"""The campaigns with real processes and file systems: each notices a promise that is broken on purpose."""

import os
import time
from random import Random

import pytest
from crash import agents, clerk, faults, follow, full, kill, soak, tracing, writers
from crash.campaign import Campaign
from crash.crew import Crew, Failed
from crash.deeds import own_document, own_session
from crash.faulty_disk import Fault, FaultyDisk, Interrupted
from crash.full_disk import FullDisk, files_of_at_most
from crash.gauges import Gauge
from crash.ground import Ground
from crash.history import look
from crash.scenarios import SCENARIOS
from crash.told import Batch, Began, Deleted, Deleting, Done, Keeping, Kept, Refused
from crash.trial import attempt
from crash.witness import CATEGORY, Witness

from journal import ANY, Session, StateStore


def campaign(folder, count, seconds=60.0, seed=1):
    """A short one."""
    return Campaign(seed=seed, count=count, seconds=seconds, folder=folder)


def scenario(name):
    """One of the operations, by its name."""
    return next(each for each in SCENARIOS if each.name == name)


# The soak


def gauge(memory_mib, open_files):
    """What a process held, look by look."""
    gauge = Gauge(0)
    gauge.memory_bytes, gauge.open_files = [each * soak.MIB for each in memory_mib], open_files
    return gauge


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (gauge([30, 40, 40, 41], [20, 150, 150, 152]), None),
        (gauge([30, 40, 50, 60], [20, 150, 150, 150]), "20.0 MiB more"),
        (gauge([30, 40, 40, 40], [20, 30, 40, 60]), "60 open files, 30.0 more"),
        (gauge([30, 40, 40, 40], [500, 500, 500, 500]), "500 open files"),
    ],
    ids=["flat", "memory", "files", "too many files"],
)
def test_a_process_that_holds_ever_more_is_noticed(tmp_path, held, says):
    """Memory beyond what the sessions explain, and files."""
    short = campaign(tmp_path, None)
    told = soak._Soak(short, tmp_path, interval=1.0)
    told.held_bytes = [0, 0, 0, 0]
    told._check_growth("reader", held)
    assert len(short.breaches) == (says is not None)
    assert says is None or says in short.breaches[0]


class ForgetfulStore(StateStore):
    """Acknowledges an append now and then, and makes none."""

    def append(self, session_id, events, **options):
        if os.urandom(1)[0] < 16:
            return options["expected_version"] + len(events) if options["expected_version"] > 0 else 1
        return super().append(session_id, events, **options)


def test_a_soak_notices_what_is_lost(tmp_path):
    short = campaign(tmp_path, None, seconds=2.0)
    soak.run(short, make_store=ForgetfulStore)
    assert any("is lost" in breach for breach in short.breaches)


# Following


def test_a_few_things_that_happen_to_what_is_followed(tmp_path):
    short = campaign(tmp_path, 12)
    follow.run(short)

    assert short.breaches == []
    assert short.figures["records given out"] >= short.figures["records on record at the end"] > 0


class _Careless(StateStore):
    """Its followers are not given what they should be."""

    def _follow(self, *arguments):
        for some in super()._follow(*arguments):
            yield self.handled(some)


class _Losing(_Careless):
    def handled(self, some):
        return some[1:]


class _Doubling(_Careless):
    def handled(self, some):
        return [*some, *some[-1:]]


class _Turning(_Careless):
    def handled(self, some):
        return some[::-1]


@pytest.mark.parametrize(
    ("broken", "says"), [(_Losing, "not given out"), (_Doubling, "twice"), (_Turning, "another order")]
)
def test_followers_of_a_broken_store_are_noticed(tmp_path, monkeypatch, broken, says):
    monkeypatch.setattr(follow, "SILENT_FOR_SECONDS", 2.0)
    short = campaign(tmp_path, 5)
    follow.run(short, make_store=broken)

    assert any(says in breach for breach in short.breaches)


# The witness


@pytest.fixture
def witness():
    """One that expects a session of everybody, and what writer 0 owns."""
    witness = Witness()
    witness.expect("s")
    witness.expect(own_session(0), owner=0)
    witness.expect_document(own_document(0), owner=0)
    return witness


def write(store, witness, batch, session_id="s"):
    """Save a batch, and tell."""
    witness.hear(Began(session_id, batch))
    store.get_or_create_session("u", session_id)
    version = store.append(session_id, batch.events(), expected_version=ANY)
    witness.hear(Done(session_id, batch, version))


def test_a_witness_has_nothing_to_say_where_all_is_well(store, witness):
    """What was acknowledged is there, and what was begun may be."""
    write(store, witness, Batch(0, 0, 3))
    witness.hear(Began("s", Batch(1, 0)))
    witness.hear(Keeping(own_document(0), 1))
    store.save_json(CATEGORY, own_document(0), {"number": 1})
    witness.hear(Kept(own_document(0), 1))
    write(store, witness, Batch(0, 1), own_session(0))
    witness.hear(Deleting(own_session(0)))
    witness.hear(Deleted(own_session(0), store.delete_session(own_session(0))))

    assert witness.check(store) == []


def test_a_lost_batch_is_noticed(store, witness):
    """It was acknowledged and is not there."""
    write(store, witness, Batch(0, 0))
    witness.hear(Done("s", Batch(0, 1), 3))

    assert "is lost" in witness.check(store)[0]


def test_a_batch_at_another_version_is_noticed(store, witness):
    """It is there, elsewhere than was said."""
    store.get_or_create_session("u", "s")
    store.append("s", Batch(0, 0).events(), expected_version=ANY)
    witness.hear(Done("s", Batch(0, 0), 3))

    assert "was acknowledged as record 3 and is 2" in witness.check(store)[0]


def test_a_lost_update_is_noticed(store, witness):
    """A batch got through whose writer had not seen what stands before it."""
    write(store, witness, Batch(0, 0))
    store.append("s", Batch(1, 0).events(), expected_version=ANY)
    witness.hear(Done("s", Batch(1, 0), 3, 1))

    assert "its writer had seen 1" in witness.check(store)[0]


def test_a_doubled_batch_is_noticed(store, witness):
    """It was acknowledged once and stands there twice."""
    write(store, witness, Batch(0, 0, 2))
    store.append("s", Batch(0, 0, 2).events(), expected_version=ANY)

    assert any("stands there twice" in problem for problem in witness.check(store))


@pytest.mark.parametrize("records", [slice(0, 1), slice(1, 2)])
def test_half_a_batch_is_noticed(store, witness, records):
    """Of a batch that nobody acknowledged, one of two messages is there."""
    witness.hear(Began("s", Batch(0, 0, 2)))
    store.get_or_create_session("u", "s")
    store.append("s", Batch(0, 0, 2).events()[records], expected_version=ANY)

    assert witness.check(store) != []


def test_a_batch_that_was_refused_or_never_begun_is_noticed(store, witness):
    """The store said that nothing was written, and it is there; nobody began it, and it is there."""
    store.get_or_create_session("u", "s")
    store.append("s", Batch(0, 0).events(), expected_version=ANY)
    store.append("s", Batch(0, 1).events(), expected_version=ANY)
    witness.hear(Began("s", Batch(0, 0)))
    witness.hear(Refused("s", Batch(0, 0)))

    assert len(witness.check(store)) == 2


def test_a_batch_that_comes_late_is_noticed(store, witness):
    """Its writer is dead, and the first look did not show it."""
    write(store, witness, Batch(1, 0))
    witness.hear(Began("s", Batch(0, 0)))
    assert witness.check(store) == []
    witness.settle(0)
    store.append("s", Batch(0, 0).events(), expected_version=ANY)

    assert "never begun, or refused, or absent before" in witness.check(store)[0]


def test_a_session_that_was_written_anew_is_noticed(store, witness):
    """What was read once does not change."""
    write(store, witness, Batch(0, 0))
    assert witness.check(store) == []
    store.delete_session("s")
    store.save_session(Session.with_id("u", "s"))
    store.append("s", Batch(0, 0).events(), expected_version=ANY)

    assert any("record 2 was" in problem for problem in witness.check(store))


def test_a_deleted_session_that_is_there_again_is_noticed(store, witness):
    """As a whole, with nothing that was begun since."""
    write(store, witness, Batch(0, 0), own_session(0))
    witness.hear(Deleting(own_session(0)))
    witness.hear(Deleted(own_session(0), True))

    assert any("never begun" in problem for problem in witness.check(store))
    assert any("0 tombstones, 1 deletions" in problem for problem in witness.check(store))


def test_a_document_that_went_back_is_noticed(store, witness):
    """It holds an older text than the one that was acknowledged."""
    store.save_json(CATEGORY, own_document(0), {"number": 1})
    witness.hear(Kept(own_document(0), 2))

    assert "is 1" in witness.check(store)[0]


def test_a_gap_and_a_stale_snapshot_are_noticed(folder):
    """In the records, and in what is loaded."""

    class Skipping(StateStore):
        def records(self, session_id, *, after=0):
            return (record for record in super().records(session_id, after=after) if record.seq != 2)

    with Skipping(folder, durability="os") as store:
        store.get_or_create_session("u", "s")
        store.append("s", Batch(0, 0, 3).events(), expected_version=1)
        problems = look(store, "s").problems

    assert any("stands where 2 belongs" in problem for problem in problems)
    assert any("is not what its records say" in problem for problem in problems)


def test_a_list_without_a_session_is_noticed(store, witness, monkeypatch):
    """It is there, and not in the list."""
    write(store, witness, Batch(0, 0))
    monkeypatch.setattr("journal.catalog.Catalog.page", lambda self, **options: _Page())

    assert "listed as 0" in witness.check(store)[0]


class _Page(list):
    unreadable = ()


# Processes


def test_a_crew_does_not_outlive_its_block_and_tells_how_it_failed():
    """One works for ever, one fails."""
    with Crew() as crew:
        worker = crew.start(_work_for_ever)
        crew.start(_fail)
        heard = []
        while len(heard) < 2:
            crew.wait(10)
            heard += [told for member in crew.members for told in member.heard()]

    assert not worker.process.is_alive()
    assert "at work" in heard
    assert any(isinstance(told, Failed) and "ZeroDivisionError" in told.trace for told in heard)


def _work_for_ever(tell):
    tell("at work")
    while True:
        os.getpid()


def _fail(tell):
    raise ZeroDivisionError


# Kill


def test_a_few_kills(tmp_path):
    """Nothing that was acknowledged is lost."""
    few = campaign(tmp_path, count=4)
    kill.run(few)

    assert few.breaches == []
    assert few.figures["kills"] == 4
    assert few.figures["batches acknowledged"] > 10


class Forgetful(StateStore):
    """Says now and then that an update was saved, and saves nothing."""

    def update_session_with(self, session_id, change):
        if os.urandom(1)[0] < 128:
            return self.load_session(session_id).version + 1
        return super().update_session_with(session_id, change)


class Doubling(StateStore):
    """Appends a second time what it does not know to be there."""

    def append(self, session_id, events, *, expected_version, key=None):
        super().append(session_id, events, expected_version=expected_version)
        return super().append(session_id, events, expected_version=ANY) - len(events)


@pytest.mark.parametrize(("store", "broken"), [(Forgetful, "is lost"), (Doubling, "stands there twice")])
def test_kills_of_a_broken_store_are_noticed(tmp_path, store, broken):
    """It forgets; it writes twice."""
    few = campaign(tmp_path, count=2)
    kill.run(few, make_store=store)

    assert any(broken in breach for breach in few.breaches)


# Writers


def test_a_few_writers(tmp_path):
    """Versions are unique, without gaps, and in order."""
    few = campaign(tmp_path, count=300)
    writers.run(few)

    assert few.breaches == []
    assert few.figures["appends acknowledged"] >= 300


def test_writers_of_a_store_that_doubles_are_noticed(tmp_path):
    """What is tried again with its key is written again."""
    few = campaign(tmp_path, count=300)
    writers.run(few, make_store=Doubling)

    assert any("stands there twice" in breach for breach in few.breaches)


def test_versions_against_the_order_of_time_are_noticed():
    """An append began when another was acknowledged, and got the lower version."""
    first = writers.Timed(Done("s", Batch(0, 0), 3), 10, 20)
    later = writers.Timed(Done("s", Batch(1, 0), 2), 21, 30)
    beside = writers.Timed(Done("s", Batch(2, 0), 4), 5, 40)
    elsewhere = writers.Timed(Done("t", Batch(3, 0), 1), 50, 60)

    assert len(list(writers.out_of_order([first, later, beside, elsewhere]))) == 1
    assert list(writers.out_of_order([first, beside, elsewhere])) == []


# Faults


def test_a_few_faults(tmp_path):
    """Of the engine's calls, and of the kernel's where strace may."""
    few = campaign(tmp_path, count=30)
    faults.run(few)

    assert few.breaches == []
    assert few.figures["faults tried"] == 30
    assert bool(few.skipped) == bool(tracing.why_not())


class SyncsAgain(StateStore):
    """Believes the second sync after a failed one."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        sync = self._disk.sync

        def sync_again(fd):
            try:
                sync(fd)
            except OSError:
                sync(fd)

        self._disk.sync = sync_again


class LeavesHalf(StateStore):
    """Does not cut off what a short write left."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._disk.truncate = lambda fd, size: None


class LetsErrorsThrough(StateStore):
    """Has the caller catch whatever the system says."""

    def save_session(self, session, **options):
        try:
            return super().save_session(session, **options)
        except Exception as error:
            raise error.__cause__ or error from None


class ForgetsItsDescriptors(StateStore):
    """Closes nothing."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._disk.close = lambda fd: None


class NeverSyncs(StateStore):
    """Acknowledges what is in the cache."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._disk.sync = lambda fd: None


@pytest.mark.parametrize(
    ("kind", "fault", "call", "broken"),
    [
        (SyncsAgain, "EIO", "sync", "is lost from byte"),
        (LeavesHalf, "short", "write", "bytes more are there"),
        (LetsErrorsThrough, "ENOSPC", "write", "an OSError came through"),
        (ForgetsItsDescriptors, "EIO", "sync", "still open"),
        (NeverSyncs, "EIO", "write", "was never synced"),
    ],
)
def test_a_broken_engine_does_not_pass_a_trial(tmp_path, kind, fault, call, broken):
    """Each in its way, where the engine as it is has no problem."""
    ground = Ground.survey(scenario("save"), tmp_path)
    last = ground.calls.count(call) - 1

    def problems(kind):
        disk = FaultyDisk()
        return list(attempt(ground, disk, disk.failing(Fault(call, last, fault)), kind=kind))

    assert problems(StateStore) == []
    assert any(broken in problem for problem in problems(kind))


@pytest.mark.filterwarnings("ignore")  # its store is never closed
def test_a_trial_that_hangs_ends(tmp_path, monkeypatch):
    """Somebody holds the lock for ever."""
    monkeypatch.setattr("crash.trial.HANGS_AFTER_SECONDS", 0.3)
    ground = Ground.survey(scenario("save"), tmp_path)
    fcntl = pytest.importorskip("fcntl")

    class LocksTwice(FaultyDisk):
        def flock(self, fd, how):
            if how & fcntl.LOCK_EX and self.fault is not None:
                other = os.open(self._paths[fd], os.O_RDONLY)
                fcntl.flock(other, fcntl.LOCK_EX)
            fcntl.flock(fd, how)

    disk = LocksTwice()

    assert any("it hangs" in each for each in attempt(ground, disk, disk.failing(Fault("none", 0, "EIO"))))


def test_an_interrupt_is_no_error_of_the_store(tmp_path):
    """A signal before and behind the write and the sync: all or nothing, and the next save works."""
    ground = Ground.survey(scenario("save"), tmp_path)
    for call in ("write", "sync"):
        for kind in ("interrupted", "interrupted late"):
            disk = FaultyDisk()

            assert list(attempt(ground, disk, disk.failing(Fault(call, 0, kind)))) == []
            assert disk.has_failed
    assert not issubclass(Interrupted, Exception)


def test_what_strace_answers_is_judged(tmp_path):
    """A sync fails, and is tried again; the same log without the second try is fine."""
    log = tmp_path / "log"
    failed = "7 fdatasync(5</a/s.jsonl>) = -1 EIO (Input/output error) (INJECTED)\n"
    log.write_text(failed + "7 fdatasync(6</a/t.jsonl>) = 0\n")
    answer = tracing.Answer("fdatasync", 1, "EIO")

    assert list(tracing.unheeded(answer, log)) == []
    log.write_text(failed + "7 fdatasync(6</a/s.jsonl>) = 0\n")
    assert "tried again" in next(tracing.unheeded(answer, log))
    log.write_text("7 fdatasync(6</a/s.jsonl>) = 0\n")
    assert list(tracing.unheeded(answer, log)) == [tracing.NOT_MADE]


# Full


def test_a_few_full_disks(tmp_path):
    """With room for some bytes, or for no more names."""
    few = campaign(tmp_path, count=40)
    full.run(few)

    assert few.breaches == []
    assert few.figures["no room for bytes"] > 0


def test_full_disks_of_an_engine_that_leaves_half_are_noticed(tmp_path):
    """At a byte in the middle of the record; by a disk of our own, and by the kernel's limit."""
    ground = Ground.survey(scenario("save"), tmp_path)
    room = ground.size_bytes - 20
    size = max(path.stat().st_size for path in ground.folder.glob("sessions/*.jsonl")) - 20
    for kind, passes in ((StateStore, True), (LeavesHalf, False)):
        disk = FullDisk()
        for trouble in (disk.full_after(room, names_need_room=False), files_of_at_most(size)):
            problems = list(attempt(ground, disk, trouble, kind=kind))

            assert (problems == []) == passes, problems


def test_a_full_disk_takes_what_there_is_room_for(tmp_path):
    """Not a byte more, and nothing from then on; afterwards all."""
    disk = FullDisk()
    fd = disk.open(str(tmp_path / "file"), write=True, create=True)
    room = Random(1).randrange(10)
    with disk.full_after(room, names_need_room=True):
        assert disk.write(fd, b"x" * 10) == room
        with pytest.raises(OSError, match="No space"):
            disk.write(fd, b"x")
        with pytest.raises(OSError, match="No space"):
            disk.open(str(tmp_path / "another"), write=True, create=True)
    assert disk.write(fd, b"x" * 10) == 10
    disk.close(fd)
    assert (tmp_path / "file").stat().st_size == room + 10


# Agents


class SlowBank(clerk.Office):
    """A bank whose answer takes long: most kills come when the payment is made, and nobody knows it yet."""

    def send_payment(self, reference, amount):
        paid = super().send_payment(reference, amount)
        time.sleep(0.02)
        return paid


def test_an_agent_is_killed_a_few_times(tmp_path):
    few = campaign(tmp_path, 18)
    agents.run(few, make_office=SlowBank)

    assert few.breaches == []
    # Each try is a kill, or comes when an agent has finished; how many do depends on how fast they are.
    # Two more finish before all that, to see how long it takes.
    finished = few.figures["agents that finished"] - len(agents.DURABILITIES)
    assert few.figures["kills"] + finished >= 18
    assert few.figures["kills"] >= 10
    assert finished >= 1


def test_an_agent_that_pays_again_what_it_does_not_know_is_noticed(tmp_path):
    careless = campaign(tmp_path, 30)
    agents.run(careless, knows_the_bank=False, make_office=SlowBank)

    assert any("paid twice" in breach for breach in careless.breaches)
