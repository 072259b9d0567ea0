"""The check of one state: new processes open what a crash left, read it, and go on with it."""

import traceback
from collections import Counter
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec

from crash.images import Image
from crash.simulate_process import USER, Process
from crash.simulate_promises import Broken, Call, Key, Promise, SessionPromise, batches
from crash.simulate_world import World
from crash.simulated_disk import Endless
from crash.simulated_volume import File, Folder, Volume
from journal import JournalError, Session, StateStore, VersionConflictError
from journal.disk import STALE_AFTER_SECONDS
from journal.lineage import origin_of
from journal.tombstones import Tombstone

# What a crash left behind is mended in some dozens of calls.
_MOST_CALLS: Final = 5_000
_ID: Final = b',"id":"'


class _Found(NamedTuple):
    """What is there of a session: what it says, its journal up to there, and what stands behind that."""

    session: Session | None
    journal: bytes = b""
    tail: bytes = b""


def check(
    world: World,
    image: Image,
    point: int,
    promise: Promise,
    figures: Counter[str],
    *,
    closeness: int = 2,
    ends: bool = True,
) -> World:
    """Hold an image against what was promised at a point; return the world in which it was mended.

    closeness  1: `verify` is asked also where loading has checked every hash itself, because there is no
               snapshot; 2: and the lists, closing, and the snapshots that this writes
    ends       nobody will crash that world in its turn

    Raises Broken.
    """
    if image.power:
        after = world.after_power_cut(image.volume, ends=ends)
    else:
        after = world.after_kill(image.volume, point, ends=ends)
    after.erased = promise.erased
    try:
        _check_erased(after)
        process = Process(after, most_calls=_MOST_CALLS)
        found = {
            each: _look(process, each, what, figures, closeness) for each, what in promise.sessions.items()
        }
        documents = _look_at_documents(process.store, promise)
        if image.power:
            _note(after, found, documents, promise)
        if closeness > 1:
            _age(after.volume)
            _check_lists(process.store, found, documents)
            _check_sweeping(after, documents)
        under_way = [call for call in after.calls if call.retry is not None and call.is_under_way(after.now)]
        # An erasure is one call, of each session that it changes.
        erasures = {call.place: call for call in under_way if call.kind == "erasure"}
        under_way = [call for call in under_way if call.kind != "erasure" or erasures[call.place] is call]
        expected: dict[str, Session] = {}
        for call in under_way:
            session = _again(process, call)
            if session is not None:
                expected[session.id] = session
            elif call.kind == "deletion":
                expected.pop(str(call.thing), None)
            elif call.kind == "erasure":
                expected.clear()  # others may have it, too
        for session_id in found:
            # A retry that wrote something was a save.
            if closeness > 1 or session_id not in expected:
                expected[session_id] = _save(process, session_id)
        for key in documents:
            process.save_document(key, _more(key))
        if not any(call.kind == "erasure" for call in under_way):  # which empties the quarantine
            _check_kept(after, found, {call.thing for call in under_way if call.kind == "deletion"})
        _check_erased(after)
        _expect(after, expected, documents, closeness)
        if closeness > 1:
            process.store.close()
            _expect(after, expected, documents, closeness)
    except Broken:
        raise
    except (Exception, Endless) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise Broken(f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})") from error
    return after


# What is there


def _look(
    process: Process, session_id: str, promise: SessionPromise, figures: Counter[str], closeness: int
) -> _Found:
    world, store = process.world, process.store
    before = world.journal(session_id)
    damage: object
    try:
        session = store.load_session(session_id)
        damage = [] if session is None else _findings(process, session_id, closeness)
    except JournalError as error:
        damage = error
    if damage:
        if not promise.is_loose:
            raise Broken(f"damage is found: {damage}")
        figures["repairs of damage"] += 1
        world.damaged.add(session_id)
        if not promise.may_start_over:
            _check_readable(store, session_id, promise)
        process.repair(session_id)
        session = store.load_session(session_id)
        if session is not None and (findings := store.verify(session_id).findings):
            raise Broken(f"damage is found after the repair: {findings}")
    if session is None:
        _check_gone(world, session_id, promise)
        return _Found(None)
    journal = _check_journal(world, session, promise)
    tail = b"" if damage else before[len(journal) :]
    figures["torn tails"] += bool(tail)
    return _Found(session, journal, tail)


def _findings(process: Process, session_id: str, closeness: int) -> list[str]:
    has_snapshot = process.world.volume.data(process.world.layout.snapshot(session_id)) is not None
    return process.store.verify(session_id).findings if closeness or has_snapshot else []


