"""The format "jsonl": plain lines of `{"role", "content", "timestamp"?}`, one session a file."""

from datetime import datetime
from typing import Any, Final

import msgspec

from journal.importers.ingest import Feed, Run, safe_id, stem
from journal.importers.messages import Malformed, message_events, message_time
from journal.importers.source import BAD_JSON, first_known, lines, reason_of

NAME: Final = "jsonl"

_decode = msgspec.json.Decoder().decode


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a line with these keys is of this format."""
    return "role" in keys and ("content" in keys or "tool_calls" in keys)


def import_file(run: Run, path: str) -> None:
    """Take in a file, line by line. Lines without a time take the one before, or the first that follows."""
    feed = Feed(run, path, run.session_id or safe_id(stem(path)))
    at = first_known(path, _time_of) or run.now
    for number, line in lines(run, path):
        try:
            message = _decode(line)
            events = message_events(message, NAME)
            at = message_time(message, at)
        except Malformed as error:
            run.problem(path, number, error)
        except BAD_JSON as error:
            run.problem(path, number, reason_of(error))
        else:
            feed.add(line, at, events, line=number)
    feed.flush()


def _time_of(line: bytes) -> datetime | None:
    try:
        return message_time({"timestamp": _decode(line)["timestamp"]}, None)  # type: ignore[arg-type]
    except (*BAD_JSON, TypeError, LookupError):
        return None
