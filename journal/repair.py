"""Repair: mending what a diagnosis finds. Every byte that is cut or replaced is kept in quarantine."""

import itertools
import os
import secrets
from collections.abc import Iterator

from journal import disk as disks
from journal.diagnosis import taken_in, what_stays
from journal.errors import CorruptSnapshotError, DurabilityError, JournalError, SessionNotFoundError
from journal.examination import Found, Wishes, examine
from journal.folded import Setting
from journal.handle import ANY, Handle
from journal.log import Log
from journal.overtaking import until_current
from journal.pieces import as_pending, header_of
from journal.quarantine import keep
from journal.reader import TornTail
from journal.record import Pending, encode_batch, prepare
from journal.salvage import Salvage
from journal.snapshot import Snapshot, write_snapshot
from journal.tombstones import Tombstone, add_tombstone
from projections.events import Change, JournalRepaired, SessionCreated
from projections.messages import utc_now


def repair(setting: Setting, session_id: str, wishes: Wishes, *, by: str | None = None) -> list[str]:
    """Mend what `diagnose` finds; say what was done, a sentence a step. `by` goes on record.

    Each step is all or nothing: after a crash, repair again. Raises SessionNotFoundError, DurabilityError.
    """
    done: list[str] = []
    try:
        while len(done) < len(_MENDERS) and (said := _mend_next(setting, session_id, wishes, by)) is not None:
            done.append(said)
    except SessionNotFoundError:
        if not done:  # else that was the end of it
            raise
    except OSError as error:
        if isinstance(error, JournalError):
            raise
        path = setting.layout.journal(session_id)
        raise DurabilityError(path, f"a repair failed: {error.strerror}", outcome_unknown=False) from error
    return done


@until_current
def _mend_next(setting: Setting, session_id: str, wishes: Wishes, by: str | None) -> str | None:
    """Mend one thing, looked at anew under the lock: another process may have been first."""
    handle = Handle(setting, session_id)
    try:
        with handle.log.existing:
            found = examine(setting, handle.log, wishes)
            if found.hopeless:
                return None
            said = (mend(setting, handle, found, by) for mend in _MENDERS)
            return next((each for each in said if each is not None), None)
    finally:
        handle.log.close()


# Each says what it did, or None where there is nothing for it to do.


