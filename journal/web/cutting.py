"""Cutting JSON: long texts, and what comes after so many characters; told where, never in silence."""

from dataclasses import dataclass, field
from typing import Final

from projections.document import Json
from projections.paths import Path, path_text

LONG: Final = 65_536
"""A longer text of a record is cut."""
SHORT: Final = 2_000
"""… and one of a list of changes."""
# Of a list of changes each value has so many characters in all.
_MOST: Final = 20_000
MARK: Final = "…"


@dataclass
class Cut:
    """JSON that was cut, and where: the paths of the texts, and how many characters they have."""

    value: Json
    places: list[dict[str, Json]] = field(default_factory=list)


def cut_texts(value: Json, longest: int = LONG) -> Cut:
    """With no text longer than this."""
    found = Cut(None)
    found.value = _cut(value, longest, [1 << 62], (), found.places)
    return found


def shortened(value: Json) -> Json:
    """Short enough for a list of many: a part that is left out is an … with how many are."""
    return _cut(value, SHORT, [_MOST], (), [])


def _cut(value: Json, longest: int, left: list[int], path: Path, places: list[dict[str, Json]]) -> Json:
    """`left`: how many characters may still come."""
    left[0] -= 8
    if isinstance(value, str):
        left[0] -= min(len(value), longest)
        if len(value) <= longest:
            return value
        places.append({"path": path_text(path), "characters": len(value)})
        return value[:longest]
    if isinstance(value, dict):
        cut: dict[str, Json] = {}
        for number, (key, each) in enumerate(value.items()):
            if left[0] <= 0:
                cut[MARK] = len(value) - number
                break
            left[0] -= len(key)
            cut[key] = _cut(each, longest, left, (*path, key), places)
        return cut
    if isinstance(value, list):
        items: list[Json] = []
        for number, each in enumerate(value):
            if left[0] <= 0:
                items.append({MARK: len(value) - number})
                break
            items.append(_cut(each, longest, left, (*path, number), places))
        return items
    return value
