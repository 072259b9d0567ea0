"""Pieces: the bytes behind a bad place of a journal, cut where a record may begin; and what each says."""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from journal.chain import base64url, check_lines
from journal.disk import Disk, chunks
from journal.reader import lines
from journal.rechain import without_content
from journal.record import Pending

_RECORD: Final = b'{"v":1,"seq":'
# A lost newline makes one line of two records; a hostile line may hold millions of beginnings.
_MOST_IN_A_LINE: Final = 1000
_MOST_STRANGERS: Final = 10_000
# Turning every bit of a longer line takes too long to wait for.
_MAX_RESTORED_BYTES: Final = 4096

_BEGINNING: Final = re.compile(rb'\{"v":1,"seq":([1-9]\d{0,17}),"id":"([^"\\]{1,100})"')
_TEXT: Final = rb'"(?:[^"\\]|\\.)*"'
_HEADER: Final = re.compile(
    rb'\{"v":1,"seq":(?P<seq>[1-9]\d{0,17}),'
    rb'(?P<head>"id":"[^"\\]{1,100}","at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"'
    rb'(?:,"by":%b)?(?:,"cause":%b)?(?:,"key":%b)?)'
    % (_TEXT, _TEXT, _TEXT)
    + rb'(?:,"more":(?P<more>\d{1,18}))?(?:,"first":(?P<first>\d{1,18}))?,"digest":"(?P<digest>[\w-]{43})"'
)
_TYPE: Final = re.compile(rb'"event":\{"type":"([a-z_]{1,100})"')


class Piece(NamedTuple):
    """A run of bytes without a newline: where it stands, and the number and id that it says; 0 for none."""

    offset: int
    size: int
    seq: int
    id: bytes


class Header(NamedTuple):
    """What a record says of itself before its event: `head` is what stays when it gets another number."""

    seq: int
    head: bytes
    more: int
    first: int


def pieces(disk: Disk, fd: int, start: int) -> Iterator[Piece]:
    """The complete lines from a byte on, each cut where a record begins: a lost newline costs no record.

    In a JSON text every quotation mark is escaped, so no record holds the beginning of another one. Of what
    begins no record, only so much is given out that memory stays bounded.
    """
    strangers = 0
    for offset, line in lines(disk, fd, start):
        at = 0
        for _ in range(_MOST_IN_A_LINE):
            end = line.find(_RECORD, at + 1)
            part = line[at : end if end >= 0 else None]
            found = _BEGINNING.match(part)
            strangers += found is None
            if found is not None or strangers <= _MOST_STRANGERS:
                yield Piece(offset + at, len(part), *((int(found[1]), found[2]) if found else (0, b"")))
            at = end
            if end < 0:
                break


def trimmed(data: bytes) -> bytes:
    """A piece without what stands behind its last brace: NUL bytes, or what was once a newline."""
    return data[: data.rfind(b"}") + 1]


def fits(line: bytes, seq: int, previous: bytes) -> bool:
    """Whether a line is the record that belongs here, hashes and all."""
    return check_lines([line], seq, previous)[2] is None


def restored(line: bytes, seq: int, previous: bytes) -> bytes | None:
    """The line with one bit turned back, where its hashes fit then: that proves that it is what was."""
    # One bit makes one control character of a line, at most.
    if len(line) > _MAX_RESTORED_BYTES or sum(byte < 32 for byte in line) > 1:
        return None
    data = bytearray(line)
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            whole = bytes(data)
            # Two hashes first: to check a line that does not fit costs far more.
            if is_chained(whole, previous) and header_of(whole) and fits(whole, seq, previous):
                return whole
            data[at] ^= 1 << bit
    return None


def emptied(line: bytes, seq: int, previous: bytes) -> bytes | None:
    """The record without its content, where its header still continues the chain."""
    kind = _TYPE.search(line.partition(b',"chain":"')[2])
    line = without_content(line, kind[1].decode() if kind else "unknown")
    return line if fits(line, seq, previous) else None


def chain_of(line: bytes) -> bytes | None:
    """The chain that a line states, unchecked."""
    _, found, rest = line.partition(b',"chain":"')
    return rest[:43] if found and len(rest) > 43 else None


def is_chained(line: bytes, previous: bytes) -> bool:
    """Whether a line's header continues this chain, whatever its number and content."""
    header = line.partition(b',"chain":"')[0]
    return base64url(sha256(b"journal/record/1" + previous + header).digest()) == chain_of(line)


def header_of(line: bytes) -> Header | None:
    """A line's header, where it is written as records are and its content fits its digest."""
    header, _, rest = line.partition(b',"chain":"')
    found = _HEADER.fullmatch(header)
    if found is None or (rest[43:53], rest[75:85], rest[-1:]) != (b'","salt":"', b'","event":', b"}"):
        return None
    if base64url(sha256(b"journal/event/1" + rest[53:75] + rest[85:-1]).digest()) != found["digest"]:
        return None
    seq = int(found["seq"])
    return Header(seq, found["head"], int(found["more"] or 0), int(found["first"] or seq))


def as_pending(line: bytes) -> Pending:
    """The record, ready to be appended under another number: its id, time, actor, salt and content stay."""
    header, (_, _, rest) = header_of(line), line.partition(b',"chain":"')
    assert header is not None
    return rest[85:-1], header.head, rest[53:75]


def id_of(line: bytes) -> bytes:
    """The id that a line says; nothing where it is no record."""
    found = _BEGINNING.match(line)
    return found[2] if found else b""


def is_nul(disk: Disk, fd: int, start: int) -> bool:
    """Whether there are only NUL bytes from a byte on."""
    return all(chunk.count(0) == len(chunk) for chunk in chunks(disk, fd, start))
