"""Live: what comes to a session while a page shows it, as server-sent events."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from anyio import to_thread
from sse_starlette import EventSourceResponse, ServerSentEvent

from journal.disk import Disk
from journal.errors import JournalError, SessionNotFoundError
from journal.layout import JOURNAL_ENDING, Layout
from journal.news import Names
from journal.store import StateStore
from journal.watching import changes
from journal.web.answers import deletion_text, last_tombstone
from journal.web.past import Past
from journal.web.rows import rows
from journal.web.sessions import Sessions
from projections.events import ContentErased, JournalRepaired

T = TypeVar("T")

_MOST_ROWS: Final = 200
# At most ten events a second; a look now and then at what no watch told of.
_BETWEEN_SECONDS: Final = 0.1
_LOOK_EACH_SECONDS: Final = 1.0
_PING_SECONDS: Final = 15
_ERASED: Final = str(ContentErased.__struct_config__.tag)
_REPAIRED: Final = str(JournalRepaired.__struct_config__.tag)


class Watch:
    """Wakes whoever follows a session when its file changes; one thread for all of them."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk, self._layout = disk, layout
        # Whoever interrupts the server may do so in the middle of a `with` of its own thread.
        self._mutex = threading.RLock()
        self._waiting: dict[asyncio.Event, tuple[asyncio.AbstractEventLoop, str]] = {}
        self._thread: threading.Thread | None = None
        self.is_over = False

    @contextlib.contextmanager
    def of(self, session_id: str) -> Any:
        """An event that is set whenever the session may have changed."""
        event = asyncio.Event()
        with self._mutex:
            self._waiting[event] = asyncio.get_running_loop(), session_id + JOURNAL_ENDING
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal view: watch", daemon=True)
                self._thread.start()
        try:
            yield event
        finally:
            with self._mutex:
                del self._waiting[event]

    def end(self) -> None:
        """Wake all, and whoever follows a session comes to an end."""
        self.is_over = True
        self._wake(None)

    def close(self) -> None:
        """End the watching."""
        self.end()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        for names in changes(self._disk, self._layout.sessions, lambda: self.is_over):
            self._wake(names)

    def _wake(self, names: Names | None) -> None:
        with self._mutex:
            waiting = list(self._waiting.items())
        for event, (loop, name) in waiting:
            if names is None or name in names:
                with contextlib.suppress(RuntimeError):  # the loop ended this moment
                    loop.call_soon_threadsafe(event.set)


def stream(events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    """Events as an answer that lasts; a comment now and then, so that a lost connection is noticed."""
    return EventSourceResponse(events, ping=_PING_SECONDS)


def event(name: str, data: object, seq: int | None = None) -> ServerSentEvent:
    """One event."""
    return ServerSentEvent(
        data=msgspec.json.encode(data).decode(), event=name, id=None if seq is None else str(seq)
    )


async def follow(
    store: StateStore, sessions: Sessions, watch: Watch, session_id: str, after: int
) -> AsyncIterator[ServerSentEvent]:
    """The rows behind a record, and each that comes; ends when the session is gone.

    A file that is replaced (erased, repaired, restored) is told as `changed`: what was shown may be gone.
    """
    past: Past | None = None
    sent, said = after, ""
    with watch.of(session_id) as touched:
        while not watch.is_over:
            touched.clear()
            try:
                now = await in_thread(sessions.past, session_id)
                found = await in_thread(sessions.ask, session_id, partial(_news, after=sent))
            except SessionNotFoundError:
                stone = await in_thread(last_tombstone, store, session_id)
                yield event("gone", {"reason": "deleted", "message": deletion_text(session_id, stone)})
                return
            except (JournalError, OSError) as error:  # it may be mended
                if str(error) != said:
                    said = str(error)
                    yield event("changed", {"reason": "unreadable", "message": said})
                await asyncio.sleep(_LOOK_EACH_SECONDS)
                continue
            said = ""
            if _is_another(past, now, sent):
                yield event("changed", _what_became(now, sent), now.version)
                sent = now.version
            elif found["rows"]:
                sent = found["rows"][-1].seq
                yield event("rows", found, sent)
            past = now
            await asyncio.sleep(_BETWEEN_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(touched.wait(), _LOOK_EACH_SECONDS)


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call what waits for the disk; whoever goes away does not wait for it."""
    return await to_thread.run_sync(partial(function, *arguments), abandon_on_cancel=True)


def _news(past: Past, *, after: int) -> dict[str, Any]:
    """The rows behind a record, of many the last ones."""
    last = past.version
    first = max(after + 1, last - _MOST_ROWS + 1)
    found: dict[str, Any] = {"last": last, "rows": rows(past, first, last - first + 1)}
    if first > after + 1:
        found["skipped"] = first - after - 1
    return found


def _is_another(before: Past | None, now: Past, seen: int) -> bool:
    """Whether what was shown may be gone. A page that comes back cannot tell which file it had seen."""
    if before is not None:
        return now is not before
    return now.version < seen or (seen > 0 and bool(_since(now, seen) & {_ERASED, _REPAIRED}))


def _since(past: Past, seen: int) -> set[str]:
    """The types of the records behind one."""
    columns = past.columns
    return {columns.names[kind] for kind in {*columns.kinds[min(seen, past.version) :]}}


def _what_became(past: Past, seen: int) -> dict[str, str]:
    """Why the file is another one, as far as its new records tell."""
    if past.damage is not None:
        return {"reason": "damaged", "message": str(past.damage)}
    since = _since(past, seen)
    if _ERASED in since:
        return {"reason": "erased", "message": "content of this session was erased while it was open"}
    about = "was repaired" if _REPAIRED in since else "is another one now: it was replaced"
    return {"reason": "repaired", "message": f"the journal of this session {about} while it was open"}
