"""Figures in words: of one session or of many, as rows of tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from journal.cli.listing import size_text
from journal.cli.table import Rows
from journal.cli.text import visible
from journal.durations import duration_text
from journal.objects import models_of, spread_of, tools_of

if TYPE_CHECKING:
    from projections.totals import Totals
    from projections.usage import Spending, Spent

TOOL_HEADINGS = ("TOOL", " CALLS", " ERRORS", " MEDIAN", " MAX")
TYPE_HEADINGS = ("TYPE", " RECORDS", " SIZE")
USAGE_HEADINGS = ("MODEL", " CALLS", " TOKENS IN", " OUT", " COST")


def tool_rows(figures: "Totals") -> Rows:
    """The tools, the most called first."""
    rows = []
    for name, use in tools_of(figures):
        took = spread_of(use.durations_ms)
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
        for model, spent in models_of(spending)
    ]


def usage_text(spending: "Spending") -> str:
    """What all of it cost; nothing where no cost is known."""
    cost = _cost(spending.total)
    return f"cost {cost}" if cost else ""


def _cost(spent: "Spent") -> str:
    return "" if spent.cost is None else f"{spent.cost:,g}"


def answers_text(figures: "Totals") -> str:
    """How long answers took: the usual one and the longest; nothing where no time is known."""
    took = spread_of(figures.answers_ms)
    if took is None:
        return ""
    usual, longest = duration_text(took["median"] / 1000), duration_text(took["max"] / 1000)
    if len(figures.answers_ms) == 1:
        return f"answered after {usual}"
    return f"answered after {usual} (median), {longest} (longest)"


def attachments_text(sizes: Sequence[int]) -> str:
    """How many attachments there are, and how large they are together."""
    return f"{len(sizes):,} file{'s' * (len(sizes) != 1)}, {size_text(sum(sizes))}"
