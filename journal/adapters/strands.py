"""Strands: a session repository whose sessions are journals. Extra: strands.

A message is a batch in its session's journal: texts, reasoning, tool uses and their results are what they are
everywhere here. Of an agent's state, and of that of a group of agents, what changed goes on record.
"""

import copy
import os
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from journal.adapters.ids import joined
from journal.adapters.items import Item, ItemsProjection, JsonObject, item_events
from journal.adapters.opened import Opened
from journal.adapters.patches import patch, patched
from journal.adapters.strands_messages import NAME, message_of, records_of
from journal.errors import MissingExtraError, VersionConflictError
from journal.store import StateStore
from projections.events import Event, SessionCreated

try:
    from strands.session.session_repository import SessionRepository
    from strands.types.exceptions import SessionException
    from strands.types.session import Session, SessionAgent, SessionMessage, SessionType, decode_bytes_values
except ModuleNotFoundError as error:
    raise MissingExtraError("sessions of Strands", "strands-agents", "strands") from error

if TYPE_CHECKING:
    from strands.multiagent import MultiAgentBase


T = TypeVar("T")


def journal_id(session_id: str) -> str:
    """The id of a session's journal: for the store's own methods and the command line."""
    return joined(NAME, session_id)


@dataclass(slots=True)
class _Agent:
    fields: JsonObject = field(default_factory=dict)  # empty where its record was erased
    messages: dict[int, Item] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)  # of the messages, in order
    changes: dict[int, JsonObject] = field(default_factory=dict)  # of messages, after they were stored

    def message(self, number: int) -> JsonObject | None:
        """A message as it is now."""
        item, change = self.messages.get(number), self.changes.get(number, {})
        if item is None and "message" not in change:
            # What was redacted may have been erased since: what is to be said instead stays.
            redacted = change.get("redact_message")
            return None if redacted is None else {"message_id": number, "message": redacted, **change}
        return (message_of(item) if item is not None else {"message_id": number}) | change


@dataclass(slots=True)
class _View:
    """What Strands sees of a session."""

    session: JsonObject = field(default_factory=dict)
    agents: dict[str, _Agent] = field(default_factory=dict)
    groups: dict[str, JsonObject] = field(default_factory=dict)

    def take(self, item: Item) -> None:
        match item.head:
            case {"session": session}:
                self.session = session
            case {"agent": agent_id, **said}:
                self._take(self.agents.setdefault(agent_id, _Agent()), item, said)
            case {"multi_agent": group_id, "changed": changed}:
                self.groups[group_id] = patched(self.groups.get(group_id, {}), changed)

    def _take(self, agent: _Agent, item: Item, said: JsonObject) -> None:
        match said:
            case {"changed": changed}:
                agent.fields = patched(agent.fields, changed)
                return
            case {"message": {"message_id": int(number)}}:
                agent.messages[number] = item
            case {"message_id": int(number), "message_changed": change}:
                agent.changes[number] = {**agent.changes.get(number, {}), **change}
            case _:
                return
        at = bisect_left(agent.numbers, number)
        if number not in agent.numbers[at : at + 1]:
            agent.numbers.insert(at, number)


