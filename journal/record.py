"""One record and its bytes: encode, check, decode. Format: docs/reference/format.md."""

import math
import os
from binascii import b2a_base64
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from time import time_ns
from typing import Any, Final, TypeAlias

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

_DIGEST = b',"digest":"'
_CLOSE, _QUOTE = b'}"'
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


# A change made ready to be written: its event's JSON, its header from "id" to "key", its salt.
Pending: TypeAlias = tuple[bytes, bytes, bytes]


def first_chain(session_id: str) -> bytes:
    """The chain before the first record: it ties a journal to its session's id."""
    return _base64(sha256(b"journal/session/1" + session_id.encode()).digest())


def prepare(
    change: Change, by: str | None = None, *, cause: str | None = None, key: str | None = None
) -> Pending:
    """Check and encode a change. Its `id` is drawn here once, so that a retry can be recognised.

    Raises InvalidEventError.
    """
    event = change.event
    if type(event) is UserMessageAdded or type(event) is AgentResponseAdded:
        timestamp = event.timestamp
        if timestamp is not None and not _is_utc(timestamp):
            change.event = event = msgspec.structs.replace(event, timestamp=_to_utc(timestamp))
    raw = _encode_plain_text(event) or encode_event(event)
    try:
        tail, salt = _drawn.pop()
    except IndexError:
        tail, salt = _draw()
    id, at = change.id, change.at
    if id is None:
        known, time_part = _millisecond
        now = time_ns() // 1_000_000
        id = change.id = (time_part if now == known else _new_millisecond(now)) + tail
    if at.__class__ is not datetime or at.tzinfo is not UTC:
        at = change.at = _to_utc(at)
    moment = _encode(at)
    if len(moment) != 29:  # no fraction: six digits all the same
        moment = b'"%bZ"' % at.isoformat(timespec="microseconds")[:26].encode()
    head = b'"id":"%b","at":%b' % (id.encode(), moment)
    by, cause, key = change.by or by, change.cause or cause, change.key or key
    if by is not None or cause is not None or key is not None:
        head += _encode_texts(by, cause, key)
    return raw, head, salt


