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
    from journal.store import StateStore

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


class Moment(click.ParamType):
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
    import os

    from journal.errors import InvalidNameError
    from journal.layout import Layout

    layout = Layout(store.base_path)
    try:
        return any(map(os.path.lexists, (layout.journal(session_id), layout.snapshot(session_id))))
    except InvalidNameError:
        return False


def require(store: "StateStore", session_id: str) -> str:
    """The id, if there is such a session. Raises SessionNotFoundError that names close ones."""
    from journal.errors import SessionNotFoundError
    from journal.names import check_session_id

    check_session_id(session_id)
    if is_session(store, session_id):
        return session_id
    known = store.session_ids()
    close = [each for each in known if session_id and each.startswith(session_id)][:3]
    close = close or get_close_matches(session_id, known, n=3)
    if close:
        raise SessionNotFoundError(session_id, f"did you mean {' or '.join(map(repr, close))}?")
    raise SessionNotFoundError(session_id, "`journal ls` lists those that are there")


def locate(store: "StateStore", session_id: str, point: Point) -> int:
    """The version at a point of a session; None is its last. Raises SessionNotFoundError."""
    from journal.errors import SessionNotFoundError
    from journal.history import version_at

    if isinstance(point, datetime):
        version = version_at(store.records(session_id), point)
        if version == 0 and (first := next(store.records(session_id), None)) and first.seq:
            raise SessionNotFoundError(session_id, f"it began later, at {first.at:%Y-%m-%dT%H:%M:%S.%fZ}")
        return version
    if point is not None and point >= 0:
        return point
    back = -(point or -1)
    last = deque((record.seq for record in store.records(session_id)), maxlen=back)
    if len(last) < back:
        raise SessionNotFoundError(
            session_id, f"it has {len(last)} record{'s' * (len(last) != 1)}, not {back}"
        )
    return last[0]


def _maybe(point: str, where: str) -> Point:
    return parse_point(point, where) if point else None
