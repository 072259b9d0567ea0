"""Redaction: hiding keys, tokens, passwords and addresses in what was said. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from projections.attachment import attachment_of
from projections.document import Json
from projections.events import Event, KnownEvent, Record, UnknownEvent
from projections.secrets import NAMED_SHAPES, SHAPES, Shape, secret_by_name

_MARK: Final = re.compile(r"\[redacted:[a-z0-9_-]{1,40}\]")
_KIND: Final = re.compile(r"[a-z0-9_-]{1,40}")
_decode_known = msgspec.json.Decoder(KnownEvent).decode
# What names, pairs, dates and proves things, in an event, a document or a message: it says nothing by itself.
_KEPT: Final = frozenset(
    (
        *("type", "session_id", "call_id", "origin", "chain", "first_chain", "signature", "quarantine"),
        *("erased", "erased_types", "types", "was", "timestamp", "created_at", "updated_at"),
    )
)


class Finding(NamedTuple):
    """Something to hide: its kind, where it stands in its text, and a masked excerpt that tells it apart."""

    kind: str
    start: int
    end: int
    excerpt: str


class Redaction:
    """What to hide, and how: each finding gives way to a mark such as `[redacted:email]`.

    patterns  expressions of your own (Python's `re`), by the kind that their mark names; or a list of them,
              of the kind "pattern". Where one has a group named `hide`, only that is hidden
    builtin   whether the built-in shapes count: keys and tokens of well-known makers, JSON web tokens,
              private keys, Authorization headers, values of what is named a password or a secret, e-mail
              addresses

    What was redacted stays as it is: marks are never looked into. Of expressions of your own that look around
    themselves this holds as far as a mark does not change what they see. The built-in shapes take time in
    proportion to the text, whatever it holds; your own, as much as they take.

    Raises ValueError for an expression that does not compile or that matches the empty text, and for a kind
    that is not of a-z, 0-9, _ and -.
    """

    def __init__(
        self,
        patterns: Mapping[str, str | re.Pattern[str]] | Iterable[str | re.Pattern[str]] = (),
        *,
        builtin: bool = True,
    ) -> None:
        if isinstance(patterns, str | re.Pattern):
            raise TypeError("patterns is a list or a mapping; one expression is [expression]")
        named = patterns if isinstance(patterns, Mapping) else None
        pairs = named.items() if named is not None else [("pattern", each) for each in patterns]
        own = [_shape(kind, pattern) for kind, pattern in pairs]
        self._shapes = [*(SHAPES if builtin else ()), *own]
        self._needles = [tuple(each.encode() for each in shape.needles) for shape in self._shapes]

    def redact_text(self, text: str) -> tuple[str, list[Finding]]:
        """The text with marks in the place of what is hidden, and what that was, in order.

        The text itself where there is nothing to hide.
        """
        walk = _Walk(self._shapes)
        return walk.text(text), walk.found

    def redact_json(self, value: Any) -> tuple[Any, list[Finding]]:
        """As redact_text, for all texts in a JSON value, the keys of objects too."""
        walk = _Walk(self._shapes)
        return walk.value(value), walk.found

    def redact_document(self, document: dict[str, Json]) -> tuple[dict[str, Json], list[Finding]]:
        """As redact_json, for a session as a document, its owner too; its id stays."""
        walk = _Walk(self._shapes)
        return walk.shaped(document, _KEPT | {"id"}), walk.found

    def redact_event(self, event: Event) -> Event:
        """The event with all its texts redacted; the same one where there is nothing to hide.

        What names, pairs and proves things stays: whose the session is, ids, hashes.
        """
        redacted, found = self.redact_event_json(_json_of(event))
        return _event_of(event, redacted) if found else event

    def redact_event_json(self, raw: bytes, *, owner: bool = False) -> tuple[bytes, list[Finding]]:
        """As redact_event, for an event as JSON, of whatever type. `owner`: whose it is is redacted, too."""
        shapes = self._shapes
        if b"\\u" not in raw:  # else an escaped letter could hide what is looked for
            lower = raw.lower()
            shapes = [
                shape
                for shape, needles in zip(shapes, self._needles, strict=True)
                if not needles or any(needle in lower for needle in needles)
            ]
            if not shapes:
                return raw, []
        walk = _Walk(shapes)
        event = msgspec.json.decode(raw)
        redacted = walk.event(event, owner=owner)
        return (msgspec.json.encode(redacted), walk.found) if walk.found else (raw, [])

    def redact_record(self, record: Record) -> tuple[Record, list[Finding]]:
        """The record as others may see it: its event, whose it is and who wrote it redacted.

        The same one where there is nothing to hide; else without its hashes, which would not fit.
        """
        raw, found = self.redact_event_json(_json_of(record.event), owner=True)
        by, found_by = self.redact_text(record.by) if record.by else (record.by, [])
        if not found and not found_by:
            return record, []
        event = _event_of(record.event, raw) if found else record.event
        return msgspec.structs.replace(record, event=event, by=by, digest="", chain=""), found + found_by


class _Walk:
    """One walk through a value, with what it finds."""

    def __init__(self, shapes: list[Shape]) -> None:
        self.found: list[Finding] = []
        self._shapes = shapes
        self._by_name = any(shape in NAMED_SHAPES for shape in shapes)

    def text(self, text: str) -> str:
        spans = self._spans(text)
        if not spans:
            return text
        self.found += spans
        pieces, end = [], 0
        for span in spans:
            pieces += [text[end : span.start], f"[redacted:{span.kind}]"]
            end = span.end
        return "".join([*pieces, text[end:]])

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self.object(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        return value

    def object(self, value: dict[str, Any]) -> dict[str, Any]:
        if attachment_of(value) is not None:  # a hash is no secret, and without it the attachment is lost
            return value | {"media_type": self.text(value["media_type"])}
        redacted: dict[str, Any] = {}
        for key, each in value.items():
            name = shown = self.text(key)
            number = 1
            # Two keys may come to the same mark; neither value may be lost.
            while shown in redacted or (shown != key and shown in value):
                number += 1
                shown = f"{name} ({number})"
            redacted[shown] = self.named(key, each)
        return redacted

    def named(self, name: str, value: Any) -> Any:
        """The value that has this name in an object; of a secret, nothing is left."""
        if self._by_name and isinstance(value, str) and not _MARK.fullmatch(value):
            kind = secret_by_name(name, value)
            if kind is not None:
                self.found.append(Finding(kind, 0, len(value), _masked(value)))
                return f"[redacted:{kind}]"
        return self.value(value)

    def event(self, event: Any, *, owner: bool) -> Any:
        kept = _KEPT if owner else _KEPT | {"user_id"}
        return self.shaped(event, kept) if isinstance(event, dict) else self.value(event)

    def shaped(self, value: dict[str, Any], kept: frozenset[str]) -> dict[str, Any]:
        """As `object`, for one whose keys are a format's: they stay, and so do the values of those `kept`."""
        redacted: dict[str, Any] = {}
        for key, each in value.items():
            if key in kept:
                redacted[key] = each
            elif key == "value" and isinstance(name := value.get("key"), str):  # of metadata_set
                redacted[key] = self.named(name, each)
            elif key in ("session", "document") and isinstance(each, dict):
                redacted[key] = self.shaped(each, kept | {"id"})
            elif key == "document" and isinstance(each, str):
                redacted[key] = self._document_text(each, kept | {"id"})
            elif key in ("user_messages", "agent_responses") and isinstance(each, list):
                redacted[key] = [
                    self.shaped(one, kept) if isinstance(one, dict) else self.value(one) for one in each
                ]
            else:
                redacted[key] = self.named(key, each)
        return redacted

    def _document_text(self, text: str, kept: frozenset[str]) -> str:
        """Another program's file: JSON in a text. What is no JSON is a text like any other."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return self.text(text)
        before = len(self.found)
        redacted = self.shaped(document, kept) if isinstance(document, dict) else self.value(document)
        return text if len(self.found) == before else json.dumps(redacted, ensure_ascii=False)

    def _spans(self, text: str) -> list[Finding]:
        lower = text.lower()
        found: list[tuple[int, int, str]] = []
        pieces: list[tuple[int, int]] = []
        for kind, expression, needles in self._shapes:
            if needles and not any(needle in lower for needle in needles):
                continue
            pieces = pieces or list(_between_marks(text))
            group = "hide" if "hide" in expression.groupindex else 0
            for start, end in pieces:
                for match in expression.finditer(text, start, end):
                    if match.end(group) > match.start(group):
                        found.append((*match.span(group), kind))
        return [Finding(kind, start, end, _masked(text[start:end])) for start, end, kind in _merged(found)]


def _shape(kind: str, pattern: str | re.Pattern[str]) -> Shape:
    if not _KIND.fullmatch(kind):
        raise ValueError(f"the kind {kind!r} is not of the letters a-z, digits, _ and -")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if expression.fullmatch(""):
        raise ValueError(f"{expression.pattern!r} matches the empty text")
    return Shape(kind, expression)


def _json_of(event: Event) -> bytes:
    return event.raw if isinstance(event, UnknownEvent) else msgspec.json.encode(event)


def _event_of(event: Event, raw: bytes) -> Event:
    if isinstance(event, UnknownEvent):
        return UnknownEvent(type=event.type, raw=raw)
    changed: Event = _decode_known(raw)
    return changed


def _between_marks(text: str) -> Iterator[tuple[int, int]]:
    end = 0
    for mark in _MARK.finditer(text):
        yield end, mark.start()
        end = mark.end()
    yield end, len(text)


def _merged(found: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """The spans in order; of those that overlap, one, of the kind of the first."""
    merged: list[tuple[int, int, str]] = []
    for start, end, kind in sorted(found, key=lambda span: span[0]):
        if merged and start < merged[-1][1]:
            first, last, its = merged[-1]
            merged[-1] = first, max(last, end), its
        else:
            merged.append((start, end, kind))
    return merged


def _masked(secret: str) -> str:
    """Enough of a secret to tell which one it is, and not enough to use it."""
    if len(secret) >= 20:
        return f"{secret[:3]}…{secret[-3:]}"
    return f"{secret[0]}…" if len(secret) >= 8 else "…"
