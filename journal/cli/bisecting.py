"""The command that finds the record from which on something is true, asking about few versions: bisect."""

import json
import os
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import locate, parse_point, require
from journal.cli.app import NO, SYSTEM, Call, command
from journal.cli.matching import ExpressionType
from journal.cli.output import json_line
from journal.cli.place import find_store, folder_in
from journal.cli.searching import print_found

if TYPE_CHECKING:
    from journal.store import StateStore
    from projections.events import Record
    from projections.expression import Expression
    from projections.session import Session
    from projections.timeline import Timeline

# The greatest exit code that is a verdict, and the one that is none; 126 and 127 are the shell's own.
_LAST_BAD, _SKIP = 124, 125


class BisectStopped(click.ClickException):
    """The command that bisect ran gave no verdict."""

    exit_code = SYSTEM


@command("bisect")
@click.argument("session_id", metavar="ID")
@click.argument("expression", metavar="[EXPR]", type=ExpressionType(), required=False)
@click.option("--run", metavar="CMD", help="The shell runs it for each state, which it gets on stdin.")
@click.option("--good", metavar="POINT", help="Where it is not so yet; else before the first record.")
@click.option("--bad", metavar="POINT", help="Where it is so already.")
def bisect_command(
    call: Call,
    session_id: str,
    expression: "Expression | None",
    run: str | None,
    good: str | None,
    bad: str | None,
) -> None:
    """Print the record since which EXPR is true, or CMD says that something is bad.

    For what stays so: log2 of the versions are asked about. CMD gets the session as JSON, and
    JOURNAL_SESSION and JOURNAL_VERSION. It exits with 0 for good (not yet), 1 to 124 for bad (it is so),
    125 if it cannot tell; any other code ends the search.
    """
    from projections.bisection import bisect

    ask = _question(expression, run, call.place)
    tried: list[dict[str, Any]] = []
    with call.store() as store:
        timeline = store.timeline(require(store, session_id))
        last = timeline.version
        low = 0 if good is None else locate(store, session_id, parse_point(good, good))
        # If nobody says where it is bad, it is as if that were behind the last version.
        high = last + 1 if bad is None else locate(store, session_id, parse_point(bad, bad))
        if not low < high or max(low, high - (bad is None)) > last:
            raise click.UsageError(f"--good must come before --bad, and both up to the last version, {last}")

        def noted(version: int) -> bool | None:
            is_bad = ask(store, timeline, version)
            verdict = "skip" if is_bad is None else "bad" if is_bad else "good"
            call.out.note(f"version {version}: {verdict}")
            tried.append({"version": version, "verdict": verdict})
            return is_bad

        found = bisect(low, high, noted)
        is_found = len(found) == 1 and found[0] <= last
        record = timeline.records[found[0] - 1] if is_found else None
    if call.out.as_json:
        call.out.json(_answer(session_id, record, found, last) | {"tried": tried})
    elif record is not None:
        print_found(call.out, session_id, record)
    if record is None:
        call.out.note(_in_vain(found, last))
        raise click.exceptions.Exit(NO)


def _question(
    expression: "Expression | None", run: str | None, place: str | None
) -> "Callable[[StateStore, Timeline, int], bool | None]":
    if run is not None and expression is None:
        return lambda store, timeline, version: _run(run, _place_of(store, place), timeline[version])
    if run is not None or expression is None:
        raise click.UsageError("say what to look for: either EXPR or --run CMD")
    if expression.uses_event:
        raise click.UsageError(
            "event.… is of one record and does not stay true; `journal first ID EXPR` looks at every record"
        )
    return lambda store, timeline, version: expression.matches(None, timeline[version])


def _place_of(store: "StateStore", place: str | None) -> str:
    """What a command that is run here takes for the store."""
    found = find_store(place)
    return found if folder_in(found) is None else store.base_path


def _run(run: str, place: str, state: "Session") -> bool | None:
    """Whether the command calls this version bad; None where it cannot tell. Raises BisectStopped."""
    from journal.snapshot import document_json

    version = state.version
    text = json_line(json.loads(document_json(state)))
    facts = {"JOURNAL_STORE": place, "JOURNAL_SESSION": state.id, "JOURNAL_VERSION": str(version)}
    # What it prints goes to our stderr: our stdout has the answer and nothing else.
    done = subprocess.run(
        run, shell=True, input=f"{text}\n".encode(), stdout=2, env=os.environ | facts, check=False
    )
    code = done.returncode
    if 0 <= code <= _LAST_BAD:
        return code != 0
    if code == _SKIP:
        return None
    why = "the shell could not run it" if code in (126, 127) else "it broke off"
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    raise BisectStopped(f"the command gave no verdict on version {version}: {why} ({how})")


def _answer(session_id: str, record: "Record | None", found: range, last: int) -> dict[str, Any]:
    from journal.objects import record_object

    shown = None if record is None else record_object(session_id, record)
    between = None if found[0] > last else [found[0], min(found[-1], last)]
    return {"session_id": session_id, "record": shown, "between": between}


def _in_vain(found: range, last: int) -> str:
    if found[0] > last:
        return f"it is good up to the last version, {last}"
    if found[-1] > last:
        return f"it is good up to version {found[0] - 1}, and of those behind it none could be told"
    return (
        f"the first bad version is one of {found[0]} to {found[-1]}; those before the last could not be told"
    )
