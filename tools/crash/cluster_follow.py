"""Those who follow the sessions of a cluster while its servers come and go: each record once, in its order.

Whoever loses the servers comes back with the last record of each session that it was given.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from journal import JournalError, Record, StateStore

RESTS_AFTER_FAILURE_SECONDS: Final = 0.1


class Given(NamedTuple):
    """A record that a follower was given."""

    session_id: str
    seq: int
    id: str


class LeftAlone(NamedTuple):
    """A follower lost the servers, and comes back."""


def follow(tell: Callable[[Any], None], session_id: str | None, connect: Callable[[], StateStore]) -> None:
    """Tell what is given out of a session, or of all, for ever."""
    last: dict[str, Record] = {}
    while True:
        try:
            with connect() as store:
                after = last if session_id is None else last.get(session_id, 0)
                for some in store._follow(session_id, after, None, None, lambda: False):
                    tell([Given(each.session_id, each.seq, each.id) for each in some])
                    last |= {each.session_id: each for each in some}
        except JournalError:
            tell([LeftAlone()])
            time.sleep(RESTS_AFTER_FAILURE_SECONDS)


def missing(given: Iterable[Given], there: Iterable[Given]) -> list[Given]:
    """What is on record and was not given out."""
    return sorted(set(there).difference(given))


def problems(given: list[Given], there: Mapping[str, Iterable[Given]]) -> Iterator[str]:
    """What is wrong with what a follower was given, held against the sessions that it follows."""
    if lost := missing(given, (each for records in there.values() for each in records)):
        yield f"{len(lost)} records were not given out, as {lost[0]}"
    if doubled := [each for each, times in Counter(given).items() if times > 1]:
        yield f"{len(doubled)} records were given out twice, as {doubled[0]}"
    of: defaultdict[str, list[Given]] = defaultdict(list)
    for each in given:
        of[each.session_id].append(each)
    for session_id, some in of.items():
        if strangers := set(some).difference(there.get(session_id, ())):
            yield f"{len(strangers)} records were given out that are not there, as {min(strangers)}"
        if [each.seq for each in some] != sorted(each.seq for each in some):
            yield f"{session_id} was given out in another order"
