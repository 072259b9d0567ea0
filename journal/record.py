"""One record and its bytes: make a change ready, encode a batch, decode a line."""

import os
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from time import time_ns
from typing import Final, TypeAlias

import msgspec

from journal.chain import MAX_TEXT_BYTES, URLSAFE, Damage, base64url, is_erased
from journal.errors import InvalidEventError
from journal.event_json import (
    KNOWN_TYPES,
    MAX_DEPTH,
    check_json,
    encode_event,
    encode_json,
    encode_plain_text,
    free_json,
)
from projections.document import SessionDocument, parse_document
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    Change,
    ContextCompacted,
    CustomEvent,
    Erased,
    Event,
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
from projections.messages import Moment

_decode_record = msgspec.json.Decoder(Record).decode
# What decoding and checking raise where a line is no record that a writer wrote.
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
# Events that the types describe so well that whatever they let through can be folded. Some hold JSON of any
# shape: too deep for a writer takes more brackets than most have.
_SETTLED: Final = frozenset(
    (
        *(SessionCreated, ActiveSeedSet, ActivePersonaSet, ToolCalled, ToolReturned, ReasoningAdded),
        *(StepFinished, UsageRecorded, ContextCompacted, CustomEvent, Erased),
    )
)


class _Newer(msgspec.Struct, kw_only=True):
    """As Record, whatever its event is."""

    seq: int
    id: str
    at: Moment
    event: msgspec.Raw
    digest: str
    chain: str
    by: str | None = None
    cause: str | None = None
    key: str | None = None


_decode_newer = msgspec.json.Decoder(_Newer).decode

# A change made ready to be written: its event's JSON, its header from "id" to "key", its salt.
Pending: TypeAlias = tuple[bytes, bytes, bytes]


def prepare(
    change: Change, by: str | None = None, cause: str | None = None, *, key: str | None = None
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
    lines: list[bytes] = []
    for raw, head, salt in batch:
        version, more = version + 1, more - 1
        # As base64url, but without a call: this is what every save pays for.
        digest = sha256(b"journal/event/1" + salt + raw).digest()
        digest = b2a_base64(digest).translate(URLSAFE, b"=\n")
        if more or version != first:
            head += _place_in_batch(version, first, more)
        header = b'{"v":1,"seq":%d,%b,"digest":"%b"' % (version, head, digest)
        chain = sha256(b"journal/record/1" + chain + header).digest()
        chain = b2a_base64(chain).translate(URLSAFE, b"=\n")
        lines += header, b',"chain":"', chain, b'","salt":"', salt, b'","event":', raw, b"}\n"
    return b"".join(lines), version, chain


def _place_in_batch(seq: int, first: int, more: int) -> bytes:
    """How many records of the batch follow, and, on all but its first, which record it began with."""
    return (b',"more":%d' % more if more else b"") + (b',"first":%d' % first if first != seq else b"")


def decode_record(line: bytes) -> Record:
    """The record of a checked line, and only what a writer can have written: whatever it says can be folded.

    Raises Damage for anything else.
    """
    try:
        record = _decode_record(line)
        event = record.event
        # Most are messages without a time of their own.
        if (kind := type(event)) is UserMessageAdded or kind is AgentResponseAdded:
            is_settled = event.timestamp is None and event.extra is None  # type: ignore[union-attr]
        else:
            is_settled = kind in _SETTLED and line.count(b"[") + line.count(b"{") <= MAX_DEPTH
        if kind is Erased and not is_erased(line):
            raise ValueError("it says that it was erased, and has its salt")
        if not is_settled or record.at.tzinfo is not UTC:
            _check_decoded(record.at, event)
    except _UNREADABLE as error:
        if (newer := _of_newer_version(line)) is None:
            raise Damage(f"the record cannot be read: {error}", altered=True) from None
        return newer
    return record


def _check_decoded(at: datetime, event: Event) -> None:
    """Refuse what the types let through and no writer does. Raises one of _UNREADABLE."""
    moments = [at]
    for value in free_json(event):
        check_json(value, deepest=MAX_DEPTH + (type(event) is SessionRewound))
    match event:
        case UserMessageAdded() | AgentResponseAdded() if event.timestamp is not None:
            moments.append(event.timestamp)
        case SessionAdopted():
            parse_document(event.document)
        case SessionReplaced(session=session):
            check_json(session.metadata, deepest=MAX_DEPTH + 1)
            moments += _moments_of(session)
        case SessionForked(document=document):
            moments.append(event.created_at)
            if document is not None:
                check_json(document.metadata, deepest=MAX_DEPTH + 1)
                moments += _moments_of(document)
        case SessionRewound():
            moments += _moments_of(event)
    for moment in moments:
        if moment.tzinfo is not UTC:
            moment.astimezone(UTC)


def _moments_of(state: SessionDocument | SessionRewound) -> Iterator[datetime]:
    yield state.created_at
    yield state.updated_at
    for message in state.user_messages:
        yield message.timestamp
    for response in state.agent_responses:
        yield response.timestamp


def _of_newer_version(line: bytes) -> Record | None:
    """A record whose event is of a type that this version does not know; None where it is not."""
    try:
        found = _decode_newer(line)
        event = msgspec.json.decode(found.event)
        check_json(event)
        found.at.astimezone(UTC)
    except _UNREADABLE:
        return None
    kind = event.get("type") if isinstance(event, dict) else None
    if not isinstance(kind, str) or kind in KNOWN_TYPES:
        return None
    return Record(
        seq=found.seq,
        id=found.id,
        at=found.at,
        event=UnknownEvent(type=kind, raw=bytes(found.event)),
        digest=found.digest,
        chain=found.chain,
        by=found.by,
        cause=found.cause,
        key=found.key,
    )


def check_texts(*, by: str | None, cause: str | None) -> None:
    """Refuse an actor or a cause that no record can hold. Raises InvalidEventError."""
    _encode_texts(by, cause, None)


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


def new_id() -> str:
    """An id for a change that others of its batch name; drawn as `prepare` draws one."""
    tail, _ = _drawn.pop() if _drawn else _draw()
    return _new_millisecond(time_ns() // 1_000_000) + tail


_millisecond: tuple[int, str] = (0, "")


def _new_millisecond(now: int) -> str:
    """The time part of a UUIDv7 (RFC 9562): 48 bits of milliseconds."""
    global _millisecond
    text = f"{now >> 16:08x}-{now & 0xFFFF:04x}-"
    _millisecond = now, text
    return text
