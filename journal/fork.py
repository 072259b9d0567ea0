"""Forking: a new session with the history of another one, up to a version. See docs/reference/format.md."""

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from journal.chain import Damage, first_chain, is_erased
from journal.erasures import Erasures
from journal.errors import CorruptRecordError, SessionNotFoundError, VersionConflictError
from journal.folded import Setting
from journal.handle import Handle
from journal.history import read_record
from journal.log import Log
from journal.overtaking import until_current
from journal.reader import beginning
from journal.rechain import chain_of, rechained, records_to_come
from journal.record import Pending, decode_record, encode_batch, prepare
from projections.events import Change, SessionCreated, SessionForked
from projections.messages import utc_now
from projections.session import Session, SessionProjection, apply_event


class _Origin(NamedTuple):
    """What a fork says of where it is from, and how many records of its first batch follow the first.

    Its first record has the id of the one that it stands for, as its copies have theirs.
    """

    forked: SessionForked
    more: int = 0
    record_id: str = ""


@until_current
def fork(
    setting: Setting, source_id: str, version: int | None, new_id: str, *, by: str | None, cause: str | None
) -> Session:
    """Make the session `new_id`: a copy of another one up to a version, or None for all that is there.

    All or nothing, on disk when this returns; the other one is left untouched. Raises SessionNotFoundError,
    CorruptRecordError, VersionConflictError where there is a session `new_id`, DurabilityError.
    """
    source = Log(setting.disk, setting.layout.journal(source_id), source_id, durable=False)
    handle = Handle(setting, new_id)
    try:
        with _both(setting, source, handle.log):
            state, _ = handle._begin()
            if state.id:
                raise VersionConflictError(new_id, handle.log.version, 0)
            source.look()
            origin = _origin(setting, source, version, new_id)
            change = Change(event=origin.forked, at=utc_now(), id=origin.record_id or None)
            pending = prepare(change, by, cause=cause)
            # A crash must not take what it is a copy of.
            source.sync(anyway=True)
            setting.mark(new_id)
            # Folded as it is written: once it is there, nothing may fail any more.
            forked = SessionProjection().initial()
            lines = _copies(source, origin, change.at, pending, forked)
            # Synced in any case: half of a fork could not be what it says. What a kill leaves of it is the
            # source's by its name, for whoever erases content there.
            handle.log.replace(lines, durable=True, temporary_of=os.path.basename(source.path))
            return forked
    finally:
        source.close()
        handle.log.close()


@contextlib.contextmanager
def _both(setting: Setting, source: Log, new: Log) -> Iterator[None]:
    """Nobody else writes them meanwhile: what is erased in the one must not come back in the other."""
    with source.using:
        source.look()
    if source.fd is None and setting.disk.status(setting.layout.snapshot(source.session_id)) is None:
        raise SessionNotFoundError(source.session_id)  # before anything is made for the new one
    with contextlib.ExitStack() as locks:
        # In one order everywhere, so that no two forks wait for each other.
        for log in sorted({source.path: source, new.path: new}.values(), key=lambda log: log.path):
            locks.enter_context(new.exclusive if log is new else log.existing)
        yield


def _origin(setting: Setting, source: Log, version: int | None, new_id: str) -> _Origin:
    """Read the source up to the version, and say what it is there."""
    seq, first, last, has_erased = 0, b"", b"", False
    for last in _lines(source, version):
        seq += 1
        first = first or last
        has_erased = has_erased or is_erased(last)
    if not seq:
        return _of_foreign(setting, source.session_id, new_id)
    if version is not None and seq < version:
        raise SessionNotFoundError(
            source.session_id, f"it is at version {seq}, {version} is yet to come", exists=True
        )
    try:
        record = decode_record(first)
    except Damage as damage:
        raise CorruptRecordError(source.path, 0, 1, damage.reason) from None
    state = SessionProjection().apply(SessionProjection().initial(), record)
    event = record.event
    is_plain = (
        event.document is None if isinstance(event, SessionForked) else isinstance(event, SessionCreated)
    )
    more, cut = records_to_come(first), records_to_come(last)
    erased = _told_elsewhere(source, seq) if has_erased else {}
    forked = SessionForked(
        session_id=new_id,
        user_id=state.user_id,
        created_at=state.created_at,
        origin=source.session_id,
        version=seq,
        chain=chain_of(last).decode(),
        first_chain=chain_of(first).decode(),
        cut=cut,
        document=None if is_plain else state.to_document(),
        erased=tuple(erased),
        erased_types=tuple(erased.values()),
    )
    return _Origin(forked, more - cut if 1 + more >= seq else more, record.id)


def _told_elsewhere(source: Log, version: int) -> dict[str, str]:
    """The ids of the copies that lost their content and of which no copy says so, with what they were."""
    there, copied = Erasures(), Erasures()
    source.start_at(beginning(source.session_id))
    with contextlib.suppress(CorruptRecordError, Damage):  # what stands behind damage says nothing
        for seq, line in enumerate(_lines(source, None), 1):
            record = decode_record(line)
            there.see(record, 0)
            if 1 < seq <= version:
                copied.see(record, 0)
    return {each: what.was for each, what in copied.untold.items() if each not in there.untold}


def _of_foreign(setting: Setting, source_id: str, new_id: str) -> _Origin:
    """Another program's session has no record: the fork says what its file says, and proves nothing."""
    source = Handle(setting, source_id)
    try:
        state = source.load()
    finally:
        source.log.close()
    if state is None:
        raise SessionNotFoundError(source_id)
    forked = SessionForked(
        session_id=new_id,
        user_id=state.user_id,
        created_at=state.created_at,
        origin=source_id,
        version=0,
        chain="",
        first_chain="",
        document=state.to_document(),
    )
    return _Origin(forked)


def _copies(source: Log, origin: _Origin, at: datetime, first: Pending, state: Session) -> Iterator[bytes]:
    """The fork's lines: its own first, then the source's, which it read once and checks again.

    `state`: what is folded of them.
    """
    forked = origin.forked
    data, _, _ = encode_batch([first], 0, first_chain(forked.session_id))
    line, chain = rechained(data[:-1], first_chain(forked.session_id), extra=origin.more)
    apply_event(state, forked, at)
    yield line + b"\n"
    source.start_at(beginning(source.session_id))
    for seq, copied in enumerate(_lines(source, forked.version), 1):
        if seq > 1:
            is_cut = forked.cut and seq + records_to_come(copied) > forked.version
            line, chain = rechained(copied, chain, extra=-forked.cut if is_cut else 0)
            record = read_record(source, source.offset, seq, copied)
            apply_event(state, record.event, record.at)
            yield line + b"\n"
    state.version, state._chain = max(forked.version, 1), chain


def _lines(log: Log, version: int | None) -> Iterator[bytes]:
    """The checked lines up to a version. Raises CorruptRecordError where damage comes before that."""
    if version == 0:
        return
    try:
        for seq, (_, line) in enumerate(log.read_new(), 1):
            yield line
            if seq == version:
                return  # whatever comes after it, damage too, is not asked for
    except OSError as error:
        raise (log.refusal(error, was_writing=False) or error) from error
    if isinstance(log.rest, CorruptRecordError):
        raise log.rest
