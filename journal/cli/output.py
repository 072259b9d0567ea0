"""Where answers go: JSON for programs, colour and a pager for a person at a terminal."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from typing import IO, Any, Literal

import click

from journal.cli.pager import paged, write_lines
from journal.cli.text import safe_json, visible

ColorChoice = Literal["auto", "always", "never"]
# Of a line that no terminal cuts: enough to find it by.
_PIPED_WIDTH = 500
# Beyond that, colouring takes longer than a person wants to wait.
_MAX_COLORED = 200_000


class Output:
    """How this call answers: as JSON or for a person, with or without colour, paged or not."""

    def __init__(self, *, as_json: bool = False, color: ColorChoice = "auto", pager: bool = True) -> None:
        self.as_json = as_json
        self.is_terminal = _is_terminal(sys.stdout)
        self.color = wants_color(color, self.is_terminal)
        self._color_notes = wants_color(color, _is_terminal(sys.stderr))
        self._pager = pager and self.is_terminal and not as_json
        self._folder = self._named = ""

    def names(self, folder: str, store: str) -> None:
        """Name a store where the folder stands for it that goes with this call: nobody could look there."""
        self._folder, self._named = folder, store

    def _with_names(self, text: str) -> str:
        return text.replace(self._folder, self._named) if self._folder else text

    @property
    def width(self) -> int:
        """How many columns a line may take."""
        if self.is_terminal or os.environ.get("COLUMNS", "").isdigit():
            return max(shutil.get_terminal_size().columns, 20)
        return _PIPED_WIDTH

    def style(self, text: str, **look: Any) -> str:
        """The text in colour, if colour is wanted. The text must be visible already."""
        return click.style(text, **look) if self.color and text else text

    def line(self, text: str = "") -> None:
        """One line of the answer."""
        sys.stdout.write(self._with_names(text) + "\n")

    def lines(self, lines: Iterable[str]) -> None:
        """Many lines of the answer, through a pager if they are more than a screen."""
        if self._folder:
            lines = map(self._with_names, lines)
        if self._pager:
            paged(lines)
        else:
            write_lines(lines)

    def json(self, value: object) -> None:
        """One object, in one line."""
        self.line(json_line(value))

    def pretty_json(self, text: str) -> None:
        """JSON that is laid out for reading."""
        text = safe_json(text)
        if self.color and len(text) <= _MAX_COLORED:
            text = _colored_json(text)
        self.lines(text.split("\n"))

    def note(self, text: str) -> None:
        """Something beside the answer, for a person: on stderr."""
        self._say(text, "", None)

    def warning(self, text: str) -> None:
        """Something that was repaired or set aside."""
        self._say(text, "journal: warning: ", "yellow")

    def error(self, text: str) -> None:
        """Why there is no answer."""
        self._say(text, "journal: ", "red")

    def _say(self, text: str, prefix: str, color: str | None) -> None:
        with contextlib.suppress(BrokenPipeError):  # said when the command ends
            sys.stdout.flush()  # first what came first
        if self._color_notes and color:
            prefix = click.style(prefix, fg=color, bold=True)
        click.echo(prefix + visible(self._with_names(text)), err=True, color=self._color_notes)


def wants_color(choice: ColorChoice, is_terminal: bool) -> bool:
    """Whether to colour: what was asked, else NO_COLOR, else FORCE_COLOR, else whether a person looks."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal and os.environ.get("TERM") != "dumb"


def _is_terminal(stream: IO[Any]) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # closed, or no stream at all
        return False


def json_line(value: object) -> str:
    """JSON in one line, with nothing in it that a terminal obeys."""
    return safe_json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _colored_json(text: str) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.highlighter import JSONHighlighter

    written = StringIO()
    console = Console(file=written, force_terminal=True, color_system="standard", soft_wrap=True)
    console.print(JSONHighlighter()(text), soft_wrap=True, end="")
    return written.getvalue()
