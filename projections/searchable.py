"""What of an event can be searched for: the texts that were said, called for, returned, or noted."""

from collections.abc import Iterator
from typing import Any, assert_never

import msgspec

from projections.document import SessionDocument, parse_document
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    ContentErased,
    ContextCompacted,
    CustomEvent,
    Erased,
    Event,
    JournalRepaired,
    MetadataSet,
    ReasoningAdded,
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


def texts_of(event: Event) -> Iterator[tuple[str, str]]:
    """Each text of an event that people search for, with its role, as in the transcript.

    Of JSON these are its texts, numbers and keys. An event that tells of the journal itself has none: what
    was erased or repaired is not what was said.
    """
    match event:
        case UserMessageAdded(content=content):
            yield "user", content
        case AgentResponseAdded(content=content):
            yield "agent", content
        case ReasoningAdded(content=content):
            yield "reasoning", content
        case ToolCalled(name=name, arguments=arguments):
            yield "tool_call", f"{name}\n{text_of(arguments)}"
        case ToolReturned(result=result):
            yield "tool_result", text_of(result)
        case CustomEvent(name=name, data=data):
            yield "note", f"{name}\n{text_of(data)}"
        case StepFinished(name=name, arguments=arguments, result=result, error=error):
            yield "note", text_of([name, arguments, result, error])
        case ContextCompacted(summary=summary):
            yield "note", summary
        case MetadataSet(key=key, value=value):
            yield "note", text_of({key: value})
        case SessionReplaced(session=document):
            yield from _said_in(document)
        case SessionAdopted(document=text):
            yield from _said_in(parse_document(text))
        case SessionForked(document=document):
            if document is not None:
                yield from _said_in(document)
        case SessionRewound():
            yield from _said_in(event)
        case UnknownEvent(raw=raw):
            yield "note", text_of(msgspec.json.decode(raw))
        case SessionCreated() | ActiveSeedSet() | ActivePersonaSet() | JournalRepaired() | ContentErased():
            pass
        case Erased() | UsageRecorded():
            pass
        case unreachable:
            assert_never(unreachable)


def text_of(value: Any) -> str:
    """The texts, numbers and keys of JSON, a line for each value."""
    if isinstance(value, str):
        return value
    lines: list[str] = []
    _add_lines(value, "", lines)
    return "\n".join(lines)


def _add_lines(value: Any, key: str, lines: list[str]) -> None:
    if isinstance(value, dict | list):
        if key:
            lines.append(key)
        for name, inner in value.items() if isinstance(value, dict) else (("", each) for each in value):
            _add_lines(inner, f"{name}: " if name else "", lines)
    elif value is None or isinstance(value, bool):
        if key:
            lines.append(key)
    else:
        lines.append(f"{key}{value}")


def leaves(value: Any) -> Iterator[str]:
    """The texts, numbers and keys of JSON, one by one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _said_in(state: SessionDocument | SessionRewound) -> Iterator[tuple[str, str]]:
    for message in state.user_messages:
        yield "user", message.content
    for response in state.agent_responses:
        yield "agent", response.content
    if state.metadata:
        yield "note", text_of(state.metadata)
