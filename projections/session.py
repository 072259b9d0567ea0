"""Session: the current state of a conversation, and its fold."""

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Self, assert_never

from msgspec import UNSET, structs

from projections.document import Json, SessionDocument, parse_document
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    Change,
    ContentErased,
    ContextCompacted,
    CustomEvent,
    Erased,
    Event,
    JournalRepaired,
    MetadataSet,
    ReasoningAdded,
    Record,
    SessionAdopted,
    SessionCreated,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UsageRecorded,
    UserMessageAdded,
)
from projections.messages import AgentResponse, Message, UserMessage, utc_now

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class MessageList(list[Message]):
    """A list that knows whether someone edited it, so that a save need not compare every message."""

    __slots__ = ("edited",)

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        list.__init__(self, messages)
        self.edited = False

    def cut(self, size: int) -> None:
        """Take the messages past `size` off; no edit, as `apply_event`'s append is none."""
        list.__delitem__(self, slice(size, None))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (list(self), self.edited)


def _restored(messages: list[Any], edited: bool) -> MessageList[Any]:
    restored = MessageList(messages)
    restored.edited = edited
    return restored


def _noting_the_edit(name: str) -> Callable[..., Any]:
    plain = getattr(list, name)

    def method(self: MessageList[Any], *args: Any, **options: Any) -> Any:
        self.edited = True
        return plain(self, *args, **options)

    method.__name__ = name
    method.__doc__ = plain.__doc__
    return method


for _name in (
    *("append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse"),
    *("__setitem__", "__delitem__", "__iadd__", "__imul__"),
):
    setattr(MessageList, _name, _noting_the_edit(_name))


