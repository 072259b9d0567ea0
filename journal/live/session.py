"""LiveSession: one session in an agent's loop; what it is told is on record when the call returns."""

from types import TracebackType
from typing import Self

from journal.errors import InvalidEventError, SessionNotFoundError
from journal.handle import ANY
from journal.kept import Kept
from journal.live.steps import LiveSteps
from journal.live.tools import LiveTools, OnUnknown
from journal.live.writing import Ground
from projections.conflicts import HISTORY
from projections.conversation import Conversation
from projections.document import Json
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    ContextCompacted,
    CustomEvent,
    MetadataSet,
    ReasoningAdded,
    UsageRecorded,
    UserMessageAdded,
)
from projections.messages import AgentResponse
from projections.prompt import Message, Shape, messages
from projections.session import answered


class LiveSession(LiveTools, LiveSteps):
    """One session that an agent works on: each call is on record, durable as the store is, when it returns.

    Any number of them, in any number of processes, may be open on one session: they see each other's records.
    What commutes (messages, tool calls, usage) goes on top of what others wrote; where both set the same
    thing, or someone rewound the session, the later one gets VersionConflictError and nothing is written:
    look at `state`, decide again. Made by `StateStore.open_session`; threads may share one.

    A `key` makes a call safe to repeat after a crash: where it stands on record already, nothing is written,
    and the version of that record is returned; with another content, InvalidEventError.
    Each method that writes returns the session's new version, and raises as `StateStore.append`.
    """

    def __init__(self, ground: Ground, session_id: str, on_unknown: OnUnknown) -> None:
        super().__init__(ground, session_id)
        self._on_unknown = on_unknown
        self._turn = None
        self._counts = {}
        self._conversation = Kept(ground.handles, session_id, Conversation(), ground.records)

    def messages(self, shape: Shape = "openai") -> list[Message]:
        """The conversation for the next call of the model, others' records included, the caller's own.

        In the shape of OpenAI's chat completions, or "anthropic": see projections.messages. The first call
        reads the session, each later one only what is new; it costs what it shows. Raises
        SessionNotFoundError, CorruptRecordError.
        """
        self._handle()
        state = self._conversation.now()
        if state is None:
            raise SessionNotFoundError(self.id, "it was deleted while it was open")
        return messages(state, shape)

    def add_user_message(self, content: str, *, key: str | None = None, extra: Json = None) -> int:
        """The user said this. A turn begins: steps are counted from it."""
        version = self._add(UserMessageAdded(content=content, extra=extra), key=key)
        self._begin_turn(version)
        return version

    def add_agent_response(self, response: AgentResponse | str, *, key: str | None = None) -> int:
        """The agent answered, now; an AgentResponse brings its own time."""
        event = AgentResponseAdded(content=response) if isinstance(response, str) else answered(response)
        return self._add(event, key=key)

    def add_reasoning(self, content: str, signature: str | None = None, *, key: str | None = None) -> int:
        """What the agent thought before it answered; `signature` proves it to its provider."""
        return self._add(ReasoningAdded(content=content, signature=signature), key=key)

    def set_metadata(self, name: str, value: Json, *, key: str | None = None) -> int:
        """Give a key of the metadata a value, any JSON."""
        return self._add(MetadataSet(key=name, value=value), key=key)

    def set_active_seed(self, seed_id: str | None, *, key: str | None = None) -> int:
        """Make this seed the active one; None takes it back."""
        return self._add(ActiveSeedSet(seed_id=seed_id), key=key)

    def set_active_persona(self, persona_id: str | None, *, key: str | None = None) -> int:
        """Make this persona the active one; None takes it back."""
        return self._add(ActivePersonaSet(persona_id=persona_id), key=key)

    def add_event(self, name: str, data: Json = None, *, key: str | None = None) -> int:
        """Something happened that has no event of its own: a name, and any JSON."""
        return self._add(CustomEvent(name=name, data=data), key=key)

    def record_usage(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        cost: float | None = None,
        *,
        extra: Json = None,
        key: str | None = None,
    ) -> int:
        """A model was used: tokens in and out, and what it cost, in a currency of yours."""
        event = UsageRecorded(
            model=model, input_tokens=input_tokens, output_tokens=output_tokens, cost=cost, extra=extra
        )
        return self._add(event, key=key)

    def record_compaction(
        self,
        summary: str,
        through: int,
        *,
        tokens_before: int | None = None,
        tokens_after: int | None = None,
        key: str | None = None,
    ) -> int:
        """The prompt was shortened: for the model, this stands for the records up to version `through`."""
        if not 1 <= through <= self._version:
            raise InvalidEventError(f"the prompt can be shortened up to 1 to {self._version}, not {through}")
        event = ContextCompacted(
            summary=summary, through=through, tokens_before=tokens_before, tokens_after=tokens_after
        )
        return self._add(event, key=key)

    def rewind(self, to: int) -> int:
        """Make the session again what it was at a version; the history stays. Steps after it run anew."""
        handle = self._handle()
        with handle.log.exclusive:
            self._look(handle)
            self._refuse_conflict(handle, HISTORY)
            by, cause = self._acting.now()
            version = handle.rewind(to, ANY, by=by, cause=cause)
            self._begin_turn(None)
            self._counts.clear()
            self.state  # noqa: B018  (who rewinds has decided on what comes before)
            return version

    # Opening and closing

    def close(self) -> None:
        """Take no more; everything is on record already."""
        self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LiveSession {self.id!r} at version {self._version}>"
