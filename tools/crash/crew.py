"""The processes of a campaign: started, heard, killed, and never left behind."""

import multiprocessing
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, NamedTuple, Self

from journal import JournalWarning

# Forked, so that a new one is at work within milliseconds.
_FORK = multiprocessing.get_context("fork")
_END_WITHIN_SECONDS = 20.0


class Failed(NamedTuple):
    """A process ended with an error that nobody expected."""

    trace: str


class Member:
    """A process, and what it says."""

    def __init__(self, process: BaseProcess, ear: Connection) -> None:
        self.process, self.ear = process, ear

    def heard(self) -> Iterator[Any]:
        """What it said since the last time; does not wait."""
        try:
            while not self.ear.closed and self.ear.poll():
                yield self.ear.recv()
        except (EOFError, OSError):  # it ended; half of a last message is none
            self.ear.close()

    def kill(self) -> list[Any]:
        """End it at once, wherever it is; return what it had said."""
        self.process.kill()
        self.process.join(_END_WITHIN_SECONDS)
        return list(self.heard())

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be heard of it."""
        return self.ear.closed


class Crew:
    """Processes that live no longer than the `with` block. `over`: set it to let them come to an end."""

    def __init__(self) -> None:
        self.over = _FORK.Event()
        self.members: list[Member] = []

    def start(self, work: Callable[..., None], *arguments: Any) -> Member:
        """Run `work(tell, *arguments)` in a process; what it tells is heard here."""
        ear, mouth = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_run, args=(work, mouth, arguments), daemon=True)
        with warnings.catch_warnings():
            # Newer interpreters warn where other threads run: whatever they hold, `work` uses none of it.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        mouth.close()
        member = Member(process, ear)
        self.members.append(member)
        return member

    @property
    def is_at_work(self) -> bool:
        """Whether somebody has not ended."""
        return not all(member.has_ended for member in self.members)

    def wait(self, seconds: float) -> bool:
        """Wait until somebody said something, or ended; False when the time was up before."""
        ears = [member.ear for member in self.members if not member.has_ended]
        return bool(ears and wait(ears, seconds))

    def leave(self, member: Member) -> None:
        """Forget a member that was killed or has ended."""
        self.members.remove(member)
        member.kill()
        member.ear.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in list(self.members):
            self.leave(member)


def _run(work: Callable[..., None], mouth: Connection, arguments: tuple[Any, ...]) -> None:
    # A repair is what a writer does after a kill; the campaigns count its records.
    warnings.simplefilter("ignore", JournalWarning)
    try:
        work(mouth.send, *arguments)
    except Exception:
        mouth.send(Failed(traceback.format_exc()))
