"""The commands that look after snapshots and hashes: verify, compact."""

from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import Moment, require
from journal.cli.app import INTEGRITY, Call, command
from journal.cli.progress import Progress
from journal.cli.sealing import open_given_seal
from journal.cli.text import visible

if TYPE_CHECKING:
    from datetime import datetime

    from journal.seal import Seal
    from journal.verify import Report


@command("verify")
@click.argument("session_ids", metavar="[ID...]", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All sessions of the store.")
@click.option("--seal", "seal_path", metavar="FILE", help="Compare with what was sealed; needs --key.")
@click.option("--key", metavar="PUBLIC", help="The public key of who sealed it, NAME+ID+KEY, or its file.")
@click.option("--after", type=Moment(), metavar="TIME", help="Refuse a seal that was made at TIME or before.")
@click.option(
    "--min-version", type=click.IntRange(min=1), metavar="N", help="Refuse a seal of an earlier version."
)
def verify_command(call: Call, session_ids: tuple[str, ...], every: bool, **sealed: Any) -> None:
    """Check every hash, link and number, and the snapshot. Writes nothing.

    A journal that was cut between two saves, or rewritten from its beginning, is whole in itself: compare it
    with a seal, or its head with one that was kept elsewhere. An older seal is a good one, too: say what the
    last was with --after or --min-version.
    """
    if bool(session_ids) == every:
        raise click.UsageError("name the sessions to verify, or say --all")
    seal = _given_seal(session_ids, **sealed)
    reports: dict[str, Report] = {}
    with call.store() as store, Progress("verifying") as progress:
        named = set(seal.heads) if seal else set()
        if every:
            ids = sorted({*store.session_ids(), *named})
        else:  # one that was taken away is a finding, not a slip of the pen
            ids = [each if each in named else require(store, each) for each in session_ids]
        # They come as they are done, on every core; a person reads them in their order.
        found = store.verify_each(None if every and seal else ids, seal=seal)
        for done, (session_id, report) in enumerate(found, 1):
            reports[session_id] = report
            progress(session_id, done, len(ids))
    reports = {each: reports[each] for each in ids if each in reports}
    if not call.out.as_json:
        for session_id, report in reports.items():
            _print_report(call, session_id, report, is_sealed=seal is not None)
    _end_verify(call, reports, is_sealed=seal is not None)


def _given_seal(
    ids: tuple[str, ...],
    *,
    seal_path: str | None,
    key: str | None,
    after: "datetime | None",
    min_version: int | None,
) -> "Seal | None":
    if seal_path is None and (key or after or min_version):
        raise click.UsageError("--key, --after and --min-version go with --seal")
    if seal_path is None:
        return None
    if key is None:
        raise click.UsageError("whose seal is it? Give the public key that you trust with --key")
    if min_version and len(ids) != 1:
        raise click.UsageError("--min-version is for one session")
    versions = {ids[0]: min_version} if min_version else None
    return open_given_seal(seal_path, key, after=after, versions=versions)


def _print_report(call: Call, session_id: str, report: "Report", *, is_sealed: bool) -> None:
    for finding in report.findings:
        call.out.line(call.out.style(visible(finding), fg="red"))
    for note in report.notes:
        call.out.line(call.out.style(f"note: {visible(note)}", fg="yellow"))
    wrong = "DAMAGED" if report.kinds or not is_sealed else "NOT AS SEALED"
    word = call.out.style("ok", fg="green") if report.ok else call.out.style(wrong, fg="red", bold=True)
    head = f", head {report.head}" if report.head else ""
    call.out.line(f"{visible(session_id)}: {word}, version {report.version}{head}")


def _end_verify(call: Call, reports: "dict[str, Report]", *, is_sealed: bool) -> None:
    ok = all(report.ok for report in reports.values())
    if call.out.as_json:
        sessions = [_report_object(session_id, report) for session_id, report in reports.items()]
        call.out.json({"ok": ok, "sessions": sessions})
    elif len(reports) != 1:
        damaged = sum(not report.ok for report in reports.values())
        wrong = "damaged or not as sealed" if is_sealed else "damaged"
        call.out.note(f"{len(reports)} sessions: {len(reports) - damaged} ok, {damaged} {wrong}")
    if not ok:
        raise click.exceptions.Exit(INTEGRITY)


def _report_object(session_id: str, report: "Report") -> dict[str, Any]:
    return {
        "id": session_id,
        "ok": report.ok,
        "version": report.version,
        "head": report.head,
        "sealed": report.sealed,
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
