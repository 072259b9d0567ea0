"""Erasing: the content of records goes for good, wherever the store keeps it; that it was there stays proven.

See docs/reference/format.md for what is left of a record.
"""

import contextlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from journal import disk as disks
from journal.chain import Damage
from journal.derived import remove_database
from journal.errors import (
    CorruptRecordError,
    CorruptSnapshotError,
    DurabilityError,
    InvalidEventError,
    JournalError,
    SessionNotFoundError,
)
from journal.event_json import event_type
from journal.folded import Setting
from journal.foreign import is_foreign
from journal.handle import Handle
from journal.overtaking import until_current
from journal.reader import Reader, beginning
from journal.rechain import without_content
from journal.record import Pending, decode_record, encode_batch, prepare
from journal.references import references_in_events
from journal.search_index import forget
from journal.snapshot import read_snapshot
from projections.difference import is_same
from projections.erasure import ErasedContent, holds_a_state, keys_said_by, keys_taken_by, why_kept
from projections.events import Change, ContentErased, Erased, Record, SessionReplaced
from projections.messages import utc_now
from projections.session import Session, SessionProjection, apply_event

# Of these, parts stand in the catalog: whose a session is, its active seed.
_IN_THE_CATALOG: Final = frozenset(
    ("active_seed_set", "session_replaced", "session_adopted", "session_rewound", "session_forked")
)


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What was erased of one session, or would be.

    versions    the records, with the types that they had; those too that repeat the content of others
    quarantine  the files of damaged bytes that go with it: they may hold some of it
    attachments the digests of those that go with it, because nothing else refers to them
    """

    session_id: str
    versions: list[int]
    types: list[str]
    quarantine: list[str] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)

    def and_(self, other: "Erasure") -> "Erasure":
        """Both together, of the same session."""
        pairs = dict(zip(self.versions, self.types, strict=True))
        pairs |= dict(zip(other.versions, other.types, strict=True))
        versions = sorted(pairs)
        return Erasure(
            session_id=self.session_id,
            versions=versions,
            types=[pairs[version] for version in versions],
            quarantine=sorted({*self.quarantine, *other.quarantine}),
            attachments=sorted({*self.attachments, *other.attachments}),
        )


@dataclass
class _Plan:
    """What is to go: the records by their numbers, in order, and what they say; whether some is gone."""

    going: dict[int, Record] = field(default_factory=dict)
    content: ErasedContent = field(default_factory=ErasedContent)
    is_gone: bool = False


def content_versions(handle: Handle) -> list[int]:
    """The numbers of all records whose content can be erased."""
    return [record.seq for record in _records(handle) if why_kept(record.event) is None]


@until_current
def erase(
    setting: Setting,
    session_id: str,
    versions: Collection[int],
    *,
    reason: str,
    by: str | None,
    cause: str | None,
    dry_run: bool,
    only_ids: Collection[str] | None = None,
) -> Erasure | None:
    """Erase the content of these records of one session, under its lock; None where there is nothing to do.

    `only_ids`: of the records with these numbers, those with these ids: in a fork, the copies. Derived files
    first, the journal last: after a crash, erase again; what is gone already is passed over. Raises
    SessionNotFoundError, InvalidEventError for a record that must stay, CorruptRecordError, DurabilityError.
    """
    handle = Handle(setting, session_id)
    log = handle.log
    try:
        with log.existing:
            if log.fd is not None:
                _refuse_foreign(setting, handle)
            state = handle.read() if log.fd is not None else None
            if state is None:
                if only_ids is not None:
                    return None  # a copy that was deleted meanwhile
                raise SessionNotFoundError(session_id)
            if not dry_run:  # it cuts a torn tail, which would change something
                state, _ = handle._begin()
            plan = _plan(handle, versions, only_ids)
            if not plan.going:
                if plan.is_gone and not dry_run:  # whoever erased it may not have come to the end
                    log.sync(anyway=True)
                    forget(setting.disk, setting.layout.search, [session_id])
                return None
            quarantined = _quarantined(setting, session_id)
            types = [event_type(record.event) for record in plan.going.values()]
            restored = [*_restoring(handle, plan, state)]
            referred = references_in_events(record.event for record in plan.going.values())
            referred -= references_in_events(change.event for change in restored)
            told = Erasure(
                session_id=session_id,
                versions=list(plan.going),
                types=types,
                quarantine=[os.path.basename(path) for path in quarantined],
                attachments=sorted(referred),
            )
            if dry_run:
                return told
            event = ContentErased(
                versions=told.versions, types=types, reason=reason, quarantine=told.quarantine
            )
            changes = [Change(event=event, at=utc_now()), *restored]
            batch = [prepare(change, by, cause=cause) for change in changes]
            setting.mark(session_id)
            _sweep(setting, handle, quarantined, types)
            log.replace(_rewritten(handle, plan, batch), durable=True)
            # Again: somebody may have searched in the old journal meanwhile.
            forget(setting.disk, setting.layout.search, [session_id])
            return told
    except OSError as error:
        if isinstance(error, JournalError):
            raise
        path = setting.layout.journal(session_id)
        reason = f"an erasure failed: {error.strerror}; some of it may be there still, so erase again"
        raise DurabilityError(path, reason, outcome_unknown=True) from error
    finally:
        log.close()


def _records(handle: Handle) -> Iterator[Record]:
    """Every record up to where the log has read, which checked them."""
    log = handle.log
    assert log.fd is not None
    for seq, (offset, line) in enumerate(_lines(handle), 1):
        try:
            yield decode_record(line)
        except Damage as damage:
            raise CorruptRecordError(log.path, offset, seq, damage.reason) from None


def _lines(handle: Handle) -> Iterator[tuple[int, bytes]]:
    log = handle.log
    assert log.fd is not None
    yield from Reader(log.disk, log.fd, log.path, beginning(log.session_id))


def _plan(handle: Handle, versions: Collection[int], only_ids: Collection[str] | None) -> _Plan:
    """Find the records that are named, and those that repeat what they say."""
    plan, missing = _Plan(), set(versions)
    for record in _records(handle):
        if not missing:
            break
        if record.seq not in missing:
            continue
        missing.discard(record.seq)
        if only_ids is not None and record.id not in only_ids:
            continue
        why = why_kept(record.event)
        if why is None:
            plan.going[record.seq] = record
            plan.content.add(record)
        elif isinstance(record.event, Erased):
            plan.is_gone = True
        elif only_ids is None:
            where = f"record {record.seq} of session {handle.session_id!r}"
            raise InvalidEventError(f"{where} cannot be erased: {why}; name others, or delete the session")
    if missing and only_ids is None:
        detail = f"its records are 1 to {handle.log.version}, there is no record {min(missing)}"
        raise SessionNotFoundError(handle.session_id, detail, exists=True)
    if plan.going:
        _add_what_repeats(plan, handle)
    plan.going = dict(sorted(plan.going.items()))
    return plan


def _add_what_repeats(plan: _Plan, handle: Handle) -> None:
    """Find the records that say some of it again; of the settings that are taken away, only their names."""
    names, taking = plan.content.keys(), []
    for record in _records(handle):
        if record.seq in plan.going:
            continue
        if plan.content.is_repeated_by(record):
            plan.going[record.seq] = record
            continue
        # A name that is said by what stays is no secret.
        names -= keys_said_by(record.event)
        if keys_taken_by(record.event):
            taking.append(record)
    plan.going |= {record.seq: record for record in taking if names & keys_taken_by(record.event)}


def _restoring(handle: Handle, plan: _Plan, state: Session) -> Iterator[Change]:
    """The change that brings back what goes with a whole state and was not to be erased."""
    if not any(holds_a_state(record.event) for record in plan.going.values()):
        return
    folded = SessionProjection().initial()
    for record in _records(handle):
        gone = record.seq in plan.going
        event = Erased(was=event_type(record.event)) if gone else record.event
        apply_event(folded, event, record.at)
    rest = plan.content.without(state, folded)
    if not is_same(rest, folded):
        yield Change(event=SessionReplaced(session=rest.to_document()), at=rest.updated_at)


def _refuse_foreign(setting: Setting, handle: Handle) -> None:
    path = setting.layout.snapshot(handle.session_id)
    try:
        snapshot = read_snapshot(setting.disk, path)
    except CorruptSnapshotError:
        return  # it goes, as any snapshot does
    if snapshot is not None and is_foreign(setting.disk, handle.log, snapshot):
        raise JournalError(
            f"{path} was rewritten by another program, and may hold what is to be erased; nothing was "
            "changed. `journal repair` takes it in; then erase."
        )


def _quarantined(setting: Setting, session_id: str) -> list[str]:
    """The session's files in quarantine: what of the content stands in damaged bytes nobody can say."""
    pattern = re.compile(re.escape(session_id) + r"\.(\d+|json)\.[0-9a-f]{8}")
    entries = setting.disk.entries(setting.layout.quarantine)
    return sorted(entry.path for entry in entries if pattern.fullmatch(entry.name))