def _cut_tail(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    if not isinstance(found.problem, TornTail):
        return None
    size = found.size_bytes - found.good.offset
    handle.append([], ANY)  # a writer's first deed is to cut a torn tail off
    return f"moved the last {size:,} bytes of {handle.log.path} to {setting.layout.quarantine}."


def _mend_damage(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    log, salvage, offset = handle.log, found.salvage, found.good.offset
    if salvage is None:
        return None
    assert log.fd is not None
    setting.mark(log.session_id)
    kept = keep(setting.disk, setting.layout.quarantine, f"{log.session_id}.{offset}", log.fd, offset)
    if not found.has_journal:
        _set_aside(setting, log.session_id, found)
        handle.delete(by=by, why=f"no record of it could be read; what there was is in {kept}")
        return f"moved {found.size_bytes - offset:,} bytes to {kept}; {what_stays(found)}."
    told = JournalRepaired(
        offset=offset,
        size_bytes=found.size_bytes - offset,
        reason=f"{salvage.faults[0].short()}; {what_stays(found)}",
        quarantine=os.path.basename(kept),
        erased=tuple(record_id for record_id, _ in salvage.erased.values()),
        erased_types=tuple(was for _, was in salvage.erased.values()),
    )
    before = [_beginning(handle, found, by), [prepare(Change(event=told, at=utc_now()), by)]]
    behind = [prepare(change, by) for change in found.known]
    log.replace(_mended(log, salvage, before, behind), durable=True)
    if not found.is_foreign:  # else it is taken in next
        _set_aside(setting, log.session_id, found)
    return f"kept {found.size_bytes - offset:,} bytes as {kept}; {what_stays(found)}."


def _beginning(handle: Handle, found: Found, by: str | None) -> list[Pending]:
    """The first record, where it cannot stay in its place, or what takes the place of one that is lost."""
    salvage = found.salvage
    if salvage is not None and salvage.first is not None:
        return [as_pending(salvage.line(salvage.first))]
    if found.begins == "created":
        created = SessionCreated(session_id=handle.session_id, user_id=found.state.user_id)
        return [prepare(Change(event=created, at=utc_now()), by)]
    if found.begins == "adopted":
        assert found.heir is not None
        return handle._adoption(found.heir.text.decode())
    return []


def _mended(
    log: Log, salvage: Salvage, before: list[list[Pending]], behind: list[Pending]
) -> Iterator[bytes]:
    """The journal's new bytes: what can be trusted, what the chain proves, what is told, what can be read."""
    assert log.fd is not None
    yield from disks.chunks(log.disk, log.fd, 0, salvage.good.offset)
    for kept in salvage.stays:
        yield salvage.line(kept) + b"\n"
    version, chain, _ = salvage.end
    for batch in filter(None, itertools.chain(before, _appended_anew(salvage), [behind])):
        data, version, chain = encode_batch(batch, version, chain)
        yield data


def _appended_anew(salvage: Salvage) -> Iterator[list[Pending]]:
    """Readable records in their old batches. Only their numbers and their chains are new."""

    def batch_of(line: bytes) -> int:
        header = header_of(line)
        assert header is not None
        return header.first

    for _, batch in itertools.groupby(map(salvage.line, salvage.again), batch_of):
        yield list(map(as_pending, batch))


def _note_erased(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    untold = found.erasures.untold
    if not untold:
        return None
    told = JournalRepaired(
        offset=min(each.offset for each in untold.values()),
        size_bytes=0,
        reason="content was taken out, and no record said so",
        quarantine="",
        erased=tuple(untold),
        erased_types=tuple(each.was for each in untold.values()),
    )
    version = handle.append([Change(event=told, at=utc_now())], ANY, by=by)
    return f"record {version} says now that the content of {len(untold):,} is gone."


def _take_in(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    snapshot = found.snapshot
    if not found.has_journal or not isinstance(snapshot, Snapshot) or not found.is_foreign:
        return None
    changes = taken_in(found, snapshot)
    version = handle.append(changes, ANY, by=by)
    kept = _rewrite_snapshot(setting, handle, found)
    return (
        f"took {len(changes)} event{'s' * (len(changes) != 1)} in, the journal is at version {version}; "
        f"the other program's file is kept as {kept}."
    )


def _rebuild(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    is_wrong = found.is_altered or isinstance(found.snapshot, CorruptSnapshotError)
    if not (found.has_journal and is_wrong):
        return None
    kept = _rewrite_snapshot(setting, handle, found)
    return f"rebuilt {found.snapshot_path} from the journal; what was there is kept as {kept}."


def _end(setting: Setting, handle: Handle, found: Found, by: str | None) -> str | None:
    """A file that is no session file, without a journal: nothing can go on from it."""
    if (
        found.good.version
        or found.salvage is not None
        or not isinstance(found.snapshot, CorruptSnapshotError)
    ):
        return None
    setting.mark(handle.session_id)
    kept = _set_aside(setting, handle.session_id, found)
    tombstone = Tombstone(
        id=handle.session_id,
        version=0,
        chain="",
        at=utc_now(),
        by=by,
        why=f"{found.snapshot_path} was no session file; it is kept as {kept}",
    )
    add_tombstone(setting.disk, setting.layout.tombstones, tombstone, durable=True)
    return f"moved {found.snapshot_path}, which is no session file, to {kept}; the session ends."


_MENDERS = (_end, _cut_tail, _mend_damage, _note_erased, _take_in, _rebuild)


def _rewrite_snapshot(setting: Setting, handle: Handle, found: Found) -> str | None:
    """Set the snapshot aside and write a new one; where the old one is kept now."""
    setting.mark(handle.session_id)
    # A wrong snapshot at its path must not be where this fold begins.
    kept = _set_aside(setting, handle.session_id, found)
    fresh = Handle(setting, handle.session_id)
    try:
        state = fresh.read()
        assert state is not None
        write_snapshot(setting.disk, found.snapshot_path, state, fresh.log.position, durable=setting.durable)
    finally:
        fresh.log.close()
    return kept


def _set_aside(setting: Setting, session_id: str, found: Found) -> str | None:
    """Move the snapshot into quarantine: it may be the last to know what damaged records said.

    Moved, not copied: another program may write it at this moment, and locks nothing.
    """
    disk, folder = setting.disk, setting.layout.quarantine
    if disk.status(found.snapshot_path) is None:
        return None
    disks.check_folders(disk, setting.layout.base, folder)
    disks.make_folders(disk, folder)
    disks.sync_names(disk, folder)  # else a crash could keep the rename and lose the folder
    kept = os.path.join(folder, f"{session_id}.json.{secrets.token_hex(4)}")
    disk.rename(found.snapshot_path, kept)
    disks.sync_names(disk, kept)
    disk.sync_folder(os.path.dirname(found.snapshot_path))
    return kept
