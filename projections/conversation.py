"""The conversation: what the next call of a model must see of a session, in order."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from projections.branch import Branch
from projections.document import SessionDocument, parse_document
from projections.events import (
    AgentResponseAdded,
    ContextCompacted,
    Erased,
    Event,
    ReasoningAdded,
    Record,
    SessionAdopted,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from projections.messages import AgentResponse, UserMessage
from projections.pairing import is_return, returns_of


class View(NamedTuple):
    """What a model sees: a summary of what it does not see any more, "" if there is none; then the records.

    These are messages, answers, reasoning, calls and returns, and some of them erased. A message that came
    with a whole state is as the record that brought it, with an event of its own.
    """

    summary: str
    records: list[Record]


class Context:
    """The state of Conversation. To go on by one record costs the same however long the session is."""

    def __init__(self) -> None:
        self._said: Branch[Record] = Branch()

    def view(self) -> View:
        """What the next call of a model must see. It costs what it shows, not what the session holds.

        After a rewind it is what it was then. The last ContextCompacted that stands counts: its summary is in
        the place of what it stands for, but for calls whose return comes later: they stay with it.
        """
        compacted: ContextCompacted | None = None
        seen: list[Record] = []
        older: list[Record] = []
        back = reversed(self._said)
        for record in back:
            if isinstance(record.event, ContextCompacted):
                compacted = compacted or record.event
            elif compacted is not None and record.seq <= compacted.through:
                older = _calls_that_return(record, back, seen[::-1])
                break
            else:
                seen.append(record)
        return View(compacted.summary if compacted is not None else "", older + seen[::-1])

    def __eq__(self, other: object) -> bool:
        return self._said == other._said if isinstance(other, Context) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _become(self, document: SessionDocument, record: Record) -> None:
        """Say what a document says. What was said before, as far as it is the same, stays, with its calls."""
        rest: _Rest = {
            UserMessage: deque(document.user_messages),
            AgentResponse: deque(document.agent_responses),
        }
        before = list(self._said)
        kept = next((at for at, each in enumerate(before) if not _fits(each, rest)), len(before))
        # A summary stays if it stands for nothing that changed.
        summaries = [
            each
            for each in before[kept:]
            if isinstance(each.event, ContextCompacted) and each.event.through < before[kept].seq
        ]
        # The two lists of a document have no common order; their times are the best there is.
        new = sorted([*rest[UserMessage], *rest[AgentResponse]], key=lambda message: message.timestamp)
        added = [structs.replace(record, event=_event(message)) for message in new]
        self._said.restart(kept, [*summaries, *added], record.seq)


class Conversation:
    """The fold that gives the Context; `messages` of projections.prompt makes a prompt of it."""

    name = "conversation"
    version = 1

    def initial(self) -> Context:
        """Nothing was said yet."""
        return Context()

    def apply(self, state: Context, record: Record) -> Context:
        """The context after one more record."""
        match record.event:
            case UserMessageAdded() | AgentResponseAdded() | ReasoningAdded() | ToolCalled() | ToolReturned():
                state._said.append(record, record.seq)
            case ContextCompacted():
                state._said.append(record, record.seq)
            case Erased(was=was) if was in _SAID:
                state._said.append(record, record.seq)
            case SessionReplaced(session=document):
                state._become(document, record)
            case SessionAdopted(document=text):
                state._become(parse_document(text), record)
            case SessionForked(document=begun) if begun is not None:
                state._become(begun, record)
            case SessionRewound(to=to):
                state._said.rewind(to, record.seq)
            case _:
                pass  # settings, notes and the journal's own affairs are no part of a conversation
        return state


# What is said, as the types of events are stored: erased, it keeps its place.
_SAID: Final = (
    *("user_message_added", "agent_response_added", "reasoning_added"),
    *("tool_called", "tool_returned"),
)


def _calls_that_return(last: Record, back: Iterator[Record], seen: Sequence[Record]) -> list[Record]:
    """Of the records that a summary stands for, from the last one back, the calls whose returns are seen."""
    ids = {each.id for each in seen}
    if len(returns_of(seen)) == sum(map(is_return, seen)) and all(
        each.cause is None or each.cause in ids for each in seen if is_return(each)
    ):
        return []  # the usual case: all that is seen has its call there
    older = [last, *back][::-1]
    returns = returns_of([*older, *seen])
    return [each for each in older if each.id in returns and returns[each.id].id in ids]


def _message(record: Record) -> UserMessage | AgentResponse | None:
    """What a session's lists have of a record."""
    match record.event:
        case UserMessageAdded(content=content, timestamp=timestamp):
            return UserMessage(content, timestamp or record.at)
        case AgentResponseAdded(content=content, timestamp=timestamp):
            return AgentResponse(content, timestamp=timestamp or record.at)
        case Erased(was="user_message_added"):
            return UserMessage("", record.at)
        case Erased(was="agent_response_added"):
            return AgentResponse("", timestamp=record.at)
        case _:
            return None


# What of a document's two lists was not said before.
_Rest = dict[type, deque[UserMessage | AgentResponse]]


def _fits(record: Record, rest: _Rest) -> bool:
    """Whether a record is the next message of a document, and then take that off; or no message at all."""
    message = _message(record)
    if message is None:
        return True
    expected = rest[type(message)]
    if not expected or (expected[0].content, expected[0].timestamp) != (message.content, message.timestamp):
        return False
    expected.popleft()
    return True


def _event(message: UserMessage | AgentResponse) -> Event:
    kind = UserMessageAdded if isinstance(message, UserMessage) else AgentResponseAdded
    return kind(content=message.content, timestamp=message.timestamp)
