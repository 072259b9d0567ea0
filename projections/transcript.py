"""The transcript: everything that was said and done, in the order in which it happened."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import assert_never

from msgspec import Struct

from projections.attachment import attachment_of
from projections.document import Json, SessionDocument, parse_document
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    ContentErased,
    ContextCompacted,
    CustomEvent,
    Erased,
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


class Entry(Struct, frozen=True, kw_only=True):
    """One thing that was said or done.

    role      "user", "agent", "reasoning", "tool_call", "tool_result" or "note"
    text      what was said; for calls, results and notes with data: JSON or plain text
    title     of a call the tool's name, of a note what it is about
    call_id   of calls and results: what pairs them
    is_error  of results: the tool failed
    """

    seq: int
    at: datetime
    role: str
    text: str
    title: str = ""
    call_id: str = ""
    is_error: bool = False


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
    """The transcript as a page that a person reads, and that no content can break or bring to life.

    What was said stands in quotes, so that its own headings, lists and unclosed fences end with it. Links,
    images and HTML in it are shown as they were written. Long notes are cut, and say so.
    """
    parts = [f"# Session {_code(session_id)}\n"]
    tools: dict[str, str] = {}
    for entry in entries:
        about = f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC · record {entry.seq}"
        match entry.role:
            case "user" | "agent" | "reasoning":
                parts.append(f"## {entry.role.capitalize()} · {about}\n\n{_quoted(entry.text)}\n")
            case "tool_call":
                tools[entry.call_id] = entry.title
                parts.append(f"### Call of {_code(entry.title)} · {about}\n\n{_fenced(entry.text)}\n")
            case "tool_result":
                title = _result_title(entry, tools)
                parts.append(f"### {title} · {about}\n\n{_fenced(entry.text)}\n")
            case _:
                body = f"\n\n{_fenced(_cut(entry.text, entry.seq))}" if entry.text else ""
                parts.append(f"*Note* · {_code(entry.title)} · {about}{body}\n")
    return "\n".join(parts)


def _result_title(entry: Entry, tools: dict[str, str]) -> str:
    """Calls and results are paired by their id alone; a result without its call says so by its id."""
    kind = "Failure" if entry.is_error else "Result"
    title = tools.get(entry.call_id)
    return f"{kind} of {_code(title)}" if title is not None else f"{kind} of call {_code(entry.call_id)}"


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
            text = _readable(arguments)
            yield Entry(seq=seq, at=at, role="tool_call", title=name, call_id=call_id, text=text)
        case ToolReturned(call_id=call_id, result=result, is_error=is_error):
            text = _readable(result)
            yield Entry(seq=seq, at=at, role="tool_result", call_id=call_id, is_error=is_error, text=text)
        case SessionCreated(user_id=user_id):
            yield note(f"Session of {user_id} created")
        case MetadataSet(key=key, value=value):
            yield note(f"Metadata {key} set", _readable(value))
        case ActiveSeedSet(seed_id=seed_id):
            yield note(f"Active seed: {seed_id}")
        case ActivePersonaSet(persona_id=persona_id):
            yield note(f"Active persona: {persona_id}")
        case StepFinished(name=name, result=result, error=None):
            yield note(f"Step {name} finished", "" if result is None else _readable(result))
        case StepFinished(name=name, error_type=kind, error=error):
            yield note(f"Step {name} failed", f"{kind}: {error}")
        case UsageRecorded(model=model, input_tokens=into, output_tokens=out, cost=cost):
            price = "" if cost is None else f", cost {cost:g}"
            yield note(f"{model} used: {into:,} tokens in, {out:,} out{price}")
        case ContextCompacted(through=through, summary=summary):
            yield note(f"The prompt was shortened: this stands for the records up to {through}", summary)
        case CustomEvent(name=name, data=data):
            yield note(name, "" if data is None else _readable(data))
        case SessionAdopted(document=text):
            yield note("Adopted from another program's file")
            yield from _said_in(parse_document(text), seq)
        case SessionReplaced(session=session):
            yield note("The session was set to a new state")
            yield from _said_in(session, seq)
        case JournalRepaired(size_bytes=size_bytes, quarantine=quarantine):
            yield note(f"Journal repaired: {size_bytes} damaged bytes are in {quarantine}")
        case SessionForked(origin=origin, version=version, document=document):
            yield note(f"Forked from {origin} at version {version}")
            if document is not None:
                yield from _said_in(document, seq)
        case SessionRewound(to=to):
            yield note(f"Rewound to version {to}")
        case ContentErased(versions=versions, reason=reason):
            number = len(versions)
            yield note(f"The content of {number} record{'s' * (number != 1)} was erased: {reason}")
        case Erased(was=was):
            yield note(f"{was} (its content was erased)")
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
    if (attachment := attachment_of(value)) is not None:
        return f"[{attachment}]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


# Everything that a Markdown reader, or a terminal, takes for a line's end.
_LINE_END = re.compile(r"\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]")
# The symbols that Unicode has for the control characters; a tab may stay.
_VISIBLE = {code: 0x2400 + code for code in range(32) if code != 9} | {127: 0x2421}
# C1 controls, and what turns the direction of text round: shown by their numbers.
_VISIBLE_TEXT = {
    code: f"<U+{code:04X}>" for code in (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_CUT_AFTER = 600


def _lines(text: str) -> list[str]:
    """The lines of a text, with nothing in them that could steer a terminal."""
    shown = _VISIBLE | _VISIBLE_TEXT
    return [line.translate(shown) for line in _LINE_END.split(text)]


def _cut(text: str, seq: int) -> str:
    if len(text) <= _CUT_AFTER:
        return text
    return f"{text[:_CUT_AFTER]}\n… {len(text) - _CUT_AFTER:,} characters more are in record {seq}"


def _fenced(text: str) -> str:
    body = "\n".join(_lines(text))
    fence = "`" * max(3, _longest_run(body) + 1)
    return f"{fence}\n{body}\n{fence}"


def _code(text: str) -> str:
    """A short text as it is, on one line, for a heading."""
    line = " ".join(_lines(text))
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if not line.strip() or line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


_FENCE = re.compile(r"(`{3,}(?=[^`]*$)|~{3,})")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)")
_OPENING = re.compile(r"(\\*)([<\[])")


def _quoted(text: str) -> str:
    """What was said, as a quote: its Markdown reads as such, but opens no link, image or tag."""
    quoted = []
    fence = ""
    is_plain = True  # no backtick since the last empty line that could pair with one in another line
    for line in _lines(text):
        if fence:
            closing = line.strip()
            if closing.startswith(fence) and not closing.strip(fence[0]):
                fence = ""
        elif found := _FENCE.match(line):
            # Only at the very margin: an indented one can end earlier, with the list that it is in.
            fence = found.group(1)
        else:
            is_plain = not line.strip() or (is_plain and _spans_are_certain(line))
            line = _harmless(line, keep_code=is_plain)
        quoted.append(f"> {line}" if line else ">")
    return "\n".join(quoted)


def _spans_are_certain(line: str) -> bool:
    # A table's bars and escaped backticks end or begin spans in ways that need a whole parser.
    return "`" not in line or not ("|" in line or "\\`" in line or "`" in _CODE_SPAN.sub("", line))


def _harmless(line: str, *, keep_code: bool) -> str:
    """A line whose brackets stay brackets; in code spans they are that already."""
    if not keep_code or "`" not in line:
        return _OPENING.sub(_escaped, line)
    pieces = []
    end = 0
    for span in _CODE_SPAN.finditer(line):
        pieces += [_OPENING.sub(_escaped, line[end : span.start()]), span.group()]
        end = span.end()
    return "".join(pieces) + _OPENING.sub(_escaped, line[end:])


def _escaped(found: re.Match[str]) -> str:
    backslashes, bracket = found.groups()
    # After an odd number of them it is escaped already, and one more would undo that.
    return backslashes + ("" if len(backslashes) % 2 else "\\") + bracket
