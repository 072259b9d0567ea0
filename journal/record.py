"""One record and its bytes: make a change ready, encode a batch, decode a line."""

import os
from binascii import b2a_base64
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from time import time_ns
from typing import Final, TypeAlias

import msgspec

from journal.chain import MAX_TEXT_BYTES, URLSAFE, Damage, Outline, base64url, outline
from journal.errors import InvalidEventError
from journal.event_json import KNOWN_TYPES, encode_event, encode_json, encode_plain_text
from projections.events import AgentResponseAdded, Change, Record, UnknownEvent, UserMessageAdded

_decode_record = msgspec.json.Decoder(Record).decode

# A change made ready to be written: its event's JSON, its header from "id" to "key", its salt.
Pending: TypeAlias = tuple[bytes, bytes, bytes]


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
    raw = encode_plain_text(event) or encode_event(event)
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
    moment = encode_json(at)
    if len(moment) != 29:  # no fraction: six digits all the same
        moment = b'"%bZ"' % at.isoformat(timespec="microseconds")[:26].encode()
    head = b'"id":"%b","at":%b' % (id.encode(), moment)
    by, cause, key = change.by or by, change.cause or cause, change.key or key
    if by is not None or cause is not None or key is not None:
        head += _encode_texts(by, cause, key)
    return raw, head, salt


def encode_batch(batch: Sequence[Pending], version: int, chain: bytes) -> tuple[bytes, int, bytes]:
    """The lines of a batch that follows `version` and its chain; the version and the chain after it."""
    first, more = version + 1, len(batch)
    lines = []
    for raw, head, salt in batch:
        version, more = version + 1, more - 1
        # As base64url, but without a call: this is what every save pays for.
        digest = sha256(b"journal/event/1" + salt + raw).digest()
        digest = b2a_base64(digest, newline=False).translate(URLSAFE, b"=")
        if more or version != first:
            head += _place_in_batch(version, first, more)
        header = b'{"v":1,"seq":%d,%b,"digest":"%b"' % (version, head, digest)
        chain = sha256(b"journal/record/1" + chain + header).digest()
        chain = b2a_base64(chain, newline=False).translate(URLSAFE, b"=")
        lines.append(b'%b,"chain":"%b","salt":"%b","event":%b}\n' % (header, chain, salt, raw))
    return (lines[0] if len(lines) == 1 else b"".join(lines)), version, chain


def _place_in_batch(seq: int, first: int, more: int) -> bytes:
    """How many records of the batch follow, and, on all but its first, which record it began with."""
    return (b',"more":%d' % more if more else b"") + (b',"first":%d' % first if first != seq else b"")


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


def _event_type(found: Outline) -> str | None:
    event = msgspec.json.decode(found.event)
    kind = event.get("type") if isinstance(event, dict) else None
    return kind if isinstance(kind, str) else None


def _encode_texts(by: str | None, cause: str | None, key: str | None) -> bytes:
    texts = b""
    for name, text in (("by", by), ("cause", cause), ("key", key)):
        if text is None:
            continue
        if not isinstance(text, str) or not text:
            raise InvalidEventError(f"{name!r} must be a text of at least one character")
        try:
            encoded = encode_json(text)
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
        block.append((tail, base64url(salts[16 * n : 16 * n + 16])))
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