class Session:
    """A conversation as it is: who it belongs to, what was said, which seed and persona are active.

    Its methods note each change; `StateStore.save_session` appends just those. The fields may be
    edited by hand too: the save compares and stores the difference. Messages are immutable.

    version  the version that it was loaded or last saved at; 0 when it was never saved
    """

    __slots__ = (
        "_agent_responses",
        "_chain",
        "_unsaved",
        "_user_messages",
        "active_persona_id",
        "active_seed_id",
        "created_at",
        "id",
        "metadata",
        "updated_at",
        "user_id",
        "version",
    )

    def __init__(
        self,
        *,
        id: str,
        user_id: str,
        user_messages: Iterable[UserMessage] = (),
        agent_responses: Iterable[AgentResponse] = (),
        active_seed_id: str | None = None,
        active_persona_id: str | None = None,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
        metadata: dict[str, Json] | None = None,
    ) -> None:
        self.id = id
        self.user_id = user_id
        self._user_messages = MessageList(user_messages)
        self._agent_responses = MessageList(agent_responses)
        self.active_seed_id = active_seed_id
        self.active_persona_id = active_persona_id
        self.created_at = created_at or utc_now()
        self.updated_at = updated_at or self.created_at
        self.metadata: dict[str, Json] = {} if metadata is None else metadata
        self.version = 0
        # The chain hash at that version: after a deletion another session may reach the same number.
        self._chain: bytes | None = None
        # None once `update_session_with` took the session back: it may be read, but no more changed.
        self._unsaved: list[Change] | None = []

    @classmethod
    def new(cls, user_id: str) -> Self:
        """A new session of this user, with an id of its own (UUIDv4)."""
        return cls.with_id(user_id, str(uuid.uuid4()))

    @classmethod
    def with_id(cls, user_id: str, session_id: str) -> Self:
        """A new session of this user, with this id."""
        at = utc_now()
        session = cls(id=session_id, user_id=user_id, created_at=at)
        session._change(SessionCreated(session_id=session_id, user_id=user_id), at)
        return session

    @property
    def user_messages(self) -> list[UserMessage]:
        """What the user said, in order."""
        return self._user_messages

    @user_messages.setter
    def user_messages(self, messages: Iterable[UserMessage]) -> None:
        self._user_messages = MessageList(messages)
        self._user_messages.edited = True

    @property
    def agent_responses(self) -> list[AgentResponse]:
        """What the agent answered, in order."""
        return self._agent_responses

    @agent_responses.setter
    def agent_responses(self, responses: Iterable[AgentResponse]) -> None:
        self._agent_responses = MessageList(responses)
        self._agent_responses.edited = True

    def add_user_message(self, content: str) -> None:
        """The user said `content`, now."""
        self._change(UserMessageAdded(content=content), utc_now())

    def add_agent_response(self, response: AgentResponse | str) -> None:
        """The agent answered; a plain string is an answer with no more to it, given now."""
        at = utc_now()
        event = AgentResponseAdded(content=response) if isinstance(response, str) else answered(response)
        self._change(event, at)

    def set_active_seed(self, seed_id: str | None) -> None:
        """Make this seed the active one; None takes it back."""
        self._change(ActiveSeedSet(seed_id=seed_id), utc_now())

    def set_active_persona(self, persona_id: str | None) -> None:
        """Make this persona the active one; None takes it back."""
        self._change(ActivePersonaSet(persona_id=persona_id), utc_now())

    def set_metadata(self, key: str, value: Json) -> None:
        """Give a key of the metadata a value, any JSON. Later edits of `value` do not reach the session."""
        self._change(MetadataSet(key=key, value=_own(value)), utc_now())

    def get_metadata(self, key: str) -> Json:
        """The value of a key of the metadata, or None."""
        return self.metadata.get(key)

    @property
    def exchange_count(self) -> int:
        """How many messages were answered: the smaller of the two lists' lengths."""
        return min(len(self._user_messages), len(self._agent_responses))

    @property
    def is_empty(self) -> bool:
        """Whether the user has said nothing yet."""
        return not self._user_messages

    @property
    def has_unsaved_changes(self) -> bool:
        """Whether methods noted changes since the last save (edits by hand are found at the save)."""
        return bool(self._unsaved)

    def copy(self) -> "Session":
        """A session of the same content, version and unsaved changes that shares no state with this one."""
        twin = self._header()
        twin._user_messages = MessageList(self._user_messages)
        twin._agent_responses = MessageList(self._agent_responses)
        twin._user_messages.edited = self._user_messages.edited
        twin._agent_responses.edited = self._agent_responses.edited
        twin.metadata = self.copy_metadata()
        twin._unsaved = [structs.replace(change) for change in self._unsaved or ()]
        return twin

    def copy_metadata(self) -> dict[str, Json]:
        """The metadata, shared with nobody."""
        return {key: _own(value) for key, value in self.metadata.items()}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Session":
        return self.copy()

    __copy__ = copy

    def to_document(self) -> SessionDocument:
        """The session as a document in the seed's shape; it shares the lists and the metadata."""
        return SessionDocument(
            id=self.id,
            user_id=self.user_id,
            user_messages=self._user_messages,
            agent_responses=self._agent_responses,
            active_seed_id=UNSET if self.active_seed_id is None else self.active_seed_id,
            active_persona_id=UNSET if self.active_persona_id is None else self.active_persona_id,
            created_at=self.created_at,
            updated_at=self.updated_at,
            metadata=self.metadata,
        )

    @classmethod
    def from_document(cls, document: SessionDocument) -> Self:
        """The session that a document describes, at version 0."""
        session = cls.__new__(cls)
        session.version, session._chain = 0, None
        session._unsaved = []
        session._become(document)
        return session

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Session):
            return NotImplemented
        return (
            self.header() == other.header()
            and self._user_messages == other._user_messages
            and self._agent_responses == other._agent_responses
            and self.metadata == other.metadata
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"<Session {self.id!r} of {self.user_id!r} at version {self.version}: "
            f"{len(self._user_messages)} messages, {len(self._agent_responses)} responses>"
        )

    def header(self) -> tuple[object, ...]:
        """All but the messages and the metadata, to compare two sessions by."""
        return (
            self.id,
            self.user_id,
            self.active_seed_id,
            self.active_persona_id,
            self.created_at,
            self.updated_at,
        )

    def _header(self) -> "Session":
        twin = Session.__new__(Session)
        twin.id = self.id
        twin.user_id = self.user_id
        twin.active_seed_id = self.active_seed_id
        twin.active_persona_id = self.active_persona_id
        twin.created_at = self.created_at
        twin.updated_at = self.updated_at
        twin.version, twin._chain = self.version, self._chain
        return twin

    def _become(self, document: SessionDocument) -> None:
        self.id = document.id
        self.user_id = document.user_id
        self._user_messages = MessageList(document.user_messages)
        self._agent_responses = MessageList(document.agent_responses)
        self.active_seed_id = document.active_seed_id if isinstance(document.active_seed_id, str) else None
        self.active_persona_id = (
            document.active_persona_id if isinstance(document.active_persona_id, str) else None
        )
        self.created_at = document.created_at
        self.updated_at = document.updated_at
        self.metadata = {key: _own(value) for key, value in document.metadata.items()}

    def _change(self, event: Event, at: datetime) -> None:
        if self._unsaved is None:
            raise RuntimeError(
                f"this session {self.id!r} can be read only: `load_session` gives one to change, and a live "
                "session has methods of its own"
            )
        self._unsaved.append(Change(event=event, at=at))
        apply_event(self, event, at)


