"""Upkeep of what is derived from the sessions, or left beside them: databases, temporary files."""

import contextlib
import os
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator
from typing import TypeVar

from journal import catalog, search_index
from journal import disk as disks
from journal.attachments import Attachments
from journal.derived import has_log, remove_database
from journal.diagnosis import Diagnosis, Step, StoreKind
from journal.disk import Disk
from journal.faults import MOST_TOLD
from journal.layout import JOURNAL_ENDING, SNAPSHOT_ENDING, Layout

T = TypeVar("T")


def diagnose_store(disk: Disk, layout: Layout) -> Diagnosis:
    """Say what is wrong around the sessions, and what would mend it. Changes nothing."""
    return Diagnosis(session_id=None, steps=list(_steps(disk, layout)))


def repair_store(disk: Disk, layout: Layout) -> list[str]:
    """Mend what `diagnose_store` finds; say what was done. What is removed is derived, or nobody's."""
    done = []
    for step in _steps(disk, layout):
        match step.kind:
            case "broken_catalog":
                remove_database(disk, layout.catalog)
                done.append(f"removed {layout.catalog}; the next `journal ls` makes it anew.")
            case "broken_search_index":
                remove_database(disk, layout.search)
                done.append(f"removed {layout.search}; the next `journal search` makes it anew.")
            case "outdated_search_index":
                search_index.forget(disk, layout.search, gone_from_search(disk, layout))
                done.append("took their words out of it.")
            case "stray_attachments":
                number = len(Attachments(disk, layout).sweep_strays())
                done.append(f"removed {number:,} attachment{'s' * (number != 1)}.")
            case _:
                for folder in _with_temporaries(disk, layout):
                    disks.sweep_temporaries(disk, folder)
                done.append("removed the temporary files.")
    return done


def _steps(disk: Disk, layout: Layout) -> Iterator[Step]:
    if problem := catalog_problem(disk, layout):
        yield _removed("broken_catalog", layout.catalog, problem, "journal ls")
    if problem := search_problem(disk, layout):
        yield _removed("broken_search_index", layout.search, problem, "journal search")
    elif gone := gone_from_search(disk, layout):
        findings = [
            f"{layout.search}: it knows session {each!r}, which is gone." for each in gone[:MOST_TOLD]
        ]
        if len(gone) > MOST_TOLD:
            findings.append(f"{layout.search}: {len(gone) - MOST_TOLD:,} more such sessions.")
        yield Step(
            kind="outdated_search_index",
            findings=findings,
            remedy="take their words out of it; the next `journal search` would do so, too.",
            size_bytes=0,
        )
    attachments, strays = Attachments(disk, layout), []
    with contextlib.suppress(OSError):  # then nobody can tell, and `journal doctor` says why
        strays = sorted(attachments.strays())
    if strays:
        findings = [
            f"{attachments.path(each)}: no record refers to it, and it is over an hour old: a crash left it."
            for each in strays[:MOST_TOLD]
        ]
        if len(strays) > MOST_TOLD:
            findings.append(f"{layout.attachments}: {len(strays) - MOST_TOLD:,} more such files.")
        remedy = "remove what nobody can ask for."
        yield Step(kind="stray_attachments", findings=findings, remedy=remedy, size_bytes=0)
    if stray := stray_temporaries(disk, layout):
        yield Step(
            kind="stray_temporaries",
            findings=[f"{path}: a crashed writer left it." for path in stray],
            remedy="remove what nobody acknowledged.",
            size_bytes=0,
        )


def _removed(kind: StoreKind, path: str, problem: str, maker: str) -> Step:
    remedy = (
        f"remove it: it is derived, the journals hold all that it holds; the next `{maker}` makes it anew."
    )
    return Step(kind=kind, findings=[f"{path}: {problem}."], remedy=remedy, size_bytes=0)


def catalog_problem(disk: Disk, layout: Layout) -> str | None:
    """What is wrong with the catalog's file, or None. Makes no files beside it."""
    return _problem(disk, layout.catalog, catalog.check)


def search_problem(disk: Disk, layout: Layout) -> str | None:
    """What is wrong with the search index's file, or None. Makes no files beside it."""
    return _problem(disk, layout.search, search_index.check)


def gone_from_search(disk: Disk, layout: Layout) -> list[str]:
    """The sessions that the search index knows and that have no file, as after a deletion, sorted."""
    if disk.status(layout.search) is None or has_log(disk, layout.search):
        return []  # what stands in its log may have taken them out already
    try:
        known = _look(disk, layout.search, search_index.session_ids)
    except (sqlite3.Error, OSError):
        return []
    there = set()
    for entry in disk.entries(layout.sessions):
        name, ending = os.path.splitext(entry.name.encode(errors="backslashreplace").decode())
        if ending == SNAPSHOT_ENDING or (ending == JOURNAL_ENDING and entry.status.st_size):
            there.add(name)
    return sorted(known - there)


def _problem(disk: Disk, path: str, check: Callable[[sqlite3.Connection], object]) -> str | None:
    status = disk.status(path)
    problem = None
    for _ in range(10):
        problem = _problem_now(disk, path, check) if status is not None else None
        if problem is None or (now := disk.status(path)) == status:
            break
        status = now  # it was written while we read
    # What is being copied from the log is neither here nor there.
    return None if has_log(disk, path) else problem


def _problem_now(disk: Disk, path: str, check: Callable[[sqlite3.Connection], object]) -> str | None:
    def ask(database: sqlite3.Connection) -> str:
        check(database)
        (said,) = database.execute("pragma quick_check(1)").fetchone()
        return str(said)

    try:
        said = _look(disk, path, ask)
    except (sqlite3.Error, OSError) as error:
        return str(error)
    return None if said == "ok" else said.replace("\n", " ")


def _look(disk: Disk, path: str, ask: Callable[[sqlite3.Connection], T]) -> T:
    """What `ask` returns of a database that is only read. Raises sqlite3.Error, OSError."""
    disks.check_file(disk, path)
    # Immutable: SQLite neither locks it nor looks for files beside it.
    source = f"file:{urllib.parse.quote(path)}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(source, uri=True)) as database:
        return ask(database)


def stray_temporaries(disk: Disk, layout: Layout) -> list[str]:
    """The paths of temporary files that crashed writers left beside the sessions, and the attachments."""
    folders = _with_temporaries(disk, layout)
    return sorted(entry.path for folder in folders for entry in disk.entries(folder) if disks.is_stale(entry))


def _with_temporaries(disk: Disk, layout: Layout) -> list[str]:
    return [layout.sessions, *Attachments(disk, layout).folders()]
