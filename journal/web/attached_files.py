"""Attachments as a browser may have them: a few kinds of pictures shown, everything else saved."""

import re
from typing import Final

from journal.store import StateStore
from journal.web.answers import Problem, bad_input
from projections.attachment import Attachment

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
OTHER: Final = "application/octet-stream"
# What a record says of an attachment's kind is whatever somebody wrote: its first bytes must say so, too.
_PICTURES: Final = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("image/avif", re.compile(rb"....ftyp(?:avif|avis)", re.DOTALL)),
)


def attachment(store: StateStore, digest: str) -> tuple[bytes, str]:
    """The bytes, checked against their hash, and the kind of picture that they are, or that they are none."""
    if not _DIGEST.fullmatch(digest):
        raise bad_input(f"{digest!r:.100} is no SHA-256 in hexadecimal")
    files = store._attachments
    path = files.path(digest)
    store._disk.refresh(path)
    if store._disk.status(path) is None:
        raise Problem(404, "AttachmentNotFound", f"the attachment {digest} is not there")
    data = files.read(Attachment(digest=digest, size_bytes=0))
    return data, next((kind for kind, pattern in _PICTURES if pattern.match(data)), OTHER)
