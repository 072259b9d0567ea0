"""What differs between two sessions, value by value; and how to apply that."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from projections.difference import same_json
from projections.document import Json
from projections.messages import AgentResponse, UserMessage
from projections.paths import ABSENT, DOCUMENT_FIELDS, Absent, Part, Path, part_at, to_json
from projections.session import Session


class Difference(NamedTuple):
    """One value that is another one; ABSENT where there is none.

    version  the record of the later state that made it so; None where no record of its own did
    """

    path: Path
    before: Json | Absent
    after: Json | Absent
    version: int | None = None


def differences(before: Session, after: Session) -> Iterator[Difference]:
    """What leads from one session's JSON document to the other's, in an order in which it can be applied."""
    for name in DOCUMENT_FIELDS:
        yield from _between((name,), part_at(before, (name,)), part_at(after, (name,)))


def patched(document: Json, found: Iterable[Difference]) -> Json:
    """The JSON document after these differences. Raises LookupError where it has no such place."""
    root: list[Json] = [_copied(document)]
    for difference in found:
        *way, last = (0, *difference.path)
        place: Json = root
        for step in way:
            place = place[int(step)] if isinstance(place, list) else _object(place)[str(step)]
        value = difference.after
        if isinstance(place, list):
            if value is ABSENT:
                del place[int(last)]
            elif int(last) == len(place):
                place.append(_copied(value))
            else:
                place[int(last)] = _copied(value)
        elif value is ABSENT:
            del _object(place)[str(last)]
        else:
            _object(place)[str(last)] = _copied(value)
    return root[0]


def _between(path: Path, before: Part | Absent, after: Part | Absent) -> Iterator[Difference]:
    if before is after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _between_objects(path, before, after)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _between_lists(path, before, after)
    elif isinstance(before, UserMessage | AgentResponse) and type(before) is type(after):
        if before != after:
            assert isinstance(after, UserMessage | AgentResponse)
            yield from _between(path, to_json(before), to_json(after))
    else:
        old = before if before is ABSENT else to_json(before)
        new = after if after is ABSENT else to_json(after)
        if old is ABSENT or new is ABSENT or not same_json(old, new):
            yield Difference(path, old, new)


def _between_objects(path: Path, before: dict[str, Json], after: dict[str, Json]) -> Iterator[Difference]:
    for key, value in before.items():
        yield from _between((*path, key), value, after.get(key, ABSENT))
    for key, value in after.items():
        if key not in before:
            yield Difference((*path, key), ABSENT, value)


def _between_lists(path: Path, before: Sequence[Part], after: Sequence[Part]) -> Iterator[Difference]:
    common = min(len(before), len(after))
    for index in range(common):
        if before[index] is not after[index]:  # which states of one timeline mostly share
            yield from _between((*path, index), before[index], after[index])
    # From the end, so that each can be taken away without moving the others.
    for index in range(len(before) - 1, common - 1, -1):
        yield Difference((*path, index), to_json(before[index]), ABSENT)
    for index in range(common, len(after)):
        yield Difference((*path, index), ABSENT, to_json(after[index]))


def _object(place: Json) -> dict[str, Json]:
    if not isinstance(place, dict):
        raise LookupError(f"{place!r} has no parts")
    return place


def _copied(value: Json | Absent) -> Json:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each) for each in value]
    assert value is not ABSENT
    return value
