"""Following: history first, then live, of one session or of all."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Final, TypeAlias

from journal.disk import Disk
from journal.errors import JournalError, unreadable
from journal.layout import JOURNAL_ENDING, Layout
from journal.names import is_session_id
from journal.news import Names
from journal.trail import After, Followed, Trail
from journal.watching import changes
from projections.events import Record

Checkpoints: TypeAlias = After | Mapping[str, After]
"""What a reader has handled of a session; or of all, of each that is named, and of no other."""
OnError: TypeAlias = Callable[[str, JournalError], object]

# While some sessions have much to read, the others are asked for after so long.
_TURN_SECONDS: Final = 1.0
# A watch loses changes that come too fast: all files are compared now and then, for a hundredth of the time.
_COMPARE_EACH_SECONDS: Final = 1.0
_COMPARE_SHARE: Final = 0.01


def follow(
    disk: Disk,
    layout: Layout,
    session_id: str | None,
    after: Checkpoints,
    *,
    timeout: float | None,
    on_error: OnError | None,
    check_usable: Callable[[], None],
    is_over: Callable[[], bool],
) -> Generator[list[Followed], None, None]:
    """As StateStore.follow, with a list for what was there at a time. Ends when it `is_over`."""
    here = disk.unrefreshed  # the changes that are told are there already
    trails = _All(here, layout, after) if session_id is None else _One(here, layout, session_id, after)
    names: Names | None = None
    idle_since = time.monotonic()
    with contextlib.closing(changes(disk, layout.sessions, is_over, session_id=session_id)) as changed:
        if here is not disk:
            next(changed, None)  # now it is all here
        while True:
            check_usable()
            trails.touch(names)
            turn_ends = time.monotonic() + _TURN_SECONDS
            while trails.due:
                trail = trails.due.popleft()
                if found := trail.step():
                    yield found
                    check_usable()
                    idle_since = time.monotonic()
                if trail.error is not None:
                    if on_error is None:
                        raise trail.error
                    on_error(trail.session_id, trail.error)
                if trail.is_behind:
                    trails.due.append(trail)
                if time.monotonic() >= turn_ends:
                    break
            if not trails.due and timeout is not None and time.monotonic() - idle_since >= timeout:
                return
            try:
                names = next(changed)
            except StopIteration:
                check_usable()
                return


def each_of(lists: Generator[list[Followed], None, None]) -> Generator[Followed, None, None]:
    """The records of the lists, one by one."""
    with contextlib.closing(lists):
        for some in lists:
            yield from some


def check_after(session_id: str | None, after: Checkpoints) -> None:
    """Raise ValueError for what says nothing of how far a reader is."""
    if session_id is None and isinstance(after, Mapping):
        checkpoints: Iterable[object] = after.values()
    elif session_id is None and after not in (0, "now"):
        raise ValueError(f"of all sessions, `after` is 0, 'now' or {{id: version}}, not {after!r}")
    else:
        checkpoints = [after]
    for each in checkpoints:
        if not (isinstance(each, Record) or each == "now" or (type(each) is int and each >= 0)):
            raise ValueError(f"`after` is a version, a Record or 'now', not {each!r}")


class _One:
    """The trail of one session, which is looked at whenever something changes, and at each tick."""

    def __init__(self, disk: Disk, layout: Layout, session_id: str, after: Checkpoints) -> None:
        assert not isinstance(after, Mapping)
        self._trail = Trail(disk, layout.journal(session_id), session_id, after)
        self.due: deque[Trail] = deque()

    def touch(self, names: Names | None) -> None:
        """Note which trails are to be looked at: those `due`."""
        if isinstance(names, Mapping):
            self._trail.added = next(iter(names.values()), None)
        if not self.due:
            self.due.append(self._trail)


class _All:
    """The trails of all sessions; of those that do not change, none is looked at."""

    def __init__(self, disk: Disk, layout: Layout, after: Checkpoints) -> None:
        self._disk, self._layout, self._after = disk, layout, after
        self._trails: dict[str, Trail] = {}
        self._compare_at = 0.0
        self.due: deque[Trail] = deque()

    def touch(self, names: Names | None) -> None:
        """Note which trails are to be looked at: those `due`."""
        if names is None or time.monotonic() >= self._compare_at:
            touched = self._compare()
        else:
            touched = [self._of(each) for name in names if (each := _session_of(name)) is not None]
            if isinstance(names, Mapping):
                for trail, added in zip(touched, names.values(), strict=True):
                    trail.added = added
        waiting = set(self.due)
        self.due.extend(each for each in touched if each not in waiting)

    def _compare(self) -> list[Trail]:
        """Those whose files are not what they were."""
        start = time.monotonic()
        try:
            found = {
                each: entry.status
                for entry in self._disk.entries(self._layout.sessions)
                if (each := _session_of(entry.name)) is not None
            }
        except OSError as error:
            raise unreadable(self._layout.sessions, error) from error
        touched = [trail for each in sorted(found) if not (trail := self._of(each)).has_seen(found[each])]
        if self._after == "now":
            self._after = 0  # whatever comes from now on is new
        taken = time.monotonic() - start
        self._compare_at = start + max(_COMPARE_EACH_SECONDS, taken / _COMPARE_SHARE)
        return touched

    def _of(self, session_id: str) -> Trail:
        trail = self._trails.get(session_id)
        if trail is None:
            after = self._after.get(session_id, 0) if isinstance(self._after, Mapping) else self._after
            trail = Trail(self._disk, self._layout.journal(session_id), session_id, after)
            if after != 0:
                trail.skip()
            self._trails[session_id] = trail
        return trail


def _session_of(name: str) -> str | None:
    """The session that a file is the journal of; None where it is no journal."""
    session_id = name.removesuffix(JOURNAL_ENDING)
    return session_id if session_id != name and is_session_id(session_id) else None
