"""The hash chain: is a line the record that belongs here? Format: docs/reference/format.md."""

import re
from binascii import b2a_base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, TypeAlias

import msgspec

from journal.event_json import MAX_EVENT_BYTES

FORMAT_VERSION: Final = 1
# A record's free texts (by, cause, key) are held to this, each.
MAX_TEXT_BYTES: Final = 4096
MAX_LINE_BYTES: Final = MAX_EVENT_BYTES + 6 * MAX_TEXT_BYTES + 1024

_DIGEST = b',"digest":"'
_CLOSE, _QUOTE = b'}"'
_CHAIN = b',"chain":"'
_SALT = b'","salt":"'
_NO_SALT = b'","salt":null'
_EVENT = b'","event":'
# All that may follow the chain of an erased record: the chain does not cover it, so nothing may be added.
_ERASED = re.compile(rb'","salt":null,"event":\{"type":"erased","was":"(?:[^"\\]|\\.)*"\}\}')
# In a header every quotation mark of a text is escaped: this is where an event begins that we wrote.
EVENT_TYPE: Final = b',"event":{"type":"'
URLSAFE = bytes.maketrans(b"+/", b"-_")


class Damage(Exception):
    """A line is not the record that belongs here.

    `altered`: it is a well-formed record all the same, so no torn write left it.
    """

    def __init__(self, reason: str, *, altered: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.altered = altered


def base64url(raw: bytes) -> bytes:
    """Unpadded base64url."""
    return b2a_base64(raw, newline=False).translate(URLSAFE, b"=")


def first_chain(session_id: str) -> bytes:
    """The chain before the first record: it ties a journal to its session's id."""
    return base64url(sha256(b"journal/session/1" + session_id.encode()).digest())


def event_bytes(line: bytes) -> bytes:
    """The event's JSON in a checked line."""
    return line[line.find(_EVENT, line.find(_CHAIN)) + len(_EVENT) : -1]


def header_and_chain(line: bytes) -> tuple[bytes, bytes]:
    """What a checked line's chain covers, and the chain."""
    at = line.find(_CHAIN)
    return line[:at], line[at + 10 : at + 53]


def is_erased(line: bytes) -> bool:
    """Whether a checked line's content was taken out."""
    return line.startswith(_NO_SALT, line.find(_CHAIN) + 53)


def fits_digest(line: bytes) -> bool:
    """Whether the content of a record that is not erased is what its digest says."""
    at = line.find(_CHAIN)
    digest = sha256(b"journal/event/1" + line[at + 63 : at + 85] + line[at + 95 : -1]).digest()
    return line[at - 44 : at - 1] == base64url(digest)


def ends_batch(line: bytes) -> bool:
    """Whether a checked line is the last of its batch."""
    return line.find(b',"more":', 0, line.find(_CHAIN)) < 0


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
                texts = b2a_base64(chain + b"\0" + digest, newline=False).translate(URLSAFE)
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
        # Its traceback holds all that was read.
        return chains, places, damage.with_traceback(None)
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
        and _ERASED.fullmatch(line, at + 53)
        and base64url(sha256(b"journal/record/1" + previous + header).digest()) == chain
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
            keys = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            keys = {}
        newer = keys.get("v", 1)
        if isinstance(newer, int) and newer > FORMAT_VERSION:
            return _too_new(newer)
        if "digest" in keys or "chain" in keys:
            # All but a key's name is as it was; a torn write does not leave JSON.
            return Damage("it was altered: one of its keys is no record's", altered=True)
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
