"""Importers: conversations that other programs kept, taken in as events. One format a file.

Importing again, or importing a file that has grown, appends only what is new. What cannot be imported is a
Problem that names file and line; everything else goes on. A folder that is not to be recognised by its
content alone has a format given.
"""

import contextlib
import os
from collections.abc import Callable
from typing import IO, Final

from journal.event_json import encode_event
from journal.importers.formats import BY_NAME
from journal.importers.ingest import GaveUp, Run
from journal.importers.outcome import Outcome, Problem
from journal.importers.recognition import ENDINGS, NOTHING, ZIP, Source, source_at, sources
from journal.importers.standins import STDIN, spooled, unpacked
from journal.names import check_session_id
from journal.store import StateStore
from projections.events import SessionCreated

__all__ = ["FORMATS", "Outcome", "Problem", "import_path", "import_stream"]

FORMATS: Final[tuple[str, ...]] = tuple(BY_NAME)


def import_path(
    store: StateStore,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    attachments: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Take in a file, or the transcripts below a folder, sorted, hidden ones left out, and those in zips.

    format      one of FORMATS; None: each file's is recognised by its content
    user_id     whose the sessions are, "user" unless given; a session of another user is a Problem. The
                seed's files say it themselves
    session_id  of the session that a file becomes, instead of what the file or its name says; for one file
    progress    called now and then with the file, the bytes done and the bytes of all files
    attachments the folder in which those of journals are, each under its hash; else `attachments` beside the
                file, and where the store keeps them whose file it is

    Durable as the store is. Every record that it appends has a key made of its content, so that importing
    again appends nothing twice, also after a crash in the middle. A file that was rewritten since it was
    imported is a Problem, and nothing of it is appended.

    Raises:
        FileNotFoundError, ValueError: no such path, no such format, an id that is not safe; nothing was
            written.
        DurabilityError, JournalClosedError: the store cannot go on; import again to complete.

    """
    path = os.fspath(path)
    check_options(path, format, user_id, session_id)
    found = sources(path, format)
    total = sum(os.path.getsize(source.path) for source in found if os.path.exists(source.path))
    run = Run(
        store,
        user_id=user_id,
        session_id=session_id,
        progress=progress,
        total_bytes=total,
        attachments=None if attachments is None else os.fspath(attachments),
    )
    for source in found:
        import_source(run, source, format)
    return run.outcome


def import_stream(
    store: StateStore,
    stream: IO[bytes],
    *,
    format: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    attachments: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Take in what a stream holds, up to its end, as `import_path` would a file of that content.

    It has no name: where the content does not say which session it is of, `session_id` must.

    Raises:
        ValueError: no such format, an id that is not safe, or none; nothing was written.
        DurabilityError, JournalClosedError: the store cannot go on; import again to complete.

    """
    check_options("", format, user_id, session_id)
    with spooled(stream) as path:
        source = source_at(path, format)
        if session_id is None and source.format in BY_NAME and not BY_NAME[source.format].names_session:
            raise ValueError(
                f"a stream of the format {source.format} does not say its session's id: give one"
            )
        run = Run(
            store,
            user_id=user_id,
            session_id=session_id,
            progress=progress,
            total_bytes=os.path.getsize(path),
            attachments=None if attachments is None else os.fspath(attachments),
        )
        run.shown[path] = STDIN
        import_source(run, source, format)
    return run.outcome


def import_source(run: Run, source: Source, format: str | None) -> None:
    """Take in one file, or those that it holds."""
    with contextlib.suppress(GaveUp):  # it is among the problems
        if source.format is None:
            run.problem(source.path, None, source.reason)
        elif source.format == ZIP:
            for path in unpacked(run, source.path, tuple(each for each in ENDINGS if each != ".zip")):
                import_source(run, source_at(path, format), format)
        elif source.format != NOTHING:
            BY_NAME[source.format].import_file(run, source.path)
    run.show_progress(source.path)


def check_options(path: str, format: str | None, user_id: str | None, session_id: str | None) -> None:
    """Raise ValueError for what does not go together, or cannot be stored."""
    if format is not None and format not in FORMATS:
        raise ValueError(f"{format!r} is no format; choose one of {', '.join(FORMATS)}")
    if session_id is not None:
        check_session_id(session_id)
        if os.path.isdir(path):
            raise ValueError(f"{path} is a folder, and a session id is for one file: leave it out")
    if user_id is not None:
        encode_event(SessionCreated(session_id="", user_id=user_id))
