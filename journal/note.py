"""Signed notes: a text and who vouches for it, with Ed25519. Format: https://c2sp.org/signed-note.

Cryptography is imported when a signature is made or checked, not before.
"""

import secrets
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from types import ModuleType
from typing import Final, Self

from journal.errors import InvalidKeyError, MissingExtraError, SealError

# The one signature type that we make and read.
_ED25519: Final = b"\x01"
_SECRET: Final = "PRIVATE+KEY+"
_DASH: Final = "— "
MAX_NOTE_BYTES: Final = 1024 * 1024
# A reader must take 16 of them; each known key costs one check.
MAX_SIGNATURES: Final = 64
MAX_NAME_BYTES: Final = 255


@dataclass(frozen=True)
class VerifierKey:
    """Whose signatures are believed. As a text, a `vkey`: NAME+ID+KEY, which may be known to everybody."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """What a signature names its key by, beside the name: four bytes, no strong hash."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that a vkey stands for. Raises InvalidKeyError."""
        if text.startswith(_SECRET):
            raise InvalidKeyError("that is a private key; to verify, give the public one, NAME+ID+KEY")
        name, key_id, public = _parse_key(text, "NAME+ID+KEY")
        key = cls(name, public)
        if key.id != key_id:
            raise InvalidKeyError("the public key does not fit its id: it was copied wrongly, or altered")
        return key


@dataclass(frozen=True)
class SigningKey:
    """A private key: whoever has it signs in its name."""

    name: str
    id: bytes
    seed: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that a text PRIVATE+KEY+NAME+ID+SEED stands for. Raises InvalidKeyError."""
        if not text.startswith(_SECRET):
            raise InvalidKeyError(f"no private key: one begins with {_SECRET}; `journal key new` makes one")
        return cls(*_parse_key(text.removeprefix(_SECRET), f"{_SECRET}NAME+ID+SEED"))

    @classmethod
    def new(cls, name: str) -> Self:
        """A new key; its name is best an address that is yours, as example.com/audit.

        Raises InvalidKeyError, MissingExtraError.
        """
        _check_name(name)
        seed = secrets.token_bytes(32)
        return cls(name, VerifierKey(name, _public(seed)).id, seed)

    def secret(self) -> str:
        """The key as the text that `parse` reads. Keep it where nobody else reads it."""
        return f"{_SECRET}{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.seed)}"

    def verifier(self) -> VerifierKey:
        """The public key that belongs to it. Raises InvalidKeyError, MissingExtraError."""
        key = VerifierKey(self.name, _public(self.seed))
        if key.id != self.id:
            raise InvalidKeyError("the private key does not fit its id: it was copied wrongly, or altered")
        return key


@dataclass(frozen=True)
class Note:
    """A text whose signature was checked, and the names of those who signed it."""

    text: str
    signers: tuple[str, ...]


def sign(text: str, key: SigningKey) -> bytes:
    """The text as a note that the key signed. Raises ValueError for a text that no note can hold."""
    if not text.endswith("\n") or not _is_plain(text):
        raise ValueError("a note's text ends in a newline and holds no other control character")
    public = key.verifier()  # checks the key
    signature: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(key.seed).sign(text.encode())
    return f"{text}\n{_DASH}{key.name} {_base64(public.id + signature)}\n".encode()


def open_note(data: bytes, keys: Iterable[VerifierKey]) -> Note:
    """The note in these bytes, once a known key's signature was found to be good.

    Signatures of unknown keys are passed over, as the format says; a bad one of a known key is an error.
    Raises SealError, MissingExtraError.
    """
    text, signatures = split_note(data)
    known = {(key.name, key.id): key for key in keys}
    signers = []
    for name, key_id, signature in signatures:
        key = known.get((name, key_id))
        if key is None:
            continue
        if not _is_signed(text, signature, key):
            raise SealError(f"the signature of {name!r} does not fit: the text was altered, or the signature")
        signers.append(name)
    if not signers:
        asked = ", ".join(f"{key.name}+{key.id.hex()}" for key in known.values())
        found = ", ".join(f"{name}+{key_id.hex()}" for name, key_id, _ in signatures[:3])
        raise SealError(f"it is not signed by {asked} but by {found}: give that key, if you trust it")
    return Note(text, tuple(signers))


def split_note(data: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note's text, and its signatures, unchecked: name, key id, signature. Raises SealError."""
    if len(data) > MAX_NOTE_BYTES:
        raise SealError(f"no signed note: it is over {MAX_NOTE_BYTES:,} bytes long")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise SealError("no signed note: it is not UTF-8") from None
    text, empty, rest = whole.rpartition("\n\n")
    lines = rest.split("\n")
    if not empty or not _is_plain(whole) or lines.pop() != "":
        raise SealError("no signed note: a text, an empty line and lines of signatures make one")
    if len(lines) > MAX_SIGNATURES:
        raise SealError(f"no signed note of ours: it has over {MAX_SIGNATURES} signatures")
    return text + "\n", [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    raw = _from_base64(encoded)
    if not line.startswith(_DASH) or not space or not _is_name(name) or raw is None or len(raw) < 5:
        raise SealError("no signed note: a line of its signatures is none")
    return name, raw[:4], raw[4:]


def _is_signed(text: str, signature: bytes, key: VerifierKey) -> bool:
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True


def _parse_key(text: str, form: str) -> tuple[str, bytes, bytes]:
    """Name, id and key of either kind of key."""
    name, key_id, encoded = (*text.split("+", 2), "", "")[:3]
    raw = _from_base64(encoded)
    if raw is None or len(key_id) != 8 or not set(key_id) <= set("0123456789abcdef"):
        raise InvalidKeyError(f"no key: one has the form {form}")
    _check_name(name)
    if raw[:1] != _ED25519 or len(raw) != 33:
        raise InvalidKeyError("no Ed25519 key, and no other kind is known here")
    return name, bytes.fromhex(key_id), raw[1:]


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise InvalidKeyError(
            "a key's name is not empty and has neither spaces nor '+' nor control characters; "
            "best is an address that is yours, as example.com/audit"
        )


def _is_name(name: str) -> bool:
    if not name or "+" in name or any(character.isspace() for character in name) or not _is_plain(name):
        return False
    return len(name.encode()) <= MAX_NAME_BYTES


def _is_plain(text: str) -> bool:
    """Whether a text is Unicode without control characters but newlines."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(character < " " and character != "\n" for character in text)


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _from_base64(text: str) -> bytes | None:
    """What a text encodes; None where it is not the one way to write that."""
    try:
        raw = a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return raw if _base64(raw) == text else None


def _public(seed: bytes) -> bytes:
    found: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return found


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtraError("seals", "cryptography", "seal") from None
    return ed25519
