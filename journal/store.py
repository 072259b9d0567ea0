"""StateStore: the face."""

import contextlib
import os
import uuid
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import msgspec

from journal import disk as disks
from journal.acting import Acting
from journal.attachments import ATTACH_OVER_BYTES, Attachments
from journal.catalog import Catalog, SessionPage
from journal.connecting import folder_of, refuse_options, refuse_url
from journal.diagnosis import Diagnosis, diagnose
from journal.disk import Disk
from journal.documents import Documents
from journal.erase import Erasure, content_versions, erase
from journal.erase_all import erase_all
from journal.errors import (
    AttachmentError,
    InvalidEventError,
    JournalError,
    JournalWarning,
    OwnerMismatchError,
    SessionNotFoundError,
    UnreachableError,
    VersionConflictError,
    unreadable,
)
from journal.examination import Wishes
from journal.folded import Setting
from journal.follow import Checkpoints, OnError, check_after, each_of, follow
from journal.fork import fork
from journal.handle import ANY
from journal.handles import Handles
from journal.history import version_at
from journal.kept import Kept
from journal.layout import Layout
from journal.lineage import family
from journal.live import LiveSession, OnUnknown
from journal.live.replay import Agent, Replayed, replay
from journal.live.writing import Ground
from journal.marks import Marks, OwnMarks
from journal.mounts import refuse_network
from journal.names import SESSIONS, check_session_id
from journal.note import SigningKey
from journal.opening import open_replica
from journal.proof import prove
from journal.questions import Questions
from journal.repair import repair
from journal.replica import Replica
from journal.retention import Pruned, Retention
from journal.seal import Scope, Seal
from journal.sealing import AgainstSeal, seal_sessions
from journal.search import Search, SearchPage
from journal.snapshot import document_json
from journal.tombstones import Tombstone, read_tombstones
from journal.trail import Followed
from journal.verify import Report
from projections.attachment import attachment_of
from projections.comparison import Comparison, compare
from projections.document import Json
from projections.events import Change, Event, Record
from projections.messages import utc_now
from projections.projection import Projection
from projections.redaction import Redaction
from projections.session import Session, SessionProjection
from projections.timeline import Timeline

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
    redact      what is hidden before a byte is written: in events, in what a session says (the session is
                brought up to date), in documents. Not in ids, names, `by` and `key`
    attach_over_bytes  what of a live session is larger as JSON (a tool's result, a step's) is kept beside
                the records, and they refer to it

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
        redact: Redaction | None = None,
        attach_over_bytes: int = ATTACH_OVER_BYTES,
    ) -> None:
        if durability not in ("disk", "os"):
            raise ValueError(f"durability is 'disk' or 'os', not {durability!r}")
        if snapshots not in ("auto", "always"):
            raise ValueError(f"snapshots is 'auto' or 'always', not {snapshots!r}")
        refuse_url(base_path)
        disk, layout = self._new_disk(), Layout(base_path)
        if not allow_network:
            refuse_network(disk, layout.base)
        self._open(
            disk,
            layout,
            Marks(disk, layout.internal),
            durability=durability,
            durable=durability == "disk",
            actor=actor,
            snapshots=snapshots,
            redact=redact,
            attach_over_bytes=attach_over_bytes,
        )

    @classmethod
    def connect(
        cls,
        url: str | os.PathLike[str],
        *,
        durability: Literal["disk", "os"] = "disk",
        actor: str | None = None,
        redact: Redaction | None = None,
        attach_over_bytes: int = ATTACH_OVER_BYTES,
        timeout: float = 30.0,
        **options: Any,
    ) -> Self:
        """The store at a URL: `nats://host:4222/name`, `tls://…`, `memory:name`, or a folder.

        On NATS, any number of stores on any machines share it; see docs/reference/nats.md for the `options`.
        What this one looked at is kept in a private folder, which goes when it is closed.
        `timeout`: after so many seconds without a clear answer, a save ends in a DurabilityError that says
        that its outcome is unknown; a retry of the same save never doubles it.

        Raises UnreachableError where nobody answers or what answers refuses; DurabilityError where
        `durability="disk"` is not what the servers promise; MissingExtraError; ValueError for a URL or an
        option that is none. DurabilityError, too, where the private folder cannot be made.
        """
        if (folder := folder_of(url)) is not None:
            refuse_options(url, options)
            return cls(
                folder,
                durability=durability,
                actor=actor,
                redact=redact,
                attach_over_bytes=attach_over_bytes,
            )
        replica = open_replica(os.fspath(url), durability, timeout, options)
        return cls._on(replica, durability, actor, redact, attach_over_bytes)

    @classmethod
    def _on(
        cls,
        replica: Replica,
        durability: str,
        actor: str | None,
        redact: Redaction | None,
        attach_over_bytes: int,
    ) -> Self:
        """The store that works on a replica, which ends with it."""
        self = cls.__new__(cls)
        try:
            self._open(
                replica,
                replica.layout,
                replica.marks,
                durability=durability,
                durable=False,  # that is for the backend, which has promised it
                actor=actor,
                snapshots="auto",
                redact=redact,
                attach_over_bytes=attach_over_bytes,
            )
        except BaseException:
            replica.end()
            raise
        return self

    def _open(
        self,
        disk: Disk,
        layout: Layout,
        marks: Marks | OwnMarks,
        *,
        durability: str,
        durable: bool,
        actor: str | None,
        snapshots: str,
        redact: Redaction | None,
        attach_over_bytes: int,
    ) -> None:
        self._acting = Acting(actor)
        self._durability = durability
        self._disk, self._layout = disk, layout
        self._marks = marks
        self._setting = Setting(
            disk=disk,
            layout=layout,
            durable=durable,
            always_snapshot=snapshots == "always",
            mark=self._marks.mark,
            redact=None if redact is None else redact.redact_event,
        )
        self._handles = Handles(self._setting)
        self._questions = Questions(disk, layout, self._handles)
        self._catalog = Catalog(disk, layout, self._marks, self._questions.summarize_each)
        self._search = Search(disk, layout, self._catalog)
        self._attachments = Attachments(disk, layout, attach_over_bytes)
        self._documents = Documents(disk, layout, durable=durable, redact=redact)

    @property
    def actor(self) -> str | None:
        """Who writes: the `by` of every record, where nothing else is said."""
        return self._acting.usual.by

    @property
    def durability(self) -> str:
        """What survives when a save returned: "disk" or "os"."""
        return self._durability

    @property
    def base_path(self) -> str:
        """The folder that holds everything, absolute; of a store on other machines, what it looked at."""
        return self._layout.base

    @property
    def name(self) -> str:
        """Where the store is: its folder, or its URL without secrets."""
        return self._disk.name or self._layout.base

    @property
    def promise(self) -> str:
        """What survives what, and on what that rests, in a sentence."""
        if self._disk.promise:
            return self._disk.promise
        survives = "a power cut" if self._durability == "disk" else "the process, and not a power cut"
        return f"{self._layout.base}: what was acknowledged survives {survives}"

    def acting(
        self, *, by: str | None = None, cause: str | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """Who writes inside the `with`, and the id of the record that led to it.

        `with store.acting(by="agent:planner", cause=record.id): …` goes on every record that this thread or
        asyncio task, and the tasks it starts there, write through this store. An inner `with` wins over an
        outer one, an argument or a Change over both; None leaves what holds around it. A deletion and a
        repair note who, and no cause. What the library adds of its own accord (when it cuts a torn tail or
        adopts a file) names nobody.

        Raises InvalidEventError, on entering, for what no record can hold.
        """
        return self._acting.as_(by, cause)

    # Sessions

    def save_session(self, session: Session, *, expected_version: int | None = None) -> int:
        """Append what changed in a session; return its new version, which is the session's from then on.

        All or nothing, and durable as the store is when this returns. What its methods changed is appended
        as it is; what was edited by hand is found by comparing with what is stored.
        `expected_version` is the session's own unless given. ANY: its changes go on top of whatever others
        wrote meanwhile, and the session is brought up to date in place. So it is where the store redacts
        something of it: afterwards it says what is stored.

        Raises:
            VersionConflictError: someone else changed the session since it was loaded; nothing was written.
            OwnerMismatchError: the stored session belongs to another user.
            InvalidNameError, InvalidEventError: the id or a value cannot be stored; nothing was written.
            DurabilityError: the disk refused. A retry of the same save never doubles it.
            CorruptRecordError: the journal is damaged; nothing is written after damage.

        """
        expected = session.version if expected_version is None else expected_version
        by, cause = self._acting.now()
        return self._handles.of(session.id).save(session, expected, by=by, cause=cause)

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
        by, cause = self._acting.now()
        return self._handles.of(session_id).update(change, by=by, cause=cause)

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

    def open_session(
        self, session_id: str, *, user_id: str | None = None, on_unknown: OnUnknown = "ask"
    ) -> LiveSession:
        """The session for an agent's loop, to use in a `with`: each call is on record when it returns.

        With a `user_id`, a session that is not there is created. `on_unknown`: what is to become of a tool
        call that was begun and has no outcome, when `run_tool` comes to it again: "ask" raises
        OutcomeUnknownError, "retry" runs it again, "fail" records that it failed; or a function of the
        UnfinishedCall that returns one of these.

        Raises SessionNotFoundError, OwnerMismatchError, CorruptRecordError.
        """
        if not callable(on_unknown) and on_unknown not in ("ask", "retry", "fail"):
            raise ValueError(f"on_unknown is 'ask', 'retry', 'fail' or a function, not {on_unknown!r}")
        if user_id is not None:
            self.get_or_create_session(user_id, session_id)
        elif not self._handles.of(session_id).exists():
            raise SessionNotFoundError(session_id, "give its user_id to create it")
        return LiveSession(self._ground(), session_id, on_unknown)

    def replay(
        self, session_id: str, agent: Agent, *, until: int | None = None, new_id: str | None = None
    ) -> Replayed:
        """Run an agent's program against the record: it answers in place of tools and of the model.

        `agent` is called with a live session that writes nothing: `run_tool`, `@live.tool` and `step` give
        what is on record, and their functions do not run. What the program does is compared with the record,
        in order; the first difference ends it, and is the result's `divergence`. Messages of the user that it
        does not add itself are there. It is called again for each turn that it leaves to another call.

        `until`: at this version the record ends, and the program goes on for real, in a fork of the session
        (`new_id`, drawn unless given): what would have become of it. `agent` may be a coroutine function.

        Raises what `agent` raises; InvalidEventError for a block of `with live.tool_call`, which nothing can
        keep from running; SessionNotFoundError, CorruptRecordError.
        """
        return replay(self._ground(), session_id, agent, until, new_id)

    def delete_session(self, session_id: str, *, why: str | None = None) -> bool:
        """Remove a session's journal and snapshot; True if it was there.

        A tombstone keeps its id, version and chain, and who deleted it, when and `why`. Attachments that
        nothing else refers to go, too; where they cannot, the deletion stands and a JournalWarning says so.
        """
        handle = self._handles.of(session_id)
        with self._attachments.released() as digests:
            digests |= self._attachments.of_session(session_id)
            return handle.delete(by=self._acting.now().by, why=why)

    def prune(
        self,
        older_than: timedelta | None = None,
        keep: int | None = None,
        user_id: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Pruned:
        """Delete the sessions, or one user's, that nobody changed for so long; return which.

        `older_than`: the last change is longer ago than this. `keep`: the newest so many of each user stay,
        however old; alone, all others go. Each leaves a tombstone with the rule as its `why`. A session that
        changes meanwhile stays, and so does one that cannot be read. After an interruption, prune again.
        `dry_run`: nothing is deleted. The time of a change is the one on record: an import has old ones.

        Raises ValueError without a rule, DurabilityError.
        """
        retention = Retention(older_than, keep)
        found = self.list_sessions(user_id)
        expired = [*retention.expired(found, utc_now())][::-1]
        pruned = Pruned(unreadable=found.unreadable)
        with self._attachments.released() as digests:  # one pass for all of them
            for summary in expired:
                handle = self._handles.glance(summary.id)
                referred = set() if dry_run else self._attachments.of_session(summary.id)
                if dry_run or handle.delete(by=self._acting.now().by, why=str(retention), expected=summary):
                    pruned.sessions.append(summary)
                    digests |= referred
                else:
                    pruned.changed.append(summary.id)
        return pruned

    def tombstones(self) -> list[Tombstone]:
        """The notes of deleted sessions, in the order of the deletions: `id, version, chain, at, by, why`.

        A session may have been created again since. A line that cannot be read is told with a JournalWarning.
        """
        self._handles.check_usable()
        path = self._layout.tombstones
        found = []
        self._disk.refresh(self._layout.sessions)
        try:
            for each in read_tombstones(self._disk, path):
                if isinstance(each, int):
                    warnings.warn(f"{path}: line {each} is no tombstone", JournalWarning, stacklevel=2)
                else:
                    found.append(each)
        except OSError as error:
            raise unreadable(path, error) from error
        return found

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
        act = self._acting.now()
        by, cause = act.by if by is None else by, act.cause if cause is None else cause
        return self._handles.of(session_id).append(
            as_changes(events), expected_version, by=by, cause=cause, key=key
        )

    def records(self, session_id: str, *, after: int = 0) -> Iterator[Record]:
        """The records with a number higher than `after`, one by one, checked against the hash chain.

        Ends at the last complete batch that was there when it got so far. Raises SessionNotFoundError at
        the first step, CorruptRecordError at damage, when all before it was given out.
        """
        return self._questions.records(session_id, after)

    def follow(
        self,
        session_id: str | None = None,
        *,
        after: Checkpoints = 0,
        timeout: float | None = None,
        on_error: OnError | None = None,
    ) -> Generator[Followed, None, None]:
        """The records of a session, or of all, and then each new one as it is saved; ends when it is closed.

        Each comes once, in the order of its session, whatever becomes of the file: writers that crash,
        repairs, erasures, a deletion and a new session of that name. What was read of a session is known by
        its ids, 8 bytes a record. A session that is not there yet is waited for.

        `after` is what was handled already: a version; a Record, which proves that it is still that session;
        "now", all that is there. For all sessions: {id: one of these}, of others nothing was. `timeout`: end
        when so many seconds brought nothing new; 0: give out what is there. `on_error` is called with the
        id and the error where a session cannot be read, and the session goes on when its file is mended;
        without it the error is raised, when all before it was given out.

        Raises CorruptRecordError, JournalClosedError; ValueError for an `after` that is none of these.
        """
        return each_of(self._follow(session_id, after, timeout, on_error, lambda: False))

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

    def keep(self, projection: Projection[State], session_id: str) -> Kept[State]:
        """As project, for one who asks again and again: each `now()` of the result reads only what is new.

        The session need not be there yet. See Kept.
        """
        check_session_id(session_id)
        return Kept(self._handles, session_id, projection, self.records)

    def timeline(self, session_id: str) -> Timeline:
        """Every state that the session ever had, at random access: see Timeline.

        Reads the journal once, as it is now. Raises SessionNotFoundError, CorruptRecordError.
        """
        return Timeline(self.records(session_id))

    def fork(
        self, session_id: str, at: int | datetime | None = None, *, new_id: str | None = None
    ) -> Session:
        """A new session with the same history up to a version or a moment; the other one stays as it is.

        The same records with the same numbers, and a first one that says where they are from: `verify`
        computes the other's chain from them. `new_id` is drawn unless given. The whole fork is there, or
        nothing; on disk when this returns, whatever the durability. Raises SessionNotFoundError for the
        session or the point, VersionConflictError where there is a session `new_id`, CorruptRecordError,
        DurabilityError.
        """
        chosen = str(uuid.uuid4()) if new_id is None else new_id
        version = None if at is None else self._version_at(session_id, at)
        with self._attachments.held_if(
            self._attachments.are_there()
        ):  # until it is there, the other one may be deleted
            return fork(self._setting, session_id, version, chosen, **self._acting.now()._asdict())

    def rewind(self, session_id: str, to: int | datetime, *, expected_version: int = ANY) -> int:
        """Make the session again what it was at a version or a moment; return its new version.

        One more record: the history stays, and the rewind can be rewound. Raises SessionNotFoundError for the
        session or the point; as `append` does; InvalidEventError where what must come back (messages that a
        rewind took away) is over 16 MiB.
        """
        version = self._version_at(session_id, to)
        by, cause = self._acting.now()
        return self._handles.of(session_id).rewind(version, expected_version, by=by, cause=cause)

    def _version_at(self, session_id: str, at: int | datetime) -> int:
        """The version at a point. Raises SessionNotFoundError where the session did not exist yet."""
        version = version_at(self.records(session_id), at) if isinstance(at, datetime) else at
        if version < 1:
            raise SessionNotFoundError(session_id, f"there is nothing at {at}", exists=True)
        return version

    def erase(
        self,
        session_id: str,
        versions: Iterable[int],
        *,
        reason: str,
        by: str | None = None,
        dry_run: bool = False,
    ) -> list[Erasure]:
        """Take the content of records out for good; that they were there, when and by whom stays proven.

        Whatever repeats the same content goes with it: states that were set as a whole, forks, snapshots,
        files in quarantine, temporary files, the catalog, attachments that nothing else refers to. A record
        says what was erased, why and by whom. An erased message keeps its place, empty; an erased setting has
        no effect. Each session is changed whole or not at all, beside writers and followers, and on disk when
        this returns, whatever the durability.
        `dry_run`: nothing is changed, and the answer is the same. What programs that run hold in memory, and
        what was copied elsewhere, is out of reach.

        What is gone already is passed over. Raises SessionNotFoundError, also for a record that is not there;
        InvalidEventError for one whose content must stay; CorruptRecordError; DurabilityError: erase again.
        """
        wanted = set(versions)
        return self._erase_all(lambda: [(session_id, wanted)], reason=reason, by=by, dry_run=dry_run)

    def erase_user(
        self, user_id: str, *, reason: str, by: str | None = None, dry_run: bool = False
    ) -> list[Erasure]:
        """Erase the content of all sessions of a user, and of all copies of it. See `erase`.

        That the sessions were there stays, with their ids, times and the user's id.
        """

        def wanted() -> Iterator[tuple[str, set[int]]]:
            for summary in self.list_sessions(user_id):
                handle = self._handles.glance(summary.id)
                with handle.log.using:
                    handle.read()
                    versions = content_versions(handle)  # what a copy's erasure took is gone by now
                yield summary.id, set(versions)

        return self._erase_all(wanted, reason=reason, by=by, dry_run=dry_run)

    def _erase_all(
        self,
        wanted: Callable[[], Iterable[tuple[str, set[int]]]],
        *,
        reason: str,
        by: str | None,
        dry_run: bool,
    ) -> list[Erasure]:
        def run(dry_run: bool) -> list[Erasure]:
            found: dict[str, Erasure] = {}
            for session_id, versions in wanted():
                for each in self._erase(session_id, versions, reason=reason, by=by, dry_run=dry_run):
                    before = found.get(each.session_id)
                    found[each.session_id] = each if before is None else before.and_(each)
            return list(found.values())

        return erase_all(self._layout, self._attachments, run, dry_run=dry_run)

    def _erase(
        self, session_id: str, versions: set[int], *, reason: str, by: str | None, dry_run: bool
    ) -> list[Erasure]:
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidEventError("an erasure needs a reason")
        act = self._acting.now()
        erased: dict[str, Erasure | None] = {}
        # Until there is no copy that was made meanwhile, of one that had the content still.
        while copies := {
            each: ids for each, ids in self._copies_of(session_id, versions).items() if each not in erased
        }:
            for each, ids in copies.items():
                erased[each] = erase(
                    self._setting,
                    each,
                    versions,
                    reason=reason,
                    by=act.by if by is None else by,
                    cause=act.cause,
                    dry_run=dry_run,
                    only_ids=ids,
                )
        return [each for each in erased.values() if each is not None]

    def _copies_of(self, session_id: str, versions: set[int]) -> dict[str, set[str] | None]:
        """The session, and those that share records with it: with the ids of those that are meant."""
        relatives = family(self._catalog.origins(), self._catalog.ids(), session_id) - {session_id}
        if not relatives:
            return {session_id: None}
        ids = {record.id for record in self.records(session_id) if record.seq in versions}
        return {session_id: None} | dict.fromkeys(relatives, ids)

    def compare(
        self,
        session_id: str,
        other_id: str,
        *,
        at: int | datetime | None = None,
        other_at: int | datetime | None = None,
    ) -> Comparison:
        """What became of two sessions since they parted, and what leads from the one to the other.

        Each as it is now, or at a version or a moment. Raises SessionNotFoundError, CorruptRecordError.
        """
        one, other = self.timeline(session_id), self.timeline(other_id)
        points = (self._point_of(one, session_id, at), self._point_of(other, other_id, other_at))
        return compare(one, other, *points)

    def _point_of(self, timeline: Timeline, session_id: str, at: int | datetime | None) -> int:
        """The version at a point, None for the last. Raises SessionNotFoundError where there is none."""
        try:
            return timeline.resolve(timeline.version if at is None else self._version_at(session_id, at))
        except IndexError as error:
            raise SessionNotFoundError(session_id, str(error), exists=True) from None

    def verify(self, session_id: str | None = None, *, seal: Seal | None = None) -> Report:
        """Check a session, or all: every hash, link and number, and the snapshot. Writes nothing.

        `seal`: also whether they go on from what was sealed; a tail that was cut, a history that was written
        anew and a session that was taken away are findings. A session that is named here and not in the
        seal is one, too; of all sessions, those that it does not name are noted.

        Raises SessionNotFoundError.
        """
        if session_id is not None and seal is not None:
            comparison = AgainstSeal(self._disk, self._layout, seal)
            return comparison.of_one(session_id, self._questions.verify_one)
        if session_id is not None:
            return self._questions.verify_one(session_id)
        reports = dict(self.verify_each(seal=seal))
        return Report.of_all(reports[each] for each in sorted(reports))

    def verify_each(
        self, session_ids: Iterable[str] | None = None, *, seal: Seal | None = None
    ) -> Iterator[tuple[str, Report]]:
        """Check the sessions named, or all, on every core; each with its report as soon as it is done.

        A session that cannot be checked has a report that says why. `seal`: as in `verify`; all sessions are
        also those that it names.
        """
        ids = self.session_ids() if session_ids is None else session_ids
        if seal is None:
            return self._questions.verify_each(ids)
        if session_ids is None:
            ids = sorted({*ids, *seal.heads})
        comparison = AgainstSeal(self._disk, self._layout, seal)
        return comparison.of_each(ids, self._questions.verify_each, must_name=session_ids is not None)

    def seal(self, session_ids: str | Iterable[str] | None = None, *, key: SigningKey) -> Seal:
        """Sign the heads of a session, of several, or of all: what stood there can be proved from then on.

        Each is verified first and synced to disk, whatever the store's durability. Keep the seal's `data`
        where whoever writes the store cannot reach it: what comes later is not covered. Changes nothing.

        Raises:
            SealError: one of them is damaged or has no journal; nothing was signed.
            SessionNotFoundError: there is no such session.
            InvalidKeyError, MissingExtraError: nothing can be signed with that key, or here.

        """
        key.verifier()  # a key that cannot sign is told before all the work
        scope: Scope = "store" if session_ids is None else "sessions"
        if isinstance(session_ids, str):
            scope, reports = "session", {session_ids: self._questions.verify_one(session_ids)}
        else:
            reports = dict(self.verify_each(session_ids))
        return seal_sessions(self._disk, self._layout, reports, scope, utc_now(), key)

    def prove(self, session_id: str, version: int, *, seal: bytes) -> bytes:
        """The proof, as JSON, that a record stood at this version when a seal was made.

        It is checked without the store, with docs/reference/check_proof.py, and tells of other records only
        their headers: when, by whom, and hashes of what. `seal` is a seal's file, whoever signed it: whom
        to trust is for the checker to say. One pass up to the sealed version; memory, and the proof, grow
        by some 200 bytes for each record in between.

        Raises SealError where the session is not what was sealed, SessionNotFoundError.
        """
        self._handles.check_usable()
        return prove(self._disk, self._layout, session_id, version, seal)

    def diagnose(
        self, session_id: str, *, only_proven: bool = False, user_id: str | None = None
    ) -> Diagnosis:
        """Say what is wrong with a session, and the steps that would mend it. Changes nothing.

        The arguments are those of `repair`. Raises SessionNotFoundError.
        """
        self._handles.check_usable()
        return diagnose(self._setting, session_id, Wishes(only_proven, user_id))

    def repair(self, session_id: str, *, only_proven: bool = False, user_id: str | None = None) -> list[str]:
        """Do what `diagnose` proposes; say what was done, a sentence a step.

        What the chain proves keeps its place. Where it breaks off, records that fit their own hash are
        appended anew, unless `only_proven`. `user_id`: whose the session is, where that record is lost.
        Every byte that is cut is kept in quarantine, and a record tells of it. Does nothing where nothing
        is wrong. Raises SessionNotFoundError, DurabilityError.
        """
        self._handles.check_usable()
        return repair(self._setting, session_id, Wishes(only_proven, user_id), by=self._acting.now().by)

    def compact(self, session_id: str | None = None) -> int:
        """Bring the snapshot of a session, or of all, up to date; return how many were written."""
        ids = self.session_ids() if session_id is None else [session_id]
        if session_id is None:
            with contextlib.suppress(OSError):  # leftovers can wait
                for folder in (self._layout.sessions, *self._attachments.folders()):
                    disks.sweep_temporaries(self._disk, folder)
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

    # Attachments

    def attach(self, data: bytes, media_type: str = "application/octet-stream") -> Json:
        """Keep bytes beside the records, on disk when this returns; the result refers to them in any JSON.

        Put it into an event soon: where no journal refers to it, `journal repair` may remove it after an
        hour, and a deletion or an erasure of the same bytes at once. A document does not count. The same
        bytes are kept once, whoever attached them.

        Raises AttachmentError (over 64 MiB), InvalidEventError (no bytes, no media type), DurabilityError.
        """
        self._handles.check_usable()
        return self._attachments.add(data, media_type).to_json()

    def attachment(self, reference: Json) -> bytes:
        """The bytes that a reference in a record stands for, checked against their hash.

        Raises AttachmentError where they are not there or were altered, or where that is no reference.
        """
        self._handles.check_usable()
        found = attachment_of(reference)
        if found is None:
            raise AttachmentError(f"{reference!r:.200} is no reference to an attachment")
        return self._attachments.read(found)

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
        with self._disk.settled:  # what is known of them will do
            for handle in self._handles.open_ones():
                try:
                    handle.compact()
                except UnreachableError:
                    break  # each of them would wait as long for an answer
                except (JournalError, OSError):
                    continue  # the records are safe; a snapshot can wait
        self._handles.close()
        self._marks.close()
        self._catalog.close()
        self._search.close()
        self._disk.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        handles = getattr(self, "_handles", None)
        if handles is None:  # it was never made
            return
        if handles.is_leaked():
            warn(f"{self!r} was never closed: its snapshots are out of date", ResourceWarning, source=self)
            handles.close()
        self._catalog.close()
        self._search.close()
        self._disk.end()

    def __repr__(self) -> str:
        return f"StateStore({self.name!r}, durability={self.durability!r})"

    def _ground(self) -> Ground:
        """For live sessions. Not kept: a store that refers to itself could not tell that nobody closed it."""
        return Ground(self._handles, self._acting, self._attachments, self.records, self.fork)

    def _follow(
        self,
        session_id: str | None,
        after: Checkpoints,
        timeout: float | None,
        on_error: OnError | None,
        is_over: Callable[[], bool],
    ) -> Generator[list[Followed], None, None]:
        if session_id is not None:
            check_session_id(session_id)
        check_after(session_id, after)
        handles = self._handles
        return follow(
            self._disk,
            self._layout,
            session_id,
            after,
            timeout=timeout,
            on_error=on_error,
            check_usable=handles.check_usable,
            is_over=lambda: handles.is_closed or is_over(),
        )


def as_changes(events: Sequence[Event | Change]) -> list[Change]:
    """Events as changes: one that is none yet happens now."""
    now = utc_now()
    return [each if isinstance(each, Change) else Change(event=each, at=now) for each in events]
