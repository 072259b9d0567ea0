"""Retention: which sessions are old enough to go."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from journal.catalog import Unreadable
from projections.summary import SessionSummary


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What a prune deleted, or would delete.

    sessions    their summaries, the oldest change first
    changed     the ids of sessions that were to go, and changed or went meanwhile: they were left alone
    unreadable  sessions that cannot be read, and so have no age: they are never pruned
    """

    sessions: list[SessionSummary] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


@dataclass(frozen=True)
class Retention:
    """What may stay: sessions that changed within `older_than`, and the newest `keep` of each user.

    Raises ValueError unless there is a rule, and one that cannot mean every session.
    """

    older_than: timedelta | None
    keep: int | None

    def __post_init__(self) -> None:
        if self.older_than is None and not self.keep:
            raise ValueError("nothing says which sessions may go: give older_than, or keep of at least 1")
        if self.older_than is not None and self.older_than <= timedelta():
            raise ValueError(f"older_than is {self.older_than}; it must be longer than nothing")
        if self.keep is not None and self.keep < 0:
            raise ValueError(f"keep is {self.keep}; it is a number of sessions")

    def expired(self, newest_first: Iterable[SessionSummary], now: datetime) -> Iterator[SessionSummary]:
        """Those that may go, of sessions that come with the newest change first."""
        seen: Counter[str] = Counter()
        for summary in newest_first:
            seen[summary.user_id] += 1
            is_old = self.older_than is None or now - summary.updated_at > self.older_than
            if is_old and seen[summary.user_id] > (self.keep or 0):
                yield summary

    def __str__(self) -> str:
        rules = []
        if self.older_than is not None:
            rules.append(f"its last change is older than {self.older_than}")
        if self.keep:
            rules.append(f"{self.keep} of the same user changed later")
        return f"retention: {' and '.join(rules)}"