def _check_readable(store: StateStore, session_id: str, promise: SessionPromise) -> None:
    """What was acknowledged before damage can be read."""
    least = max((batch.version for batch in batches(promise.must)), default=0)
    version = 0
    try:
        for record in store.records(session_id):
            version = record.seq
    except JournalError:
        pass
    if version < least:
        raise Broken(f"of {least} acknowledged records before damage, {version} can be read")


def _check_gone(world: World, session_id: str, promise: SessionPromise) -> None:
    if not promise.may_be_gone:
        raise Broken(f"session {session_id!r} is not there")
    notes = 0
    for line in (world.volume.data(world.layout.tombstones) or b"").split(b"\n"):
        try:
            notes += msgspec.json.decode(line, type=Tombstone).id == session_id
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # a crash left a part of it
    if notes < promise.deletions + promise.is_going:
        raise Broken(f"session {session_id!r} is gone, and has {notes} tombstones")


def _check_journal(world: World, session: Session, promise: SessionPromise) -> bytes:
    """What stands is what was acknowledged, then whole batches; and the session says what they say."""
    whole = world.journal(session.id)
    journal, content = b"", promise.unrecorded
    if session.version:
        at = next((batch for batch in batches(whole) if batch.version == session.version), None)
        if at is None:
            raise Broken(f"session {session.id!r} is at version {session.version}, where no batch ends")
        journal, content = whole[: at.end], world.contents.get((session.id, at.last_id))
        forked = origin_of(whole.partition(b"\n")[0])
        if forked is not None and session.version < forked[1]:
            raise Broken(f"session {session.id!r} is a fork at version {forked[1]}, and ends at {at.version}")
    grew = [each for each in promise.grew if each.startswith(journal)]
    if journal and not grew and not promise.is_loose:
        raise Broken(f"session {session.id!r} has {len(journal)} bytes that nobody wrote")
    # Of a deletion that was not synced the snapshot may be left, or the session that began after it, damaged.
    is_another = promise.may_start_over and (
        promise.is_loose or not all(each.startswith(promise.must) for each in grew)
    )
    if not journal.startswith(promise.must) and not is_another:
        raise Broken(f"session {session.id!r} has {len(journal)} bytes, not the {len(promise.must)} promised")
    if session != content and not (promise.is_loose and _was_said(world, session)):
        raise Broken(f"it says {_told(session)}, not {_told(content)}")
    return journal


def _was_said(world: World, session: Session) -> bool:
    """Whether all that it says was said in it at some time, and nothing twice."""
    known = {
        message
        for each in (*world.contents.values(), *world.unrecorded.values())
        if each.id == session.id
        for message in (*each.user_messages, *each.agent_responses)
    }
    said = [*session.user_messages, *session.agent_responses]
    return known.issuperset(said) and len(said) == len(set(said))


def _look_at_documents(store: StateStore, promise: Promise) -> dict[Key, Any]:
    """What each document says; an Ellipsis where it says nothing that can be read."""
    found: dict[Key, Any] = {}
    for key, what in promise.documents.items():
        try:
            found[key] = _load(store, key)
        except JournalError:
            found[key] = ...
        if not what.is_loose and found[key] not in what.values:
            raise Broken(f"document {key} says {found[key]!r}, not one of {what.values}")
    return found


def _note(after: World, found: dict[str, _Found], documents: dict[Key, Any], promise: Promise) -> None:
    """What a power cut left is on disk: that it stays is promised from now on."""
    for session_id, (session, journal, _) in found.items():
        what = promise.sessions[session_id]
        if session is not None and session.version == 0:
            after.unrecorded[session_id] = session
        elif session is not None or what.deletions or what.is_going:
            after.calls.append(
                Call(
                    thing=session_id,
                    leads_to=session,
                    begun=0,
                    ended=0,
                    durable=True,
                    journal=what.must if session_id in after.damaged else journal,
                    kind="deletion" if session is None else "change",
                )
            )
    for key, value in documents.items():
        after.calls.append(Call(thing=key, leads_to=value, begun=0, ended=0, durable=True))
    after.calls += (
        replace(call, begun=0, ended=None, refused=None)
        for call in promise.under_way
        # Where somebody repaired a session, an earlier call may not be what it was.
        if call.thing not in after.damaged or call.kind == "repair"
    )


def _check_lists(store: StateStore, found: dict[str, _Found], documents: dict[Key, Any]) -> None:
    """Everything that is there is listed, and nothing else: no leftover of a crash."""
    page = store.list_sessions()
    listed = sorted(summary.id for summary in page)
    there = sorted(session_id for session_id, each in found.items() if each.session is not None)
    if listed != there or page.unreadable:
        raise Broken(f"the sessions {listed} are listed, not {there}, and {page.unreadable}")
    for category in {category for category, _, _ in documents}:
        listed = store.list_category(category)
        there = sorted(
            {key[1] for key, value in documents.items() if key[0] == category and value is not None}
        )
        if listed != there:
            raise Broken(f"the documents {listed} are listed in {category!r}, not {there}")


