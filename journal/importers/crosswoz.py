"""The format "crosswoz": dialogues as the CrossWOZ data set has them, many in one JSON document.

`{id: {"messages": [{"role": "usr" | "sys", "content", "dialog_act", …}], "goal", …}}`, data/crosswoz of
github.com/thu-coai/CrossWOZ (2020); the sessions have no times.
"""

from typing import Any, Final, cast

import msgspec
from msgspec import Raw

from journal.importers.feed import Feed
from journal.importers.ingest import Run, safe_id, stem
from journal.importers.source import BAD_JSON, read_document, reason_of
from projections.document import Json
from projections.events import AgentResponseAdded, CustomEvent, Event, UserMessageAdded

NAME: Final = "crosswoz"
LOOKS: Final = "JSON with dialogues by id that have a `goal` and `messages`"

_decode = msgspec.json.Decoder().decode
_decode_keys = msgspec.json.Decoder(dict[str, Raw]).decode
_canonical = msgspec.json.Encoder(order="sorted").encode


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a document with these keys is of this format; their values are still to be decoded."""
    first = next(iter(keys.values()), None)
    try:
        return first is not None and {"goal", "messages", "sys-usr"} <= _decode_keys(first).keys()
    except BAD_JSON:
        return False


def import_file(run: Run, path: str) -> None:
    """Take in a file: session `<file's name>-<id>` for each dialogue; what is not said becomes metadata."""
    found = read_document(run, path)
    if found is None:
        return
    if not isinstance(found[1], dict) or not found[1]:
        run.problem(path, None, "no dialogues of CrossWOZ: an object with some is expected")
        return
    for dialogue_id, raw in found[1].items():
        place = f"dialogue {dialogue_id[:40]}: "
        try:
            dialogue = _decode(raw)
        except BAD_JSON as error:
            run.problem(path, None, place + reason_of(error))
            continue
        if isinstance(dialogue, dict) and isinstance(dialogue.get("messages"), list):
            session_id = safe_id(f"{run.session_id or stem(path)}-{dialogue_id}")
            _dialogue(run, path, Feed(run, path, session_id), dialogue, place)
        else:
            run.problem(path, None, f"{place}an object with messages is expected")


def _dialogue(run: Run, path: str, feed: Feed, dialogue: dict[str, Any], place: str) -> None:
    for name, value in dialogue.items():
        if name != "messages":
            feed.set_metadata(name, value, run.now, place=place)
    for index, message in enumerate(dialogue["messages"]):
        feed.add(_canonical(message), run.now, _events(message), line=None, place=f"{place}message {index}: ")
    feed.finish()


def _events(message: Any) -> list[Event]:
    """What was said, and behind it what its writers noted of it."""
    match message:
        case {"role": "usr", "content": str(content), **rest}:
            events: list[Event] = [UserMessageAdded(content=content)]
        case {"role": "sys", "content": str(content), **rest}:
            events = [AgentResponseAdded(content=content)]
        case _:
            return [CustomEvent(name="crosswoz.message", data=message)]
    if rest:
        events.append(CustomEvent(name=f"crosswoz.{message['role']}", data=cast(Json, rest)))
    return events
