"""Totals: what histories come to, in numbers that add up."""

from dataclasses import dataclass, field
from typing import Final

ROLES: Final = ("user", "agent", "reasoning", "tool_call", "tool_result", "error", "note")
"""What a record is: each is one of these. An error is the result of a tool that failed."""
_ERROR: Final = ROLES.index("error")


@dataclass(slots=True)
class Share:
    """How many records there are of a sort, and how many bytes of JSON their events are."""

    records: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class ToolUse:
    """One tool: how often it was called, how often it failed, how long it took, where that is known."""

    calls: int = 0
    errors: int = 0
    durations_ms: list[float] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Totals:
    """What one history comes to, or many together.

    counts       how many there are of each of ROLES; the messages of an adopted document are among them
    types, by    records by type, and by who wrote them ("": nobody said)
    turns        how often a user began to speak; `answers_ms`: how long the first answer then took
    """

    records: int = 0
    size_bytes: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * len(ROLES))
    types: dict[str, Share] = field(default_factory=dict)
    by: dict[str, int] = field(default_factory=dict)
    tools: dict[str, ToolUse] = field(default_factory=dict)
    turns: int = 0
    answers_ms: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many tools failed."""
        return self.counts[_ERROR]

    def add(self, other: "Totals") -> None:
        """Count another history's in."""
        self.records += other.records
        self.size_bytes += other.size_bytes
        self.turns += other.turns
        self.answers_ms += other.answers_ms
        self.counts = [one + another for one, another in zip(self.counts, other.counts, strict=True)]
        for by, records in other.by.items():
            self.by[by] = self.by.get(by, 0) + records
        for kind, share in other.types.items():
            sum_of = self.types.setdefault(kind, Share())
            sum_of.records += share.records
            sum_of.size_bytes += share.size_bytes
        for name, use in other.tools.items():
            tool = self.tools.setdefault(name, ToolUse())
            tool.calls += use.calls
            tool.errors += use.errors
            tool.durations_ms += use.durations_ms
