"""What one save spends, piece by piece: each piece alone, in a hot loop."""

import os
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Row
from saving import TEXT

from journal import Session, StateStore
from journal.disk import LOCK_EX, LOCK_UN
from journal.edits import is_edited
from journal.record import encode_batch, prepare
from projections import Change, UserMessageAdded
from projections.messages import utc_now
from projections.session import apply_event


def rows(folder: Path) -> Iterator[Row]:
    """The pieces in their order; they add up to less than a save, which runs them once each, and colder."""
    with StateStore(folder / "stages", durability="os") as store:
        session = Session.new("user")
        store.save_session(session)
        handle = store._handles.of(session.id)
        log, disk, journal = handle.log, store._disk, handle.log.fd
        assert journal is not None
        event = UserMessageAdded(content=TEXT)
        change = Change(event=event, at=utc_now())
        pending = [prepare(change)]
        data, _, _ = encode_batch(pending, 5, log.chain)
        fd = os.open(folder / "stages.bytes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def note() -> None:
            session.add_user_message(TEXT)
            assert session._unsaved is not None
            session._unsaved.clear()

        def encode() -> None:
            change.id = None
            prepare(change)

        def lock() -> None:
            disk.flock(journal, LOCK_EX)
            disk.flock(journal, LOCK_UN)

        def enter() -> None:
            with log.exclusive:
                pass

        pieces: list[tuple[str, Callable[[], object]]] = [
            ("`add_user_message`: the moment, the event, the change, its fold", note),
            ("check and encode the change: JSON, id, salt, header", encode),
            ("who writes, and what for", store._acting.now),
            ("find the session's handle", lambda: store._handles.of(session.id)),
            ("take and give back the lock, look at the file", enter),
            ("… of which two `flock`", lock),
            ("… of which `lstat` of the path", lambda: disk.lstat(log.path)),
            ("compare the session with the state", lambda: is_edited(session, session)),
            ("fold into the state", lambda: apply_event(session, event, change.at)),
            ("mark for the catalog", lambda: store._marks.mark(session.id)),
            ("two SHA-256, base64, the line", lambda: encode_batch(pending, 5, log.chain)),
            ("`write` of the line", lambda: os.write(fd, data)),
        ]
        for what, call in pieces:
            best = min(timeit.repeat(call, number=2_000, repeat=15)) / 2_000
            yield Row(what, f"{best * 1e6:.2f} µs", "", "", True)
        os.close(fd)
