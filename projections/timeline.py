"""The timeline: every state that a session ever had, at random access."""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import overload

from projections.bisection import bisect
from projections.blame import Blame, blamed, last_turn
from projections.diff import Difference, differences
from projections.events import Record
from projections.paths import Path, parse_path
from projections.session import Session, SessionProjection, apply_event
from projections.state_history import StateHistory


class Timeline(Sequence[Session]):
    """The states of one session: `timeline[7]` is the session as it was at version 7.

    Numbers are versions, as in the address ID@7: 1 to `len(timeline)`; -1 is the last, 0 the nothing before
    the first. `timeline[3:6]` are the states 3, 4 and 5, each made when it is asked for. A state is the
    caller's own. What states have in common is kept once: memory is in proportion to the history.

    records  the records in order: `timeline.records[n - 1]` led to `timeline[n]`
    history  the states' parts, for whoever needs less than a whole state
    """

    def __init__(self, records: Iterable[Record]) -> None:
        """Fold the records, once."""
        kept: list[Record] = []
        self.records: Sequence[Record] = kept
        self.history = StateHistory(SessionProjection().initial())
        self._ends: list[datetime] = []
        for record in records:
            self.history.apply(record)
            if record.seq:  # else it is another program's file, which has no record yet
                kept.append(record)

    def ids(self) -> Iterable[Hashable]:
        """What the records are known by, in their order."""
        return (record.id for record in self.records)

    # The states

    @property
    def version(self) -> int:
        """The number of the last record."""
        return len(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, version: int) -> Session: ...
    @overload
    def __getitem__(self, version: slice) -> "States": ...
    def __getitem__(self, version: int | slice) -> "Session | States":
        """The session as it was at a version, or a range of them. IndexError where it has no such version."""
        if isinstance(version, slice):
            return States(self, self._range(version))
        return self.history.state(self.resolve(version))

    def __iter__(self) -> Iterator[Session]:
        return iter(self[:])

    def __reversed__(self) -> Iterator[Session]:
        return iter(self[::-1])

    def resolve(self, version: int) -> int:
        """A version, counted from the end where it is negative. Raises IndexError."""
        last = len(self.records)
        found = version + last + 1 if version < 0 else version
        if not 0 <= found <= last or (version < 0 and found == 0):
            raise IndexError(f"version {version}: the session is at version {last}")
        return found

    def version_at(self, moment: datetime) -> int:
        """The version at a moment: that of the last record that is not later; 0 before the first."""
        if not self._ends:
            # Clocks go back: what counts of a record is the earliest time from there on.
            times = [record.at for record in self.records]
            for index in range(len(times) - 2, -1, -1):
                times[index] = min(times[index], times[index + 1])
            self._ends = times
        return bisect_right(self._ends, moment)

    def at(self, moment: datetime) -> Session | None:
        """The session as it was at a moment; None where it did not exist yet."""
        version = self.version_at(moment)
        return self.history.state(version) if version else None

    def first(self, predicate: Callable[[Session], object]) -> int | None:
        """The first version of which something is true, or None. Asks of each; exact.

        The session that `predicate` gets is lent: it is valid until it returns, and not to be changed.
        """
        return next((record.seq for record, state in self.steps() if predicate(state)), None)

    def bisect(self, predicate: Callable[[Session], object]) -> int | None:
        """The first version of which something is true that stays true, or None. Asks about log₂ n times."""
        # It is as if it were true behind the last version: that is the answer where it never is.
        end = len(self.records) + 1
        (found,) = bisect(0, end, lambda version: bool(predicate(self.history.state(version))))
        return found if found < end else None

    def diff(self, before: int, after: int = -1) -> list[Difference]:
        """What leads from one state's JSON document to another's, each value with the record that set it.

        `patched` applies it. Versions as in `timeline[n]`; `after` may be the earlier one. Raises IndexError.
        """
        start, end = self.resolve(before), self.resolve(after)
        found = differences(self.history.state(start), self.history.state(end))
        return [each._replace(version=last_turn(self.history, each.path, end)) for each in found]

    def blame(self, path: Path | str, version: int = -1) -> list[Blame]:
        """The records that made the value at a path what it is at a version, the last one first.

        A path is `metadata.plan.0` or ("metadata", "plan", 0). What set it to what it was already is not
        among them. Empty where there never was such a value. Raises IndexError.
        """
        steps = parse_path(path) if isinstance(path, str) else path
        return blamed(self.history, self.records, steps, self.resolve(version))

    def steps(self) -> Iterator[tuple[Record, Session]]:
        """Each record with the state behind it, which is lent until the next one: no states are made."""
        state = SessionProjection().initial()
        for record in self.records:
            apply_event(state, record.event, record.at)
            state.version = record.seq
            yield record, state

    def _range(self, versions: slice) -> range:
        """The versions that a slice stands for: as of a list whose first item is number 1."""
        last, step = len(self.records), 1 if versions.step is None else versions.step

        def bound(version: int | None, default: int) -> int:
            if version is None:
                return default
            return max(version + last + 1, 0) if version < 0 else min(version, last + 1)

        if step > 0:
            return range(bound(versions.start, 1), bound(versions.stop, last + 1), step)
        return range(min(bound(versions.start, last), last), bound(versions.stop, 0), step)


class States(Sequence[Session]):
    """Some states of a timeline, each made when it is asked for. `versions` are their numbers."""

    def __init__(self, timeline: Timeline, versions: range) -> None:
        self._timeline, self.versions = timeline, versions

    def __len__(self) -> int:
        return len(self.versions)

    @overload
    def __getitem__(self, index: int) -> Session: ...
    @overload
    def __getitem__(self, index: slice) -> "States": ...
    def __getitem__(self, index: int | slice) -> "Session | States":
        """The state at a place in this range, or a part of it."""
        if isinstance(index, slice):
            return States(self._timeline, self.versions[index])
        return self._timeline.history.state(self.versions[index])