def encode_event(event: Event) -> bytes:
    """The event's JSON, exactly as it will be stored.

    Raises InvalidEventError for what JSON or a reader could not give back: NaN and infinities, integers
    past 64 bits, lone surrogates, nesting past 100, over 16 MiB, keys that are no texts, wrong types.
    """
    if isinstance(event, UnknownEvent):
        raw = _raw_of_unknown(event)
    else:
        try:
            if type(event) is SessionReplaced:
                check_json(event.session.metadata, deepest=MAX_DEPTH + 1)
            elif type(event) is not UserMessageAdded and type(event) is not AgentResponseAdded:
                check_json(_free_json(event))
            raw = _encode(event)
            # What is written must come back as it is: a wrong type, or a tuple for a list, does not.
            if _decode_known(raw) != event:
                raise InvalidEventError(f"{type(event).__name__}: a value would come back as another one")
        except InvalidEventError:
            raise
        except UnicodeEncodeError:
            raise InvalidEventError(
                f"{type(event).__name__}: a text holds half of a surrogate pair"
            ) from None
        except (msgspec.MsgspecError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InvalidEventError(f"{type(event).__name__}: {error}") from None
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEventError(
            f"{type(event).__name__}: {len(raw):,} bytes, over the {MAX_EVENT_BYTES:,} that a record may hold"
        )
    return raw


def _encode_plain_text(event: Event) -> bytes | None:
    """The JSON of the commonest events, where nothing in them could come back as another value."""
    if type(event) is UserMessageAdded:
        is_plain = event.timestamp is None
    elif type(event) is AgentResponseAdded:
        is_plain = (
            event.timestamp is None
            and event.session_id is None
            and event.seed_id is None
            and event.phase_reached is None
            and event.evaluation_passed is None
        )
    else:
        return None
    # At most six bytes a character: of the few that are too long, `encode_event` finds those that are.
    if is_plain and type(event.content) is str and len(event.content) < MAX_EVENT_BYTES // 8:
        try:
            return _encode(event)
        except UnicodeEncodeError:
            return None
    return None


def check_json(value: object, *, deepest: int = MAX_DEPTH) -> None:
    """Raise InvalidEventError unless `value` is JSON that comes back the same."""
    stack: list[tuple[Sequence[object], int]] = [([value], 0)]
    while stack:
        values, depth = stack.pop()
        for each in values:
            if each is None or isinstance(each, str | bool):
                continue
            if isinstance(each, int):
                if not -(2**63) <= each < 2**64:
                    raise InvalidEventError(f"an integer of {each.bit_length()} bits does not fit in 64")
            elif isinstance(each, float):
                if not math.isfinite(each):
                    raise InvalidEventError(f"{each} is not JSON")
            elif isinstance(each, dict | list):
                if depth == deepest:
                    raise InvalidEventError(f"JSON nested more than {deepest} levels deep")
                if isinstance(each, list):
                    stack.append((each, depth + 1))
                    continue
                for key in each:
                    if not isinstance(key, str):
                        raise InvalidEventError(f"the key {key!r} is not a text")
                stack.append((list(each.values()), depth + 1))
            else:
                raise InvalidEventError(f"a value of type {type(each).__name__} is not JSON")


def encode_batch(batch: Sequence[Pending], version: int, chain: bytes) -> tuple[bytes, int, bytes]:
    """The lines of a batch that follows `version` and its chain; the version and the chain after it."""
    first, more = version + 1, len(batch)
    lines = []
    for raw, head, salt in batch:
        version, more = version + 1, more - 1
        digest = sha256(b"journal/event/1" + salt + raw).digest()
        digest = b2a_base64(digest, newline=False).translate(_URLSAFE, b"=")
        if more or version != first:
            head += _place_in_batch(version, first, more)
        header = b'{"v":1,"seq":%d,%b,"digest":"%b"' % (version, head, digest)
        chain = sha256(b"journal/record/1" + chain + header).digest()
        chain = b2a_base64(chain, newline=False).translate(_URLSAFE, b"=")
        lines.append(b'%b,"chain":"%b","salt":"%b","event":%b}\n' % (header, chain, salt, raw))
    return (lines[0] if len(lines) == 1 else b"".join(lines)), version, chain


def _place_in_batch(seq: int, first: int, more: int) -> bytes:
    """How many records of the batch follow, and, on all but its first, which record it began with."""
    return (b',"more":%d' % more if more else b"") + (b',"first":%d' % first if first != seq else b"")


def event_bytes(line: bytes) -> bytes:
    """The event's JSON in a checked line."""
    return line[line.find(_EVENT, line.find(_CHAIN)) + len(_EVENT) : -1]


def is_erased(line: bytes) -> bool:
    """Whether a checked line's content was taken out."""
    return line.startswith(_NO_SALT, line.find(_CHAIN) + 53)


def check_lines(
    lines: Sequence[bytes], seq: int, previous: bytes
) -> tuple[list[bytes], list["Place | None"], Damage | None]:
    """Check that lines (without newlines) are the records from `seq` on, after the chain `previous`.

    The chains of the good ones, their places in their batches (None for a batch of one), and the damage at
    which it stopped, if any. One loop with nothing called in it but the hashes: this is what reading costs.
    """
    chains: list[bytes] = []
    places: list[Place | None] = []
    place: Place | None = None
    try:
        for line in lines:
            at = line.find(_CHAIN)
            header = line[:at]
            if (
                header.startswith(b'{"v":1,"seq":%d,"id":"' % seq)
                and line[at + 53 : at + 63] == _SALT
                and line[at + 85 : at + 95] == _EVENT
                and line[-1] == _CLOSE
                and len(line) <= MAX_LINE_BYTES
            ):
                chain = sha256(b"journal/record/1" + previous + header).digest()
                digest = sha256(b"journal/event/1" + line[at + 63 : at + 85] + line[at + 95 : -1]).digest()
                # Both texts at once: a zero byte between them completes the first one's last group.
                texts = b2a_base64(chain + b"\0" + digest, newline=False).translate(_URLSAFE)
                text = texts[:43]
                if (
                    text != line[at + 10 : at + 53]
                    or texts[44:87] != header[-44:-1]
                    or header[-55:-44] != _DIGEST
                ):
                    raise _diagnose(line, seq)
            else:
                text = _check_erased(line, at, seq, previous)
            previous = text
            chains.append(text)
            # What comes before the digest ends in a quotation mark, or in the number of `more` or `first`.
            place = None if header[-56] == _QUOTE else _place(header, seq, place)
            places.append(place)
            seq += 1
    except Damage as damage:
        return chains, places, damage
    return chains, places, None


# Where a record stands in its batch: how many follow, and the number of the batch's first.
Place: TypeAlias = tuple[int, int]


def _place(header: bytes, seq: int, before: Place | None) -> Place:
    if before is not None:
        # The commonest: the next one of the same batch.
        more, first = before[0] - 1, before[1]
        if more and header.endswith(b',"more":%d,"first":%d' % (more, first), 0, -55):
            return more, first
    last = header.rfind(b',"', 0, -55)
    try:
        if header.startswith(b',"more":', last):
            return int(header[last + 8 : -55]), seq
        if header.startswith(b',"first":', last):
            earlier = header.rfind(b',"', 0, last)
            more = int(header[earlier + 8 : last]) if header.startswith(b',"more":', earlier) else 0
            return more, int(header[last + 9 : -55])
    except ValueError:
        pass
    raise Damage("its header is not written as records are", altered=True)


def _check_erased(line: bytes, at: int, seq: int, previous: bytes) -> bytes:
    """A record whose content was erased keeps its place in the chain; anything else is damage."""
    header, chain = line[:at], line[at + 10 : at + 53]
    if (
        at > 0
        and len(line) <= MAX_LINE_BYTES
        and header.startswith(b'{"v":1,"seq":%d,"id":"' % seq)
        and line[at + 53 :].startswith(_NO_SALT + b',"event":{"type":"erased","was":"')
        and line.endswith(b'"}}')
        and _base64(sha256(b"journal/record/1" + previous + header).digest()) == chain
    ):
        return chain
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
    if len(line) > MAX_LINE_BYTES:
        return Damage(f"a line of over {MAX_LINE_BYTES:,} bytes", altered=False)
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
        case _:
            return None


def _encode_texts(by: str | None, cause: str | None, key: str | None) -> bytes:
    texts = b""
    for name, text in (("by", by), ("cause", cause), ("key", key)):
        if text is None:
            continue
        if not isinstance(text, str) or not text:
            raise InvalidEventError(f"{name!r} must be a text of at least one character")
        try:
            encoded = _encode(text)
        except UnicodeEncodeError:
            raise InvalidEventError(f"{name!r} holds half of a surrogate pair") from None
        if len(encoded) > MAX_TEXT_BYTES:
            raise InvalidEventError(f"{name!r} is over {MAX_TEXT_BYTES:,} bytes long")
        texts += b',"%b":%b' % (name.encode(), encoded)
    return texts


def _is_utc(at: datetime) -> bool:
    return isinstance(at, datetime) and at.tzinfo is UTC


def _to_utc(at: datetime) -> datetime:
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise InvalidEventError(f"{at!r} is no time with an offset; give it a time zone")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise InvalidEventError(f"the time {at.isoformat()} cannot be told in UTC") from None


def _base64(raw: bytes) -> bytes:
    """Unpadded base64url."""
    return b2a_base64(raw, newline=False).translate(_URLSAFE, b"=")


# Randomness is fetched in blocks: a system call a record would cost as much as its hashes.
_BLOCK: Final = 256
_drawn: list[tuple[str, bytes]] = []
os.register_at_fork(after_in_child=_drawn.clear)  # a child must not draw what its parent draws


def _draw() -> tuple[str, bytes]:
    """The random part of a UUIDv7 and the text of a salt. Never the same twice."""
    digits, salts = os.urandom(10 * _BLOCK).hex(), os.urandom(16 * _BLOCK)
    block = []
    for n in range(_BLOCK):
        d = digits[20 * n : 20 * n + 20]
        variant = "89ab"[int(d[0], 16) & 3]
        tail = f"7{d[1:4]}-{variant}{d[4:7]}-{d[7:19]}"
        block.append((tail, _base64(salts[16 * n : 16 * n + 16])))
    first = block.pop()
    _drawn.extend(block)
    return first


_millisecond: tuple[int, str] = (0, "")


def _new_millisecond(now: int) -> str:
    """The time part of a UUIDv7 (RFC 9562): 48 bits of milliseconds."""
    global _millisecond
    text = f"{now >> 16:08x}-{now & 0xFFFF:04x}-"
    _millisecond = now, text
    return text
