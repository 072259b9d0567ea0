"""What came of a framework's own suite."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """How many tests there are, how many passed, how many do not apply, and the names of those that failed"""

    tests: int
    passed: int
    not_applicable: int
    failed: list[str]
