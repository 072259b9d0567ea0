"""`play`: a session printed as it happened, with the pauses that it had."""

import sys
import time
from typing import TYPE_CHECKING

import click

from journal.cli.address import parse_address, require
from journal.cli.app import NO, Call, command
from journal.cli.keys import Keys, keys
from journal.cli.output import Output
from journal.cli.reading import between, known, record_line
from journal.cli.text import visible_lines, wrapped

if TYPE_CHECKING:
    from projections.events import Record

_INDENT = " " * 7


@command("play")
@click.argument("address", metavar="ID[@RANGE]")
@click.option("--speed", type=float, default=1.0, show_default=True, help="So many times as fast.")
@click.option(
    "--idle-limit", type=float, default=2.0, show_default=True, help="No pause is longer, in seconds."
)
def play_command(call: Call, address: str, speed: float, idle_limit: float) -> None:
    """Print a session's records with the pauses that they had; nothing is run again.

    At a terminal: space pauses and goes on, → or . shows the next record, q quits.
    """
    if not speed > 0:
        raise click.UsageError(f"--speed {speed:g} plays nothing; it must be more than 0")
    if not idle_limit >= 0:
        raise click.UsageError(f"--idle-limit {idle_limit:g} is no time; it must be 0 or more")
    last = None
    with call.store() as store, keys() as pressed:
        where = parse_address(address, known(store), ranges=True)
        require(store, where.session_id)
        player = _Player(pressed)
        for record in between(store, where):
            gap = 0.0 if last is None else (record.at - last.at).total_seconds()
            # Clocks go back, and the order stays.
            if not player.wait(min(max(gap, 0.0) / speed, idle_limit)):
                return
            _print(record, where.session_id, call.out)
            last = record
    if last is None:
        call.out.note("no record matches")
        raise click.exceptions.Exit(NO)


class _Player:
    """Waits between two records, or as long as somebody wants."""

    def __init__(self, pressed: Keys) -> None:
        self._keys = pressed
        self._is_paused = False

    def wait(self, seconds: float) -> bool:
        """Return when the next record is due; False when there is to be none."""
        while True:
            start = time.monotonic()
            match self._keys.wait(None if self._is_paused else seconds):
                case "quit":
                    return False
                case "next" | None:
                    return True
                case "pause":
                    if not self._is_paused:
                        seconds = max(seconds - (time.monotonic() - start), 0)
                    self._is_paused = not self._is_paused


def _print(record: "Record", session_id: str, out: Output) -> None:
    from journal.objects import record_object
    from projections.events import AgentResponseAdded, ReasoningAdded, UserMessageAdded

    if out.as_json:
        out.json(record_object(session_id, record))
    elif isinstance(record.event, UserMessageAdded | AgentResponseAdded | ReasoningAdded):
        out.line(record_line(record, out, text=""))
        for line in visible_lines(record.event.content).expandtabs(4).split("\n"):
            for part in wrapped(line, max(out.width - len(_INDENT), 20)):
                out.line(f"{_INDENT}{part}".rstrip())
    else:
        out.line(record_line(record, out))
    sys.stdout.flush()
