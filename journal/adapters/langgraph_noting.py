"""What one call of the framework adds to a thread: values as JSON, and each message in them that is new."""

from collections.abc import Callable, Container, Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

import msgspec
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol

from journal.adapters.langgraph_messages import Head, Messages, Reference, Said, call_of, copied, events_of
from journal.adapters.langgraph_thread import Namespace, Thread, Version
from journal.adapters.langgraph_values import GONE, MARKED, Gone, Values
from journal.record import new_id
from projections.document import Json
from projections.events import Change, Event, ToolCalled
from projections.messages import utc_now

E = TypeVar("E", bound=Event)


class Reading:
    """The values of a thread, back from JSON."""

    def __init__(self, thread: Thread, serde: SerializerProtocol) -> None:
        self.thread, self._plain = thread, Values(serde)
        self.of_json: Callable[[Json], Any] = Values(serde, find=self._find).of_json

    def of_bytes(self, stored: bytes) -> Any:
        """The value of some JSON; GONE where it was erased."""
        value = msgspec.json.decode(stored)
        return self.of_json(value) if MARKED in stored else value

    def values(
        self, space: Namespace, versions: Mapping[str, Version], only: Container[str] | None = None
    ) -> dict[str, Any]:
        """What is in these channels at these versions; empty ones are not among them."""
        found = {}
        for channel, version in versions.items():
            if (only is None or channel in only) and (stored := space.value(channel, version)) is not None:
                found[channel] = self.of_json(stored) if isinstance(stored, list) else self.of_bytes(stored)
        return {channel: value for channel, value in found.items() if value is not GONE}

    def writes(
        self, space: Namespace, checkpoint_id: str, only: Container[str] | None = None
    ) -> list[PendingWrite]:
        """What was written for a checkpoint, in the order of execution."""
        found = [
            (task_id, channel, self.of_bytes(stored))
            for task_id, channel, stored in space.writes(checkpoint_id)
            if only is None or channel in only
        ]
        return [each for each in found if each[2] is not GONE]

    def _find(self, reference: Reference) -> BaseMessage | Gone:
        ref, id = reference
        said = self.thread.messages.by_ref.get(ref)
        return GONE if said is None else copied(said.message(self._plain.of_json), id)


class Noting:
    """Gathers the changes of one batch. The thread itself changes when it reads them back.

    is_early  whether what comes before it is not there yet: then messages that are new are told where they
              stand, and are on record when they stand in a checkpoint. So they are in their order
    """

    def __init__(
        self,
        thread: Thread,
        serde: SerializerProtocol,
        redact: Callable[[Event], Event] | None,
        *,
        is_early: bool = False,
    ) -> None:
        self.changes: list[Change] = []
        self._known, self._new = thread.messages, Messages()
        self._plain, self._values = Values(serde), Values(serde, refer=self._refer)
        self._redact, self._is_early = redact, is_early
        # Of what was seen without an id: what got one in this batch; that, and what stands in this value.
        self._claimed: set[str] = set()
        self._taken: set[str] = set()

    def add(self, event: Event, *, id: str | None = None) -> None:
        """One more event."""
        self.changes.append(Change(event=event, at=utc_now(), id=id))

    def to_json(self, value: Any) -> Json:
        """A value as JSON; the messages in it that are new are added."""
        json = self._values.to_json(value)
        self._taken &= self._claimed
        return json

    def _refer(self, message: BaseMessage) -> Reference | None:
        of_json = self._plain.of_json
        said = self._known.same_as(message, of_json) or self._new.same_as(message, of_json)
        said = said or self._seen(message)
        return None if said is None else (said.ref, message.id)

    def _seen(self, message: BaseMessage) -> Said | None:
        """The message on record that says the same; a new one where there is none."""
        head, calls = events_of(message, self._plain.to_json, self._plain.of_json)
        head, calls = self._hidden(head), [self._hidden(call) for call in calls]
        if message.id is not None and (said := next(self._saying(head, calls, message.id), None)) is not None:
            return said
        # Seen before without an id. The same words twice in one value are two messages.
        nameless = self._saying(head, calls, None)
        said = next((each for each in nameless if each.ref not in self._taken), None)
        if said is None and self._is_early:
            return None
        if said is None:
            said = self._added(Said(new_id(), head, calls, message.id))
        elif message.id is not None:
            self._claimed.add(said.ref)
            self._new.add(Said(said.ref, head, calls, message.id))
        if message.id is None or said.id is None:
            self._taken.add(said.ref)
        return said

    def _saying(self, head: Head, calls: list[ToolCalled], id: str | None) -> Iterator[Said]:
        return chain(self._known.saying(head, calls, id), self._new.saying(head, calls, id))

    def _added(self, said: Said) -> Said:
        self.add(said.head, id=said.ref)
        for call in said.calls:
            self.add(call_of(said.ref, call))
        self._new.add(said)
        return said

    def _hidden(self, event: E) -> E:
        """The event as the store will have it."""
        hidden = event if self._redact is None else self._redact(event)
        assert isinstance(hidden, type(event))
        return hidden
