"""Hiding: changes as a store with a redaction writes them, and the session that noted them."""

from collections.abc import Callable, Sequence

from msgspec import structs

from journal.record import Pending, prepare
from projections.difference import same_json
from projections.events import Change, Event, MetadataSet
from projections.session import Session


def hide(changes: list[Change], batch: list[Pending], redact: Callable[[Event], Event]) -> list[Change]:
    """The changes as they are to be stored, and in `batch` so encoded; the same list if nothing is hidden.

    The caller's own stay as they are, but for the id that a retry is known by.
    """
    stored = changes
    for index, change in enumerate(changes):
        event = redact(change.event)
        if event is not change.event:
            if stored is changes:
                stored = list(changes)
            stored[index] = structs.replace(change, event=event)
            raw, _, _ = prepare(stored[index])
            # The rest was drawn already: the id, the time, the salt.
            batch[index] = (raw, *batch[index][1:])
    return stored


def hide_in(session: Session, changes: Sequence[Change], stored: Sequence[Change]) -> None:
    """Let a session's metadata say what is stored, or it would look as if someone had edited it."""
    for change, hidden in zip(changes, stored, strict=True):
        noted, event = change.event, hidden.event
        if (
            isinstance(noted, MetadataSet)
            and isinstance(event, MetadataSet)
            and same_json(session.metadata.get(noted.key), noted.value)
        ):
            del session.metadata[noted.key]
            session.metadata[event.key] = event.value
