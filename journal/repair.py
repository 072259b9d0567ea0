"""Repair: mending what a diagnosis finds. Every byte that is cut or replaced is kept in quarantine."""

import itertools
import os
from collections.abc import Callable

from journal import disk as disks
from journal.diagnosis import Found, Kind, diagnose, examine, taken_in, what_stays
from journal.errors import CorruptRecordError, CorruptSnapshotError
from journal.folded import Setting
from journal.handle import ANY, Handle
from journal.log import Log
from journal.quarantine import keep
from journal.reader import TornTail
from journal.record import encode_batch, prepare
from journal.snapshot import Snapshot, write_snapshot
from projections.events import Change, JournalRepaired, SessionAdopted
from projections.messages import utc_now


def repair(setting: Setting, session_id: str, *, by: str | None = None) -> list[str]:
    """Mend what `diagnose` finds; say what was done, a sentence a step. `by` goes on record.

    Each step is all or nothing: after a crash, repair again. Raises SessionNotFoundError, DurabilityError.
    """
    done = []
    for step in diagnose(setting, session_id).steps:
        handle = Handle(setting, session_id)
        try:
            # Under the lock it is looked at again: another process may have been first.
            with handle.log.existing:
                found = examine(setting, handle.log)
                sentence = _MENDERS[step.kind](setting, handle, found, by)
        finally:
            handle.log.close()
        if sentence is not None:
            done.append(sentence)
    return done


# Mending: each under the session's lock, with what was found there a moment ago.


def _cut_tail(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    if not isinstance(found.problem, TornTail):
        return None
    size = found.size_bytes - found.good.offset
    handle.append([], ANY)  # a writer's first deed is to cut a torn tail off
    return f"moved the last {size:,} bytes of {handle.log.path} to {setting.layout.quarantine}."


def _cut_damage(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    log, problem = handle.log, found.problem
    if not isinstance(problem, CorruptRecordError) or found.is_newer:
        return None
    assert log.fd is not None
    setting.mark(log.session_id)
    name = f"{log.session_id}.{found.good.offset}"
    tail = keep(setting.disk, setting.layout.quarantine, name, log.fd, found.good.offset)
    _quarantine_snapshot(setting, log.session_id, found)
    batch = []
    if not found.has_journal and found.heir is not None:
        batch.append(Change(event=SessionAdopted(document=found.heir.text.decode()), at=utc_now()))
    if found.has_journal or batch:
        event = JournalRepaired(
            offset=found.good.offset,
            size_bytes=found.size_bytes - found.good.offset,
            reason=f"record {problem.seq}, byte {problem.offset}: {problem.reason}",
            quarantine=os.path.basename(tail),
        )
        batch.append(Change(event=event, at=utc_now()))
    if batch:
        pending = [prepare(change, by=by) for change in batch]
        data, _, _ = encode_batch(pending, found.good.version, found.good.chain)
        _replace_end(setting, log, found.good.offset, data)
    else:
        disks.remove_file(setting.disk, found.snapshot_path, durable=True)
        disks.remove_file(setting.disk, log.path, durable=True)
    return f"moved {found.size_bytes - found.good.offset:,} bytes to {tail}; {what_stays(found)}."


def _take_in(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    snapshot = found.snapshot
    if not found.has_journal or not isinstance(snapshot, Snapshot) or not found.is_foreign:
        return None
    changes = taken_in(found, snapshot)
    kept = _quarantine_snapshot(setting, handle.session_id, found)
    version = handle.append(changes, ANY, by=by)
    _rewrite_snapshot(setting, handle, found)
    return (
        f"took {len(changes)} event{'s' * (len(changes) != 1)} in, the journal is at version {version}; "
        f"the other program's file is kept as {kept}."
    )


def _rebuild(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    is_wrong = found.is_altered or isinstance(found.snapshot, CorruptSnapshotError)
    if not (found.has_journal and is_wrong):
        return None
    kept = _quarantine_snapshot(setting, handle.session_id, found)
    _rewrite_snapshot(setting, handle, found)
    return f"rebuilt {found.snapshot_path} from the journal; what was there is kept as {kept}."


def _rewrite_snapshot(setting: Setting, handle: Handle, found: Found) -> None:
    # A wrong snapshot at its path must not be where this fold begins.
    setting.mark(handle.session_id)
    disks.remove_file(setting.disk, found.snapshot_path, durable=True)
    fresh = Handle(setting, handle.session_id)
    try:
        state = fresh.read()
        assert state is not None
        write_snapshot(setting.disk, found.snapshot_path, state, fresh.log.position, durable=setting.durable)
    finally:
        fresh.log.close()


_MENDERS: dict[Kind, Callable[[Setting, Handle, Found, str | None], str | None]] = {
    "torn_tail": _cut_tail,
    "damage": _cut_damage,
    "foreign_snapshot": _take_in,
    "broken_snapshot": _rebuild,
    "altered_snapshot": _rebuild,
}


# Keeping


def _quarantine_snapshot(setting: Setting, session_id: str, found: Found) -> str | None:
    """Keep a copy of the snapshot's file: it may be the last to know what damaged records said."""
    try:
        fd = setting.disk.open(found.snapshot_path)
    except FileNotFoundError:
        return None
    try:
        return keep(setting.disk, setting.layout.quarantine, f"{session_id}.json", fd, 0)
    finally:
        setting.disk.close(fd)


def _replace_end(setting: Setting, log: Log, end: int, data: bytes) -> None:
    """A new journal in the old one's place: its bytes up to `end`, then `data`; whole or not at all.

    A new file, not a shorter one: whoever had read past `end` must notice that what it read is void.
    """
    assert log.fd is not None
    pieces = itertools.chain(disks.chunks(setting.disk, log.fd, 0, end), [data])
    disks.replace_file(setting.disk, log.path, pieces, durable=True)