def answered(response: AgentResponse) -> AgentResponseAdded:
    """The event that adds just this response, with its time."""
    return AgentResponseAdded(
        content=response.content,
        session_id=response.session_id,
        seed_id=response.seed_id,
        phase_reached=response.phase_reached,
        evaluation_passed=response.evaluation_passed,
        timestamp=response.timestamp,
    )


def apply_event(session: Session, event: Event, at: datetime) -> None:
    """Change the session in place as the event says. Every event sets `updated_at`, housekeeping excepted."""
    match event:
        case UserMessageAdded():
            list.append(session._user_messages, UserMessage(event.content, event.timestamp or at))
        case AgentResponseAdded():
            response = AgentResponse(
                event.content,
                event.session_id,
                event.seed_id,
                event.phase_reached,
                event.evaluation_passed,
                event.timestamp or at,
            )
            list.append(session._agent_responses, response)
        case ToolCalled() | ToolReturned() | ReasoningAdded() | CustomEvent():
            pass  # part of the history; the session as the seed knows it has no place for them
        case StepFinished() | UsageRecorded() | ContextCompacted():
            pass  # nor for these
        case MetadataSet():
            session.metadata[event.key] = _own(event.value)
        case ActiveSeedSet():
            session.active_seed_id = event.seed_id
        case ActivePersonaSet():
            session.active_persona_id = event.persona_id
        case SessionCreated():
            session.id = session.id or event.session_id
            session.user_id, session.created_at = event.user_id, at
        case SessionReplaced():
            _become(session, event.session)
        case Erased():
            _keep_the_place(session, event.was, at)
            if event.was in _HOUSEKEEPING:
                return
        case SessionAdopted():
            _become(session, parse_document(event.document))
            return  # housekeeping: the session did not change by it
        case SessionForked():
            _begin_fork(session, event)
            return
        case SessionRewound():
            _rewind(session, event)
            return
        case JournalRepaired() | ContentErased() | UnknownEvent():
            return
        case unreachable:
            assert_never(unreachable)
    session.updated_at = at


# What a session did not change by, as its events' types are stored.
_HOUSEKEEPING = ("session_adopted", "session_forked", "session_rewound", "journal_repaired", "content_erased")


def _keep_the_place(session: Session, was: str, at: datetime) -> None:
    """A message whose content was erased keeps its place, so that counts and pairing stay."""
    if was == "user_message_added":
        list.append(session._user_messages, UserMessage("", at))
    elif was == "agent_response_added":
        list.append(session._agent_responses, AgentResponse("", timestamp=at))


def _become(session: Session, document: SessionDocument) -> None:
    """Take on what a document says, but not which session it is: a fork's copies name its origin."""
    session_id = session.id
    session._become(document)
    session.id = session_id or document.id


def _begin_fork(session: Session, event: SessionForked) -> None:
    session.id = session.id or event.session_id
    if event.document is not None:
        _become(session, event.document)
    else:
        session.created_at = session.updated_at = event.created_at
    session.user_id = event.user_id


def _rewind(session: Session, event: SessionRewound) -> None:
    session._user_messages.cut(event.user_messages_kept)
    list.extend(session._user_messages, event.user_messages)
    session._agent_responses.cut(event.agent_responses_kept)
    list.extend(session._agent_responses, event.agent_responses)
    session.user_id, session.created_at = event.user_id, event.created_at
    session.active_seed_id, session.active_persona_id = event.active_seed_id, event.active_persona_id
    for key in event.metadata_removed:
        session.metadata.pop(key, None)
    session.metadata.update((key, _own(value)) for key, value in event.metadata.items())
    session.updated_at = event.updated_at


class SessionProjection:
    """The fold that gives the current Session."""

    name = "session"
    version = 2

    def initial(self) -> Session:
        """A session of nobody; the first record says whose it is."""
        return Session(id="", user_id="", created_at=_BEGINNING)

    def apply(self, state: Session, record: Record) -> Session:
        """The session after one more record."""
        apply_event(state, record.event, record.at)
        state.version = record.seq
        return state


def _own(value: Json) -> Json:
    """A value that nobody else can edit."""
    try:
        return _copied(value)
    except RecursionError:
        return value  # nested so deep that no store takes it: the save says so


def _copied(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return value
