"""The format "openai": chat JSON with tool calls — a list of trajectories, one of them, or bare messages."""

import re
from typing import Any, Final

import msgspec
from msgspec import Raw

from journal.importers.feed import Feed
from journal.importers.ingest import Run, safe_id, stem
from journal.importers.messages import Malformed, message_events, message_time
from journal.importers.source import BAD_JSON, read_document, reason_of

NAME: Final = "openai"
LOOKS: Final = "JSON with messages that have a `role`, bare or under `traj` or `messages`"
# The keys of a trajectory under which its messages are.
_MESSAGES: Final = ("traj", "messages")

# What stands between the items of a list, and before the first.
_GAP: Final = re.compile(rb"[\s,\[]*")

_decode = msgspec.json.Decoder().decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
# A document may be laid out anew and is the same; so a message is recognised by its sorted form.
_canonical = msgspec.json.Encoder(order="sorted").encode


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a document with these keys is of this format."""
    return any(_are_messages(keys[key]) for key in _MESSAGES if key in keys)


def recognises_item(keys: dict[str, Any]) -> bool:
    """Whether a list with an object of these keys is of this format."""
    return "role" in keys or recognises(keys)


def import_file(run: Run, path: str) -> None:
    """Take in a file: session `<file's name>-<index>` for each of a list of trajectories, else one session.

    The other keys of a trajectory become metadata, each set again only when its value changed.
    """
    found = read_document(run, path)
    if found is None:
        return
    data, document = found
    name = run.session_id or stem(path)
    if isinstance(document, dict):
        _File(run, path, data).trajectory(safe_id(name), document)
    elif not any(map(_has_messages, document)):
        _File(run, path, data).messages(Feed(run, path, safe_id(name)), document)
    else:
        _File(run, path, data).trajectories(name, document)


def _are_messages(raw: Any) -> bool:
    """Whether these are messages with roles; what is not at hand, or has no items, may be."""
    try:
        found = _decode_list(raw) if isinstance(raw, Raw) else []
        return not found or "role" in _decode_object(found[0])
    except BAD_JSON:
        return False


def _has_messages(raw: Raw) -> bool:
    try:
        return any(key in _decode_object(raw) for key in _MESSAGES)
    except BAD_JSON:
        return False


class _File:
    """One document being worked off, and the place in its bytes where that is."""

    def __init__(self, run: Run, path: str, data: bytes) -> None:
        self._run, self._path, self._data = run, path, data
        self._offset = 0
        self._counted = (0, 1)  # a byte, and its line

    def trajectories(self, name: str, found: list[Raw]) -> None:
        for index, raw in enumerate(found):
            start = self._offset = self._next_item()
            place = f"trajectory {index}: "
            try:
                trajectory = _decode_object(raw)
            except BAD_JSON as error:
                self._report(place + reason_of(error))
            else:
                self.trajectory(safe_id(f"{name}-{index}"), trajectory, place)
            self._offset = start + len(bytes(raw))

    def trajectory(self, session_id: str, trajectory: dict[str, Raw], place: str = "") -> None:
        key = next((each for each in _MESSAGES if each in trajectory), None)
        if key is None:
            self._report(f"{place}no messages in it; they are expected as {' or '.join(_MESSAGES)}")
            return
        try:
            messages = _decode_list(trajectory[key])
        except BAD_JSON as error:
            self._report(f"{place}{key}: {reason_of(error)}")
            return
        feed = Feed(self._run, self._path, session_id)
        for name, raw in trajectory.items():
            if name != key:
                self._metadata(feed, name, raw, place)
        self._offset = max(self._data.find(bytes(trajectory[key])[:64], self._offset), self._offset)
        self.messages(feed, messages, place)

    def messages(self, feed: Feed, messages: list[Raw], place: str = "") -> None:
        at = self._run.now
        for index, raw in enumerate(messages):
            self._offset = self._next_item()
            here = f"{place}message {index}: "
            try:
                message = _decode(raw)
                events = message_events(message, NAME)
                at = message_time(message) or at
            except Malformed as error:
                self._report(f"{here}{error}")
            except BAD_JSON as error:
                self._report(here + reason_of(error))
            else:
                feed.add(_canonical(message), at, events, line=self._line, place=here)
            self._offset += len(bytes(raw))
        feed.finish()

    def _metadata(self, feed: Feed, name: str, raw: Raw, place: str) -> None:
        try:
            value = _decode(raw)
        except BAD_JSON as error:
            self._report(f"{place}{name}: {reason_of(error)}")
            return
        feed.set_metadata(name, value, self._run.now, line=self._line, place=place)

    def _next_item(self) -> int:
        """Where the next item of a list begins."""
        gap = _GAP.match(self._data, self._offset)
        return gap.end() if gap else self._offset

    @property
    def _line(self) -> int:
        counted, line = self._counted
        if self._offset < counted:
            counted, line = 0, 1
        line += self._data.count(b"\n", counted, self._offset)
        self._counted = self._offset, line
        return line

    def _report(self, reason: str) -> None:
        self._run.problem(self._path, self._line, reason)
