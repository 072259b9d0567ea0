"""The format "jsonl": plain lines of `{"role", "content", "timestamp"?}`, one session a file."""

from typing import Any, Final

import msgspec

from journal.importers.messages import message_events, message_time
from journal.importers.transcript import Parsed, Read

NAME: Final = "jsonl"
LOOKS: Final = "lines with `role` and `content` or `tool_calls`"

_decode = msgspec.json.Decoder().decode


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a line with these keys is of this format."""
    return "role" in keys and ("content" in keys or "tool_calls" in keys)


def new_reader() -> Read:
    """A reader of one file. The session has the file's name."""
    return _read


def _read(line: bytes) -> Parsed:
    message = _decode(line)
    return Parsed(message_events(message, NAME), at=message_time(message))
