"""Questions that are asked of many sessions: is it whole, what is it in one line, what does it come to?"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from journal.attachment_files import ProblemOf, problems
from journal.catalog import Problem
from journal.disk import Disk
from journal.errors import (
    CorruptRecordError,
    CorruptSnapshotError,
    InvalidNameError,
    JournalError,
    unreadable,
)
from journal.handles import Handles
from journal.history import all_records
from journal.layout import Layout
from journal.log import Log
from journal.unopened import summary_of
from journal.verify import Report, verify_session
from journal.workers import ask_each
from projections.activity import Activity
from projections.events import Record
from projections.summary import SessionSummary
from projections.totals import Totals
from projections.usage import Spending, Usage

Answer = TypeVar("Answer")
Summarized: TypeAlias = SessionSummary | Problem | None

# What a session's own file is to blame for; a disk that refuses may think better of it.
_LASTING: Final = (CorruptRecordError, CorruptSnapshotError, InvalidNameError)


class Measured(NamedTuple):
    """What a session comes to, up to damage if there is any."""

    totals: Totals
    spending: Spending
    damage: str | None = None


class Questions:
    """Answers about the sessions of one store; about many of them, on every core."""

    def __init__(self, disk: Disk, layout: Layout, handles: Handles) -> None:
        self._disk, self._layout, self._handles = disk, layout, handles

    def verifier(self) -> Callable[[str], Report]:
        """Verifies session after session; what they share is looked at once."""
        problem_of = problems(self._disk, self._layout)
        return lambda session_id: self.verify(session_id, problem_of)

    def verify(self, session_id: str, problem_of: ProblemOf | None = None) -> Report:
        """The report of a session; of one that cannot be checked, one that says why."""
        try:
            return self.verify_one(session_id, problem_of)
        except JournalError as error:  # a name that is no id, no file in a file's place
            return Report(ok=False, findings=[str(error)])

    def verify_one(self, session_id: str, problem_of: ProblemOf | None = None) -> Report:
        """The report of a session that can be checked. Raises JournalError for any other."""
        try:
            return verify_session(self._disk, self._layout, session_id, problem_of)
        except OSError as error:
            if isinstance(error, JournalError):
                raise
            raise unreadable(self._layout.journal(session_id), error) from error

    def summarize(self, session_id: str) -> Summarized:
        """The summary of a session, what is wrong with it, or None where there is none."""
        try:
            unopened = self._disk.unopened(session_id)
            if unopened and (summary := summary_of(session_id, unopened)):
                return summary
            return self._handles.glance(session_id).summary()
        except (JournalError, OSError) as error:
            return Problem(reason=str(error), lasts=isinstance(error, _LASTING))

    def measure(self, session_id: str) -> Measured:
        """What a session comes to; of a damaged one, what stands before the damage."""
        activity, usage, damage = Activity(), Usage(), None
        figures, spending = activity.initial(), usage.initial()
        try:
            for record in self.records(session_id):
                figures, spending = activity.apply(figures, record), usage.apply(spending, record)
        except JournalError as error:
            damage = str(error)
        totals = Totals()
        totals.add(figures)  # without what stands for itself
        return Measured(totals, spending, damage)

    def records(self, session_id: str, after: int = 0) -> Iterator[Record]:
        """See StateStore.records."""
        log = Log(self._disk, self._layout.journal(session_id), session_id, durable=False)
        return self._records(log, after)

    def verify_each(self, session_ids: Iterable[str]) -> Iterator[tuple[str, Report]]:
        """Their reports, each as soon as it is done."""
        return self._each("verify", session_ids, self.verifier(), Report)

    def summarize_each(
        self, session_ids: Iterable[str]
    ) -> Iterator[tuple[str, SessionSummary | Problem | None]]:
        """Their summaries, each as soon as it is done."""
        return self._each("summarize", session_ids, self.summarize, Summarized)

    def measure_each(self, session_ids: Iterable[str]) -> Iterator[tuple[str, Measured]]:
        """What they come to, each as soon as it is done."""
        return self._each("measure", session_ids, self.measure, Measured)

    def _records(self, log: Log, after: int) -> Iterator[Record]:
        self._handles.check_usable()
        yield from all_records(log, after, lambda: self._handles.glance(log.session_id).adopting())

    def _each(
        self, question: str, session_ids: Iterable[str], here: Callable[[str], Answer], kind: Any
    ) -> Iterator[tuple[str, Answer]]:
        if type(self._disk) is not Disk:  # a simulated one is in this process alone, and so is a connection
            return self._each_here(session_ids, here)
        sizes = {each: self._size_of(each) for each in session_ids}
        return ask_each(self._layout.base, question, sizes, here, kind)

    def _each_here(
        self, session_ids: Iterable[str], here: Callable[[str], Answer]
    ) -> Iterator[tuple[str, Answer]]:
        self._disk.hear_all()
        for each in session_ids:
            with self._disk.settled:
                answer = here(each)
            yield each, answer

    def _size_of(self, session_id: str) -> int:
        try:
            status = self._disk.status(self._layout.journal(session_id))
        except (JournalError, OSError):  # a name that is no id
            status = None
        return status.st_size if status else 0
