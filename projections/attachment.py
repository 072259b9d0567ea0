"""Attachment: what stands in a record for something too large: the hash of its bytes, their size and kind."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from projections.document import Json

_KEY: Final = "$attachment"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Attachment(Struct, frozen=True, kw_only=True):
    """A payload that is kept beside the journals, known by the SHA-256 of its bytes, in hexadecimal.

    is_value  a part of a record was too large and stands there as JSON: who asks for that part gets it whole
    """

    digest: str
    size_bytes: int
    media_type: str = "application/octet-stream"
    is_value: bool = False

    def __str__(self) -> str:
        return f"attachment of {self.size_bytes:,} bytes, {self.media_type}, SHA-256 {self.digest}"

    def to_json(self) -> Json:
        """The reference, as it stands in a record."""
        found: dict[str, Json] = {
            _KEY: self.digest,
            "size_bytes": self.size_bytes,
            "media_type": self.media_type,
        }
        return found | {"is_value": True} if self.is_value else found


def attachment_of(value: Json) -> Attachment | None:
    """The attachment that a value refers to; None where it is a value of its own."""
    if not isinstance(value, dict) or not 3 <= len(value) <= 4:
        return None
    digest, size_bytes, media_type = value.get(_KEY), value.get("size_bytes"), value.get("media_type")
    if (
        not isinstance(digest, str)
        or not _DIGEST.fullmatch(digest)
        or type(size_bytes) is not int
        or size_bytes < 0
        or not isinstance(media_type, str)
        or (len(value) == 4 and value.get("is_value") is not True)
    ):
        return None
    return Attachment(digest=digest, size_bytes=size_bytes, media_type=media_type, is_value=len(value) == 4)


def attachments_in(value: Json) -> Iterator[Attachment]:
    """All attachments that a value refers to, however deep."""
    found = attachment_of(value)
    if found is not None:
        yield found
    elif isinstance(value, dict):
        for inner in value.values():
            yield from attachments_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from attachments_in(inner)
