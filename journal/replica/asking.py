"""Asking a backend from code that has no `await`."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from journal import disk as disks
from journal.backend import Backend, Unclear, Unreachable
from journal.errors import DurabilityError, JournalClosedError, UnreachableError
from journal.waiting import Waiting

T = TypeVar("T")


class Asking:
    """A backend, and how one waits for it, until `is_over` or the process forks."""

    def __init__(self, backend: Backend, waiting: Waiting) -> None:
        self.journals, self.files = backend.journals, backend.files
        self.name, self.waiting = backend.name, waiting
        self.is_over = False
        self._fork_generation = disks.fork_generation

    @property
    def is_anothers(self) -> bool:
        """Whether this process was forked from the one that is connected: it has no thread that answers."""
        return self._fork_generation != disks.fork_generation

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """What the backend answers. Raises UnreachableError; DurabilityError where it may be written."""
        try:
            return self.wait(work)
        except Unreachable as error:
            raise UnreachableError(self.name, str(error)) from error
        except Unclear as error:
            raise DurabilityError(self.name, str(error) or "no clear answer", outcome_unknown=True) from error

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """As the backend answers, with its own errors. Raises JournalClosedError; then nothing was asked."""
        if self.is_over or self.is_anothers:
            work.close()
            forked = "was opened before the process forked"
            raise JournalClosedError(f"this store {forked if self.is_anothers else 'is closed'}")
        try:
            return self.waiting.wait(work)
        except RuntimeError as error:
            if self.is_over:  # it was closed this moment
                raise Unclear("the store was closed") from error
            raise

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that nobody waits for, if there is still somebody to do it."""
        if self.is_over or self.is_anothers:
            work.close()
        else:
            self.waiting.later(work)