class JournalSessionRepository(SessionRepository):
    """Sessions of Strands in a store, or in a folder.

    `RepositorySessionManager(session_id, JournalSessionRepository("state"))` is an agent's session manager.
    What a call wrote is durable as the store is when it returns, and each message is there whole or not at
    all. Several threads and processes may write one session. A message whose number is taken is refused,
    unless it is the same one: so a call that failed may be repeated.

    store       a StateStore, which stays the caller's to close; or a folder, or the URL of one elsewhere
    user_id     whose the sessions are that are created
    durability  of a folder: "disk" or "os", as StateStore says
    """

    def __init__(
        self,
        store: StateStore | str | os.PathLike[str],
        *,
        user_id: str = "user",
        durability: Literal["disk", "os"] = "disk",
    ) -> None:
        self._is_own = not isinstance(store, StateStore)
        self._store = (
            store if isinstance(store, StateStore) else StateStore.connect(store, durability=durability)
        )
        self._user_id = user_id
        self._sessions = Opened(self._store, lambda _: ItemsProjection(NAME, _View))

    def create_session(self, session: Session, **kwargs: Any) -> Session:
        """Create a session. Raises SessionException if it is there."""
        id = journal_id(session.session_id)
        begun = SessionCreated(session_id=id, user_id=self._user_id)
        said = item_events(NAME, {"session": session.to_dict()})
        try:
            self._store.append(id, [begun, *said], expected_version=0)
        except VersionConflictError:
            raise SessionException(f"Session {session.session_id} already exists") from None
        return session

    def read_session(self, session_id: str, **kwargs: Any) -> Session | None:
        """The session, None if it is not there."""
        usual: JsonObject = {"session_type": SessionType.AGENT}  # where that was erased
        said = self._ask(session_id, lambda view: view.session)
        return None if said is None else Session.from_dict({**usual, **said, "session_id": session_id})

    def delete_session(self, session_id: str, **kwargs: Any) -> None:
        """Delete a session and its history; a tombstone stays. Raises SessionException if it is not there."""
        if not self._store.delete_session(journal_id(session_id), why="deleted through Strands"):
            raise SessionException(f"Session {session_id} does not exist")

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Store a new agent. Raises SessionException without its session, or if it is there."""
        agent_id, fields = session_agent.agent_id, session_agent.to_dict()

        def events(view: _View) -> list[Event]:
            agent = view.agents.get(agent_id)
            if agent is not None and agent.fields:
                if agent.fields == fields:
                    return []
                raise SessionException(f"Agent {agent_id} already exists in session {session_id}")
            return item_events(NAME, {"agent": agent_id, "changed": patch({}, fields)})

        self._write(session_id, events)

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        """The agent, None if it is not there."""
        said = self._ask(session_id, lambda view: view.agents.get(agent_id, _Agent()).fields)
        return SessionAgent.from_dict(said) if said else None

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Store what changed of an agent; it keeps its `created_at`. Raises SessionException."""

        def events(view: _View) -> list[Event]:
            agent = _agent(view, session_id, session_agent.agent_id)
            session_agent.created_at = agent.fields.get("created_at", session_agent.created_at)
            changed = patch(agent.fields, session_agent.to_dict())
            return item_events(NAME, {"agent": session_agent.agent_id, "changed": changed})

        self._write(session_id, events)

    def create_message(
        self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any
    ) -> None:
        """Store a new message of an agent. Raises SessionException without the agent, or if it is there."""
        number, stored = session_message.message_id, session_message.to_dict()
        if not isinstance(number, int):
            raise ValueError(f"message_id=<{number}> | message id must be an integer")

        def events(view: _View) -> list[Event]:
            known = _agent(view, session_id, agent_id).message(number)
            if known is None:
                return records_of(agent_id, stored)
            if known == stored:
                return []  # an earlier try got through
            raise SessionException(f"Message {number} already exists in agent {agent_id}, and is another one")

        self._write(session_id, events)

    def read_message(
        self, session_id: str, agent_id: str, message_id: int, **kwargs: Any
    ) -> SessionMessage | None:
        """The message, None if it is not there."""
        said = self._ask(session_id, lambda view: view.agents.get(agent_id, _Agent()).message(message_id))
        return None if said is None else _message(said)

    def update_message(
        self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any
    ) -> None:
        """Store what changed of a message; it keeps its `created_at`. Raises SessionException.

        What it said before stays in the history, as Strands keeps what was redacted; `store.erase` takes
        it out for good.
        """
        number = session_message.message_id

        def events(view: _View) -> list[Event]:
            known = _agent(view, session_id, agent_id).message(number)
            if known is None:
                raise SessionException(f"Message {number} does not exist in agent {agent_id}")
            session_message.created_at = known.get("created_at", session_message.created_at)
            stored = session_message.to_dict()
            change = {key: stored[key] for key in stored if key not in known or known[key] != stored[key]}
            said = {"agent": agent_id, "message_id": number, "message_changed": change}
            return item_events(NAME, said) if change else []

        self._write(session_id, events)

    def list_messages(
        self, session_id: str, agent_id: str, limit: int | None = None, offset: int = 0, **kwargs: Any
    ) -> list[SessionMessage]:
        """The messages of an agent by their numbers. Raises SessionException without the agent."""

        def asked_for(view: _View) -> list[JsonObject]:
            agent = _agent(view, session_id, agent_id)
            numbers = agent.numbers[offset : None if limit is None else offset + limit]
            return [said for each in numbers if (said := agent.message(each)) is not None]

        found = self._ask(session_id, asked_for)
        if found is None:
            raise SessionException(f"Session {session_id} does not exist")
        return [_message(each) for each in found]

    def create_multi_agent(self, session_id: str, multi_agent: "MultiAgentBase", **kwargs: Any) -> None:
        """Store the state of a group of agents. Raises SessionException without its session."""
        self._write_group(session_id, multi_agent)

    def read_multi_agent(self, session_id: str, multi_agent_id: str, **kwargs: Any) -> dict[str, Any] | None:
        """The state of a group of agents, None if it is not there."""
        return self._ask(session_id, lambda view: copy.deepcopy(view.groups.get(multi_agent_id)))

    def update_multi_agent(self, session_id: str, multi_agent: "MultiAgentBase", **kwargs: Any) -> None:
        """Store what changed of a group's state. Raises SessionException if it is not there."""
        if self.read_multi_agent(session_id, multi_agent.id) is None:
            raise SessionException(f"MultiAgent {multi_agent.id} does not exist in session {session_id}")
        self._write_group(session_id, multi_agent)

    def close(self) -> None:
        """Close the store, where this was given a folder."""
        if self._is_own:
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_group(self, session_id: str, multi_agent: "MultiAgentBase") -> None:
        group_id, state = multi_agent.id, multi_agent.serialize_state()
        self._write(
            session_id,
            lambda view: item_events(
                NAME, {"multi_agent": group_id, "changed": patch(view.groups.get(group_id, {}), state)}
            ),
        )

    def _ask(self, session_id: str, question: Callable[[_View], T]) -> T | None:
        """What is asked of a session, None if it is not there."""
        with self._sessions.session(journal_id(session_id)) as kept:
            items = kept.now()
            return None if items is None else question(items.view)

    def _write(self, session_id: str, events: Callable[[_View], list[Event]]) -> None:
        """Append what the session, as it is now, makes of a call; again if someone else was first."""
        id = journal_id(session_id)
        with self._sessions.session(id) as kept:
            while (items := kept.now()) is not None:
                with suppress(VersionConflictError):
                    self._store.append(id, events(items.view), expected_version=items.version)
                    return
        raise SessionException(f"Session {session_id} does not exist")


def _agent(view: _View, session_id: str, agent_id: str) -> _Agent:
    if agent_id not in view.agents:
        raise SessionException(f"Agent {agent_id} does not exist in session {session_id}")
    return view.agents[agent_id]


_MESSAGE_FIELDS: Final = frozenset(each.name for each in fields(SessionMessage))


def _message(said: JsonObject) -> SessionMessage:
    """As SessionMessage.from_dict, which looks at the class's signature for each key of each message."""
    known = {key: value for key, value in said.items() if key in _MESSAGE_FIELDS}
    return SessionMessage(**decode_bytes_values(known))
