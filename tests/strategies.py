"""What hypothesis draws from: JSON, events, histories, sessions, and what people do with a session.

Each strategy is made once: checking one takes longer than drawing from it.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from journal import AgentResponse, Change, Record, Session, StateStore, UserMessage
from projections import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    ContentErased,
    ContextCompacted,
    CustomEvent,
    JournalRepaired,
    MetadataSet,
    ReasoningAdded,
    SessionAdopted,
    SessionCreated,
    SessionDocument,
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

# For laws over whole histories, which take long to draw.
some = settings(max_examples=min(40, settings.default.max_examples if settings.default else 40))
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
# Texts that a careless reader of a line would take for a part of the record.
TRAPS = [
    ',"chain":"',
    '","salt":"',
    ',"more":7',
    ',"first":1',
    "\n",
    "\r\n",
    "\u2028",
    "\0",
    '"}',
    "}\n{",
    "é😀",
]


@contextlib.contextmanager
def a_store(**options: Any) -> Iterator[StateStore]:
    """A store in a folder of its own, for tests that hypothesis runs many times."""
    with a_folder() as folder:
        options.setdefault("durability", "os")
        with StateStore(folder, **options) as store:
            yield store


@contextlib.contextmanager
def a_folder() -> Iterator[str]:
    """A folder for a store."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "state")


def nested(depth: int, kind: type = list) -> Any:
    """JSON that is nested so many levels deep."""
    value: Any = kind()
    for _ in range(depth - 1):
        value = [value] if kind is list else {"a": value}
    return value


@cache
def texts(max_size: int = 20) -> st.SearchStrategy[str]:
    """Any Unicode without halves of surrogate pairs, and texts that look like parts of a record."""
    plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)
    return plain | st.sampled_from(TRAPS)


@cache
def names() -> st.SearchStrategy[str]:
    """Texts of at least one character."""
    return texts().filter(bool)


