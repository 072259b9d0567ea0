"""Figures in words: of one session or of many, as rows of tables and as JSON."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from journal.cli.drawing import duration_text
from journal.cli.listing import size_text
from journal.cli.table import Rows
from journal.cli.text import visible

if TYPE_CHECKING:
    from projections.activity import Figures
    from projections.totals import ToolUse, Totals
    from projections.usage import Spending, Spent

# How many columns a strip has for a program.
_JSON_COLUMNS = 100

TOOL_HEADINGS = ("TOOL", " CALLS", " ERRORS", " MEDIAN", " MAX")
TYPE_HEADINGS = ("TYPE", " RECORDS", " SIZE")
USAGE_HEADINGS = ("MODEL", " CALLS", " TOKENS IN", " OUT", " COST")


def tool_rows(figures: "Totals") -> Rows:
    """The tools, the most called first."""
    rows = []
    for name, use in _tools(figures):
        took = _spread(use.durations_ms)
        usual, longest = (duration_text(took[each] / 1000) if took else "" for each in ("median", "max"))
        rows.append(
            (visible(name), f"{use.calls:,}", f"{use.errors:,}" if use.errors else "", usual, longest)
        )
    return rows


def type_rows(figures: "Totals") -> Rows:
    """The types of records, those with most bytes first."""
    types = sorted(figures.types.items(), key=lambda each: (-each[1].size_bytes, each[0]))
    return [(visible(kind), f"{share.records:,}", size_text(share.size_bytes)) for kind, share in types]


def usage_rows(spending: "Spending") -> Rows:
    """What was spent, the model with most tokens first."""
    return [
        (
            visible(model),
            *(f"{number:,}" for number in (spent.calls, spent.input_tokens, spent.output_tokens)),
            _cost(spent),
        )
        for model, spent in _models(spending)
    ]


def usage_text(spending: "Spending") -> str:
    """What all of it cost; nothing where no cost is known."""
    cost = _cost(spending.total)
    return f"cost {cost}" if cost else ""


def _models(spending: "Spending") -> "list[tuple[str, Spent]]":
    return sorted(
        spending.models.items(), key=lambda each: (-each[1].input_tokens - each[1].output_tokens, each[0])
    )


def _cost(spent: "Spent") -> str:
    return "" if spent.cost is None else f"{spent.cost:,g}"


def answers_text(figures: "Totals") -> str:
    """How long answers took: the usual one and the longest; nothing where no time is known."""
    took = _spread(figures.answers_ms)
    if took is None:
        return ""
    usual, longest = duration_text(took["median"] / 1000), duration_text(took["max"] / 1000)
    if len(figures.answers_ms) == 1:
        return f"answered after {usual}"
    return f"answered after {usual} (median), {longest} (longest)"


def attachments_text(sizes: Sequence[int]) -> str:
    """How many attachments there are, and how large they are together."""
    return f"{len(sizes):,} file{'s' * (len(sizes) != 1)}, {size_text(sum(sizes))}"


def attachments_object(sizes: Sequence[int] | None) -> dict[str, int] | None:
    """The same as JSON; null where nobody counted."""
    return None if sizes is None else {"count": len(sizes), "size_bytes": sum(sizes)}


def _tools(figures: "Totals") -> "list[tuple[str, ToolUse]]":
    return sorted(figures.tools.items(), key=lambda each: (-each[1].calls, each[0]))


def _spread(durations: Sequence[float]) -> dict[str, float] | None:
    return {"median": median(durations), "max": max(durations)} if durations else None


def moment_text(moment: datetime) -> str:
    """A moment as records have it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def totals_object(totals: "Totals") -> dict[str, Any]:
    """What one session comes to, or many together, as JSON."""
    from projections.totals import ROLES

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
        "answers_ms": _spread(totals.answers_ms),
        "tools": [
            {
                "name": name,
                "calls": use.calls,
                "errors": use.errors,
                "durations_ms": _spread(use.durations_ms),
            }
            for name, use in _tools(totals)
        ],
    }


def figures_object(figures: "Figures") -> dict[str, Any]:
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


def usage_object(spending: "Spending") -> dict[str, Any]:
    """What was spent, as JSON: in all, and by model."""
    import msgspec

    models = [{"model": model, **msgspec.to_builtins(spent)} for model, spent in _models(spending)]
    return {**msgspec.to_builtins(spending.total), "models": models}


def timeline_object(figures: "Figures") -> dict[str, Any]:
    """The strip, as JSON."""
    from projections.activity import to_moment
    from projections.strip import strip
    from projections.totals import ROLES

    drawn = strip(figures, _JSON_COLUMNS)
    columns = []
    for column in drawn.columns:
        start = moment_text(to_moment(column.start)) if drawn.is_by_time else column.start
        counts = dict(zip(ROLES, column.counts, strict=True))
        columns.append({"start": start, "is_break": column.is_break, "counts": counts})
    return {"by": "time" if drawn.is_by_time else "record", "columns": columns}
