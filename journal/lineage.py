"""Lineage: whether a fork is what it says, a copy of its origin's records."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from journal.chain import Damage
from journal.rechain import chain_behind, header_of, records_to_come, with_more
from journal.record import decode_record
from projections.events import SessionForked

_FORKED: Final = b'","event":{"type":"session_forked"'


class Lineage:
    """Computes the origin's chain from the copies of its records, as they are read one by one."""

    def __init__(self, forked: SessionForked) -> None:
        self.forked = forked
        self.is_broken = False  # by a repair among the copies: they prove nothing any more
        self._chain = forked.first_chain.encode()

    def see(self, seq: int, line: bytes) -> None:
        """Take the fork's next checked line; those behind the copies are its own."""
        forked = self.forked
        if 1 < seq <= forked.version:
            # The last batch that was copied may have been longer.
            is_last = forked.cut and seq + records_to_come(line) == forked.version
            header = with_more(header_of(line), forked.cut if is_last else 0)
            self._chain = chain_behind(self._chain, header)

    @property
    def is_true(self) -> bool:
        """Whether the copies lead to the chain that the fork says its origin had."""
        return self._chain.decode() == self.forked.chain


def family(origins: Mapping[str, str], there: Collection[str], session_id: str) -> set[str]:
    """All sessions that may share records with one: `origins` says of each fork what it is a fork of.

    Of what a session was a fork that is gone, nobody knows: its forks may be of any other's family.
    """
    relatives = _connected(origins, [session_id])
    orphans = _connected(origins, [each for each, origin in origins.items() if origin not in there])
    return set(there) if relatives & orphans else (relatives | orphans).intersection(there)


def _connected(origins: Mapping[str, str], session_ids: Iterable[str]) -> set[str]:
    """These sessions, their forks and origins, and so on."""
    forks: dict[str, list[str]] = {}
    for each, origin in origins.items():
        forks.setdefault(origin, []).append(each)
    found: set[str] = set()
    waiting = list(session_ids)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += [*forks.get(each, ()), *([origins[each]] if each in origins else ())]
    return found


def origin_of(first_line: bytes) -> tuple[str, int] | None:
    """Of which session a journal that begins with this line is a fork, and at which version of it."""
    if _FORKED not in first_line:
        return None
    try:
        event = decode_record(first_line).event
    except Damage:
        return None
    return (event.origin, event.version) if isinstance(event, SessionForked) else None
