"""Promises: what each call acknowledged, and so what a crash must and may leave of a session or a document.

A point is a number of operations. What was acknowledged at a point, and what was under way, is what a crash
there is held against.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from journal import Session, StateStore
from journal.chain import outline

_REPAIRED: Final = b'{"type":"journal_repaired"'

# A document: its category, its name, and its ending.
Key: TypeAlias = tuple[str, str, str]


class Broken(Exception):
    """A promise was broken; the text says what was expected, and what was found."""


class Place(NamedTuple):
    """Where a record is, and its id."""

    session_id: str
    version: int
    record_id: str


class Batch(NamedTuple):
    """A batch of a journal: the version and the byte behind it, and the id of the last record that counts.

    A record of a repair does not: what stands before it is still what the session says.
    """

    version: int
    end: int
    last_id: str


@lru_cache(maxsize=4096)
def batches(journal: bytes) -> list[Batch]:
    """The whole batches at the beginning of a journal, as far as its lines are records."""
    found: list[Batch] = []
    end, last_id = 0, ""
    for seq, line in enumerate(journal.split(b"\n")[:-1], 1):
        record = outline(line)
        if record is None or record.seq != seq:
            break
        end += len(line) + 1
        if not bytes(record.event).startswith(_REPAIRED):
            last_id = record.id
        if not record.more:
            found.append(Batch(seq, end, last_id))
    return found


@dataclass(eq=False, kw_only=True)
class Call:
    """A call that changes something, and what it promises.

    thing           the id of the session, or the document, that it changes
    begun           the point at which it was made
    durable         whether what it acknowledges survives a power cut
    leads_to        what is there when it is done; None for nothing, an Ellipsis where only doing it tells
    ended, refused  the points at which it returned, or raised that it wrote nothing; None where it did not
    kind            a deletion or a repair starts over: it need not go on from what was there before; an
                    erasure writes what was there anew
    retry           makes the same call once more
    base, chain     the version of the session that it goes on from, and its chain hash
    by_number       it says what it goes on from by that number alone
    journal         the session's journal up to what was acknowledged
    last_id         the id of the last record that it writes, if that is known
    erased          what stands nowhere in the store's folder once it returned
    place           the last record that it makes a fork of, or the one that it erases
    """

    thing: str | Key
    begun: int
    durable: bool
    leads_to: Any = ...
    ended: int | None = None
    refused: int | None = None
    kind: Literal["change", "deletion", "repair", "erasure"] = "change"
    retry: Callable[[StateStore], object] | None = None
    base: int = 0
    chain: bytes | None = None
    by_number: bool = False
    journal: bytes = b""
    last_id: str = ""
    erased: bytes = b""
    place: Place | None = None

    def is_under_way(self, point: int) -> bool:
        """Whether it was made by then, and its outcome is not told."""
        return (
            self.begun <= point
            and (self.ended is None or self.ended > point)
            and (self.refused is None or self.refused > point)
        )


@dataclass(kw_only=True)
class SessionPromise:
    """What must and what may be there of a session.

    must            the first bytes of its journal
    may_be_gone     whether it may be not there at all
    may_start_over  whether it may be another one, which does not begin with `must`
    deletions       how many notes of its deletion there must be; one more if it is gone and `is_going`
    grew            what its journal was since: any of the whole batches behind `must` may be there
    unrecorded      what it says where there is no record: what another program's file says
    is_loose        damage may be found, and must be mendable
    """

    must: bytes = b""
    may_be_gone: bool = True
    may_start_over: bool = False
    deletions: int = 0
    is_going: bool = False
    grew: list[bytes] = field(default_factory=list)
    unrecorded: Session | None = None
    is_loose: bool = False


@dataclass(kw_only=True)
class DocumentPromise:
    """What may be there of a document: one of `values`; if loose, whatever."""

    values: list[object]
    is_loose: bool


@dataclass(kw_only=True)
class Promise:
    """What must and what may be there after a crash, the calls that were under way, and what is erased."""

    sessions: dict[str, SessionPromise]
    documents: dict[Key, DocumentPromise]
    under_way: list[Call]
    erased: list[bytes]


def safe_and_unsafe(
    calls: list[Call], thing: str | Key, point: int, *, power: bool
) -> tuple[list[Call], list[Call]]:
    """The calls about a thing that a crash cannot undo, and those that it may."""
    safe, unsafe = [], []
    for call in calls:
        if call.thing != thing or call.begun > point:
            continue
        if call.ended is not None and call.ended <= point and (call.durable or not power):
            safe.append(call)
        elif call.refused is None or call.refused > point:
            unsafe.append(call)
    safe.sort(key=lambda call: call.ended or 0)
    if safe:
        # What ended before the last that is safe is covered by it.
        last = safe[-1].ended or 0
        unsafe = [call for call in unsafe if call.ended is None or call.ended > last]
    return safe, unsafe


def promise_of_session(
    calls: list[Call],
    session_id: str,
    point: int,
    *,
    power: bool,
    timeline: list[bytes | None],
    unrecorded: Session | None,
    is_damaged: bool,
) -> SessionPromise:
    """What a crash at a point must and may leave of a session.

    timeline    its journal at each point
    unrecorded  what another program's file said of it at the beginning
    is_damaged  whether its journal was damaged at the beginning
    """
    safe, unsafe = safe_and_unsafe(calls, session_id, point, power=power)
    since = 0
    promise = SessionPromise(unrecorded=unrecorded, may_be_gone=unrecorded is None)
    if safe:
        # Whoever wrote last may be told first.
        last = safe[-1]
        best = max((call for call in safe if call.journal.startswith(last.journal)), key=_length)
        best = last if last.leads_to is None else best
        promise.must, since = best.journal, last.ended or 0
        promise.may_be_gone = best.leads_to is None
        promise.deletions = sum(call.kind == "deletion" for call in safe)
        if promise.deletions:
            promise.unrecorded = None
    promise.is_loose = power and not all(call.durable for call in unsafe)
    if any(call.kind == "deletion" for call in unsafe):
        promise.may_be_gone = promise.may_start_over = True
        # It is noted before anything is gone, and where all is durable, for good.
        promise.is_going = bool(promise.must) and not promise.is_loose
    if any(call.kind == "erasure" for call in unsafe):
        promise.may_start_over = True
    if is_damaged and not any(call.kind == "repair" for call in safe):
        promise.is_loose = True
    promise.grew = _grew(timeline[since : point + 1])
    return promise


def _length(call: Call) -> int:
    return len(call.journal)


def promise_of_document(calls: list[Call], key: Key, point: int, *, power: bool) -> DocumentPromise:
    """What a crash at a point may leave of a document."""
    safe, unsafe = safe_and_unsafe(calls, key, point, power=power)
    return DocumentPromise(
        values=[safe[-1].leads_to if safe else None, *(call.leads_to for call in unsafe)],
        is_loose=(power and any(not call.durable for call in unsafe))
        or any(call.leads_to is ... for call in safe[-1:]),
    )


def _grew(timeline: list[bytes | None]) -> list[bytes]:
    """What the journal was, one after the other, without what only goes on from the one before."""
    grew: list[bytes] = []
    previous: bytes | None = None
    for journal in timeline:
        if journal is not previous and journal:
            if grew and journal.startswith(grew[-1]):
                grew[-1] = journal
            else:
                grew.append(journal)
        previous = journal
    return grew
