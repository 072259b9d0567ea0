"""The simulated disk, the images of a crash, and the check that reads them: each held to something else."""

import contextlib
import errno
import itertools
import os
import stat
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest
from crash import simulate
from crash.campaign import Campaign
from crash.images import Contents, Images
from crash.simulate import Case, check_one, chosen, run_case
from crash.simulate_turns import Turns
from crash.simulate_world import STORE
from crash.simulated_disk import BASE, Killed, SimulatedDisk
from crash.simulated_volume import Cut, File, Made, Removed, Renamed, Synced, Volume, Written
from crash.workloads import WORKLOADS
from hypothesis import given
from hypothesis import strategies as st

from journal import handle as journal_handle
from journal.disk import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, Disk, write_whole
from journal.log import Log
from journal.marks import Marks

# The simulated disk does what the real one does.

PATHS = st.sampled_from(["a", "b", "f", "f/a", "f/b", "g", "g/a", "a/x", "missing/a"])
FDS = st.integers(0, 3)
PARTS = ("kills", "names", "holes", "ends", "mixtures")
CALLS = st.one_of(
    st.tuples(st.just("open"), PATHS, st.booleans(), st.booleans(), st.booleans()),
    st.tuples(st.just("write"), FDS, st.binary(max_size=9)),
    st.tuples(st.just("read"), FDS, st.integers(0, 9), st.integers(0, 20)),
    st.tuples(st.just("truncate"), FDS, st.integers(0, 20)),
    st.tuples(st.just("seek"), FDS),
    st.tuples(st.just("sync"), FDS),
    st.tuples(st.just("drop_cache"), FDS),
    st.tuples(st.just("status_of"), FDS),
    st.tuples(st.just("close"), FDS),
    st.tuples(st.just("flock"), FDS, st.sampled_from([LOCK_EX | LOCK_NB, LOCK_SH | LOCK_NB, LOCK_UN])),
    st.tuples(st.just("rename"), PATHS, PATHS),
    *(
        st.tuples(st.just(call), PATHS)
        for call in ("unlink", "make_folder", "sync_folder", "status", "lstat", "entries")
    ),
    st.tuples(st.just("overwrite"), PATHS, st.binary(min_size=1, max_size=4)),
)


class Told:
    """A disk, and what it answers, in words that do not depend on where it is."""

    def __init__(self, disk, base):
        self.disk, self.base = disk, base
        self.fds = []
        self.inodes = {}

    def __call__(self, name, *arguments):
        try:
            return self._answer(name, *arguments)
        except OSError as error:
            return type(error).__name__, error.errno

    def _answer(self, name, first, *rest):
        if name == "open":
            write, create, exclusive = rest
            fd = self.disk.open(self._path(first), write=write, create=create, exclusive=exclusive)
            self.fds.append(fd)
            return len(self.fds)
        target = self._path(first) if isinstance(first, str) else self._fd(first)
        if target is None:
            return None
        match name:
            case "close":
                self.fds.remove(target)
            case "seek":
                rest = (0, os.SEEK_END)
            case "rename":
                rest = (self._path(rest[0]),)
            case "lstat":
                target = os.fsencode(target)
        answer = getattr(self.disk, name)(target, *rest)
        match name:
            case "status" | "lstat" | "status_of":
                return self._status(answer)
            case "entries":
                return sorted((entry.name, self._status(entry.status)) for entry in answer)
            case "drop_cache" | "overwrite":
                return None
        return answer

    def _path(self, path):
        return f"{self.base}/{path}"

    def _fd(self, number):
        return self.fds[number] if number < len(self.fds) else None

    def _status(self, status):
        if status is None:
            return None
        which = self.inodes.setdefault(status.st_ino, len(self.inodes))
        is_file = stat.S_ISREG(status.st_mode)
        return status.st_mode, which, is_file and (status.st_size, status.st_nlink)


