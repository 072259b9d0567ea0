"""A checkup of a whole store: each session, then what is around them. Changes nothing.

It goes by the files alone: the catalog and the search index are looked at, and neither used nor brought up
to date.
"""

import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from journal import disk as disks
from journal.attachment_files import ProblemOf
from journal.attachments import Attachments
from journal.derived import has_log
from journal.disk import TEMPORARY, Disk, Entry
from journal.errors import JournalError, SessionNotFoundError
from journal.layout import JOURNAL_ENDING, SNAPSHOT_ENDING, Layout
from journal.mounts import NETWORK_TYPES, mount_of
from journal.names import is_session_id
from journal.tombstones import read_tombstones
from journal.upkeep import catalog_problem, gone_from_search, search_problem, stray_temporaries
from journal.verify import verify_session

# So many names of a sort are told.
_MOST_TOLD: Final = 3
# What mends what is derived.
_MEND_DERIVED: Final = "journal repair --catalog --yes"


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """How a session is.

    state     "ok", or the gravest thing that is wrong, in a word: see docs/reference/cli.md
    is_well   nothing that was acknowledged is damaged, altered or missing in between
    findings, notes, version, size_bytes: as in the report of `verify`
    """

    session_id: str
    state: str
    is_well: bool
    version: int = 0
    size_bytes: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something about the store as a whole. `advice`: what to type, where something should be done."""

    about: str
    text: str
    is_well: bool = True
    advice: str | None = None


def session_ids(disk: Disk, layout: Layout) -> list[str]:
    """The ids of all sessions that have a file, sorted."""
    return sorted({each for entry in disk.entries(layout.sessions) if (each := _session_of(entry))})


def check_session(
    disk: Disk, layout: Layout, session_id: str, problem_of: ProblemOf | None = None
) -> Checkup:
    """Look a session over, in flat memory however long it is. Raises SessionNotFoundError.

    `problem_of`: as in `verify_session`.
    """
    try:
        report = verify_session(disk, layout, session_id, problem_of)
    except SessionNotFoundError:
        raise
    except (JournalError, OSError) as error:
        return Checkup(session_id=session_id, state="unreadable", is_well=False, findings=[_reason(error)])
    return Checkup(
        session_id=session_id,
        state=report.kinds[0] if report.kinds else "ok",
        is_well=report.ok,
        version=report.version,
        size_bytes=report.size_bytes,
        findings=report.findings,
        notes=report.notes,
    )


def check_store(disk: Disk, layout: Layout) -> Iterator[Remark]:
    """Look over what is around the sessions."""
    for folder in (layout.sessions, layout.quarantine, layout.attachments):
        try:
            disks.check_folders(disk, layout.base, folder)
        except OSError as error:
            yield Remark(about="folders", text=_reason(error), is_well=False)
    place, kind = mount_of(os.path.realpath(layout.base), disk.mounts())
    if kind in NETWORK_TYPES:
        text = f"{place} is a network file system ({kind}): locks may not keep two machines apart"
        yield Remark(about="disk", text=text, advice="move the store to a disk of this machine")
    yield _check_catalog(disk, layout)
    yield _check_search(disk, layout)
    yield _check_quarantine(disk, layout)
    yield from _check_attachments(disk, layout)
    yield _check_tombstones(disk, layout)
    yield from _check_files(disk, layout)


# What is around the sessions


def _check_catalog(disk: Disk, layout: Layout) -> Remark:
    problem = catalog_problem(disk, layout)
    return _derived(disk, "catalog", layout.catalog, problem, maker="journal ls")


def _check_search(disk: Disk, layout: Layout) -> Remark:
    problem = search_problem(disk, layout)
    found = _derived(disk, "search index", layout.search, problem, maker="journal search")
    if problem is None and (gone := gone_from_search(disk, layout)):
        text = f"{found.text}; until the next search it knows {_some(gone, 'session')} without a file"
        return replace(found, text=text, advice=_MEND_DERIVED)
    return found


def _derived(disk: Disk, about: str, path: str, problem: str | None, *, maker: str) -> Remark:
    status = disk.status(path)
    if status is None:
        return Remark(about=about, text=f"none yet; the next `{maker}` makes it")
    if problem:
        text = f"{problem}. It is derived: the journals hold all that it holds"
        return Remark(about=about, text=text, is_well=False, advice=_MEND_DERIVED)
    if has_log(disk, path):
        return Remark(about=about, text=f"{status.st_size:,} bytes; in use, or as a crash left it")
    return Remark(about=about, text=f"whole, {status.st_size:,} bytes")


def _check_quarantine(disk: Disk, layout: Layout) -> Remark:
    sizes = [entry.status.st_size for entry in disk.entries(layout.quarantine)]
    if not sizes:
        return Remark(about="quarantine", text="empty")
    return Remark(about="quarantine", text=f"{_count(len(sizes), 'file')}, {sum(sizes):,} bytes")


def _check_attachments(disk: Disk, layout: Layout) -> Iterator[Remark]:
    attachments = Attachments(disk, layout)
    if not attachments.are_there():
        return
    try:
        sizes = [entry.status.st_size for entry in attachments.entries()]
        strays = sorted(attachments.strays())
    except OSError as error:
        yield Remark(about="attachments", text=_reason(error), is_well=False)
        return
    text = f"{_count(len(sizes), 'file')}, {sum(sizes):,} bytes" if sizes else "none"
    if strays:
        text = f"{text}; no record refers to {_some(strays, 'file')}: a crash left {_it(strays)}"
    yield Remark(about="attachments", text=text, advice=_MEND_DERIVED if strays else None)


def _it(names: list[str]) -> str:
    return "them" if len(names) > 1 else "it"


def _check_tombstones(disk: Disk, layout: Layout) -> Remark:
    good, bad = 0, []
    try:
        for found in read_tombstones(disk, layout.tombstones):
            if isinstance(found, int):
                bad.append(str(found))
            else:
                good += 1
    except OSError as error:
        text = f"{layout.tombstones}: {_reason(error)}"
        return Remark(about="tombstones", text=text, is_well=False)
    if bad:
        text = f"{layout.tombstones}: {_some(bad, 'line')} cannot be read, of {good + len(bad):,}"
        return Remark(about="tombstones", text=text, is_well=False)
    return Remark(about="tombstones", text=f"{_count(good, 'deleted session')}" if good else "none")


def _check_files(disk: Disk, layout: Layout) -> Iterator[Remark]:
    """Who else may read them, what crashed writers left, and what does not belong here."""
    wide, strange = [], []
    for folder, entry in _walk(disk, layout.base, ("sessions", ".journal")):
        name = os.path.relpath(entry.path, layout.base)
        if not stat.S_ISLNK(entry.status.st_mode) and entry.status.st_mode & 0o077:
            wide.append(name)
        if folder == layout.sessions and not TEMPORARY.fullmatch(entry.name) and not _belongs(entry):
            strange.append(name)
    if wide:
        text = f"others than the owner may read {_some(wide, 'path')}"
        folders = " ".join(shlex.quote(each) for each in (layout.sessions, layout.internal))
        yield Remark(about="access", text=text, advice=f"chmod -R go-rwx {folders}")
    if stale := [os.path.relpath(path, layout.base) for path in stray_temporaries(disk, layout)]:
        text = f"{_some(stale, 'file')} left by a crash"
        yield Remark(about="temporaries", text=text, advice="journal compact")
    if strange:
        yield Remark(about="other files", text=f"{_some(strange, 'file')} of no session")


def _walk(disk: Disk, folder: str, names: Iterable[str] | None = None) -> Iterator[tuple[str, Entry]]:
    """All entries below a folder, each with the folder that it is in. Links are not followed."""
    for entry in disk.entries(folder):
        if names is None or entry.name in names:
            yield folder, entry
            if stat.S_ISDIR(entry.status.st_mode):
                yield from _walk(disk, entry.path)


def _session_of(entry: Entry) -> str | None:
    """The session that a file is of; None where there is none."""
    for ending in (JOURNAL_ENDING, SNAPSHOT_ENDING):
        name = entry.name.removesuffix(ending)
        # An empty journal is what an interrupted first write leaves: there is no session yet.
        if name != entry.name and is_session_id(name) and (entry.status.st_size or ending == SNAPSHOT_ENDING):
            return name
    return None


def _belongs(entry: Entry) -> bool:
    """Whether a file's name is that of a session's."""
    stem, ending = os.path.splitext(entry.name)
    return ending in (JOURNAL_ENDING, SNAPSHOT_ENDING) and is_session_id(stem)


def _reason(error: Exception) -> str:
    """An error in words; those of the system, without its number."""
    if isinstance(error, OSError) and not isinstance(error, JournalError):
        return f"the system refuses to read it: {error.strerror}"
    return str(error)


def _some(names: list[str], noun: str) -> str:
    more = f" and {len(names) - _MOST_TOLD:,} more" if len(names) > _MOST_TOLD else ""
    return f"{_count(len(names), noun)} ({', '.join(names[:_MOST_TOLD])}{more})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
