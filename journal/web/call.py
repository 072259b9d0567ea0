"""A call: what it asks for, taken out of its address and checked."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from journal.names import check_session_id
from journal.web.answers import bad_input

_MOST_TEXT: Final = 10_000
_LARGEST: Final = 2**53
_ADDRESS: Final = re.compile(r"(?P<id>.+)@(?P<version>\d{1,15})", re.DOTALL)


@dataclass
class Call:
    """A call: the parts of its path, and what it asks for. Raises Problem, InvalidNameError."""

    request: Request
    body: bytes = b""

    @property
    def session_id(self) -> str:
        """The session that it is about."""
        return check_session_id(self.part("id"))

    @property
    def seq(self) -> int:
        """The record, or the version, that it is about."""
        return _number("the number of a record", self.part("seq"), 0, _LARGEST)

    def part(self, name: str) -> str:
        """A part of its path, decoded."""
        try:
            return unquote_to_bytes(self.request.path_params[name]).decode()
        except UnicodeDecodeError:
            raise bad_input("the address is not valid Unicode") from None

    def text(self, name: str) -> str | None:
        """A text that it names; None where it names none."""
        found = self.request.query_params.get(name) or None
        if found is not None and len(found) > _MOST_TEXT:
            raise bad_input(f"`{name}` is over {_MOST_TEXT:,} characters long")
        return found

    def required(self, name: str) -> str:
        """A text that it must name."""
        found = self.text(name)
        if found is None:
            raise bad_input(f"`{name}` is missing")
        return found

    def number(self, name: str, default: int | None = None, *, least: int = 0, most: int = _LARGEST) -> int:
        """A number that it names."""
        found = self.text(name)
        if found is None:
            if default is None:
                raise bad_input(f"`{name}` is missing")
            return default
        return _number(f"`{name}`", found, least, most)

    def moment(self, name: str) -> datetime | None:
        """A time that it names, with an offset."""
        found = self.text(name)
        if found is None:
            return None
        try:
            moment = datetime.fromisoformat(found.upper())
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise bad_input(f"`{name}` is a time like 2026-11-22T12:00Z, not {found!r:.100}")

    def address(self, name: str) -> tuple[str, int | None]:
        """A session and a version of it, None for the last."""
        found = self.required(name)
        address = _ADDRESS.fullmatch(found)
        if address is None:
            return check_session_id(found), None
        return check_session_id(address["id"]), int(address["version"])

    def after(self) -> int:
        """Where a page goes on that follows: behind the last event that it saw."""
        seen = self.request.headers.get("last-event-id", "")
        return int(seen) if re.fullmatch(r"\d{1,15}", seen) else self.number("after", 0)


def _number(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"-?[0-9]{1,16}", text) or not least <= int(text) <= most:
        bounds = f"from {least} to {most}" if most < _LARGEST else f"from {least} on"
        raise bad_input(f"{name} is a number {bounds}, not {text!r:.100}")
    return int(text)