@given(st.lists(CALLS, max_size=40))
def test_it_answers_as_a_real_disk_does(calls):
    """The same calls give the same results, and the same errors."""
    calls = [call for call in calls if not (call[0] == "rename" and _renames_a_folder(calls, call))]
    volume = Volume()
    volume.put(f"{BASE}/x", b"")
    simulated = Told(SimulatedDisk(volume), BASE)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").touch(mode=0o600)
        real = Told(Disk(), folder)
        try:
            answers = [(call, simulated(*call), real(*call)) for call in calls]
        finally:
            for fd in real.fds:
                os.close(fd)

    assert [answer for answer in answers if answer[1] != answer[2]] == []


def _renames_a_folder(calls, rename):
    return any(call[0] == "make_folder" and call[1] == rename[1] for call in calls)


def test_every_call_is_simulated():
    """Nothing that the engine may ask of a disk falls through to the real one."""
    asked = {name for name in vars(Disk) if not name.startswith("_")}

    assert asked <= vars(SimulatedDisk).keys()


def test_nothing_reaches_the_real_disk(monkeypatch):
    """A simulated store touches no real file, not even to look."""
    touched = []

    def note(event, arguments):
        touched.extend(each for each in arguments if isinstance(each, str) and each.startswith(BASE))

    for name in ("stat", "lstat", "access"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda path, *a, _real=real, **o: (note("", [path]), _real(path, *a, **o))[1]
        )
    is_on = True
    sys.addaudithook(lambda event, arguments: is_on and note(event, arguments))
    for name in ("snapshots", "documents", "repair_of_a_snapshot", "deletions"):
        assert run_case(Case(name, "0", 0, 60)).breaches == []
    is_on = False

    assert touched == []


def test_what_gets_through_all_the_same_is_refused():
    """Neither a path nor a descriptor of a simulated disk is one of the real disk."""
    volume = Volume()
    volume.put(f"{BASE}/a", b"")
    fd = SimulatedDisk(volume).open(f"{BASE}/a")

    with pytest.raises(NotADirectoryError):
        os.lstat(f"{STORE}/sessions")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


# What may go wrong


@pytest.fixture
def volume():
    volume = Volume()
    volume.put(f"{BASE}/a", b"ab")
    volume.log.clear()
    return volume


@pytest.fixture
def disk(volume):
    return SimulatedDisk(volume)


def test_a_call_fails_when_it_is_told_to(disk):
    """The n-th of its kind, once."""
    disk.fail("status", 1, errno.EACCES)
    disk.fail("lstat", 2, errno.EIO)
    disk.lstat(f"{BASE}/a")

    with pytest.raises(OSError, match="Input/output error"):
        disk.lstat(f"{BASE}/a")
    assert disk.lstat(f"{BASE}/a").st_size == 2


def test_a_full_disk_writes_what_it_has_room_for(disk, volume):
    """First short, then not at all; what is cut off makes room."""
    fd = disk.open(f"{BASE}/a", write=True)
    disk.room = 3

    assert disk.write(fd, b"cdefg") == 3
    with pytest.raises(OSError, match="No space left"):
        disk.write(fd, b"fg")
    disk.truncate(fd, 1)
    write_whole(disk, fd, b"wxyz")
    assert volume.data(f"{BASE}/a") == b"awxyz"


def test_a_killed_process_does_nothing_more(disk, volume):
    """It wrote the first bytes; its lock is free, and no `finally` of it reaches the disk."""
    fd = disk.open(f"{BASE}/a", write=True)
    disk.flock(fd, LOCK_EX)
    disk.kill_at(1, written=2)
    disk.write(fd, b"c")
    try:
        with pytest.raises(Killed):
            disk.write(fd, b"defg")
    finally:
        with pytest.raises(Killed):
            disk.unlink(f"{BASE}/a")
    other = SimulatedDisk(volume)

    other.flock(other.open(f"{BASE}/a"), LOCK_EX)
    assert volume.data(f"{BASE}/a") == b"abcde"


