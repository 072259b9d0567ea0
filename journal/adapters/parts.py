"""One part of an item, taken out and put back: an event names it, and keeps the rest of the item beside."""

from typing import Any

from projections.document import Json


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


def _opened(item: Any, path: list[str]) -> tuple[Any, Any]:
    """A copy of an item that shares all with it but what stands on the path, and of that the innermost."""
    copy = inner = item.copy()
    for step in path:
        key = int(step) if isinstance(inner, list) else step
        inner[key] = inner[key].copy()
        inner = inner[key]
    return copy, inner
