"""Seals: the head of a session, or of each session of a store, signed. Format: docs/reference/seals.md."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from journal.chain import base64url
from journal.errors import SealError
from journal.merkle import merkle_root
from journal.names import is_session_id
from journal.note import SigningKey, VerifierKey, open_note, sign, split_note

ORIGIN: Final = "session-journal/seal/1"
Scope: TypeAlias = Literal["session", "sessions", "store"]
# Some hundred thousand sessions.
MAX_SEAL_BYTES: Final = 64 * 1024 * 1024

_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


class Head(NamedTuple):
    """The last record of a session: its number and the chain up to it."""

    session_id: str
    version: int
    chain: str

    def line(self) -> str:
        """The head as a line of a seal, and as a leaf of its tree; the id may hold spaces, so it is last."""
        return f"{self.version} {self.chain} {self.session_id}"


@dataclass(frozen=True, kw_only=True)
class Seal:
    """A seal whose signature was checked, or just made.

    data     the file: a signed note; of several sessions, their heads after it
    signers  the names of the keys that it was checked with
    at       when it was made, as the signer says
    scope    "session"; "sessions": some of a store; "store": all that were there
    heads    what was sealed, by session
    """

    data: bytes
    signers: tuple[str, ...]
    at: datetime
    scope: Scope
    heads: Mapping[str, Head]

    def by(self) -> str:
        """Who sealed it and when, for a sentence."""
        return f"{' and '.join(map(repr, self.signers))} at {moment_text(self.at)}"

    def expect(self, *, after: datetime | None = None, versions: Mapping[str, int] | None = None) -> None:
        """Raise SealError where this is an older seal than the one that the caller knows of.

        No seal shows by itself that a later one was made: whoever keeps the date of the last one, or a
        session's version, can tell an old one that is presented again.
        """
        if after is not None and self.at <= after:
            raise SealError(f"the seal was made at {moment_text(self.at)}, not after {moment_text(after)}")
        for session_id, version in (versions or {}).items():
            sealed = self.heads[session_id].version if session_id in self.heads else 0
            if sealed < version:
                raise SealError(
                    f"the seal is of session {session_id!r} at version {sealed}, and version {version} was "
                    "expected: it is an older seal"
                )


class Statement(NamedTuple):
    """What a seal says, whoever signed it."""

    at: datetime
    scope: Scope
    heads: tuple[Head, ...]

    def text(self) -> str:
        """What is signed: a few lines, whatever the number of sessions."""
        lines = [ORIGIN, f"scope {self.scope}", f"time {moment_text(self.at)}"]
        if self.scope == "session":
            (head,) = self.heads
            lines += [f"session {head.session_id}", f"version {head.version}", f"chain {head.chain}"]
        else:
            lines += [f"sessions {len(self.heads)}", f"root {root_of(self.heads)}"]
        return "".join(f"{line}\n" for line in lines)

    def rest(self) -> str:
        """What stands behind the note: the heads of which it signs the root."""
        if self.scope == "session":
            return ""
        return "".join(["\n", *(f"{head.line()}\n" for head in self.heads)])


def root_of(heads: Sequence[Head]) -> str:
    """The hash that stands for all these heads."""
    return base64url(merkle_root([head.line().encode() for head in heads])).decode()


def make_seal(heads: Sequence[Head], scope: Scope, at: datetime, key: SigningKey) -> Seal:
    """Sign these heads. Raises InvalidKeyError, MissingExtraError."""
    statement = Statement(at, scope, tuple(sorted(heads)))
    data = sign(statement.text(), key) + statement.rest().encode()
    return _seal(data, (key.name,), statement)


def open_seal(data: bytes, *keys: VerifierKey) -> Seal:
    """The seal in a file's bytes, if one of these keys signed it and it holds together.

    Raises SealError, MissingExtraError.
    """
    note, _ = split_seal(data)
    signers = open_note(note, keys).signers
    return _seal(data, signers, read_statement(data))


def _seal(data: bytes, signers: tuple[str, ...], statement: Statement) -> Seal:
    heads = {head.session_id: head for head in statement.heads}
    return Seal(data=data, signers=signers, at=statement.at, scope=statement.scope, heads=heads)


def split_seal(data: bytes) -> tuple[bytes, bytes]:
    """The signed note of a seal's file, and the heads behind it. Raises SealError."""
    if len(data) > MAX_SEAL_BYTES:
        raise SealError(f"no seal: it is over {MAX_SEAL_BYTES:,} bytes long")
    if not data.startswith(ORIGIN.encode() + b"\n"):
        raise SealError(f"no seal: one begins with the line {ORIGIN}")
    # Its text holds no empty line, so the second one ends the signatures.
    end = data.find(b"\n\n", data.find(b"\n\n") + 2) + 1
    return (data[:end], data[end + 1 :]) if end else (data, b"")


def read_statement(data: bytes) -> Statement:
    """What a seal says, with whoever's signature; its heads fit the root. Raises SealError."""
    note, rest = split_seal(data)
    text, _ = split_note(note)
    try:
        _, scope, time, *about = text.removesuffix("\n").split("\n")
        statement = Statement(
            _moment(_value("time", time)),
            _scope(_value("scope", scope)),
            _sealed_head(about) if scope == "scope session" else _heads(rest),
        )
        # Whatever is written in another way than ours is none of ours.
        if statement.text() != text or statement.rest().encode() != data[len(note) :]:
            raise ValueError
    except (ValueError, OverflowError):
        raise SealError(
            "no seal that this version can read: its lines are not those of a seal, or its heads do not "
            "fit the root that was signed"
        ) from None
    return statement


def _sealed_head(lines: list[str]) -> tuple[Head]:
    session, version, chain = lines
    parts = _value("version", version), _value("chain", chain), _value("session", session)
    return (_head(" ".join(parts)),)


def _heads(rest: bytes) -> tuple[Head, ...]:
    heads = tuple(_head(line) for line in rest.decode().split("\n")[:-1])
    ids = [head.session_id for head in heads]
    if not heads or ids != sorted(set(ids)):
        raise ValueError
    return heads


def _head(line: str) -> Head:
    version, chain, session_id = line.split(" ", 2)
    if not _NUMBER.fullmatch(version) or not _HASH.fullmatch(chain) or not is_session_id(session_id):
        raise ValueError
    return Head(session_id, int(version), chain)


def _value(name: str, line: str) -> str:
    if not line.startswith(name + " "):
        raise ValueError
    return line.removeprefix(name + " ")


def _scope(text: str) -> Scope:
    for scope in get_args(Scope):
        if text == scope:
            return scope  # type: ignore[no-any-return]
    raise ValueError


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def moment_text(moment: datetime) -> str:
    """A moment as records hold it."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
