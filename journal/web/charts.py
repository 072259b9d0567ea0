"""Charts: a session in at most so many points, by record for the minimap, and over time."""

from bisect import bisect_left
from itertools import pairwise
from typing import Any, Final

from journal.objects import moment_text
from journal.web.columns import Used
from journal.web.past import Past
from journal.web.rows import title_at
from projections.activity import ERROR, to_moment
from projections.strip import strip

MOST_POINTS: Final = 2000
MOST_COLUMNS: Final = 2000
_ACTIVITY_COLUMNS: Final = 240


def minimap(past: Past, columns: int) -> dict[str, Any]:
    """The records in columns by their numbers: how many, how many errors, and what took longest."""
    known, last = past.columns, past.version
    count = max(min(columns, MOST_COLUMNS, last), 1)
    bounds = [last * n // count for n in range(count + 1)]
    found = []
    for start, end in pairwise(bounds):
        if start == end:
            continue
        first, behind = (bisect_left(known.answer_seqs, each + 1) for each in (start, end))
        answers = known.answers_ms[first:behind]
        slowest = max(max(known.durations_ms[start:end]), max(answers, default=-1.0))
        found.append(
            {
                "first": start + 1,
                "last": end,
                "records": end - start,
                "errors": known.errors.count(1, start, end),
                "slowest_ms": slowest if slowest >= 0 else None,
            }
        )
    return {"columns": found}


def charts(past: Past) -> dict[str, Any]:
    """Activity, latency, usage and errors, each in at most 2,000 points; `sampled`: of some not all."""
    known = past.columns
    with past.mutex:
        answers = list(zip(known.answer_seqs, known.answers_ms, strict=True))
        errors = [index + 1 for index in range(past.version) if known.errors[index]]
        usage = list(known.usage)
    used, few_used = _usage(past, usage)
    return {
        "activity": _activity(past),
        "latency": [{"seq": seq, "at": _at(past, seq), "ms": ms} for seq, ms in _slowest(answers)],
        "usage": used,
        "errors": [{"seq": seq, "at": _at(past, seq), "title": title_at(past, seq)} for seq in _some(errors)],
        "sampled": few_used or max(len(answers), len(errors)) > MOST_POINTS,
    }


def _activity(past: Past) -> list[dict[str, Any]]:
    """How many records in each stretch of time; silences are left out. Nothing where no times are told."""
    with past.mutex:
        drawn = strip(past.figures, _ACTIVITY_COLUMNS)
    if not drawn.is_by_time:
        return []
    return [
        {
            "at": moment_text(to_moment(column.start)),
            "seconds": round(drawn.step / 1e6, 6),
            "records": sum(column.counts),
            "errors": column.counts[ERROR],
        }
        for column in drawn.columns
        if not column.is_break
    ]


def _usage(past: Past, used: list[Used]) -> tuple[list[dict[str, Any]], bool]:
    """What models took: each record, or where they are many the sums of as many as it takes."""
    size = -(-len(used) // MOST_POINTS) or 1
    while True:
        found = [point for at in range(0, len(used), size) for point in _sums(past, used[at : at + size])]
        if len(found) <= MOST_POINTS or size > len(used):
            return found[:MOST_POINTS], size > 1
        size *= 2


def _sums(past: Past, some: list[Used]) -> list[dict[str, Any]]:
    """What each model took, at the last of these records that says so."""
    found: dict[str, dict[str, Any]] = {}
    for each in some:
        point = found.setdefault(each.model, {"input_tokens": 0, "output_tokens": 0, "cost": None})
        point |= {"seq": each.seq, "at": _at(past, each.seq), "model": each.model}
        point["input_tokens"] += each.input_tokens
        point["output_tokens"] += each.output_tokens
        if each.cost is not None:
            point["cost"] = (point["cost"] or 0) + each.cost
    return list(found.values())


def _slowest(answers: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Where there are too many, the slowest of each few: what stands out must not be lost."""
    size = -(-len(answers) // MOST_POINTS) or 1
    return [max(answers[at : at + size], key=lambda each: each[1]) for at in range(0, len(answers), size)]


def _some(seqs: list[int]) -> list[int]:
    return seqs[:: -(-len(seqs) // MOST_POINTS) or 1]


def _at(past: Past, seq: int) -> str:
    return moment_text(to_moment(past.columns.at_us[seq - 1]))