@cache
def json_values() -> st.SearchStrategy[Any]:
    """Any JSON that a record can hold."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts()
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=6,
    )


@cache
def moments() -> st.SearchStrategy[datetime]:
    """Moments, in UTC and in other offsets."""
    zones = st.just(UTC) | st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
    return st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones)


@cache
def utc_moments() -> st.SearchStrategy[datetime]:
    """Moments in UTC."""
    return moments().map(lambda moment: moment.astimezone(UTC))


@cache
def user_messages() -> st.SearchStrategy[UserMessage]:
    """Messages of a user."""
    return st.builds(UserMessage, content=texts(), timestamp=moments())


@cache
def agent_responses() -> st.SearchStrategy[AgentResponse]:
    """Answers of an agent."""
    maybe = st.none() | texts()
    return st.builds(
        AgentResponse,
        content=texts(),
        session_id=maybe,
        seed_id=maybe,
        phase_reached=maybe,
        evaluation_passed=st.none() | st.booleans(),
        timestamp=moments(),
    )


@cache
def sessions(session_id: str = "s", user_id: str = "u") -> st.SearchStrategy[Session]:
    """Sessions that were built by hand."""
    return st.builds(
        Session,
        id=st.just(session_id),
        user_id=st.just(user_id),
        user_messages=st.lists(user_messages(), max_size=4),
        agent_responses=st.lists(agent_responses(), max_size=4),
        active_seed_id=st.none() | texts(),
        active_persona_id=st.none() | texts(),
        created_at=moments(),
        updated_at=moments(),
        metadata=st.dictionaries(texts(), json_values(), max_size=3),
    )


@cache
def documents(session_id: str = "s") -> st.SearchStrategy[SessionDocument]:
    """Sessions as documents."""
    return sessions(session_id).map(lambda session: session.to_document())


@cache
def known_events() -> st.SearchStrategy[Any]:
    """An event of any known type that may follow a SessionCreated of the session "s"."""
    maybe = st.none() | texts()
    at = st.none() | moments()
    counts = st.integers(0, 2**63 - 1)
    extras = st.none() | json_values()
    durations = st.none() | st.floats(0, 1e12)
    return st.one_of(
        st.builds(UserMessageAdded, content=texts(), timestamp=at, extra=extras),
        st.builds(
            AgentResponseAdded,
            content=texts(),
            session_id=maybe,
            seed_id=maybe,
            phase_reached=maybe,
            evaluation_passed=st.none() | st.booleans(),
            timestamp=at,
            extra=extras,
        ),
        st.builds(SessionCreated, session_id=st.just("s"), user_id=texts()),
        st.builds(ActiveSeedSet, seed_id=maybe),
        st.builds(ActivePersonaSet, persona_id=maybe),
        st.builds(MetadataSet, key=texts(), value=json_values()),
        st.builds(ToolCalled, call_id=texts(), name=texts(), arguments=json_values(), extra=extras),
        st.builds(
            ToolReturned,
            call_id=texts(),
            result=json_values(),
            is_error=st.booleans(),
            duration_ms=durations,
            extra=extras,
        ),
        st.builds(ReasoningAdded, content=texts(), signature=maybe, extra=extras),
        st.builds(
            StepFinished,
            name=texts(),
            arguments=json_values(),
            result=json_values(),
            error=maybe,
            error_type=maybe,
            duration_ms=durations,
        ),
        st.builds(
            UsageRecorded,
            model=texts(),
            input_tokens=counts,
            output_tokens=counts,
            cost=st.none() | st.floats(0, 1e6),
            extra=extras,
        ),
        st.builds(
            ContextCompacted,
            summary=texts(),
            through=counts,
            tokens_before=st.none() | counts,
            tokens_after=st.none() | counts,
        ),
        st.builds(CustomEvent, name=texts(), data=json_values()),
        st.builds(SessionReplaced, session=documents()),
        documents().map(lambda document: SessionAdopted(document=msgspec.json.encode(document).decode())),
        st.builds(
            JournalRepaired,
            offset=st.integers(0, 2**63 - 1),
            size_bytes=st.integers(0, 2**63 - 1),
            reason=texts(),
            quarantine=texts(),
        ),
        st.builds(
            SessionForked,
            session_id=st.just("s"),
            user_id=texts(),
            created_at=moments(),
            origin=names(),
            version=counts,
            chain=texts(),
            first_chain=texts(),
            cut=counts,
            document=st.none() | documents(),
        ),
        st.builds(
            SessionRewound,
            to=counts,
            user_id=texts(),
            created_at=moments(),
            updated_at=moments(),
            active_seed_id=maybe,
            active_persona_id=maybe,
            user_messages_kept=st.integers(0, 3),
            user_messages=st.lists(user_messages(), max_size=2),
            agent_responses_kept=st.integers(0, 3),
            agent_responses=st.lists(agent_responses(), max_size=2),
            metadata=st.dictionaries(texts(), json_values(), max_size=3),
            metadata_removed=st.lists(texts(), max_size=2),
        ),
        st.builds(
            ContentErased,
            versions=st.lists(counts, max_size=3),
            types=st.lists(texts(), max_size=3),
            reason=texts(),
            quarantine=st.lists(texts(), max_size=2),
        ),
    )


@st.composite
def unknown_events(draw: st.DrawFn) -> UnknownEvent:
    """Events of a newer version: spaces, key order and number formats are the newer writer's own."""
    kind = draw(st.sampled_from(["session_dreamed", "x", "ünknown"]))
    rest = draw(st.sampled_from(["", ', "n" : 1.0e0', ',"o":{ "b":[1 ,2], "a":null }', ',"t":"\\u00e9\\/"']))
    return UnknownEvent(type=kind, raw=f'{{"type":"{kind}"{rest}}}'.encode())


@cache
def events() -> st.SearchStrategy[Any]:
    """An event of any type."""
    return known_events() | unknown_events()


@cache
def changes() -> st.SearchStrategy[Change]:
    """Events with the moment at which they happened, and who did it and why."""
    maybe = st.none() | names()
    return st.builds(Change, event=events(), at=moments(), by=maybe, cause=maybe, key=maybe)


def record(seq: int, event: Any, at: datetime = START) -> Record:
    """A record as a fold sees it."""
    return Record(seq=seq, id=f"id-{seq}", at=at, event=event, digest="d", chain="c")


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """A session's records from the first one on."""
    first = SessionCreated(session_id="s", user_id="u")
    happened = [first, *draw(st.lists(events(), max_size=5))]
    times = draw(st.lists(utc_moments(), min_size=len(happened), max_size=len(happened)))
    return [record(seq, event, at) for seq, (event, at) in enumerate(zip(happened, times, strict=True), 1)]


