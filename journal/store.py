"""StateStore: the face."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import msgspec

from journal import disk as disks
from journal.catalog import Catalog, SessionPage
from journal.diagnosis import Diagnosis, diagnose
from journal.disk import Disk
from journal.documents import Documents
from journal.errors import (
    JournalError,
    OwnerMismatchError,
    SessionNotFoundError,
    VersionConflictError,
)
from journal.examination import Wishes
from journal.folded import Setting
from journal.handles import Handles
from journal.history import records_after, version_at
from journal.layout import Layout
from journal.log import Log
from journal.marks import Marks
from journal.mounts import refuse_network
from journal.names import SESSIONS
from journal.questions import Questions
from journal.repair import repair
from journal.search import Search, SearchPage
from journal.snapshot import document_json
from journal.verify import Report
from projections.document import Json
from projections.events import Change, Event, Record, SessionAdopted
from projections.messages import utc_now
from projections.projection import Projection
from projections.session import Session, SessionProjection

T = TypeVar("T")
State = TypeVar("State")


class StateStore:
    """All sessions and documents below one folder. Threads and processes may share it.

    base_path   the folder; it is created by the first write
    durability  "disk": what was saved survives a power cut; "os": it survives the process
    actor       who writes, for the `by` of every record, free text
    snapshots   "auto": rewritten when the journal outgrew them; "always": at each save, for a folder that
                is shared with the seed's program
    allow_network  whether the folder may be on a network file system, where locks and syncs may not hold

    Close it, or use it in a `with`: that brings the snapshots up to date. What was acknowledged is on
    record either way.
    """

    _new_disk = staticmethod(Disk)  # what crash tests replace

    def __init__(
        self,
        base_path: str | os.PathLike[str],
        *,
        durability: Literal["disk", "os"] = "disk",
        actor: str | None = None,
        snapshots: Literal["auto", "always"] = "auto",
        allow_network: bool = False,
    ) -> None:
        if durability not in ("disk", "os"):
            raise ValueError(f"durability is 'disk' or 'os', not {durability!r}")
        if snapshots not in ("auto", "always"):
            raise ValueError(f"snapshots is 'auto' or 'always', not {snapshots!r}")
        self._actor = actor
        self._durability = durability
        self._disk = disk = self._new_disk()
        self._layout = layout = Layout(base_path)
        if not allow_network:
            refuse_network(disk, layout.base)
        self._durable = durable = durability == "disk"
        self._marks = Marks(disk, layout.internal)
        self._setting = Setting(
            disk=disk,
            layout=layout,
            durable=durable,
            always_snapshot=snapshots == "always",
            mark=self._marks.mark,
        )
        self._handles = Handles(self._setting)
        self._questions = Questions(disk, layout, self._handles)
        self._catalog = Catalog(disk, layout, self._marks, self._questions.summarize_each)
        self._search = Search(disk, layout, self._catalog)
        self._documents = Documents(disk, layout, durable=durable)

    @property
    def actor(self) -> str | None:
        """Who writes: the `by` of every record."""
        return self._actor

    @property
    def durability(self) -> str:
        """What survives when a save returned: "disk" or "os"."""
        return self._durability

    @property
    def base_path(self) -> str:
        """The folder that holds everything, absolute."""
        return self._layout.base

    # Sessions

    def save_session(self, session: Session, *, expected_version: int | None = None) -> int:
        """Append what changed in a session; return its new version, which is the session's from then on.

        All or nothing, and durable as the store is when this returns. What its methods changed is appended
        as it is; what was edited by hand is found by comparing with what is stored.
        `expected_version` is the session's own unless given. ANY: its changes go on top of whatever others
        wrote meanwhile, and the session is brought up to date in place.

        Raises:
            VersionConflictError: someone else changed the session since it was loaded; nothing was written.
            OwnerMismatchError: the stored session belongs to another user.
            InvalidNameError, InvalidEventError: the id or a value cannot be stored; nothing was written.
            DurabilityError: the disk refused. A retry of the same save never doubles it.
            CorruptRecordError: the journal is damaged; nothing is written after damage.

        """
        expected = session.version if expected_version is None else expected_version
        return self._handles.of(session.id).save(session, expected, by=self._actor)

    def load_session(self, session_id: str, *, at: int | datetime | None = None) -> Session | None:
        """The session as it is now, the caller's own; None if there is none.

        `at`: as of a version, or of a moment (the last record that is not later); None where it did not
        exist yet. A version that it has not reached is a SessionNotFoundError.

        Raises CorruptRecordError, CorruptSnapshotError, InvalidNameError.
        """
        if at is not None:
            state = self.project(SessionProjection(), session_id, at=at)
            return state if state is not None and state.id else None
        return self._handles.of(session_id).load()

    def update_session_with(self, session_id: str, change: Callable[[Session], object]) -> int:
        """Load the session, let `change` edit it in place, save it; again on conflict. Return its version.

        `change` may run more than once, and its session is valid until it returns. The cost does not grow
        with the session. Raises SessionNotFoundError, and what save_session and `change` raise.
        """
        return self._handles.of(session_id).update(change, by=self._actor)

    def update_session(self, session: Session) -> int:
        """As save_session, for a session that must be there already. Raises SessionNotFoundError."""
        if not self._handles.of(session.id).exists():
            raise SessionNotFoundError(session.id)
        return self.save_session(session)

    def get_or_create_session(self, user_id: str, session_id: str | None = None) -> Session:
        """The session with this id, created and saved if it is not there; a new one without an id.

        Raises OwnerMismatchError where it belongs to another user.
        """
        while True:
            if session_id is not None and (session := self.load_session(session_id)) is not None:
                if session.user_id != user_id:
                    raise OwnerMismatchError(session_id, user_id)
                return session
            created = Session.new(user_id) if session_id is None else Session.with_id(user_id, session_id)
            try:
                self.save_session(created)
            except VersionConflictError:
                continue  # another writer created it meanwhile: it is there now
            return created

    def delete_session(self, session_id: str, *, why: str | None = None) -> bool:
        """Remove a session's journal and snapshot; True if it was there.

        A tombstone keeps its id, version and chain, and who deleted it, when and `why`.
        """
        return self._handles.of(session_id).delete(by=self.actor, why=why)

    def list_sessions(
        self,
        user_id: str | None = None,
        limit: int | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        page: str | None = None,
    ) -> SessionPage:
        """Summaries of the sessions, newest `updated_at` first; a page of `limit` of them.

        `since` ≤ updated_at < `until`. `page` goes on where another page ended: its `next_page`. Sessions
        that could not be read are in the result's `unreadable`.
        """
        self._handles.check_usable()
        return self._catalog.page(user_id=user_id, since=since, until=until, limit=limit, page=page)

    def search(
        self,
        text: str,
        *,
        user_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 20,
        progress: Callable[[str, int, int], object] | None = None,
    ) -> SearchPage:
        """The records that say all words of `text`, the best first; None for `limit`: all of them.

        "a phrase" in quotes, `word*` for whatever begins so, `-word` for what must not be there. Capitals and
        accents make no difference; Chinese, Japanese and Korean need no spaces. Searched are messages,
        reasoning, tool calls, their results, metadata and custom events; `since` ≤ a record's time < `until`.
        Of a word that stands in over 5,000 records, the latest that were indexed are ranked.

        The first search makes the index, and each brings it up to date: `progress` is then called with the
        session at work, and how many bytes of how many are read. Sessions that could not be read, or not to
        their end, are in the result's `unreadable`.

        Raises InvalidNameError for a text that asks for nothing, or for over 100 words.
        """
        self._handles.check_usable()
        return self._search.page(
            text, user_id=user_id, since=since, until=until, limit=limit, progress=progress
        )

    # History

    def append(
        self,
        session_id: str,
        events: Sequence[Event | Change],
        *,
        expected_version: int,
        by: str | None = None,
        cause: str | None = None,
        key: str | None = None,
    ) -> int:
        """Add events to one session, all or none; return its new version.

        Durable as the store is when this returns: one write and one sync for the whole batch. An event
        happens now; a Change says when it happened. The first event of a session says whose it is
        (SessionCreated). No events: the version is checked and nothing is written.
        `expected_version` is the version last seen: 0 means that the session must be new, ANY that it does
        not matter. `key` makes a retry safe: found where this append would have gone (with ANY: on the last
        batch), it means that an earlier try succeeded, and that try's version is returned.

        Raises as save_session; InvalidEventError also for a key that stands there with another content.
        """
        return self._handles.of(session_id).append(
            as_changes(events), expected_version, by=by or self.actor, cause=cause, key=key
        )

    def records(self, session_id: str, *, after: int = 0) -> Iterator[Record]:
        """The records with a number higher than `after`, one by one, checked against the hash chain.

        Ends at the last complete batch that was there when it got so far. Raises SessionNotFoundError at
        the first step, CorruptRecordError at damage, when all before it was given out.
        """
        log = Log(self._disk, self._layout.journal(session_id), session_id, durable=False)
        return self._records(log, after)

    def project(
        self, projection: Projection[State], session_id: str, *, at: int | datetime | None = None
    ) -> State | None:
        """Fold a session's records with a projection of yours; None if there is no such session.

        `at`: up to a version, or a moment. Raises CorruptRecordError where damage comes before that.
        """
        try:
            until = version_at(self.records(session_id), at) if isinstance(at, datetime) else at
            state = projection.initial()
            version = 0
            for record in self.records(session_id):
                if until is not None and record.seq > until:
                    return state
                state = projection.apply(state, record)
                version = record.seq
                if version == until:
                    return state  # whatever comes after it, damage too, is not asked for
        except SessionNotFoundError:
            return None
        if isinstance(at, int) and at > version:
            raise SessionNotFoundError(
                session_id, f"it is at version {version}, {at} is yet to come", exists=True
            )
        return state

    def verify(self, session_id: str | None = None) -> Report:
        """Check a session, or all: every hash, link and number, and the snapshot. Writes nothing.

        Raises SessionNotFoundError.
        """
        if session_id is not None:
            return self._questions.verify_one(session_id)
        reports = dict(self.verify_each())
        return Report.of_all(reports[each] for each in sorted(reports))

    def verify_each(self, session_ids: Iterable[str] | None = None) -> Iterator[tuple[str, Report]]:
        """Check the sessions named, or all, on every core; each with its report as soon as it is done.

        A session that cannot be checked has a report that says why.
        """
        ids = self.session_ids() if session_ids is None else session_ids
        return self._questions.verify_each(ids)

    def diagnose(
        self, session_id: str, *, only_proven: bool = False, user_id: str | None = None
    ) -> Diagnosis:
        """Say what is wrong with a session, and the steps that would mend it. Changes nothing.

        The arguments are those of `repair`. Raises SessionNotFoundError.
        """
        return diagnose(self._setting, session_id, Wishes(only_proven, user_id))

    def repair(self, session_id: str, *, only_proven: bool = False, user_id: str | None = None) -> list[str]:
        """Do what `diagnose` proposes; say what was done, a sentence a step.

        What the chain proves keeps its place. Where it breaks off, records that fit their own hash are
        appended anew, unless `only_proven`. `user_id`: whose the session is, where that record is lost.
        Every byte that is cut is kept in quarantine, and a record tells of it. Does nothing where nothing
        is wrong. Raises SessionNotFoundError, DurabilityError.
        """
        return repair(self._setting, session_id, Wishes(only_proven, user_id), by=self._actor)

    def compact(self, session_id: str | None = None) -> int:
        """Bring the snapshot of a session, or of all, up to date; return how many were written."""
        ids = self.session_ids() if session_id is None else [session_id]
        if session_id is None:
            with contextlib.suppress(OSError):  # leftovers can wait
                disks.sweep_temporaries(self._disk, self._layout.sessions)
        written = 0
        for each in ids:
            try:
                written += self._handles.glance(each).compact()
            except JournalError:
                if session_id is not None:
                    raise  # of all sessions, `list_sessions` and `verify` name the damaged ones
        return written

    def session_ids(self) -> list[str]:
        """The ids of all sessions, unreadable ones too, sorted."""
        self._handles.check_usable()
        return self._catalog.ids()

    # Documents

    def save_markdown(self, category: str, name: str, text: str) -> None:
        """Keep a text under a category (nested with `/`) and a name, in the place of what was there.

        Atomic, and durable as the store is. Raises InvalidNameError, InvalidEventError, DurabilityError.
        """
        self._documents.save_markdown(category, name, text)

    def load_markdown(self, category: str, name: str) -> str | None:
        """A kept text, None if there is none."""
        return self._documents.load_markdown(category, name)

    def save_json(self, category: str, name: str, value: object) -> None:
        """Keep any JSON, or a msgspec Struct, as save_markdown does a text."""
        self._documents.save_json(category, name, value)

    @overload
    def load_json(self, category: str, name: str, *, type: None = None) -> Json: ...
    @overload
    def load_json(self, category: str, name: str, *, type: type[T]) -> T | None: ...
    def load_json(self, category: str, name: str, *, type: Any = None) -> Any:
        """Kept JSON, as a value of `type` if given; None if there is none.

        In the category "sessions" it is the session as it is now. Raises JournalError where it does not fit.
        """
        if category != SESSIONS:
            return self._documents.load_json(category, name, type=type)
        session = self.load_session(name)
        return None if session is None else msgspec.json.decode(document_json(session), type=type or Any)

    def list_category(self, category: str) -> list[str]:
        """The names of a category's documents, sorted; those of "sessions" are the sessions' ids."""
        return self.session_ids() if category == SESSIONS else self._documents.names(category)

    def delete_file(self, category: str, name: str) -> bool:
        """Remove a document, JSON before Markdown; True if one was there."""
        return self._documents.delete(category, name)

    # Opening and closing

    def close(self) -> None:
        """Bring the snapshots of what was touched up to date and close all files; twice does no harm."""
        for handle in self._handles.open_ones():
            with contextlib.suppress(JournalError, OSError):  # the records are safe; a snapshot can wait
                handle.compact()
        self._handles.close()
        self._marks.close()
        self._catalog.close()
        self._search.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        handles = getattr(self, "_handles", None)
        if handles is not None and handles.is_leaked():
            warn(f"{self!r} was never closed: its snapshots are out of date", ResourceWarning, source=self)
            handles.close()

    def __repr__(self) -> str:
        return f"StateStore({self.base_path!r}, durability={self.durability!r})"

    def _records(self, log: Log, after: int) -> Iterator[Record]:
        self._handles.check_usable()
        try:
            log.look()
            if log.size() == 0:
                yield from self._adopted_record(log.session_id)
                return
            yield from records_after(log, after)
        except OSError as error:
            raise (log.refusal(error, was_writing=False) or error) from error
        finally:
            log.close()

    def _adopted_record(self, session_id: str) -> Iterator[Record]:
        """What the first change of a foreign session will put on record, as record 0."""
        text = self._handles.glance(session_id).adopting()
        if text is None:
            raise SessionNotFoundError(session_id)
        yield Record(seq=0, id="", at=utc_now(), event=SessionAdopted(document=text), digest="", chain="")


def as_changes(events: Sequence[Event | Change]) -> list[Change]:
    """Events as changes: one that is none yet happens now."""
    now = utc_now()
    return [each if isinstance(each, Change) else Change(event=each, at=now) for each in events]
