"""One record and its bytes: encode, check, decode. Format: docs/reference/format.md."""

import binascii
import math
import os
import re
import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from journal.errors import InvalidEventError
from projections.document import Json
from projections.events import (
    AgentResponseAdded,
    Change,
    CustomEvent,
    Event,
    KnownEvent,
    MetadataSet,
    Record,
    SessionReplaced,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UserMessageAdded,
)

FORMAT_VERSION: Final = 1
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
# An event and its header, whose free texts (by, cause, key) are held to MAX_TEXT_BYTES each.
MAX_TEXT_BYTES: Final = 4096
MAX_LINE_BYTES: Final = MAX_EVENT_BYTES + 6 * MAX_TEXT_BYTES + 1024
MAX_DEPTH: Final = 100

_CHAIN = b',"chain":"'
_SALT = b'","salt":"'
_NO_SALT = b'","salt":null'
_EVENT = b'","event":'
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_encode = msgspec.json.Encoder().encode
_decode_known = msgspec.json.Decoder(KnownEvent).decode
_decode_record = msgspec.json.Decoder(Record).decode


class Damage(Exception):
    """A line is not the record that belongs here.

    `altered`: it is a well-formed record all the same, so no torn write left it.
    """

    def __init__(self, reason: str, *, altered: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.altered = altered


class Pending(NamedTuple):
    """A change made ready to be written: checked, encoded, identified."""

    raw: bytes
    head: bytes  # the part of the header from "id" to "key"
    salt: bytes
    id: str


def first_chain(session_id: str) -> bytes:
    """The chain before the first record: it ties a journal to its session's id."""
    return _base64(sha256(b"journal/session/1" + session_id.encode()).digest())


def prepare(
    change: Change, *, by: str | None = None, cause: str | None = None, key: str | None = None
) -> Pending:
    """Check and encode a change. Its `id` is drawn here once, so that a retry can be recognised.

    Raises InvalidEventError.
    """
    raw = encode_event(change.event)
    random = os.urandom(26)
    if change.id is None:
        change.id = _uuid7(random)
    if change.at.tzinfo is not UTC:
        change.at = _to_utc(change.at)
    head = b'"id":"%b","at":%b' % (change.id.encode(), _encode_moment(change.at))
    by, cause, key = change.by or by, change.cause or cause, change.key or key
    if by is not None or cause is not None or key is not None:
        for name, text in (("by", by), ("cause", cause), ("key", key)):
            if text is not None:
                head += b',"%b":%b' % (name.encode(), _encode_text(name, text))
    return Pending(raw, head, _base64(random[10:]), change.id)


def encode_event(event: Event) -> bytes:
    """The event's JSON, exactly as it will be stored.

    Raises InvalidEventError for what JSON or a reader could not give back: NaN and infinities, integers
    past 64 bits, lone surrogates, nesting past 100, over 16 MiB, keys that are no texts, wrong types.
    """
    kind = type(event)
    if kind is UnknownEvent:
        raw = _raw_of_unknown(event)  # type: ignore[arg-type]
    else:
        check_json(_free_json(event))
        try:
            raw = _encode(event)
            # What is written must be what a reader accepts: the types are checked by reading it back.
            _decode_known(raw)
        except UnicodeEncodeError:
            raise InvalidEventError(f"{kind.__name__}: a text holds half of a surrogate pair") from None
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise InvalidEventError(f"{kind.__name__}: {error}") from None
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEventError(
            f"{kind.__name__}: {len(raw):,} bytes, over the {MAX_EVENT_BYTES:,} that a record may hold"
        )
    return raw


def check_json(value: object, *, deepest: int = MAX_DEPTH) -> None:
    """Raise InvalidEventError unless `value` is JSON that comes back the same."""
    stack: list[tuple[object, int]] = [(value, 0)]
    while stack:
        value, depth = stack.pop()
        if value is None or isinstance(value, str | bool):
            continue
        if isinstance(value, int):
            if not -(2**63) <= value < 2**64:
                raise InvalidEventError(f"an integer of {value.bit_length()} bits does not fit in 64")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise InvalidEventError(f"{value} is not JSON")
        elif isinstance(value, dict | list):
            if depth == deepest:
                raise InvalidEventError(f"JSON nested more than {deepest} levels deep")
            if isinstance(value, dict):
                for key in value:
                    if not isinstance(key, str):
                        raise InvalidEventError(f"the key {key!r} is not a text")
            inner = value.values() if isinstance(value, dict) else value
            stack.extend((each, depth + 1) for each in inner)
        else:
            raise InvalidEventError(f"a value of type {type(value).__name__} is not JSON")


def encode_line(pending: Pending, seq: int, previous: bytes, *, more: int, first: int) -> tuple[bytes, bytes]:
    """A record's line without its newline, and its chain.

    `more` records of the batch follow, which began with record `first`.
    """
    raw, head, salt, _ = pending
    digest = _base64(sha256(b"journal/event/1" + salt + raw).digest())
    batch = b""
    if more:
        batch = b',"more":%d' % more
    if first != seq:
        batch += b',"first":%d' % first
    header = b'{"v":1,"seq":%d,%b%b,"digest":"%b"' % (seq, head, batch, digest)
    chain = _base64(sha256(b"journal/record/1" + previous + header).digest())
    return b'%b,"chain":"%b","salt":"%b","event":%b}' % (header, chain, salt, raw), chain


def event_bytes(line: bytes) -> bytes:
    """The event's JSON in a checked line."""
    return line[line.find(_EVENT, line.find(_CHAIN)) + len(_EVENT) : -1]


def is_erased(line: bytes) -> bool:
    """Whether a checked line's content was taken out."""
    return line.startswith(_NO_SALT, line.find(_CHAIN) + 53)


def check_line(line: bytes, seq: int, previous: bytes) -> tuple[bytes, int]:
    """Check that a line is record `seq` after the chain `previous`; return its chain and how many follow.

    `line` has no newline. Raises Damage.
    """
    at = line.find(_CHAIN)
    header = line[:at]
    chain = line[at + 10 : at + 53]
    salt = line[at + 63 : at + 85]
    if (
        at > 0
        and header.startswith(b'{"v":1,"seq":%d,"id":"' % seq)
        and line[at + 53 : at + 63] == _SALT
        and line[at + 85 : at + 95] == _EVENT
        and line.endswith(b"}")
        and _base64(sha256(b"journal/record/1" + previous + header).digest()) == chain
        and header.endswith(
            b',"digest":"%b"' % _base64(sha256(b"journal/event/1" + salt + line[at + 95 : -1]).digest())
        )
    ):
        return chain, _more(header)
    return _check_erased(line, at, seq, previous)


def _more(header: bytes) -> int:
    at = header.find(b',"more":')
    return 0 if at < 0 else int(_DIGITS.match(header, at + 8).group())  # type: ignore[union-attr]


_DIGITS = re.compile(rb"\d+")


def _check_erased(line: bytes, at: int, seq: int, previous: bytes) -> tuple[bytes, int]:
    """A record whose content was erased keeps its place in the chain; anything else is damage."""
    header, chain = line[:at], line[at + 10 : at + 53]
    if (
        at > 0
        and header.startswith(b'{"v":1,"seq":%d,"id":"' % seq)
        and line[at + 53 :].startswith(_NO_SALT + b',"event":{"type":"erased","was":"')
        and line.endswith(b'"}}')
        and _base64(sha256(b"journal/record/1" + previous + header).digest()) == chain
    ):
        return chain, _more(header)
    raise _diagnose(line, seq)


class Outline(msgspec.Struct):
    """As much of a record as it takes to say that a line is one, and where it belongs."""

    v: int
    seq: int
    id: str
    at: str
    digest: str
    chain: str
    event: msgspec.Raw
    key: str | None = None
    more: int = 0
    first: int | None = None


_decode_outline = msgspec.json.Decoder(Outline).decode


def outline(line: bytes) -> Outline | None:
    """What a line says that it is, its hashes unchecked; None where it is no record at all."""
    try:
        return _decode_outline(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _diagnose(line: bytes, seq: int) -> Damage:
    found = outline(line)
    if found is None:
        try:
            newer = msgspec.json.decode(line, type=dict[str, Any]).get("v", 1)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            newer = 1
        if isinstance(newer, int) and newer > FORMAT_VERSION:
            return _too_new(newer)
        return Damage("the line is no record", altered=False)
    if found.v > FORMAT_VERSION:
        return _too_new(found.v)
    if found.seq != seq:
        return Damage(f"record {found.seq} stands where record {seq} belongs", altered=True)
    return Damage("its hashes do not fit: it, or a record before it, was altered", altered=True)


def _too_new(version: int) -> Damage:
    return Damage(
        f"its format is version {version}, this library reads {FORMAT_VERSION}: update session-journal",
        altered=True,
    )


def decode_record(line: bytes) -> Record:
    """The record of a checked line. Raises Damage where its event has a shape that no reader accepts."""
    try:
        return _decode_record(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        found = outline(line)
        kind = _event_type(found) if found else None
        if found is None or kind is None or kind in KNOWN_TYPES:
            raise Damage(f"the record cannot be read: {error}", altered=True) from None
        rest = msgspec.json.decode(line)
        event = UnknownEvent(type=kind, raw=bytes(found.event))
        at = msgspec.convert(rest["at"], datetime, strict=False)
        texts = {name: rest.get(name) for name in ("by", "cause", "key")}
        return Record(
            seq=found.seq, id=found.id, at=at, event=event, digest=found.digest, chain=found.chain, **texts
        )


KNOWN_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in KnownEvent.__args__)


def event_type(event: Event) -> str:
    """The name of an event's type, as it is stored."""
    return event.type if isinstance(event, UnknownEvent) else str(type(event).__struct_config__.tag)


def _event_type(found: Outline) -> str | None:
    event = msgspec.json.decode(found.event)
    kind = event.get("type") if isinstance(event, dict) else None
    return kind if isinstance(kind, str) else None


def _raw_of_unknown(event: UnknownEvent) -> bytes:
    try:
        value = msgspec.json.decode(event.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEventError(f"UnknownEvent: {error}") from None
    if not isinstance(value, dict) or value.get("type") != event.type or b"\n" in event.raw:
        raise InvalidEventError("UnknownEvent: `raw` must be one line of JSON whose type is `type`")
    if event.type in KNOWN_TYPES:
        raise InvalidEventError(f"UnknownEvent: {event.type!r} is a known type")
    check_json(value)
    return event.raw


def _free_json(event: Event) -> Json:
    """The part of an event whose shape is the caller's own."""
    match event:
        case UserMessageAdded() | AgentResponseAdded():
            return None
        case MetadataSet():
            return event.value
        case CustomEvent():
            return event.data
        case ToolCalled():
            return event.arguments
        case ToolReturned():
            return [event.result, event.duration_ms]
        case SessionReplaced():
            return event.session.metadata
        case _:
            return None


def _encode_text(name: str, text: str) -> bytes:
    if not isinstance(text, str) or not text:
        raise InvalidEventError(f"{name!r} must be a text of at least one character")
    try:
        encoded = _encode(text)
    except UnicodeEncodeError:
        raise InvalidEventError(f"{name!r} holds half of a surrogate pair") from None
    if len(encoded) > MAX_TEXT_BYTES:
        raise InvalidEventError(f"{name!r} is over {MAX_TEXT_BYTES:,} bytes long")
    return encoded


def _to_utc(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise InvalidEventError(f"the time {at.isoformat()} has no offset; give it a time zone")
    return at.astimezone(UTC)


def _encode_moment(at: datetime) -> bytes:
    encoded = _encode(at)
    if len(encoded) == 29:
        return encoded
    return b'"%bZ"' % at.isoformat(timespec="microseconds")[:26].encode()  # no fraction: still six digits


def _base64(raw: bytes) -> bytes:
    """Unpadded base64url."""
    return binascii.b2a_base64(raw, newline=False).translate(_URLSAFE).rstrip(b"=")


def _uuid7(random: bytes) -> str:
    """A UUIDv7 (RFC 9562) of this moment: 48 bits of milliseconds, then ten random bytes."""
    h = (time.time_ns() // 1_000_000).to_bytes(6, "big").hex() + random[:10].hex()
    return f"{h[:8]}-{h[8:12]}-7{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
