"""Workloads of one process at a time: saves, snapshots, deletions, documents, imports; repairs and faults."""

import contextlib
import errno
from pathlib import Path
from random import Random
from typing import Final

from crash.simulate_process import Process
from crash.simulate_world import World
from crash.simulated_disk import BASE
from crash.workloads import BOTH, a_session, a_text, go_on, workload
from journal import DurabilityError
from projections import CustomEvent, MetadataSet, UserMessageAdded

CONVERSATION: Final = Path(__file__).parent / "conversation.jsonl"
FOREIGN: Final = b"""{
  "id": "%b",
  "user_id": "user",
  "user_messages": [
    {
      "content": "Written by another program",
      "timestamp": "2026-11-22T12:00:00.123456Z"
    }
  ],
  "agent_responses": [],
  "created_at": "2026-11-22T12:00:00Z",
  "updated_at": "2026-11-22T12:00:00.123456Z",
  "metadata": {}
}"""


@workload(variants=2, base=f"{BASE}/of/many/levels/store")
def first_save(world: World, random: Random, variant: int) -> None:
    """A store that does not exist yet, nor the folders above it."""
    process = Process(world, BOTH[variant])
    session = a_session(random)
    process.save(session)
    session.add_agent_response("An answer")
    process.save(session)


@workload(variants=2)
def batches(world: World, random: Random, variant: int) -> None:
    """Several saves, each a batch of one to five records, some of them long."""
    process = Process(world, BOTH[variant], actor="agent:planner")
    session = a_session(random)
    process.save(session)
    for size in random.sample(range(1, 6), 4):
        for _ in range(size):
            session.add_user_message(a_text(random))
        process.save(session)


@workload(variants=2)
def appends(world: World, random: Random, variant: int) -> None:
    """Appends with a key, and updates."""
    process = Process(world, BOTH[variant])
    process.save(a_session(random))
    process.append("s", [CustomEvent(name="began"), UserMessageAdded(content=a_text(random))], key="one")
    process.update("s", a_text(random))
    process.append("s", [MetadataSet(key="mood", value={"good": [True]})], key="two")


@workload(variants=2)
def attachments(world: World, random: Random, variant: int) -> None:
    """Payloads beside the records: a new one, one that is there already, another one."""
    process = Process(world, BOTH[variant])
    process.save(a_session(random))
    for number, payload in enumerate((b"a picture", b"a picture", b"a page" * 500)):
        reference = process.store.attach(payload)
        process.append("s", [CustomEvent(name="seen", data=reference)], key=f"seen {number}")


