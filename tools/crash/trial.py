"""A trial: one operation while something is wrong with the disk; what its caller is told must be true."""

import contextlib
import errno
import fcntl
import os
import re
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from crash.campaign import Campaign
from crash.faulty_disk import Interrupted
from crash.ground import Ground
from crash.ground import in_memory as in_memory
from crash.scenarios import Deed, healthy, state
from journal import DurabilityError, JournalError, JournalWarning, StateStore
from journal.disk import Disk

# What differs from one trial to the next: numbers, random names, and the folder.
_VOLATILE = re.compile(r"/\S*/state|[0-9a-f]{8,}|\d+")
HANGS_AFTER_SECONDS = 5.0
TROUBLES = tuple(os.strerror(code) for code in (errno.EIO, errno.ENOSPC, errno.EFBIG, errno.ENOMEM))
TROUBLES += ("catalog.sqlite3: ",)  # SQLite has words of its own


def attempt(
    ground: Ground,
    disk: Disk,
    trouble: AbstractContextManager[object],
    *,
    lasting: bool = False,
    lists: bool = True,
    kind: type[StateStore] = StateStore,
) -> Iterator[str]:
    """Do it while there is `trouble`, then again without; yield each broken rule.

    The error says whether the change is there, a retry on the same store does it once, nothing is left
    locked, open or lying about, and what was acknowledged is on disk for good. `lasting`: the trouble goes on
    until the call returns, so that nobody can tidy up. `lists`: also hold the list of all against it.
    """
    try:
        with _in_time():
            yield from list(_attempt(ground, disk, trouble, lasting, lists, kind))
    except Hung as hung:
        yield f"it hangs{_where(hung)}"


def note(campaign: Campaign, case: str, problems: list[str]) -> None:
    """Count what a trial broke, and say it once: one place in the engine breaks a rule in many cases."""
    campaign.figures["trials that broke a rule"] += bool(problems)
    for problem in problems:
        alike = _VOLATILE.sub("", problem)
        if not any(_VOLATILE.sub("", breach).endswith(alike) for breach in campaign.breaches):
            campaign.breach(f"{case}: {problem}")


class Hung(BaseException):
    """Something waits for what never comes."""


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """Raise where it takes so long that it hangs."""

    def give_up(*_: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, HANGS_AFTER_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _attempt(
    ground: Ground,
    disk: Disk,
    trouble: AbstractContextManager[object],
    lasting: bool,
    lists: bool,
    kind: type[StateStore],
) -> Iterator[str]:
    ground.reset()
    open_before = _open_files()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JournalWarning)
        store = ground.open(disk, kind)
        deed = ground.scenario.begin(store)
        before, journals = state(ground.folder), _journals(ground.folder)
        error, answer = None, None
        with trouble:
            try:
                answer = deed.act()
            except (Exception, Interrupted) as raised:
                error = raised
        yield from _told_truly(ground, before, error, answer)
        if isinstance(error, DurabilityError) and not error.outcome_unknown:
            yield from _as_before(ground.folder, journals)
        if error is not None and (problems := list(_done_again(ground, deed))):
            yield from problems
        elif error is None or not deed.looks:
            yield from _survives(ground, disk, failed=error is not None)
        try:
            store.close()
        except (Exception, Interrupted) as raised:
            yield f"close: {raised!r}"
        yield from _left_locked(ground)
        if not isinstance(error, Interrupted):
            yield from (f"still open: {each}" for each in _open_files() - open_before)
            if not lasting:
                yield from (f"left behind: {each}" for each in ground.folder.rglob(".*") if each.is_file())
        yield from sound(ground, lists=lists)


