"""The session as a document, and the parts of it that a path names."""

from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import Address, locate
from journal.cli.app import NO

if TYPE_CHECKING:
    from journal.store import StateStore


class NoSuchPart(click.ClickException):
    """The path leads nowhere in this document."""

    exit_code = NO


def session_json(store: "StateStore", where: Address) -> str:
    """The session at an address, as the seed's program would lay its file out.

    Folded from the records, not loaded: to look must not bring a snapshot up to date.
    Raises SessionNotFoundError, CorruptRecordError.
    """
    from journal.errors import SessionNotFoundError
    from journal.snapshot import document_json
    from projections.session import SessionProjection

    version = None if where.end is None else locate(store, where.session_id, where.end)
    session = store.project(SessionProjection(), where.session_id, at=version)
    if session is None or not session.id:
        raise SessionNotFoundError(
            where.session_id, f"there was nothing of it at version {version or 0}", exists=True
        )
    return document_json(session).decode()


def part_of(value: Any, text: str) -> Any:
    """The part of a JSON value at a path. Raises NoSuchPart."""
    from projections.paths import ABSENT, child, parse_path, path_text

    path = parse_path(text)
    for number, step in enumerate(path):
        inner = child(value, step)
        if inner is ABSENT:
            where = path_text(path[:number]) or "the session"
            raise NoSuchPart(f"there is no {str(step)!r} in {where}: {_contents(value)}")
        value = inner
    return value


def _contents(value: Any) -> str:
    match value:
        case dict():
            return f"its keys are {', '.join(value)}" if value else "it is empty"
        case list():
            return f"it has {len(value)} items, 0 to {len(value) - 1}" if value else "it is empty"
        case _:
            return "it is a plain value"
