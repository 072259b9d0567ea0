"""The list of sessions, filtered, a page at a time."""

from datetime import datetime
from typing import Any, Final

import msgspec

from journal.catalog import utc_text
from journal.store import StateStore
from projections.summary import SessionSummary

MOST_SESSIONS: Final = 10_000
USUAL_SESSIONS: Final = 2_000


def list_page(
    store: StateStore,
    *,
    user: str | None,
    text: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    page: str | None,
) -> dict[str, Any]:
    """The sessions that match, the latest change first, and how many there are in all.

    `text`: a part of the id, in capitals or not. `page`: where another page ended.
    """
    listed = store.list_sessions(user, since=since, until=until)
    wanted = (text or "").casefold()
    found = [each for each in listed if wanted in each.id.casefold()]
    total = len(found)
    if page is not None:
        moment, _, session_id = page.partition(" ")
        found = [each for each in found if _is_behind(each, moment, session_id)]
    shown = found[:limit]
    more = len(found) > len(shown)
    return {
        "sessions": [_object(each) for each in msgspec.to_builtins(shown)],
        "unreadable": [{"id": each.id, "reason": each.reason} for each in listed.unreadable],
        "next_page": f"{utc_text(shown[-1].updated_at)} {shown[-1].id}" if more and shown else None,
        "total": total,
    }


def _object(summary: dict[str, Any]) -> dict[str, Any]:
    del summary["active_seed_id"]
    return summary


def _is_behind(summary: SessionSummary, moment: str, session_id: str) -> bool:
    changed = utc_text(summary.updated_at) or ""
    return changed < moment or (changed == moment and summary.id > session_id)
