"""Asking a backend from code that has no `await`."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from journal.backend import Backend, Unclear, Unreachable
from journal.errors import DurabilityError, UnreachableError
from journal.waiting import Waiting

T = TypeVar("T")


class Asking:
    """A backend, and how one waits for it."""

    def __init__(self, backend: Backend, waiting: Waiting) -> None:
        self.journals, self.files = backend.journals, backend.files
        self.name, self.waiting = backend.name, waiting

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """What the backend answers. Raises UnreachableError; DurabilityError where it may be written."""
        try:
            return self.waiting.wait(work)
        except Unreachable as error:
            raise UnreachableError(self.name, str(error)) from error
        except Unclear as error:
            raise DurabilityError(self.name, str(error) or "no clear answer", outcome_unknown=True) from error