def test_a_lock_that_nobody_will_release_is_an_error(disk, volume):
    """Two processes in one thread do not wait for each other for ever."""
    other = SimulatedDisk(volume)
    other.flock(other.open(f"{BASE}/a"), LOCK_EX)

    with pytest.raises(AssertionError, match="waits for ever"):
        disk.flock(disk.open(f"{BASE}/a"), LOCK_SH)


def test_processes_take_turns_where_they_are_told_to(volume):
    """Who waits for a lock gives its turn away; without an end, all that wait are an error."""
    order = []
    disks = [SimulatedDisk(volume) for _ in range(2)]

    def act(number):
        fd = disks[number].open(f"{BASE}/a", write=True)
        disks[number].flock(fd, LOCK_EX)
        order.append(f"{number} has it")
        disks[number].write(fd, b"x")
        order.append(f"{number} lets go")
        disks[number].close(fd)

    Turns([3]).run(*((disks[number], lambda number=number: act(number)) for number in range(2)))

    assert order == ["0 has it", "0 lets go", "1 has it", "1 lets go"]
    assert disks[1].calls == 4


def test_a_failed_sync_is_not_made_good_by_the_next(disk, volume):
    """What it was to take to the disk is marked clean: no later sync saves it, and dropping it shows that."""
    fd = disk.open(f"{BASE}/a", write=True)
    disk.write(fd, b"cd")
    disk.fail("sync", 1, errno.EIO)
    with contextlib.suppress(OSError):
        disk.sync(fd)
    disk.write(fd, b"ef")
    disk.sync(fd)

    assert volume.data(f"{BASE}/a") == b"abcdef"
    assert (b"ab\0\0ef" in [data for _, data in _contents(volume, f"{BASE}/a")]) is True
    disk.drop_cache(fd)
    assert volume.data(f"{BASE}/a") == b"ab\0\0ef"


# The images are complete


def _contents(volume, path):
    contents = Contents(volume.at(path))
    return [contents[number] for number in range(len(contents))]


def _names(volume):
    """All files of a volume by path, garbage as question marks."""
    found = {}

    def walk(inode, path):
        node = volume.nodes[inode]
        if isinstance(node, File):
            found[path] = bytes(c if c in b"\0abcdefgxyz" else ord("?") for c in node.data)
        else:
            for name, child in node.names.items():
                walk(child, f"{path}/{name}")

    walk(volume.root.inode, "")
    return frozenset(found.items())


def test_all_that_a_power_cut_may_leave_of_a_small_example():
    """Each image of it, written out by hand: an append and a rename that were not synced."""
    volume = Volume()
    volume.put("/a", b"ab")
    inode = volume.at("/a").inode
    volume.do(Written(inode, 2, b"xyz"))
    volume.do(Renamed(volume.root.inode, "a", volume.root.inode, "b"))

    bytes_left = [
        *(b"ab", b"abx", b"abxy", b"abxyz"),  # each prefix
        *(b"ab\0\0\0", b"abx\0\0", b"abxy\0"),  # then zeros; the first is the lost sector as well
        *(b"ab???", b"abx??", b"abxy?"),  # then garbage
    ]
    expected = {frozenset([(name, data)]) for name in ("/a", "/b") for data in bytes_left}
    assert {_names(image.volume) for image in Images(volume, None) if image.power} == expected
    assert [_names(image.volume) for image in Images(volume, None) if not image.power] == [
        frozenset([("/b", b"abxyz")])
    ]