def _sweep(setting: Setting, handle: Handle, quarantined: Collection[str], types: Collection[str]) -> None:
    """Remove every derived file that may hold some of it. All of them are made under the session's lock."""
    disk, layout = setting.disk, setting.layout
    disks.check_folders(disk, layout.base, layout.quarantine)
    temporary = re.compile(rf"\.{re.escape(handle.session_id)}\.jsonl?\.[0-9a-f]+\.tmp")
    left = [each.path for each in disk.entries(layout.sessions) if temporary.fullmatch(each.name)]
    for path in (layout.snapshot(handle.session_id), *quarantined, *left):
        disks.remove_file(disk, path, durable=False)
    for folder in (layout.sessions, layout.quarantine):
        # Where nothing was found, too: whoever removed it may not have come to this.
        with contextlib.suppress(FileNotFoundError):
            disk.sync_folder(folder)
    forget(disk, layout.search, [handle.session_id])
    if _IN_THE_CATALOG.intersection(types):
        remove_database(disk, layout.catalog, durable=True)


def _rewritten(handle: Handle, plan: _Plan, batch: list[Pending]) -> Iterator[bytes]:
    """The journal's lines without what goes, and behind them the batch that says so."""
    for seq, (_, line) in enumerate(_lines(handle), 1):
        record = plan.going.get(seq)
        yield (line if record is None else without_content(line, event_type(record.event))) + b"\n"
    log = handle.log
    yield encode_batch(batch, log.version, log.chain)[0]
