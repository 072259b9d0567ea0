"""What is attached to a record: the references in its line."""

import msgspec

from journal.chain import event_bytes
from projections.attachment import Attachment, attachments_in

_KEY = b'"$attachment"'


def attached_to(line: bytes) -> list[Attachment]:
    """The attachments that a checked line's event refers to, each once; of most lines a look says none."""
    if _KEY not in line:
        return []
    try:
        return list(dict.fromkeys(attachments_in(msgspec.json.decode(event_bytes(line)))))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []  # no event: whoever decodes it says so
