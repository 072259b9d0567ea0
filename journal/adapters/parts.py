"""One part of an item, taken out and put back: an event names it, and keeps the rest of the item beside."""

from typing import Any

from projections.document import Json
from projections.events import (
    AgentResponseAdded,
    Event,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)


def take_out(item: dict[str, Any], at: str) -> tuple[Any, dict[str, Any]]:
    """The part of an item at a place as "/content/0/text", and the item without it. The item stays as it is.

    The place (an RFC 6901 pointer) ends with a key of an object, and no key of it has a "/" or a "~".
    """
    *path, last = at[1:].split("/")
    rest, inner = _opened(item, path)
    return inner.pop(last), rest


def put_back(rest: Json, at: str, part: Json) -> Json:
    """The item of which `take_out` made this rest and this part.

    Raises LookupError, AttributeError, TypeError or ValueError for a rest that has no such place.
    """
    *path, last = at[1:].split("/")
    item: Json
    item, inner = _opened(rest, path)
    inner[last] = part
    return item


def own_part(event: Event) -> Json:
    """What an event says in its own field: a text, arguments, a result."""
    match event:
        case UserMessageAdded() | AgentResponseAdded() | ReasoningAdded():
            return event.content
        case ToolCalled():
            return event.arguments
        case ToolReturned():
            return event.result
        case _:
            return None


def held(event: Event, name: str, part: Json) -> Json:
    """The item that an event keeps in `extra` under a name: whole, or with `part` put back at its place "at".

    So is the event's signature, at the place "signature". None where it keeps no item, or where nobody took
    it apart here.
    """
    extra = getattr(event, "extra", None)
    if not isinstance(extra, dict) or name not in extra:
        return None
    try:
        item = put_back(extra[name], extra["at"], part) if "at" in extra else extra[name]
        if "signature" in extra:
            item = put_back(item, extra["signature"], getattr(event, "signature", None))
        return item
    except (LookupError, AttributeError, TypeError, ValueError):
        return None


def _opened(item: Any, path: list[str]) -> tuple[Any, Any]:
    """A copy of an item that shares all with it but what stands on the path, and of that the innermost."""
    copy = inner = item.copy()
    for step in path:
        key = int(step) if isinstance(inner, list) else step
        inner[key] = inner[key].copy()
        inner = inner[key]
    return copy, inner
