"""Rewriting a record's line: behind another chain, or without its content; what it proves stays."""

import re
from hashlib import sha256
from typing import Final

from journal.chain import base64url

_CHAIN: Final = b',"chain":"'
# How a header ends: the place in the batch, then the digest. In a text every quotation mark is escaped.
_END: Final = re.compile(rb'(?:,"more":(\d{1,18}))?((?:,"first":\d{1,18})?,"digest":"[\w-]{43}")$')


def rechained(line: bytes, previous: bytes, *, extra: int = 0) -> tuple[bytes, bytes]:
    """A checked line behind another chain, and the chain behind it.

    `extra`: how many records more of its batch follow than it said; fewer if negative.
    """
    header, _, rest = line.partition(_CHAIN)
    header = with_more(header, extra)
    chain = chain_behind(previous, header)
    return header + _CHAIN + chain + rest[43:], chain


def without_content(line: bytes, was: str) -> bytes:
    """A checked line without its content: its place in the chain is what stays."""
    header, _, rest = line.partition(_CHAIN)
    return b'%b%b%b","salt":null,"event":{"type":"erased","was":"%b"}}' % (
        *(header, _CHAIN, rest[:43]),
        was.encode(),
    )


def chain_behind(previous: bytes, header: bytes) -> bytes:
    """The chain behind a record whose header, all that stands before its own chain, is this."""
    return base64url(sha256(b"journal/record/1" + previous + header).digest())


def header_of(line: bytes) -> bytes:
    """What a checked line says before its chain."""
    return line.partition(_CHAIN)[0]


def chain_of(line: bytes) -> bytes:
    """The chain of a checked line."""
    return line.partition(_CHAIN)[2][:43]


def records_to_come(line: bytes) -> int:
    """How many records of its batch follow a checked line."""
    found = _END.search(header_of(line))
    return int(found[1] or 0) if found else 0


def with_more(header: bytes, extra: int) -> bytes:
    """A header that says that so many records more of its batch follow."""
    if not extra:
        return header
    found = _END.search(header)
    assert found is not None, "the line was checked"
    more = int(found[1] or 0) + extra
    return header[: found.start()] + (b',"more":%d' % more if more else b"") + found[2]