def test_each_change_of_names_is_lost_or_kept():
    """A creation, a removal and a rename over a file that is there; the rename as one, its file unsynced."""
    volume = Volume()
    volume.put("/old", b"a")
    volume.put("/gone", b"b")
    root = volume.root.inode
    volume.do(Made(root, "new", volume.next_inode))
    volume.do(Written(volume.at("/new").inode, 0, b"c"))
    volume.do(Renamed(root, "new", root, "old"))
    volume.do(Removed(root, "gone"))

    def left(lost, data):
        files = {"/old": b"a" if "rename" in lost else data}
        if "rename" in lost and "creation" not in lost:
            files["/new"] = data
        if "removal" in lost:
            files["/gone"] = b"b"
        return frozenset(files.items())

    changes = ("creation", "rename", "removal")
    subsets = [frozenset(each) for size in range(4) for each in itertools.combinations(changes, size)]
    expected = {left(lost, data) for lost in subsets for data in (b"c", b"")}
    expected |= {left(lost, b"\0") for lost in subsets if len(lost) != 2}
    found = {_names(image.volume) for image in Images(volume, None) if image.power}
    assert expected <= found
    # Garbage, and what is mixed at random, comes on top.
    garbage = {data for each in found for _, data in each} - {b"a", b"b", b"c", b"", b"\0"}
    assert len(garbage) == 1
    assert found <= {left(lost, data) for lost in subsets for data in (b"c", b"", b"\0", *garbage)}


def test_each_sector_is_lost_or_kept():
    """Of three that were written, all subsets; bytes that were on disk stay, whatever happens around them."""
    volume = Volume()
    volume.put("/a", b"a" * 300)
    volume.do(Written(volume.at("/a").inode, 300, b"x" * 1_000))

    sectors = [("a" * 300 + "x" * 212, "a" * 300 + "0" * 212), ("x" * 512, "0" * 512), ("x" * 276, "0" * 276)]
    expected = {one + two + three for one in sectors[0] for two in sectors[1] for three in sectors[2]}
    found = {
        data.replace(b"\0", b"0").decode("latin1")
        for what, data in _contents(volume, "/a")
        if "sector" in what
    }
    assert found | {sectors[0][0] + sectors[1][0] + sectors[2][0]} == expected


def test_a_cut_is_made_or_not():
    """What was cut off and not synced may be there again, also behind what was written since."""
    volume = Volume()
    volume.put("/a", b"abcdef")
    inode = volume.at("/a").inode
    volume.do(Cut(inode, 2))
    volume.do(Written(inode, 2, b"xy"))

    found = {data for _, data in _contents(volume, "/a")}
    assert {b"ab", b"abx", b"abxy", b"ab\0\0", b"abx\0"} <= found  # cut
    assert {b"abcdef", b"abxdef", b"abxyef"} <= found  # not cut
    assert {b"abcd", b"ab\0\0"} <= found  # its sector lost: as before, and zeros


def test_a_kill_leaves_the_first_bytes_of_the_write_under_way():
    """And all that was finished, synced or not."""
    volume = Volume()
    volume.put("/a", b"ab")
    inode = volume.at("/a").inode
    volume.do(Written(inode, 2, b"c"))
    under_way = Written(inode, 3, b"xyz")

    left = [image.volume.data("/a") for image in Images(volume, under_way) if not image.power]
    assert left == [b"abc", b"abcx", b"abcxy"]


def test_what_was_synced_is_in_every_image():
    """Its bytes once its file was synced, its name once its folder was."""
    volume = Volume()
    volume.do(Made(volume.root.inode, "f", volume.next_inode, is_folder=True))
    folder = volume.at("/f").inode
    volume.do(Made(folder, "a", volume.next_inode))
    inode = volume.at("/f/a").inode
    volume.do(Written(inode, 0, b"abc"))
    volume.do(Synced(inode))
    volume.do(Synced(folder))
    assert {image.volume.data("/f/a") for image in Images(volume, None)} == {b"abc", None}

    volume.do(Synced(volume.root.inode))
    volume.do(Written(inode, 3, b"d"))
    assert {image.volume.data("/f/a")[:3] for image in Images(volume, None)} == {b"abc"}


