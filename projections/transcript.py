"""The transcript: everything that was said and done, in the order in which it happened."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import assert_never

from msgspec import Struct

from projections.document import Json, SessionDocument, parse_document
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    CustomEvent,
    JournalRepaired,
    MetadataSet,
    ReasoningAdded,
    Record,
    SessionAdopted,
    SessionCreated,
    SessionReplaced,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UserMessageAdded,
)


class Entry(Struct, frozen=True, kw_only=True):
    """One thing that was said or done.

    role   "user", "agent", "reasoning", "tool_call", "tool_result" or "note"
    text   what was said; for calls, results and notes with data: JSON or plain text
    title  the tool's name, or what a note is about
    """

    seq: int
    at: datetime
    role: str
    text: str
    title: str = ""


class Transcript:
    """The fold that gives a session's entries, in true order: nothing is paired by counting."""

    name = "transcript"
    version = 1

    def initial(self) -> list[Entry]:
        """Nothing was said yet."""
        return []

    def apply(self, state: list[Entry], record: Record) -> list[Entry]:
        """The entries after one more record."""
        state.extend(_entries(record))
        return state


def to_markdown(session_id: str, entries: Iterable[Entry]) -> str:
    """The transcript as a page that a person reads."""
    parts = [f"# Session {session_id}\n"]
    names = {"user": "User", "agent": "Agent", "reasoning": "Reasoning"}
    for entry in entries:
        when = f"{entry.at:%Y-%m-%d %H:%M:%S}Z · {entry.seq}"
        match entry.role:
            case "user" | "agent":
                parts.append(f"## {names[entry.role]}  <small>{when}</small>\n\n{entry.text}\n")
            case "reasoning":
                quoted = "\n".join(f"> {line}" for line in entry.text.split("\n"))
                parts.append(f"### Reasoning  <small>{when}</small>\n\n{quoted}\n")
            case "tool_call" | "tool_result":
                verb = "Call" if entry.role == "tool_call" else "Result"
                parts.append(f"### {verb}: {entry.title}  <small>{when}</small>\n\n{_fenced(entry.text)}\n")
            case _:
                body = f"\n\n{_fenced(entry.text)}" if entry.text else ""
                parts.append(f"*{entry.title}*  <small>{when}</small>{body}\n")
    return "\n".join(parts)


def _entries(record: Record) -> Iterator[Entry]:
    seq, at = record.seq, record.at

    def note(title: str, text: str = "") -> Entry:
        return Entry(seq=seq, at=at, role="note", title=title, text=text)

    match record.event:
        case UserMessageAdded(content=content, timestamp=timestamp):
            yield Entry(seq=seq, at=timestamp or at, role="user", text=content)
        case AgentResponseAdded(content=content, timestamp=timestamp):
            yield Entry(seq=seq, at=timestamp or at, role="agent", text=content)
        case ReasoningAdded(content=content):
            yield Entry(seq=seq, at=at, role="reasoning", text=content)
        case ToolCalled(name=name, call_id=call_id, arguments=arguments):
            title = f"{name} ({call_id})"
            yield Entry(seq=seq, at=at, role="tool_call", title=title, text=_readable(arguments))
        case ToolReturned(call_id=call_id, result=result, is_error=is_error):
            title = f"{call_id}, failed" if is_error else call_id
            yield Entry(seq=seq, at=at, role="tool_result", title=title, text=_readable(result))
        case SessionCreated(user_id=user_id):
            yield note(f"Session of {user_id} created")
        case MetadataSet(key=key, value=value):
            yield note(f"Metadata {key} set", _readable(value))
        case ActiveSeedSet(seed_id=seed_id):
            yield note(f"Active seed: {seed_id}")
        case ActivePersonaSet(persona_id=persona_id):
            yield note(f"Active persona: {persona_id}")
        case CustomEvent(name=name, data=data):
            yield note(name, "" if data is None else _readable(data))
        case SessionAdopted(document=document):
            yield note("Adopted from another program's file")
            yield from _said_in(parse_document(document), seq)
        case SessionReplaced(session=session):
            yield note("The session was set to a new state")
            yield from _said_in(session, seq)
        case JournalRepaired(size_bytes=size_bytes, quarantine=quarantine):
            yield note(f"Journal repaired: {size_bytes} damaged bytes are in {quarantine}")
        case UnknownEvent(type=kind):
            yield note(f"{kind} (an event of a newer version)")
        case unreachable:
            assert_never(unreachable)


def _said_in(document: SessionDocument, seq: int) -> Iterator[Entry]:
    """A document has no common order for its two lists; their times are the best there is."""
    entries = [
        *(Entry(seq=seq, at=m.timestamp, role="user", text=m.content) for m in document.user_messages),
        *(Entry(seq=seq, at=r.timestamp, role="agent", text=r.content) for r in document.agent_responses),
    ]
    return iter(sorted(entries, key=lambda entry: entry.at))


def _readable(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
