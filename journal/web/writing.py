"""Writing from the page: fork, rewind, erase; only where the server was started with leave to."""

from typing import Any

import msgspec

from journal.store import StateStore
from journal.web.answers import bad_input


class Fork(msgspec.Struct, forbid_unknown_fields=True):
    """Begin a new session with the history up to a version."""

    at: int
    new_id: str | None = None

    def do(self, store: StateStore, session_id: str) -> dict[str, Any]:
        """Do it."""
        session = store.fork(session_id, self.at, new_id=self.new_id or None)
        return {"id": session.id, "version": session.version}


class Rewind(msgspec.Struct, forbid_unknown_fields=True):
    """Make the session again what it was at a version, if it is still at the one that was looked at."""

    to: int
    expected_version: int

    def do(self, store: StateStore, session_id: str) -> dict[str, Any]:
        """Do it."""
        if self.expected_version < 1:
            raise bad_input("`expected_version` is the version that was looked at, 1 or more")
        return {"version": store.rewind(session_id, self.to, expected_version=self.expected_version)}


class Erase(msgspec.Struct, forbid_unknown_fields=True):
    """Take the content of records out for good, or only say what would go."""

    versions: list[int]
    reason: str
    dry_run: bool = True

    def do(self, store: StateStore, session_id: str) -> dict[str, Any]:
        """Do it."""
        found = store.erase(session_id, self.versions, reason=self.reason, dry_run=self.dry_run)
        erased = {each.session_id: sorted(each.versions) for each in found}
        return {"erased": erased, "dry_run": self.dry_run}


DEEDS: dict[str, type[Fork] | type[Rewind] | type[Erase]] = {"fork": Fork, "rewind": Rewind, "erase": Erase}


def done(store: StateStore, session_id: str, deed: str, body: bytes) -> dict[str, Any]:
    """Do what a call's body asks for. Raises Problem, JournalError."""
    try:
        wanted = msgspec.json.decode(body, type=DEEDS[deed])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_input(f"the call does not say what to {deed}: {error}") from None
    return wanted.do(store, session_id)
