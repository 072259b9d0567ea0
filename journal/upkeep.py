"""Upkeep of what is derived from the sessions, or left beside them: the catalog, temporary files."""

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Iterator

from journal import disk as disks
from journal.catalog import SCHEMA_VERSION
from journal.derived import remove_database
from journal.diagnosis import Diagnosis, Step
from journal.disk import Disk
from journal.layout import Layout


def diagnose_store(disk: Disk, layout: Layout) -> Diagnosis:
    """Say what is wrong around the sessions, and what would mend it. Changes nothing."""
    return Diagnosis(session_id=None, steps=list(_steps(disk, layout)))


def repair_store(disk: Disk, layout: Layout) -> list[str]:
    """Mend what `diagnose_store` finds; say what was done. Nothing that is removed here is in no journal."""
    done = []
    for step in _steps(disk, layout):
        if step.kind == "broken_catalog":
            remove_database(disk, layout.catalog)
            done.append(f"removed {layout.catalog}; the next `journal ls` makes it anew.")
        else:
            disks.sweep_temporaries(disk, layout.sessions)
            done.append("removed the temporary files.")
    return done


def _steps(disk: Disk, layout: Layout) -> Iterator[Step]:
    if problem := catalog_problem(disk, layout.catalog):
        yield Step(
            kind="broken_catalog",
            findings=[f"{layout.catalog}: {problem}."],
            remedy="remove it: it is derived, the journals hold all that it holds; the next `journal ls` "
            "makes it anew.",
            size_bytes=0,
        )
    if stray := stray_temporaries(disk, layout):
        yield Step(
            kind="stray_temporaries",
            findings=[f"{path}: a crashed writer left it." for path in stray],
            remedy="remove what nobody acknowledged.",
            size_bytes=0,
        )


def catalog_problem(disk: Disk, path: str) -> str | None:
    """What is wrong with the catalog's file, or None. Makes no files beside it."""
    status = disk.status(path)
    problem = None
    for _ in range(10):
        problem = _sqlite_problem(disk, path) if status is not None else None
        if problem is None or (now := disk.status(path)) == status:
            return problem
        status = now  # it was written while we read
    return problem


def _sqlite_problem(disk: Disk, path: str) -> str | None:
    try:
        disks.check_file(disk, path)
        # Immutable: SQLite neither locks it nor looks for files beside it.
        source = f"file:{urllib.parse.quote(path)}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(source, uri=True)) as database:
            if database.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,):
                database.execute(
                    "select id, file, problem, user_id, updated_at, summary, change from session limit 0"
                )
                database.execute("select made_ns, folder_ns, changes from looked limit 0")
            (said,) = database.execute("pragma quick_check(1)").fetchone()
    except (sqlite3.Error, OSError) as error:
        return str(error)
    return None if said == "ok" else str(said).replace("\n", " ")


def stray_temporaries(disk: Disk, layout: Layout) -> list[str]:
    """The paths of temporary files that crashed writers left beside the sessions."""
    return sorted(entry.path for entry in disk.entries(layout.sessions) if disks.is_stale(entry))
