"""Progress of long work: on stderr, only at a terminal, only after a second."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from journal.cli.text import cut, visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_AFTER_SECONDS = 1.0


class Progress:
    """`with Progress("verifying") as progress:`, then `progress(name, done, total)` at each step."""

    def __init__(self, verb: str, *, quiet: bool = False) -> None:
        self._verb = verb
        self._watched = not quiet and sys.stderr.isatty()
        self._since = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __call__(self, name: str, done: int, total: int) -> None:
        """Say how far it is: `done` of `total`, at work on `name`."""
        if not self._watched or (self._bar is None and time.monotonic() - self._since < _AFTER_SECONDS):
            return
        if self._bar is None or self._task is None:
            self._bar, self._task = self._start()
        text = f"{self._verb} {cut(visible(name), 40)}"
        self._bar.update(self._task, description=text, completed=done, total=total or None)

    def _start(self) -> "tuple[Bar, TaskID]":
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        # What goes to stdout is the answer: it must go where the caller sends it.
        bar = Bar(
            *columns,
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        bar.start()
        return bar, bar.add_task(self._verb, total=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
