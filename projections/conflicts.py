"""Which changes commute: what another writer did meanwhile stands in the way of some, and not of most."""

from typing import Final

from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    Event,
    MetadataSet,
    SessionAdopted,
    SessionReplaced,
    SessionRewound,
)

HISTORY: Final = "the whole history"
"""Touched by what makes of a session another one: nothing that was decided before commutes with that."""


def touches(event: Event) -> str | None:
    """What of a session an event sets, so that two of them, in either order, leave different sessions.

    What only adds to the history (messages, tool calls, usage) touches nothing: it commutes.
    """
    match event:
        case MetadataSet(key=key):
            return f"metadata {key!r}"
        case ActiveSeedSet():
            return "the active seed"
        case ActivePersonaSet():
            return "the active persona"
        case SessionReplaced() | SessionRewound() | SessionAdopted():
            return HISTORY
        case _:
            return None