@workload(variants=4)
def snapshots(world: World, random: Random, variant: int) -> None:
    """A snapshot at each save, and at each close of a store."""
    durability = BOTH[variant % 2]
    process = Process(world, durability, snapshots=("always", "auto")[variant // 2])
    session = a_session(random)
    for _ in range(3):
        process.save(session)
        process.store.compact("s")
        session.add_user_message(a_text(random))
    process.save(session)
    process.store.close()
    Process(world, durability).update("s", a_text(random))


@workload(variants=2)
def long_session(world: World, random: Random, variant: int) -> None:
    """A session that becomes so long that it gets a snapshot, and goes on."""
    process = Process(world, BOTH[variant])
    session = a_session(random)
    session.add_user_message("long " * 7_000)
    process.save(session)
    session.add_agent_response("long " * 7_000)
    process.save(session)
    Process(world, BOTH[variant]).update("s", a_text(random))


@workload(variants=4)
def torn_tail(world: World, random: Random, variant: int) -> None:
    """A save behind what a crash left of another."""
    process = Process(world)
    session = a_session(random)
    process.save(session)
    whole = world.journal("s")
    session.add_user_message(a_text(random))
    session.add_user_message(a_text(random))
    process.save(session)
    batch = world.journal("s")[len(whole) :]
    kept = batch[: random.randrange(1, len(batch))]
    tail = (kept, bytes(len(batch)), random.randbytes(len(batch)), kept.ljust(len(batch), b"\0"))[variant]
    world.forget_calls(1)
    world.begin_here()
    world.put(world.layout.journal("s"), whole + tail)
    Process(world).update("s", a_text(random))
    Process(world).update("s", a_text(random))


@workload(variants=4)
def deletions(world: World, random: Random, variant: int) -> None:
    """A session is deleted, and another one begins under its id."""
    durability = BOTH[variant % 2]
    process = Process(world, durability)
    session = a_session(random)
    process.save(session)
    if variant // 2:
        process.store.compact("s")
    process.save(a_session(random, "other"))
    process.delete("s")
    process.save(a_session(random, messages=2))
    process.update("s", a_text(random))
    Process(world, durability).delete("s")


@workload(variants=4)
def adoption(world: World, random: Random, variant: int) -> None:
    """The first changes of a session that another program wrote."""
    world.put_foreign("s", FOREIGN % b"s")
    process = Process(world, BOTH[variant % 2], snapshots="always" if variant // 2 else "auto")
    process.update("s", a_text(random))
    process.update("s", a_text(random))
    process.store.compact("s")


@workload(variants=4)
def documents(world: World, random: Random, variant: int) -> None:
    """Documents are kept, replaced and dropped."""
    process = Process(world, BOTH[variant % 2])
    note, setting = ("notes", "a", ".md"), ("settings/of/many", "levels", ".json")
    process.save_document(note, a_text(random))
    process.save_document(setting, {"temperature": 0.5, "stop": [a_text(random)]})
    process.save_document(note, a_text(random))
    if variant // 2:
        process = Process(world, BOTH[variant % 2])
    process.delete_document(note)
    process.save_document(setting, {"temperature": 1.0})
    process.save_document(note, a_text(random))


@workload(variants=2)
def imported(world: World, random: Random, variant: int) -> None:
    """A conversation is imported, and goes on."""
    process = Process(world, BOTH[variant])
    process.take_in(str(CONVERSATION), "s")
    process.update("s", a_text(random))


# Repairs


@workload(variants=6)
def repair_of_damage(world: World, random: Random, variant: int) -> None:
    """A record is damaged, in the middle or at the beginning; what comes before it stays."""
    has_snapshot, place = variant % 2, variant // 2
    process = Process(world)
    session = a_session(random)
    process.save(session)
    good = world.journal("s") if place else b""
    for _ in range(2):
        session.add_user_message(a_text(random))
        process.save(session)
    if has_snapshot:
        process.store.compact("s")
    damaged = bytearray(world.journal("s"))
    damaged[len(good) + random.randrange(20, 200)] ^= 1 << random.randrange(8)
    world.forget_calls(2 if place else 3)
    world.begin_here()
    world.put(world.layout.journal("s"), bytes(damaged))
    world.damaged.add("s")
    world.kept.append(bytes(damaged[len(good) :]))
    process = Process(world, "os" if place == 2 else "disk")
    process.repair("s")
    if process.store.load_session("s") is not None:
        process.update("s", a_text(random))


@workload(variants=3)
def repair_of_a_snapshot(world: World, random: Random, variant: int) -> None:
    """A snapshot is broken, or another program rewrote it, and what that says is taken in."""
    process = Process(world)
    process.save(a_session(random))
    process.update("s", a_text(random))
    world.begin_here()
    snapshot = (FOREIGN % b"s", FOREIGN % b"t", FOREIGN[: len(FOREIGN) // 2])[variant]
    world.put(world.layout.snapshot("s"), snapshot)
    world.damaged.add("s")
    world.kept.append(snapshot)
    process = Process(world)
    process.repair("s")
    process.update("s", a_text(random))


# Faults


@workload(variants=12)
def failed_sync(world: World, random: Random, variant: int) -> None:
    """A sync fails, its process ends, and another one goes on."""
    process = Process(world)
    process.disk.fail("sync", 1 + variant % 4, errno.EIO)
    session = a_session(random)
    with contextlib.suppress(DurabilityError):
        process.save(session)
        process.update("s", a_text(random))
        process.store.compact("s")
        process.append("s", [CustomEvent(name="a"), CustomEvent(name="b")], key="one")
    if variant // 4 == 1:
        go_on(Process(world), random)
    elif variant // 4 == 2 and world.calls[-1].retry is not None:
        Process(world).again(world.calls[-1])


@workload(variants=8)
def full_disk(world: World, random: Random, variant: int) -> None:
    """The disk is full in the middle of a save; then there is room again."""
    process = Process(world, BOTH[variant % 2], snapshots="always" if variant // 4 else "auto")
    session = a_session(random)
    if variant // 2 % 2:
        process.save(session)
        session.add_agent_response(a_text(random))
    process.disk.room = random.randrange(1500)
    with contextlib.suppress(DurabilityError):
        process.save(session)
        session.add_user_message(a_text(random))
        process.save(session)
    process.disk.room = None
    if session.has_unsaved_changes:
        process.save(session)
    session.add_user_message(a_text(random))
    process.save(session)
