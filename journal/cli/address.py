"""Addresses: `ID`, `ID@7`, `ID@-1`, `ID@2026-11-22T12:00Z`, and ranges `ID@A..B`."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from journal.disk import Disk
    from journal.layout import Layout
    from journal.store import StateStore
    from projections.events import Record

Point = int | datetime | None
"""A version, a version counted from the end (-1 is the last), a moment, or no point at all."""


@dataclass(frozen=True)
class Address:
    """A session and up to two points in it; `is_range` where it was written `A..B`."""

    session_id: str
    start: Point = None
    end: Point = None
    is_range: bool = False


def parse_address(text: str, is_session: Callable[[str], bool], *, ranges: bool = False) -> Address:
    """The address that a text stands for. An id may hold an "@": the whole text is tried as one first.

    Raises click.UsageError.
    """
    session_id, at, point = text.rpartition("@")
    if not at or is_session(text):
        return Address(text)
    if not session_id:
        raise click.UsageError(f"{text!r} names no session before its '@'")
    start, dots, end = point.partition("..")
    if not dots:
        return Address(session_id, end=parse_point(point, text))
    if not ranges:
        raise click.UsageError(f"{text!r} is a range; one point is needed here: {session_id}@{end or start}")
    return Address(session_id, _maybe(start, text), _maybe(end, text), is_range=True)


def parse_point(point: str, where: str) -> int | datetime:
    """A version or a moment. Raises click.UsageError."""
    if re.fullmatch(r"-?\d{1,18}", point):
        return int(point)
    try:
        return parse_moment(point)
    except ValueError as error:
        raise click.UsageError(f"{where!r}: {error}") from None


def parse_moment(text: str) -> datetime:
    """A moment with its offset, in UTC. Raises ValueError with a hint."""
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError(
            f"{text!r} is no point in a session. Points are 7, -1 (the last) and 2026-11-22T12:00Z"
        ) from None
    if moment.tzinfo is None:
        hint = text if len(text) > 10 else f"{text}T00:00"
        raise ValueError(f"the time {text!r} has no offset; write {hint}Z for UTC, or {hint}+01:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"the time {text!r} is out of range") from None


class Moment(click.ParamType):  # type: ignore[type-arg,unused-ignore] # generic from click 8.4 on
    """A time with an offset, as an option's value."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | None:
        """The moment in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_moment(str(value))
        except ValueError as error:
            self.fail(str(error).replace("point in a session. Points are 7, -1 (the last) and", "time like"))


def is_session(store: "StateStore", session_id: str) -> bool:
    """Whether there is such a session, readable or not. Never raises for an unsafe id."""
    return is_session_in(store._disk, store._layout, session_id)


def is_session_in(disk: "Disk", layout: "Layout", session_id: str) -> bool:
    """As `is_session`, by the store's files alone."""
    import os

    from journal.errors import InvalidNameError

    try:
        journal, snapshot = layout.journal(session_id), layout.snapshot(session_id)
    except InvalidNameError:
        return False
    disk.refresh(journal)
    # An empty journal is what an interrupted first write leaves: there is no session yet.
    return os.path.lexists(snapshot) or (os.path.lexists(journal) and os.lstat(journal).st_size > 0)


def require(store: "StateStore", session_id: str) -> str:
    """The id, if there is such a session. Raises SessionNotFoundError that names close ones."""
    return require_in(store._disk, store._layout, session_id)


def require_in(disk: "Disk", layout: "Layout", session_id: str) -> str:
    """As `require`, by the store's files alone: to look for a session must not create a catalog."""
    from journal.doctor import session_ids
    from journal.errors import SessionNotFoundError
    from journal.names import check_session_id

    check_session_id(session_id)
    if is_session_in(disk, layout, session_id):
        return session_id
    plain, at, _ = session_id.rpartition("@")
    if at and is_session_in(disk, layout, plain):
        raise SessionNotFoundError(session_id, f"a session is asked for here, and no point of it: {plain}")
    disk.refresh(layout.sessions)
    known = session_ids(disk, layout)
    close = [each for each in known if session_id and each.startswith(session_id)][:3]
    close = close or get_close_matches(session_id, known, n=3)
    if close:
        raise SessionNotFoundError(session_id, f"did you mean {' or '.join(map(repr, close))}?")
    raise SessionNotFoundError(session_id, "`journal ls` lists those that are there")


def find_record(store: "StateStore", session_id: str, point: Point) -> "Record":
    """The record at a point of a session, in one pass; None is its last. Raises SessionNotFoundError."""
    from journal.errors import SessionNotFoundError

    if isinstance(point, datetime):
        return _record_before(store, session_id, point)
    if point is None or point < 0:
        back = -(point or -1)
        last = deque(store.records(session_id), maxlen=back)
        if len(last) == back:
            return last[0]
        detail = f"it has {len(last)} record{'s' * (len(last) != 1)}, not {back}"
        raise SessionNotFoundError(session_id, detail, exists=True)
    seq = 0
    for record in store.records(session_id):
        if (seq := record.seq) == point:
            return record
    raise SessionNotFoundError(
        session_id, f"its records are 1 to {seq}, there is no record {point}", exists=True
    )


def locate(store: "StateStore", session_id: str, point: Point) -> int:
    """The version at a point of a session; None is its last. Raises SessionNotFoundError."""
    if isinstance(point, int) and point >= 0:
        return point
    return find_record(store, session_id, point).seq


def _record_before(store: "StateStore", session_id: str, moment: datetime) -> "Record":
    """The last record that is not later. Clocks go back, so all are looked at."""
    from journal.errors import SessionNotFoundError

    first = found = None
    for record in store.records(session_id):
        first = first or record
        if record.at <= moment or record.seq == 0:  # 0: another program's file, whose past nobody knows
            found = record
    if found is None:
        began = f"{first.at:%Y-%m-%dT%H:%M:%S.%fZ}" if first else "no time"
        raise SessionNotFoundError(session_id, f"it began later, at {began}", exists=True)
    return found


def _maybe(point: str, where: str) -> Point:
    return parse_point(point, where) if point else None
