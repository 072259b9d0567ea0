"""A framework's own ids as the id of one session: safe as a file name, and never two for one."""

from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote

from journal.names import MAX_NAME_BYTES

_SEPARATOR: Final = "+"
_CUT: Final = "~"


def joined(*parts: str) -> str:
    """One session id for these parts, in this order; other parts never give the same.

    Plain ones stay readable: `joined("adk", "app", "s 1")` is "adk+app+s%201". Where that is too long for a
    file's name, a hash ends it, and `parted` cannot give it back.
    """
    whole = _SEPARATOR.join(map(_quoted, parts))
    if len(whole) <= MAX_NAME_BYTES:
        return whole
    digest = sha256(whole.encode()).hexdigest()
    return f"{whole[: MAX_NAME_BYTES - len(digest) - 1]}{_CUT}{digest}"


def parted(session_id: str) -> list[str] | None:
    """The parts of an id that `joined` made; None where they were too long to be kept in it."""
    if _CUT in session_id:
        return None
    return [unquote(part) for part in session_id.split(_SEPARATOR)]


def prefix(*parts: str) -> str:
    """How all ids begin that have these parts first, as long as they are not cut."""
    return _SEPARATOR.join(map(_quoted, parts)) + _SEPARATOR


def _quoted(part: str) -> str:
    # `quote` leaves dots and tildes as they are: a name may not begin with the one, the other marks a cut.
    return quote(part, safe="").replace(".", "%2E").replace("~", "%7E")