class Act(NamedTuple):
    """Something that is done with a session; it shows as what it is when hypothesis prints it."""

    name: str
    arguments: tuple[Any, ...] = ()

    def on(self, session: Session) -> None:
        """Do it."""
        if self.name in _EDITS:
            _EDITS[self.name](session, *self.arguments)
        else:
            getattr(session, self.name)(*self.arguments)


@cache
def calls() -> st.SearchStrategy[Act]:
    """Calls of a session's methods."""
    return st.one_of(
        st.tuples(texts()).map(lambda a: Act("add_user_message", a)),
        st.tuples(agent_responses() | texts()).map(lambda a: Act("add_agent_response", a)),
        st.tuples(st.none() | texts()).map(lambda a: Act("set_active_seed", a)),
        st.tuples(st.none() | texts()).map(lambda a: Act("set_active_persona", a)),
        st.tuples(st.sampled_from("abc") | texts(), json_values()).map(lambda a: Act("set_metadata", a)),
    )


@cache
def edits() -> st.SearchStrategy[Act]:
    """Edits of a session's fields by hand."""
    return st.one_of(
        st.tuples(user_messages()).map(lambda a: Act("append a message", a)),
        st.tuples(agent_responses()).map(lambda a: Act("append a response", a)),
        st.tuples(st.lists(user_messages(), max_size=3)).map(lambda a: Act("give it messages", a)),
        st.tuples(st.lists(agent_responses(), max_size=3)).map(lambda a: Act("give it responses", a)),
        st.tuples(user_messages()).map(lambda a: Act("replace the first message", a)),
        st.tuples(st.sampled_from("abc"), json_values()).map(lambda a: Act("edit the metadata", a)),
        st.tuples(json_values()).map(lambda a: Act("edit inside the metadata", a)),
        st.tuples(st.none() | texts()).map(lambda a: Act("set the seed", a)),
        st.tuples(moments()).map(lambda a: Act("set updated_at", a)),
        st.tuples(moments()).map(lambda a: Act("set created_at", a)),
        st.sampled_from(
            [
                Act("drop the last message"),
                Act("drop the last response"),
                Act("turn the messages round"),
                Act("double the responses"),
                Act("drop a key"),
                Act("clear everything"),
            ]
        ),
    )


@cache
def acts() -> st.SearchStrategy[Act]:
    """Anything that may be done with a session."""
    return calls() | edits()


def _replace_first(session: Session, message: UserMessage) -> None:
    session.user_messages[:1] = [message]


def _edit_inside(session: Session, value: Any) -> None:
    for kept in session.metadata.values():
        if isinstance(kept, list):
            kept.append(value)
        elif isinstance(kept, dict):
            kept["inside"] = value


def _clear(session: Session) -> None:
    session.user_messages.clear()
    session.agent_responses = []
    session.metadata = {}
    session.active_seed_id = session.active_persona_id = None


def _set(name: str) -> Callable[[Session, Any], None]:
    return lambda session, value: setattr(session, name, value)


_EDITS: dict[str, Callable[..., object]] = {
    "append a message": lambda session, message: session.user_messages.append(message),
    "append a response": lambda session, response: session.agent_responses.append(response),
    "give it messages": _set("user_messages"),
    "give it responses": _set("agent_responses"),
    "replace the first message": _replace_first,
    "edit the metadata": lambda session, key, value: session.metadata.__setitem__(key, value),
    "edit inside the metadata": _edit_inside,
    "set the seed": _set("active_seed_id"),
    "set updated_at": _set("updated_at"),
    "set created_at": _set("created_at"),
    "drop the last message": lambda session: session.user_messages and session.user_messages.pop(),
    "drop the last response": lambda session: session.agent_responses and session.agent_responses.pop(),
    "turn the messages round": lambda session: session.user_messages.reverse(),
    "double the responses": lambda session: session.agent_responses.extend(list(session.agent_responses)),
    "drop a key": lambda session: session.metadata and session.metadata.popitem(),
    "clear everything": _clear,
}


# The smallest session, for the tests that write events by hand.

CREATED = SessionCreated(session_id="s", user_id="u")


def said(text):
    """A user's message."""
    return UserMessageAdded(content=text)


def contents(session):
    """What the user said in it."""
    return [message.content for message in session.user_messages]
