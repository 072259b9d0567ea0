"""Forging: records whose hashes fit whatever they say, as somebody makes them who may write the folder."""

from collections.abc import Sequence

from journal.reader import beginning
from journal.record import encode_batch

CREATED = b'{"type":"session_created","session_id":"s","user_id":"u"}'
SAID = b'{"type":"user_message_added","content":"hello"}'
HEAD = b'"id":"01a203d5-4e80-7b21-8c3d-0a1b2c3d4e5f","at":"2026-11-22T12:00:00.000000Z"'
SALT = b"AAAAAAAAAAAAAAAAAAAAAA"


def forged(*batches: Sequence[bytes | tuple[bytes, bytes]], session_id: str = "s") -> bytes:
    """A journal of these batches of events, each any bytes, or a pair of the header's middle and those."""
    version, chain, _ = beginning(session_id)
    data = b""
    for batch in batches:
        pending = [
            (each, HEAD, SALT) if isinstance(each, bytes) else (each[1], each[0], SALT) for each in batch
        ]
        lines, version, chain = encode_batch(pending, version, chain)
        data += lines
    return data


def head(at: bytes = b"2026-11-22T12:00:00.000000Z", id: bytes = b"x", more: bytes = b"") -> bytes:
    """The middle of a header: its id and time, and whatever follows them."""
    return b'"id":"%b","at":"%b"%b' % (id, at, more)
