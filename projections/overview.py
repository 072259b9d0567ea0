"""Overview: what the summaries of many sessions say together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import Final

from projections.summary import SessionSummary


@dataclass(slots=True)
class Sum:
    """So many sessions, and their records, messages, replies and bytes."""

    sessions: int = 0
    records: int = 0
    messages: int = 0
    replies: int = 0
    size_bytes: int = 0

    def add(self, summary: SessionSummary) -> None:
        """One session more."""
        self.sessions += 1
        self.records += summary.version
        self.messages += summary.message_count
        self.replies += summary.response_count
        self.size_bytes += summary.size_bytes


@dataclass(slots=True)
class Overview:
    """All sessions together, and by user."""

    total: Sum = field(default_factory=Sum)
    users: dict[str, Sum] = field(default_factory=dict)


def overview(summaries: Iterable[SessionSummary]) -> Overview:
    """Add them up."""
    found = Overview()
    for summary in summaries:
        found.total.add(summary)
        user = found.users.get(summary.user_id)
        if user is None:
            user = found.users[summary.user_id] = Sum()
        user.add(summary)
    return found


# A day, weeks from Monday on, and about a month, a quarter and a year of them.
_PERIODS: Final = (1, 7, 28, 91, 364)


def per_period(summaries: Sequence[SessionSummary], most: int) -> tuple[int, list[tuple[date, int]]]:
    """How many sessions changed last in each period of so many days, in at most `most` periods.

    The period is the shortest that will do: 1, 7, 28, 91 or 364 days, or some times that. UTC.
    """
    days = [summary.updated_at.astimezone(UTC).date().toordinal() - 1 for summary in summaries]
    if not days:
        return 1, []
    first, last = min(days), max(days)
    longest = _PERIODS[-1]
    longer = (longest * times for times in range(2, last // longest + 3))
    period = next(days for days in (*_PERIODS, *longer) if last // days - first // days < most)
    counts = [0] * (last // period - first // period + 1)
    for day in days:
        counts[day // period - first // period] += 1
    starts = range(first // period, last // period + 1)
    return period, [
        (date.fromordinal(n * period + 1), count) for n, count in zip(starts, counts, strict=True)
    ]
