"""Workloads of several processes: one of them killed, two at the same time, anything in any order."""

import contextlib
from random import Random

from crash.simulate_process import USER, Process
from crash.simulate_turns import Turns
from crash.simulate_world import World
from crash.simulated_disk import Killed
from crash.workloads import BOTH, a_secret, a_session, a_text, go_on, workload
from journal import Session, VersionConflictError
from projections import CustomEvent, UserMessageAdded


@workload(variants=72)
def killed_creator(world: World, random: Random, variant: int) -> None:
    """A process is killed while it makes a store and a session; another one goes on."""
    writer, how = Process(world, BOTH[variant % 2]), variant // 2 % 2
    session = a_session(random)
    writer.disk.kill_at(variant // 4, written=random.randrange(400))
    with contextlib.suppress(Killed):
        writer.save(session)
    if how:
        Process(world).again(world.calls[-1])
    else:
        go_on(Process(world), random)


@workload(variants=72)
def killed_writer(world: World, random: Random, variant: int) -> None:
    """A process is killed while it saves; another one makes the same call again, or one of its own."""
    process = Process(world)
    process.save(a_session(random))
    process.store.close()
    writer, how = Process(world, BOTH[variant % 2]), variant // 2 % 3
    writer.disk.kill_at(variant // 6, written=random.randrange(100))
    with contextlib.suppress(Killed):
        writer.append("s", [CustomEvent(name="a"), UserMessageAdded(content=a_text(random))], key="one")
    if how == 0:
        Process(world).again(world.calls[-1])
    elif how == 1:
        go_on(Process(world), random)
    else:
        Process(world).delete("s")


@workload(variants=72)
def killed_deletion(world: World, random: Random, variant: int) -> None:
    """A process is killed while it deletes a session; another one deletes one, too."""
    process = Process(world)
    for session_id in ("s", "t"):
        process.save(a_session(random, session_id))
        process.store.compact(session_id)
    world.begin_here()
    deleter = Process(world, BOTH[variant % 2])
    deleter.disk.kill_at(variant // 4)
    with contextlib.suppress(Killed):
        deleter.delete("s")
    Process(world).delete("st"[variant // 2 % 2])


@workload(variants=48)
def two_creators(world: World, random: Random, variant: int) -> None:
    """Two processes create one session at the same time; one of them in half the variants "os"."""
    first, second = Process(world, BOTH[variant % 2]), Process(world)
    switches = [variant // 2, variant // 2 + random.randrange(1, 30)]
    Turns(switches).run(
        (first.disk, lambda: _create(first, random)), (second.disk, lambda: _create(second, random))
    )


@workload(variants=16)
def two_writers(world: World, random: Random, variant: int) -> None:
    """Two processes write one session at the same time."""
    process = Process(world, BOTH[variant // 2 % 2])
    process.save(a_session(random))
    first, second = Process(world, BOTH[variant % 2]), Process(world)
    Turns(random.sample(range(60), 8)).run(
        (first.disk, lambda: _say(first, random, 3)), (second.disk, lambda: _say(second, random, 3))
    )


@workload(variants=16)
def two_deleters(world: World, random: Random, variant: int) -> None:
    """Two processes delete a session each at the same time: their tombstones are in one file."""
    process = Process(world)
    for session_id in ("s", "t"):
        process.save(a_session(random, session_id))
    world.begin_here()
    first, second = Process(world, BOTH[variant % 2]), Process(world)
    Turns([variant // 2 + 1]).run(
        (first.disk, lambda: first.delete("s")), (second.disk, lambda: second.delete("t"))
    )


@workload(variants=12)
def killed_fork(world: World, random: Random, variant: int) -> None:
    """A process is killed while it forks a session; then what it forked is erased, or it is forked again."""
    process = Process(world)
    text, secret = a_secret(random)
    session = a_session(random)
    session.add_user_message(text)
    process.save(session)
    world.begin_here()
    forker = Process(world, BOTH[variant % 2])
    forker.disk.kill_at(random.randrange(15), written=random.randrange(400))
    with contextlib.suppress(Killed):
        forker.fork("s", "t")
    if variant // 2 % 2:
        Process(world).again(world.calls[-1])
    else:
        Process(world).erase("s", 3, secret)


@workload(variants=12)
def killed_erasure(world: World, random: Random, variant: int) -> None:
    """A process is killed while it erases; another one erases the same again, or goes on with the session."""
    process = Process(world)
    text, secret = a_secret(random)
    session = a_session(random)
    session.add_user_message(text)
    process.save(session)
    process.fork("s", "t")
    process.store.compact()
    world.put_in_quarantine("t", text)
    eraser = Process(world, BOTH[variant % 2])
    eraser.disk.kill_at(30 - variant * 5 // 2, written=random.randrange(400))
    with contextlib.suppress(Killed):
        eraser.erase("s", 3, secret)
    if variant % 4 < 3:
        Process(world).again(world.calls[-1])
    else:
        go_on(Process(world), random)


@workload(variants=12)
def erased_meanwhile(world: World, random: Random, variant: int) -> None:
    """A session is erased while another process forks it, or its fork, saves it, or rewinds it."""
    process = Process(world)
    text, secret = a_secret(random)
    session = a_session(random)
    session.add_user_message(text)
    process.save(session)
    process.fork("s", "t")
    world.begin_here()
    other, eraser = Process(world, BOTH[variant % 2]), Process(world)
    acts = (
        lambda: other.fork("s", "v", meanwhile=True),
        lambda: other.fork("t", "v", meanwhile=True),
        lambda: other.update("s", a_text(random)),
        lambda: other.store.compact(),
    )
    # What is erased while a fork is made is erased whole: then the fork goes on.
    first = random.randrange(1, 20)
    switches = [first] if variant % 4 < 2 else [first, first + random.randrange(1, 20)]
    Turns(switches).run(
        (other.disk, acts[variant % 4]),
        (eraser.disk, lambda: eraser.erase("s", 3, secret, meanwhile=True)),
    )


@workload(variants=12)
def mixed(world: World, random: Random, variant: int) -> None:
    """Anything, in any order."""
    processes = [Process(world, random.choice(BOTH)), Process(world, snapshots="always")]
    for _ in range(12):
        _anything(random.choice(processes), random)


def _anything(process: Process, random: Random) -> None:
    session_id = random.choice("ab")
    session = process.store.load_session(session_id)
    note = (random.choice(("notes", "notes/more")), "n", ".md")
    match random.randrange(12):
        case 0:
            process.save_document(note, a_text(random))
        case 1:
            process.delete_document(note)
        case 2:
            process.store.compact()
        case 3 if session is not None:
            process.delete(session_id)
        case 4 | 5 if session is not None:
            process.update(session_id, a_text(random))
        case 6 if session is not None:
            process.append(session_id, [CustomEvent(name=str(n)) for n in range(3)], key=str(random.random()))
        case 7 if session is not None:
            process.rewind(session_id, random.randrange(1, session.version + 1))
        case 8 if session is not None:
            if process.store.load_session("f") is not None:
                process.delete("f")
            process.fork(session_id, "f")
        case _:
            session = session or Session.with_id(USER, session_id)
            for _ in range(random.randrange(1, 5)):
                session.add_user_message(a_text(random))
            process.save(session)


def _create(process: Process, random: Random) -> None:
    try:
        process.save(a_session(random))
    except VersionConflictError:
        process.update("s", a_text(random))


def _say(process: Process, random: Random, times: int) -> None:
    for _ in range(times):
        process.update("s", a_text(random))
