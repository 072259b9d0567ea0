"""The commands that look after a store: verify, compact, repair."""

from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import require
from journal.cli.app import INTEGRITY, NO, Call, command
from journal.cli.place import user_name
from journal.cli.progress import Progress
from journal.cli.text import visible

if TYPE_CHECKING:
    from journal.diagnosis import Diagnosis
    from journal.verify import Report


@command("verify")
@click.argument("session_ids", metavar="[ID...]", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All sessions of the store.")
def verify_command(call: Call, session_ids: tuple[str, ...], every: bool) -> None:
    """Check every hash, link and number, and the snapshot. Writes nothing.

    Compare a session's head with one that was kept elsewhere: a journal that was rewritten from its
    beginning is whole in itself.
    """
    if bool(session_ids) == every:
        raise click.UsageError("name the sessions to verify, or say --all")
    reports: dict[str, Report] = {}
    # Where a person sees the lines themselves, they are the progress.
    shows_lines = call.out.is_terminal and not call.out.as_json
    with call.store() as store, Progress("verifying", quiet=shows_lines) as progress:
        ids = store.session_ids() if every else [require(store, each) for each in session_ids]
        for done, session_id in enumerate(ids):
            progress(session_id, done, len(ids))
            reports[session_id] = store.verify(session_id)
            if not call.out.as_json:
                _print_report(call, session_id, reports[session_id])
    _end_verify(call, reports)


def _print_report(call: Call, session_id: str, report: "Report") -> None:
    for finding in report.findings:
        call.out.line(call.out.style(visible(finding), fg="red"))
    for note in report.notes:
        call.out.line(call.out.style(f"note: {visible(note)}", fg="yellow"))
    word = call.out.style("ok", fg="green") if report.ok else call.out.style("DAMAGED", fg="red", bold=True)
    head = f", head {report.head}" if report.head else ""
    call.out.line(f"{visible(session_id)}: {word}, version {report.version}{head}")


def _end_verify(call: Call, reports: "dict[str, Report]") -> None:
    ok = all(report.ok for report in reports.values())
    if call.out.as_json:
        sessions = [_report_object(session_id, report) for session_id, report in reports.items()]
        call.out.json({"ok": ok, "sessions": sessions})
    elif len(reports) != 1:
        damaged = sum(not report.ok for report in reports.values())
        call.out.note(f"{len(reports)} sessions: {len(reports) - damaged} ok, {damaged} damaged")
    if not ok:
        raise click.exceptions.Exit(INTEGRITY)


def _report_object(session_id: str, report: "Report") -> dict[str, Any]:
    return {
        "id": session_id,
        "ok": report.ok,
        "version": report.version,
        "head": report.head,
        "size_bytes": report.size_bytes,
        "findings": report.findings,
        "notes": report.notes,
    }


@command("compact")
@click.argument("session_ids", metavar="[ID...]", nargs=-1)
def compact_command(call: Call, session_ids: tuple[str, ...]) -> None:
    """Bring snapshots up to date: of all sessions, or of those named."""
    from journal.errors import JournalError

    written, failed = [], []
    with call.store() as store, Progress("compacting") as progress:
        ids = [require(store, each) for each in session_ids] or store.session_ids()
        for done, session_id in enumerate(ids):
            progress(session_id, done, len(ids))
            try:
                if store.compact(session_id):
                    written.append(session_id)
            except JournalError as error:
                failed.append({"id": session_id, "reason": str(error)})
    if call.out.as_json:
        call.out.json({"sessions": len(ids), "written": written, "failed": failed})
    else:
        for each in failed:
            call.out.error(each["reason"])
        number = len(written)
        call.out.line(f"{number} snapshot{'s' * (number != 1)} written, of {len(ids)} sessions")
    if failed:
        raise click.exceptions.Exit(INTEGRITY)


@command("repair")
@click.argument("session_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do it; without, only say what would be done.")
def repair_command(call: Call, session_id: str, yes: bool) -> None:
    """Say what is wrong with a session and what would mend it; with --yes, do it.

    Nothing is lost: whatever is cut or replaced is kept in the store's .journal/quarantine.
    """
    import warnings

    from journal.errors import JournalWarning

    # What the engine would warn of is this command's answer.
    warnings.simplefilter("ignore", JournalWarning)
    done: list[str] = []
    with call.store(actor=user_name()) as store:
        require(store, session_id)
        found = store.diagnose(session_id)
        if yes and found.steps:
            done = store.repair(session_id)
    if call.out.as_json:
        call.out.json(_repair_object(session_id, found, done))
    else:
        _print_repair(call, session_id, found, done)
    if found.hopeless:
        raise click.exceptions.Exit(INTEGRITY)
    if found.steps and not yes:
        raise click.exceptions.Exit(NO)


def _repair_object(session_id: str, found: "Diagnosis", done: list[str]) -> dict[str, Any]:
    steps = [
        {"kind": step.kind, "finding": step.finding, "remedy": step.remedy, "size_bytes": step.size_bytes}
        for step in found.steps
    ]
    return {"session_id": session_id, "steps": steps, "hopeless": found.hopeless, "done": done}


def _print_repair(call: Call, session_id: str, found: "Diagnosis", done: list[str]) -> None:
    out = call.out
    for step in found.steps:
        out.line(f"{out.style('wrong:', fg='red')} {visible(step.finding)}")
        if not done:
            out.line(f"{out.style('would:', fg='yellow')} {visible(step.remedy)}")
    for text in done:
        out.line(f"{out.style('done:', fg='green')}  {visible(text)}")
    for text in found.hopeless:
        out.line(f"{out.style('wrong:', fg='red')} {visible(text)}")
    if not found.steps and not found.hopeless:
        out.line(f"{visible(session_id)}: nothing to repair")
    elif found.steps and not done:
        out.note("nothing was changed; --yes does it")