def _told_truly(
    ground: Ground, before: dict[str, object], error: BaseException | None, answer: object
) -> Iterator[str]:
    """Whether what the caller was told is so."""
    held = state(ground.folder)
    allowed = [before]
    if error is None:
        allowed = [ground.after]
        # A look may say what is wrong; it may not say that something is not there, or another.
        if not ground.scenario.writes and answer != ground.answer and not _names_trouble(answer):
            yield f"the answer was {answer!r}, not {ground.answer!r}"
    elif isinstance(error, Interrupted) or (isinstance(error, DurabilityError) and error.outcome_unknown):
        allowed.append(ground.after)
    elif isinstance(error, OSError):
        if ground.scenario.writes:
            yield f"an OSError came through: {error!r}{_where(error)}"
        elif not error.filename:
            yield f"an error that names no file: {error!r}{_where(error)}"
    elif not isinstance(error, JournalError) or not _names_trouble(error):
        yield f"not what is wrong: {error!r}{_where(error)}"
    elif ground.scenario.in_steps and not isinstance(error, DurabilityError):
        allowed.append(ground.after)
    if held not in allowed:
        yield f"told {error!r}, there is {held}"


def _journals(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.glob("sessions/*.jsonl")}


def _as_before(folder: Path, journals: dict[Path, bytes]) -> Iterator[str]:
    """Whether no journal got longer; a torn tail may have been cut meanwhile."""
    for path, data in _journals(folder).items():
        if (more := len(data) - len(before := journals.get(path, b""))) > 0 and data.startswith(before):
            yield f"told that {path} is as before, and {more} bytes more are there"


def _names_trouble(said: object) -> bool:
    return any(trouble in str(said) for trouble in TROUBLES)


def _where(error: BaseException) -> str:
    """The place in the engine that let an error through."""
    frames = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if f"{os.sep}journal{os.sep}" in each.filename
    ]
    return f" (from {', '.join(f'{os.path.basename(each.filename)}:{each.lineno}' for each in frames[-3:])})"


def _done_again(ground: Ground, deed: Deed) -> Iterator[str]:
    """Whether a caller who did not get through gets through now, once."""
    try:
        deed.again()
    except (Exception, Interrupted) as error:
        yield f"again, on the same store: {error!r}{_where(error)}"
    if (held := state(ground.folder)) != ground.after:
        yield f"done again, there is {held}"


def _survives(ground: Ground, disk: Disk, *, failed: bool) -> Iterator[str]:
    """Whether what is acknowledged by now would survive a power cut."""
    internal = str(ground.folder / ".journal")
    harmless: tuple[str, ...] = (f"{internal}/changed", f"{internal}/catalog")
    if failed:  # a copy that the second try made anew
        harmless += (f"{internal}/quarantine/",)
    undurable: Callable[[], dict[str, str]] = getattr(disk, "undurable", dict)
    for path, why in undurable().items():
        is_snapshot = os.path.exists(f"{path}l")  # it is made again from the journal beside it
        is_temporary = os.path.basename(path).startswith(".")
        if not (is_snapshot or is_temporary or path.startswith(harmless)):
            yield f"acknowledged, and {path} {why}"


def _left_locked(ground: Ground) -> Iterator[str]:
    """Whether nobody who comes next has to wait."""
    for path in ground.folder.glob("sessions/*.jsonl"):
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield f"still locked: {path}"
        finally:
            os.close(fd)


def sound(ground: Ground, *, lists: bool = True) -> Iterator[str]:
    """Whether a store without faults finds all sessions well, and can go on with each."""
    sessions = [name for name in ground.after if "/" not in name]
    try:
        with healthy(ground.folder) as store:
            if lists:
                page = store.list_sessions()
                if sorted(summary.id for summary in page) != sessions or page.unreadable:
                    yield f"listed: {store.session_ids()}, unreadable: {page.unreadable}"
            for session_id in sessions:
                yield from store.verify(session_id).findings
                version = store.update_session_with(
                    session_id, lambda session: session.add_user_message("more")
                )
                if [record.seq for record in store.records(session_id)] != [*range(1, version + 1)]:
                    yield f"{session_id} has gaps: {[record.seq for record in store.records(session_id)]}"
    except (JournalError, OSError) as error:
        yield f"afterwards: {error!r}"


def _open_files() -> set[str]:
    """The files that this process has open, each descriptor on its own."""
    try:
        return {
            f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}"
            for fd in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{fd}")
        }
    except FileNotFoundError:  # no such folder on this system
        return set()
