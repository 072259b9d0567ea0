"""A session at a glance: as `journal info` tells it, with its family and its damage."""

from typing import Any, Final

from journal.catalog import SessionPage
from journal.errors import CorruptRecordError, SessionNotFoundError
from journal.glance import Beside, Seen
from journal.objects import info_object
from journal.store import StateStore
from journal.web.past import Past
from projections.strip import gaps

_LONG_SILENCE_US: Final = 60_000_000
_MOST_ANCESTORS: Final = 100


def glance(store: StateStore, past: Past) -> dict[str, Any]:
    """What `journal info --json` says of it, and `last`, `forks`, `ancestors`, `damage`.

    Raises CorruptRecordError where not even the first record can be read, SessionNotFoundError where a crash
    left no whole one.
    """
    if past.damage is not None and not past.version:
        raise past.damage
    session_id, version = past.session_id, past.version
    if not version and not past.is_foreign:
        raise SessionNotFoundError(session_id, "nothing in its file was ever acknowledged", exists=True)
    beside = Beside(store._disk, store._layout, session_id)
    marker = beside.marker
    marked = (
        past.record(marker.version).chain if marker is not None and 1 <= marker.version <= version else ""
    )
    with past.mutex:
        seen = Seen(
            session_id=session_id,
            session=past.history.state(past.history.version),
            figures=past.figures,
            spending=past.spending,
            head=past.head,
            origin=past.origin,
            journal_bytes=past.size_bytes,
            snapshot=beside.compared(marked, version),
            attached=store._attachments.sizes_of(past.attached),
            damage=past.damage,
        )
        found = info_object(seen, gaps(seen.figures, longer_than_us=_LONG_SILENCE_US))
    return found | {"damage": damage_object(past.damage), "last": version} | _family(store, session_id)


def damage_object(damage: CorruptRecordError | None) -> dict[str, Any] | None:
    """Where a journal ends before its end, and why."""
    if damage is None:
        return None
    return {
        "reason": damage.reason,
        "offset": damage.offset,
        "seq": damage.seq,
        "sentence": str(damage),
    }


def _family(store: StateStore, session_id: str) -> dict[str, Any]:
    """Its forks, and what it is a fork of, the nearest first; the versions are those at which they parted."""
    page: SessionPage = store.list_sessions()
    origins = {each.id: (each.origin, each.origin_version) for each in page if each.origin is not None}
    forks = [{"id": each, "version": of[1]} for each, of in origins.items() if of[0] == session_id]
    ancestors: list[dict[str, Any]] = []
    met, at = {session_id}, session_id
    while at in origins and len(ancestors) < _MOST_ANCESTORS:
        origin, version = origins[at]
        if origin is None or origin in met:
            break
        ancestors.append({"id": origin, "version": version})
        met.add(origin)
        at = origin
    return {"forks": forks, "ancestors": ancestors}
