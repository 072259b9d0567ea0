"""The command's frame: options that every part takes, and errors as exit codes."""

import contextlib
import functools
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from journal.cli.output import Output
from journal.cli.place import find_store, open_store

if TYPE_CHECKING:
    from journal.store import StateStore

YES, NO, USAGE, NOT_FOUND, INTEGRITY, CONFLICT, SYSTEM = range(7)
INTERRUPTED = 130
BROKEN_PIPE = 141


@dataclass
class Call:
    """One call of the command: which store, and how to answer."""

    place: str | None = None
    out: Output = field(default_factory=Output)

    @contextlib.contextmanager
    def store(
        self,
        *,
        create: bool = False,
        writes: bool = False,
        durability: Literal["disk", "os"] = "disk",
        actor: str | None = None,
    ) -> "Iterator[StateStore]":
        """Open the store; only `create` may make a new one, and only who `writes` is promised anything."""
        place = find_store(self.place)
        with open_store(place, create=create, writes=writes, durability=durability, actor=actor) as store:
            if store.name != store.base_path:
                self.out.names(store.base_path, store.name)
            yield store


_GLOBAL = (
    click.option(
        "--store", metavar="STORE", help="The store's folder or URL; else $JOURNAL_STORE, else this folder."
    ),
    click.option("--json", "as_json", is_flag=True, help="Answer with JSON."),
    click.option(
        "--color", type=click.Choice(["auto", "always", "never"]), help="Colour: auto, always or never."
    ),
    click.option("--no-pager", is_flag=True, help="Never start a pager."),
)


def with_global_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that may stand before a command's name and after it."""
    for option in reversed(_GLOBAL):
        function = option(function)
    return function


with_actor = click.option("--by", metavar="ACTOR", help="Who writes; goes on record.")
"""For the commands that write."""


def command(name: str, group: click.Group | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a part of `journal`, or of a group in it: it gets the Call, then its own options."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @click.pass_context
        @functools.wraps(function)
        def run(context: click.Context, /, **options: Any) -> None:
            chosen = {each: options.pop(each) for each in _GLOBAL_NAMES}
            outer = context.parent
            while outer is not None:
                chosen = {each: chosen[each] or outer.params.get(each) for each in _GLOBAL_NAMES}
                outer = outer.parent
            out = Output(
                as_json=bool(chosen["as_json"]),
                color=chosen["color"] or "auto",
                pager=not chosen["no_pager"],
            )
            function(Call(place=chosen["store"], out=out), **options)

        made: click.Command = (group or app).command(name)(with_global_options(run))
        return made

    return decorate


_GLOBAL_NAMES = ("store", "as_json", "color", "no_pager")


class App(click.Group):
    """The group, with our way to end: a sentence on stderr and an exit code, never a traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and exit."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character ends nothing
            sys.stdout.reconfigure(errors="backslashreplace")
        out = Output()
        with warnings.catch_warnings():
            _show_warnings(out)
            try:
                code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            except Exception as error:
                code = _explain(error, out)
        sys.exit(_flushed(code if isinstance(code, int) else YES))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the part that was asked for; click itself would call a reader that went away a "no"."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise click.exceptions.Exit(BROKEN_PIPE) from None


def _show_warnings(out: Output) -> None:
    """What the engine repaired or set aside is said once, in our own words' form."""
    from journal.errors import JournalWarning

    said: set[str] = set()
    inner = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, JournalWarning):
            inner(message, category, *rest, **more)
        elif str(message) not in said:
            said.add(str(message))
            out.warning(str(message))

    warnings.simplefilter("always", JournalWarning)
    warnings.showwarning = show


def _explain(error: Exception, out: Output) -> int:
    """Say what went wrong; return the exit code. What is not expected is raised again."""
    if isinstance(error, click.Abort):
        return INTERRUPTED
    if isinstance(error, click.UsageError):
        return _explain_usage(error, out)
    if isinstance(error, click.ClickException):
        out.error(error.format_message())
        return error.exit_code
    code = _exit_code(error)
    if code is None:
        raise error
    out.error(sentence_of(error))
    return code


def sentence_of(error: Exception) -> str:
    """What went wrong, in words: the library's own, or the system's with the file that it names."""
    from journal.errors import JournalError

    if isinstance(error, OSError) and error.strerror and not isinstance(error, JournalError):
        where = f"{error.filename}: " if error.filename else "the system refused to read or write the store: "
        return f"{where}{error.strerror}"
    return str(error)


def _explain_usage(error: click.UsageError, out: Output) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return USAGE
    out.error(error.format_message())
    for note in getattr(error, "__notes__", ()):  # the place, where it is in a longer text
        out.note(note)
    if error.ctx is not None:
        out.note(f"`{error.ctx.command_path} --help` says how.")
    return USAGE


def _exit_code(error: Exception) -> int | None:
    import sqlite3

    from journal import errors

    match error:
        case errors.SessionNotFoundError():
            return NOT_FOUND
        case errors.CorruptRecordError() | errors.CorruptSnapshotError() | errors.SealError():
            return INTEGRITY
        case errors.AttachmentError():
            return INTEGRITY
        case errors.VersionConflictError():
            return CONFLICT
        case errors.InvalidNameError() | errors.InvalidEventError() | errors.InvalidKeyError():
            return USAGE
        case errors.OwnerMismatchError():
            return NO
        case errors.JournalError() | OSError() | sqlite3.Error():
            return SYSTEM
        case _:
            return None


def _flushed(code: int) -> int:
    """Write out what is left; the exit code, another one if nobody reads it."""
    try:
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # stdout may be no file
            # What Python flushes at its end must not fail once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or BROKEN_PIPE


@click.group("journal", cls=App, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="session-journal", prog_name="journal")
@with_global_options
def app(**options: Any) -> None:
    """Conversations as journals: append, read, travel in time, verify, repair.

    An address is a session's id and maybe a point in it: ID, ID@7, ID@-1 (the last record),
    ID@2026-11-22T12:00Z, and for `log` a range, ID@3..7.

    Exit codes: 0 yes, 1 no, 2 usage, 3 not found, 4 damaged, 5 conflict, 6 the system refused.
    """
