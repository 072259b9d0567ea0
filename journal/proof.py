"""Proofs: one record, and what leads from it to a seal, in a file that is checked without the store.

Format: docs/reference/seals.md; the checker: docs/reference/check_proof.py.
"""

from typing import Any, Final, NamedTuple

import msgspec

from journal.chain import base64url, first_chain, header_and_chain
from journal.disk import Disk
from journal.errors import SealError, SessionNotFoundError
from journal.layout import Layout
from journal.log import Log
from journal.merkle import audit_path
from journal.seal import Head, read_statement, split_seal

FORMAT: Final = "session-journal/proof/1"


def prove(disk: Disk, layout: Layout, session_id: str, version: int, seal: bytes) -> bytes:
    """The proof of one record against a seal, as JSON. See StateStore.prove."""
    _, scope, heads = read_statement(seal)
    index = next((at for at, head in enumerate(heads) if head.session_id == session_id), None)
    if index is None:
        raise SealError(f"the seal is not of session {session_id!r}: it proves nothing of it")
    head = heads[index]
    if not 1 <= version <= head.version:
        raise SealError(
            f"the seal is of session {session_id!r} at version {head.version}: it proves its records 1 to "
            f"{head.version}, and not {version}"
        )
    found = _read(disk, layout, head, version)
    proof: dict[str, Any] = {
        "format": FORMAT,
        "session_id": session_id,
        "previous": found.previous,
        "record": found.record,
        "headers": found.headers,
        "seal": split_seal(seal)[0].decode(),
    }
    if scope != "session":
        path = audit_path([each.line().encode() for each in heads], index)
        proof |= {"index": index, "path": [base64url(each).decode() for each in path]}
    return msgspec.json.format(msgspec.json.encode(proof), indent=1) + b"\n"


class _Found(NamedTuple):
    """A record's line, the chain before it, and what the chain covers of those that follow."""

    previous: str
    record: str
    headers: list[str]


def _read(disk: Disk, layout: Layout, head: Head, version: int) -> _Found:
    """One pass up to the sealed record. Raises SealError where it is not the one that was sealed."""
    log = Log(disk, layout.journal(head.session_id), head.session_id, durable=False)
    previous, chain = first_chain(head.session_id), b""
    record, headers = b"", []
    try:
        log.look()
        if not log.size():
            raise SessionNotFoundError(head.session_id, "it has no journal")
        for seq, (_, line) in enumerate(log.read_new(), 1):
            header, chain = header_and_chain(line)
            if seq < version:
                previous = chain
            elif seq == version:
                record = line
            else:
                headers.append(header)
            if seq == head.version:
                break
    finally:
        log.close()
    if chain.decode() != head.chain:
        raise SealError(
            f"session {head.session_id!r} is not what was sealed at version {head.version}, so nothing of it "
            "can be proven: `journal verify` with the seal says what is wrong"
        )
    try:
        return _Found(previous.decode(), record.decode(), [header.decode() for header in headers])
    except UnicodeDecodeError:
        raise SealError(f"session {head.session_id!r} holds a record that is not UTF-8: verify it") from None