def test_an_image_has_a_number_and_is_always_the_same():
    """What a breach names can be built again."""
    case = Case("snapshots", "5", 1, 0)
    world = case.world()
    volume, under_way = next((v, under_way) for point, v, under_way in world.points() if point == 9)
    one, other = (Images(volume, under_way, "seed") for _ in range(2))

    assert len(one) > 10_000
    for number in Random(1).sample(range(len(one)), 200):
        assert one[number].what == other[number].what
        assert _names(one[number].volume) == _names(other[number].volume)


@given(
    st.dictionaries(st.sampled_from(PARTS), st.integers(0, 50), min_size=5),
    st.integers(5, 300),
)
def test_the_choice_of_images_is_a_choice(parts, share):
    """As many as asked for, each once; all, where there are no more; the first of each part among them."""
    parts = {part: parts[part] for part in PARTS}
    numbers = list(chosen(parts, share, Random(0)))

    assert len(numbers) == len(set(numbers)) == min(share, sum(parts.values()))
    assert set(numbers) <= set(range(sum(parts.values())))
    first = 0
    for size in parts.values():
        assert first in numbers or not size
        first += size


# The check


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_few_crashes_of_each_workload_break_no_promise(name):
    """Everything acknowledged is there, nothing else but whole batches, and the session goes on."""
    variants = WORKLOADS[name].variants
    results = [run_case(Case(name, "1", variant, 30)) for variant in range(0, variants, -(-variants // 2))]

    assert [breach for result in results for breach in result.breaches] == []
    assert sum(result.states for result in results) >= 25 * len(results)


def test_the_campaign_checks_as_many_as_it_is_told_to(tmp_path):
    """And the same ones again for the same seed, however many cores there are."""
    campaigns = [Campaign(seed=3, count=300, seconds=60, folder=tmp_path) for _ in range(2)]
    for campaign in campaigns:
        simulate.run(campaign)

    one, other = campaigns
    assert one.breaches == []
    assert one.figures["states checked"] >= 300
    assert one.figures == other.figures
    assert one.figures["after a power cut"] + one.figures["after a kill"] == one.figures["states checked"]


# The check notices what is broken. Each of these makes one promise impossible to keep.


def no_file_is_synced(monkeypatch):
    monkeypatch.setattr(SimulatedDisk, "sync", lambda self, fd: None)


def no_folder_is_synced(monkeypatch):
    monkeypatch.setattr(SimulatedDisk, "sync_folder", lambda self, path: None)


def a_new_file_is_renamed_before_it_is_synced(monkeypatch):
    real = SimulatedDisk.sync

    def sync(self, fd):
        inode = self.status_of(fd).st_ino
        temporary = {f".{name}" for name in ("s.jsonl", "s.json", "a.md", "levels.json")}
        names = [
            name
            for node in self.volume.nodes.values()
            if not isinstance(node, File)
            for name, to in node.names.items()
            if to == inode
        ]
        if not any(name.startswith(tuple(temporary)) for name in names):
            real(self, fd)

    monkeypatch.setattr(SimulatedDisk, "sync", sync)


def names_that_others_made_are_taken_to_be_on_disk(monkeypatch):
    """Suspects: a journal's name, the folders' names, the name of the tombstones' file."""
    real_do = SimulatedDisk._do

    def do(self, operation):
        real_do(self, operation)
        if isinstance(operation, Made):
            self.__dict__.setdefault("made_in", set()).add(operation.folder)

    def sync_names(disk, path, inode=0):
        while (folder := os.path.dirname(path)) != path:
            if disk.lstat(folder).st_ino in disk.__dict__.get("made_in", ()):
                disk.sync_folder(folder)
            path = folder

    monkeypatch.setattr(SimulatedDisk, "_do", do)
    monkeypatch.setattr("journal.disk.sync_names", sync_names)


def a_journal_is_removed_before_its_snapshot(monkeypatch):
    real = journal_handle.disks.remove_file

    def remove(disk, path, *, durable):
        stem, ending = os.path.splitext(path)
        return real(disk, stem + {".json": ".jsonl", ".jsonl": ".json"}.get(ending, ending), durable=durable)

    monkeypatch.setattr(journal_handle.disks, "remove_file", remove)


def what_others_removed_is_taken_to_be_gone_from_the_disk(monkeypatch):
    real_unlink, real_sync = SimulatedDisk.unlink, SimulatedDisk.sync_folder

    def unlink(self, path):
        try:
            real_unlink(self, path)
        except FileNotFoundError:
            self.__dict__["was_gone"] = True
            raise

    def sync_folder(self, path):
        if not self.__dict__.pop("was_gone", False):
            real_sync(self, path)

    monkeypatch.setattr(SimulatedDisk, "unlink", unlink)
    monkeypatch.setattr(SimulatedDisk, "sync_folder", sync_folder)


def a_torn_tail_is_not_cut(monkeypatch):
    def cut(self, end, folder):
        self.rest, self._size = None, end
        return "nowhere"

    monkeypatch.setattr(Log, "cut", cut)


def a_torn_tail_is_cut_and_not_kept(monkeypatch):
    monkeypatch.setattr("journal.log.keep", lambda disk, folder, name, fd, offset: "nowhere")


def a_save_is_acknowledged_before_it_is_written(monkeypatch):
    monkeypatch.setattr(Log, "append", lambda self, batch: self.version + len(batch))


def a_save_is_acknowledged_before_it_is_synced(monkeypatch):
    monkeypatch.setattr(Log, "settle", lambda self: None)


def what_others_did_not_sync_is_built_upon(monkeypatch):
    never = property(lambda self: False, lambda self, value: None)
    monkeypatch.setattr(Log, "_is_unsure", never, raising=False)


def no_lock_is_taken(monkeypatch):
    monkeypatch.setattr(SimulatedDisk, "flock", lambda self, fd, operation: None)


def a_failed_sync_is_tried_again(monkeypatch):
    real = SimulatedDisk.sync

    def sync(self, fd):
        try:
            real(self, fd)
        except OSError:
            real(self, fd)

    monkeypatch.setattr(SimulatedDisk, "sync", sync)


def what_a_failed_sync_left_in_memory_is_read(monkeypatch):
    monkeypatch.setattr(SimulatedDisk, "drop_cache", lambda self, fd: None)
    real = Log.append

    def append(self, batch):
        truncate, self.disk.truncate = self.disk.truncate, lambda fd, size: None
        try:
            return real(self, batch)
        finally:
            self.disk.truncate = truncate

    monkeypatch.setattr(Log, "append", append)


def marks_that_a_crash_garbled_stay(monkeypatch):
    monkeypatch.setattr(Marks, "_set_aside", lambda self: None)


def a_fork_is_renamed_before_it_is_synced(monkeypatch):
    real = Log.replace
    monkeypatch.setattr(
        Log, "replace", lambda self, pieces, *, durable, temporary_of=None: real(self, pieces, durable=False)
    )


def a_fork_does_not_lock_its_origin(monkeypatch):
    @contextlib.contextmanager
    def both(setting, source, new):
        with new.exclusive:
            yield

    monkeypatch.setattr("journal.fork._both", both)


def what_is_left_of_a_fork_is_the_forks(monkeypatch):
    real = Log.replace
    monkeypatch.setattr(
        Log,
        "replace",
        lambda self, pieces, *, durable, temporary_of=None: real(self, pieces, durable=durable),
    )


def a_snapshot_outlives_an_erasure(monkeypatch):
    real = journal_handle.disks.remove_file
    monkeypatch.setattr(
        "journal.erase.disks.remove_file",
        lambda disk, path, **how: path.endswith(".json") or real(disk, path, **how),
    )


def the_quarantine_outlives_an_erasure(monkeypatch):
    monkeypatch.setattr("journal.erase._quarantined", lambda setting, session_id: [])


def an_erasure_does_not_know_the_forks(monkeypatch):
    monkeypatch.setattr("journal.store.family", lambda origins, there, session_id: {session_id})


def an_erasure_does_not_sync_what_it_removes(monkeypatch):
    real = SimulatedDisk.sync_folder

    def sync_folder(self, path):
        if not path.endswith("quarantine"):
            real(self, path)

    monkeypatch.setattr(SimulatedDisk, "sync_folder", sync_folder)


def what_is_erased_already_is_taken_to_be_so_on_disk(monkeypatch):
    real = Log.sync
    monkeypatch.setattr(Log, "sync", lambda self, *, anyway=False: None if anyway else real(self))


def a_rewind_is_acknowledged_before_it_is_written(monkeypatch):
    rewind = lambda self, to, expected, **by: self.log.version + 1  # noqa: E731
    monkeypatch.setattr(journal_handle.Handle, "rewind", rewind)


BROKEN = [
    (no_file_is_synced, "batches", 0),
    (no_file_is_synced, "documents", 0),
    (no_folder_is_synced, "first_save", 0),
    (no_folder_is_synced, "documents", 0),
    (no_folder_is_synced, "deletions", 0),
    (a_new_file_is_renamed_before_it_is_synced, "documents", 0),
    (a_new_file_is_renamed_before_it_is_synced, "repair_of_damage", 2),
    (names_that_others_made_are_taken_to_be_on_disk, "two_creators", range(0, 48, 2)),
    (names_that_others_made_are_taken_to_be_on_disk, "killed_creator", range(0, 72, 2)),
    (names_that_others_made_are_taken_to_be_on_disk, "two_deleters", range(16)),
    (a_journal_is_removed_before_its_snapshot, "deletions", 2),
    (what_others_removed_is_taken_to_be_gone_from_the_disk, "killed_deletion", range(35, 38)),
    (no_file_is_synced, "adoption", 1),
    (a_torn_tail_is_not_cut, "torn_tail", 0),
    (a_torn_tail_is_cut_and_not_kept, "torn_tail", 0),
    (a_save_is_acknowledged_before_it_is_written, "first_save", 0),
    (a_save_is_acknowledged_before_it_is_synced, "killed_writer", range(12, 18)),
    (what_others_did_not_sync_is_built_upon, "killed_writer", range(12, 18)),
    (no_lock_is_taken, "two_writers", range(16)),
    (a_failed_sync_is_tried_again, "failed_sync", range(4)),
    (what_a_failed_sync_left_in_memory_is_read, "failed_sync", range(12)),
    (marks_that_a_crash_garbled_stay, "first_save", 0),
    (no_file_is_synced, "rewinds", 0),
    (a_rewind_is_acknowledged_before_it_is_written, "rewinds", 0),
    (a_fork_is_renamed_before_it_is_synced, "forks", 0),
    (a_fork_does_not_lock_its_origin, "erased_meanwhile", 0),
    (what_is_left_of_a_fork_is_the_forks, "killed_fork", 5),
    (a_snapshot_outlives_an_erasure, "erasures", 0),
    (the_quarantine_outlives_an_erasure, "erasures", 0),
    (an_erasure_does_not_know_the_forks, "erasures", 4),
    (an_erasure_does_not_sync_what_it_removes, "erasures", 0),
    (what_is_erased_already_is_taken_to_be_so_on_disk, "killed_erasure", 0),
]


@pytest.mark.parametrize(
    ("break_it", "workload", "variants"), BROKEN, ids=[f"{each[0].__name__} {each[1]}" for each in BROKEN]
)
def test_what_is_broken_is_noticed(monkeypatch, break_it, workload, variants):
    """And what is told of it shows it again."""
    break_it(monkeypatch)
    cases = (
        Case(workload, "1", variant, states)
        for states in (100, 1_000)
        for variant in (variants if isinstance(variants, range) else [variants])
    )
    case, breaches = next(
        ((case, breaches) for case in cases if (breaches := run_case(case).breaches)), (None, None)
    )
    assert breaches, "no state broke a promise"

    _, _, path = breaches[0].partition(" --state ")
    assert not path or check_one(case, path)
