"""What is told of records and sessions, as JSON: by the command's --json and by the viewer."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import msgspec

from projections.activity import Figures, to_moment
from projections.events import Event, Record, UnknownEvent
from projections.strip import Gap, strip
from projections.totals import ROLES, ToolUse, Totals
from projections.usage import Spending, Spent

if TYPE_CHECKING:
    from journal.glance import Seen

# How many columns a strip has for a program.
_JSON_COLUMNS: Final = 100


def record_object(session_id: str, record: Record) -> dict[str, Any]:
    """The record as JSON: its header's keys in their order, then its event as it was stored."""
    found: dict[str, Any] = {"session_id": session_id, "seq": record.seq, "id": record.id}
    found["at"] = moment_text(record.at)
    for name in ("by", "cause", "key"):
        if (value := getattr(record, name)) is not None:
            found[name] = value
    return found | {"digest": record.digest, "chain": record.chain, "event": event_object(record.event)}


def event_object(event: Event) -> Any:
    """The event as JSON values, its type among them."""
    raw = event.raw if isinstance(event, UnknownEvent) else msgspec.json.encode(event)
    return msgspec.json.decode(raw)


def moment_text(moment: datetime) -> str:
    """A moment as records have it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def totals_object(totals: Totals) -> dict[str, Any]:
    """What one session comes to, or many together, as JSON."""
    return {
        "records": totals.records,
        "event_bytes": totals.size_bytes,
        "counts": dict(zip(ROLES, totals.counts, strict=True)),
        "types": [
            {"type": kind, "records": share.records, "event_bytes": share.size_bytes}
            for kind, share in sorted(totals.types.items())
        ],
        "by": [
            {"by": by or None, "records": records}
            for by, records in sorted(totals.by.items(), key=lambda each: -each[1])
        ],
        "turns": totals.turns,
        "answers_ms": spread_of(totals.answers_ms),
        "tools": [
            {
                "name": name,
                "calls": use.calls,
                "errors": use.errors,
                "durations_ms": spread_of(use.durations_ms),
            }
            for name, use in tools_of(totals)
        ],
    }


def figures_object(figures: Figures) -> dict[str, Any]:
    """The figures of one session, as JSON."""
    return {
        **totals_object(figures),
        "first_at": figures.first_at and moment_text(figures.first_at),
        "last_at": figures.last_at and moment_text(figures.last_at),
        "open_calls": figures.open_calls,
        "errors": [
            {"seq": each.seq, "at": moment_text(each.at), "tool": each.tool or None, "text": each.text}
            for each in figures.failures
        ],
        "largest": [
            {"seq": each.seq, "type": each.type, "event_bytes": each.size_bytes} for each in figures.largest
        ],
        "landmarks": [
            {"seq": each.seq, "at": moment_text(each.at), "type": each.type} for each in figures.landmarks
        ],
    }


def usage_object(spending: Spending) -> dict[str, Any]:
    """What was spent, as JSON: in all, and by model."""
    models = [{"model": model, **msgspec.to_builtins(spent)} for model, spent in models_of(spending)]
    return {**msgspec.to_builtins(spending.total), "models": models}


def timeline_object(figures: Figures) -> dict[str, Any]:
    """The strip, as JSON."""
    drawn = strip(figures, _JSON_COLUMNS)
    columns = []
    for column in drawn.columns:
        start = moment_text(to_moment(column.start)) if drawn.is_by_time else column.start
        counts = dict(zip(ROLES, column.counts, strict=True))
        columns.append({"start": start, "is_break": column.is_break, "counts": counts})
    return {"by": "time" if drawn.is_by_time else "record", "columns": columns}


def attachments_object(sizes: Sequence[int] | None) -> dict[str, int] | None:
    """The same as JSON; null where nobody counted."""
    return None if sizes is None else {"count": len(sizes), "size_bytes": sum(sizes)}


def info_object(seen: "Seen", silences: Sequence[Gap]) -> dict[str, Any]:
    """A session at a glance, with its longer silences."""
    session, snapshot = seen.session, seen.snapshot
    return {
        "session_id": seen.session_id,
        "user_id": session.user_id,
        "version": session.version,
        "created_at": msgspec.to_builtins(session.created_at),
        "updated_at": msgspec.to_builtins(session.updated_at),
        "size_bytes": seen.journal_bytes,
        "attachments": attachments_object(seen.attached),
        "snapshot": {"state": snapshot.state, "version": snapshot.version, "size_bytes": snapshot.size_bytes},
        "head": seen.head or None,
        "origin": None if seen.origin is None else {"session_id": seen.origin[0], "version": seen.origin[1]},
        **figures_object(seen.figures),
        "usage": usage_object(seen.spending),
        "gaps": [
            {"before": each.before, "after": each.after, "seconds": each.length_us / 1e6, **_bounds(each)}
            for each in silences
        ],
        "timeline": timeline_object(seen.figures),
        "damage": None if seen.damage is None else str(seen.damage),
    }


def _bounds(gap: Gap) -> dict[str, Any]:
    return {"from": moment_text(to_moment(gap.start_us)), "to": moment_text(to_moment(gap.end_us))}


def tools_of(figures: Totals) -> list[tuple[str, ToolUse]]:
    """The tools, the most called first."""
    return sorted(figures.tools.items(), key=lambda each: (-each[1].calls, each[0]))


def spread_of(durations: Sequence[float]) -> dict[str, float] | None:
    """The usual duration and the longest; None where none is known."""
    return {"median": median(durations), "max": max(durations)} if durations else None


def models_of(spending: Spending) -> list[tuple[str, Spent]]:
    """What each model spent, the one with most tokens first."""
    return sorted(
        spending.models.items(), key=lambda each: (-each[1].input_tokens - each[1].output_tokens, each[0])
    )
