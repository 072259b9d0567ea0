"""The commands that look after snapshots and hashes: verify, compact."""

from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import require
from journal.cli.app import INTEGRITY, Call, command
from journal.cli.progress import Progress
from journal.cli.text import visible

if TYPE_CHECKING:
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
    with call.store() as store, Progress("verifying") as progress:
        ids = store.session_ids() if every else [require(store, each) for each in session_ids]
        # They come as they are done, on every core; a person reads them in their order.
        for done, (session_id, report) in enumerate(store.verify_each(ids), 1):
            reports[session_id] = report
            progress(session_id, done, len(ids))
    reports = {each: reports[each] for each in ids if each in reports}
    if not call.out.as_json:
        for session_id, report in reports.items():
            _print_report(call, session_id, report)
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
