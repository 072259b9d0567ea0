"""Watch: transcripts taken in as they grow."""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from typing import Final

from journal.disk import Disk
from journal.importers import check_options, import_source
from journal.importers.formats import BY_NAME
from journal.importers.ingest import GaveUp, Run
from journal.importers.outcome import Outcome, Problem
from journal.importers.recognition import Source, endings_of, may_be, source_at, walk
from journal.importers.source import Place, head
from journal.importers.transcript import Read, Transcript
from journal.news import Names
from journal.store import StateStore
from journal.watching import changes

# A document is written as a whole, and read when that seems to be over.
_QUIET_SECONDS: Final = 0.5
# A watch loses changes that come too fast: all files are looked at now and then, for a tenth of the time.
_SCAN_EACH_SECONDS: Final = 1.0
_SCAN_SHARE: Final = 0.1
# Of so many files it is known how they go on; others are read from their beginning when they change.
_MOST_OPEN: Final = 128
_END_BYTES: Final = 256

_Seen = tuple[int, int, int]


@dataclass
class _File:
    seen: _Seen
    changed_at: float
    is_lines: bool = False
    is_held: bool = False  # it is a document, and may be being written
    place: Place = field(default_factory=Place)
    end: bytes = b""  # what stood before the place when it was read
    told: set[Problem] = field(default_factory=set)