def _age(volume: Volume) -> None:
    for node in volume.nodes.values():
        node.mtime_ns -= 2 * int(STALE_AFTER_SECONDS * 1e9)


def _check_sweeping(world: World, documents: dict[Key, Any]) -> None:
    """Where something was listed, what crashed writers left there long ago is gone."""
    for path in (world.layout.sessions, *(world.layout.category(category) for category, _, _ in documents)):
        folder = world.volume.at(path)
        left = [name for name in folder.names if name.endswith(".tmp")] if isinstance(folder, Folder) else []
        if left:
            raise Broken(f"temporary files are left in {path}: {left}")


# Going on


def _again(process: Process, call: Call) -> Session | None:
    """A retry of what was under way is never doubled, and never refused without a reason.

    What the session says then, if it was the retry that wrote it.
    """
    if not isinstance(call.thing, str):
        process.again(call)
        return None
    before = process.store.load_session(call.thing)
    if before is None:
        goes_on = call.base == 0
    else:
        # Whoever begins a session does not go on from another program's file.
        chains = (None, before._chain) if call.base else (before._chain,)
        goes_on = before.version == call.base and call.chain in chains
    written = [batch.last_id for batch in batches(process.world.journal(call.thing))]
    leads_to = process.outcome(call)
    expected = before if call.last_id in written else leads_to
    try:
        is_done = process.again(call)
        expected = expected if is_done else before
    except VersionConflictError as error:
        if goes_on or written[-1:] == [call.last_id]:
            raise Broken(f"a retry is refused: {error}") from error
        expected = before
    now = process.store.load_session(call.thing)
    is_open = (
        call.kind == "repair"
        # What an import writes has no ids beforehand: that it is there already does not show.
        or (not call.last_id and now == before)
        # A crash may have given a number to another record, which a repair wrote.
        or (call.by_number and not goes_on)
    )
    if now != expected and not is_open:
        raise Broken(f"after a retry it says {_told(now)}, not {_told(expected)}")
    return now if call.last_id and expected is leads_to else None


def _save(process: Process, session_id: str) -> Session:
    session = process.store.load_session(session_id) or Session.with_id(USER, session_id)
    session.add_user_message("once more")
    process.save(session)
    return session


def _more(key: Key) -> Any:
    return "once more" if key[2] == ".md" else {"once": ["more"]}


def _load(store: StateStore, key: Key) -> Any:
    category, name, ending = key
    return store.load_markdown(category, name) if ending == ".md" else store.load_json(category, name)


def _check_kept(world: World, found: dict[str, _Found], deleted: set[str | Key]) -> None:
    """Nothing that was cut is gone."""
    tails = [
        tail
        for session_id, (_, journal, tail) in found.items()
        if tail and session_id not in deleted and not world.journal(session_id).startswith(journal + tail)
    ]
    if tails or world.kept:
        files = [node.data for node in world.volume.nodes.values() if isinstance(node, File) and node.links]
        for data in (*tails, *world.kept):
            if not any(data in each for each in files):
                raise Broken(f"{len(data)} bytes that were cut are in no file")


def _check_erased(world: World) -> None:
    """What was erased is in no file that can be found."""
    if erased := world.erased_at(world.now):
        for node in world.volume.nodes.values():
            if isinstance(node, File) and node.links and any(text in node.data for text in erased):
                raise Broken(f"{len(node.data)} bytes hold what was erased")


def _expect(world: World, expected: dict[str, Session], documents: dict[Key, Any], closeness: int) -> None:
    """In a process that begins anew, everything is there once, and proved."""
    process = Process(world, most_calls=_MOST_CALLS)
    store = process.store
    for session_id, session in expected.items():
        found = store.load_session(session_id)
        if found != session:
            raise Broken(f"after the next save it says {_told(found)}, not {_told(session)}")
        if findings := _findings(process, session_id, closeness):
            raise Broken(f"after the next save, damage is found: {findings}")
        ids = [line.partition(_ID)[2][:36] for line in world.journal(session_id).split(b"\n")[:-1]]
        if len(ids) != len(set(ids)):
            raise Broken(f"session {session_id!r} has a record twice")
    for key in documents:
        if (value := _load(store, key)) != _more(key):
            raise Broken(f"after the next save, document {key} says {value!r}")


def _told(session: Session | None) -> str:
    if not isinstance(session, Session):
        return repr(session)
    said = [f"{message.content[:12]!r} ({len(message.content)})" for message in session.user_messages]
    return f"{session} [{', '.join(said)}]"
