"""Integrity: what verifying one session, or each of a store, found, in sentences and with places."""

from collections.abc import Iterator
from typing import Any

from journal.store import StateStore
from journal.verify import Report


def verdict(store: StateStore, session_id: str) -> dict[str, Any]:
    """Every hash and link, checked anew. `trusted_to`: the last record before any damage."""
    report = store.verify(session_id)
    return {
        "ok": report.ok,
        "version": report.version,
        "head": report.head,
        "trusted_to": report.version,
        "findings": [each._asdict() for each in report.places]
        or [{"kind": "damage", "seq": None, "offset": None, "sentence": each} for each in report.findings],
        "notes": report.notes,
        "links": {"checked": report.version},
    }


def verdicts(store: StateStore) -> Iterator[tuple[str, dict[str, Any]]]:
    """An event for each session as soon as it is verified, and one for all of them."""
    sessions = failed = 0
    for session_id, report in store.verify_each():
        sessions += 1
        failed += not report.ok
        yield (
            "report",
            {"id": session_id, "ok": report.ok, "version": report.version, "sentence": _sentence(report)},
        )
    yield "done", {"sessions": sessions, "failed": failed}


def _sentence(report: Report) -> str:
    if report.ok:
        return f"every hash and link fits, up to version {report.version}"
    more = f" And {len(report.findings) - 1} more." if len(report.findings) > 1 else ""
    return report.findings[0] + more