class Watch:
    """Transcripts of files and of folders, taken in as they grow.

    A last line that is half written waits until it is whole, and a document until it is left alone for half a
    second. What `import_path` says of formats, users, attachments and problems
    holds here.

    Raises:
        FileNotFoundError, ValueError: as `import_path` does; nothing was written.

    """

    def __init__(
        self,
        store: StateStore,
        paths: Sequence[str | os.PathLike[str]],
        *,
        format: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        attachments: str | os.PathLike[str] | None = None,
    ) -> None:
        self._paths = [os.fspath(path) for path in paths]
        for path in self._paths:
            check_options(path, format, user_id, session_id)
            if not os.path.exists(path):
                raise FileNotFoundError(f"{path} does not exist: nothing was imported")
        self._run = Run(
            store,
            user_id=user_id,
            session_id=session_id,
            attachments=None if attachments is None else os.fspath(attachments),
        )
        self._format, self._own = format, os.path.realpath(store.base_path)
        self._files: dict[str, _File] = {}
        self._open: OrderedDict[str, Transcript] = OrderedDict()
        self._waiting: set[str] = set()
        self._scan_at = 0.0
        self._is_scanned = False

    def follow(self, is_over: Callable[[], bool]) -> Iterator[tuple[str, Outcome]]:
        """Take in what is there, then what comes, until it `is_over`: each file read, and its outcome.

        A problem is told once. At the end come the files of which something is still to be written.
        """
        # Of a file it is the folder that is watched, and not what is below that.
        folders = dict(
            (path, True) if os.path.isdir(path) else (os.path.dirname(path), False) for path in self._paths
        )
        with ExitStack() as stack:
            watched = {}
            for folder, is_deep in folders.items():
                named = changes(Disk(), folder or ".", is_over, recursive=is_deep)
                watched[folder] = stack.enter_context(closing(named))
            while not is_over():
                for folder, names in watched.items():
                    self._note(folder, next(names, None))
                if time.monotonic() >= self._scan_at:
                    self._scan()
                yield from self._settled(is_over)
        yield from self._left_over()

    def _note(self, folder: str, names: Names | None) -> None:
        """Look at the files that are said to have changed; None: any may have."""
        if names is None:
            self._scan_at = 0.0
        for name in names or ():
            if self._is_ours(path := os.path.join(folder, name)):
                self._look_at(path, time.monotonic())

    def _is_ours(self, path: str) -> bool:
        """Whether a scan would find a file at this path."""
        if path in self._files or path in self._paths:
            return True
        above = [each for each in self._paths if path.startswith(os.path.join(each, ""))]
        endings = endings_of(self._format)
        return any(may_be(os.path.relpath(path, each), endings) for each in above) and not os.path.realpath(
            path
        ).startswith(os.path.join(self._own, ""))

    def _scan(self) -> None:
        """Look at all files: which of them are not what they were, and which are gone."""
        start = time.monotonic()
        found = set()
        for path in self._paths:
            # The store's own files may be below the folder, and are no transcripts.
            files = walk(path, self._format, without=self._own) if os.path.isdir(path) else [path]
            for file in files:
                found.add(file)
                self._look_at(file, start if self._is_scanned else 0.0)
        for path in self._files.keys() - found:
            del self._files[path]
            self._open.pop(path, None)
            self._waiting.discard(path)
        self._is_scanned = True
        self._scan_at = start + max(_SCAN_EACH_SECONDS, (time.monotonic() - start) / _SCAN_SHARE)

    def _look_at(self, path: str, now: float) -> None:
        """Note whether a file is not what it was."""
        try:
            status = os.stat(path)
        except OSError:
            return  # gone; the next scan sees that
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        file = self._files.get(path)
        if file is None:
            self._files[path] = _File(seen, now)
        elif file.seen != seen:
            file.seen, file.changed_at = seen, now
        else:
            return
        self._waiting.add(path)

    def _settled(self, is_over: Callable[[], bool]) -> Iterator[tuple[str, Outcome]]:
        """Read the files that changed and can be read by now."""
        for path in sorted(self._waiting):
            if is_over():
                return
            if self._take(path, self._files[path]):
                self._waiting.discard(path)
                yield path, self._told(path)

    def _left_over(self) -> Iterator[tuple[str, Outcome]]:
        """The documents that were waited for, and what is to be written or read yet."""
        for path, file in sorted(self._files.items()):
            if file.is_held and self._take(path, file, in_any_case=True):
                self._waiting.discard(path)
                yield path, self._told(path)
            elif path in self._waiting:
                yield path, self._not_taken(path, None, "it was not read before the end: import it again")
            elif file.is_lines and file.place.offset < file.seen[1]:
                reason = "the line is not whole yet: import it again when it is"
                yield path, self._not_taken(path, file.place.line + 1, reason)

    def _not_taken(self, path: str, line: int | None, reason: str) -> Outcome:
        self._run.begin()
        self._run.problem(path, line, reason)
        return self._told(path)

    def _take(self, path: str, file: _File, *, in_any_case: bool = False) -> bool:
        """Read what is new in a file; whether that could be done by now."""
        self._run.begin()
        transcript = self._open.pop(path, None)
        if transcript is None or transcript.is_stuck or not _goes_on(path, file):
            source = source_at(path, self._format)
            if source.format is None and path.endswith(".jsonl") and _is_half_a_line(path):
                file.is_lines = True
                return True  # it says what it is when it is whole
            new_reader = _reader_of(source)
            file.is_lines = new_reader is not None
            if new_reader is None:
                file.is_held = not in_any_case and time.monotonic() - file.changed_at < _QUIET_SECONDS
                if file.is_held:
                    return False
                import_source(self._run, source, self._format)
                return True
            file.place = Place()
            transcript = Transcript(self._run, path, new_reader, place=file.place)
        with suppress(GaveUp):  # it is among the problems
            transcript.read_on()
        file.end = _end(path, file.place)
        self._open[path] = transcript
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        return True

    def _told(self, path: str) -> Outcome:
        """What came of a file, without the problems that were told before."""
        file, outcome = self._files[path], self._run.outcome
        outcome.problems = [each for each in outcome.problems if each not in file.told]
        file.told.update(outcome.problems)
        return outcome


def _reader_of(source: Source) -> Callable[[], Read] | None:
    try:
        return BY_NAME[source.format].reader_of(source.path) if source.format in BY_NAME else None
    except OSError:
        return None  # whoever reads it as a document reports it


def _goes_on(path: str, file: _File) -> bool:
    """Whether what was read of a file still stands there; of that, the end is looked at."""
    return file.seen[1] >= file.place.offset and _end(path, file.place) == file.end


def _end(path: str, place: Place) -> bytes:
    """The bytes before a place."""
    size = min(_END_BYTES, place.offset)
    try:
        with open(path, "rb") as opened:
            opened.seek(place.offset - size)
            return opened.read(size)
    except OSError:
        return b""


def _is_half_a_line(path: str) -> bool:
    try:
        data, is_whole = head(path)
    except OSError:
        return False
    return is_whole and b"\n" not in data
