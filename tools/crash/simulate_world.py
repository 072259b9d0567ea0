"""A simulated world: a volume, what was done to it, and what was promised meanwhile."""

import time
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from crash.simulate_promises import Call, Promise, promise_of_document, promise_of_session
from crash.simulated_disk import BASE
from crash.simulated_volume import Operation, Volume
from journal import Session
from journal.layout import Layout
from projections.document import parse_document

STORE: Final = f"{BASE}/store"


class World:
    """A volume, what was done to it, and what was promised.

    start       the volume at the point `first`, from which on the volume's log has the operations
    contents    what a session says when its journal ends with a record, by its id and the record's
    unrecorded  what the files of another program said of sessions at the beginning
    damaged     the sessions whose journals were damaged at the beginning
    kept        bytes that must be in some file of the volume for ever
    erased      bytes that must be in none
    """

    def __init__(
        self, start: Volume | None = None, *, base: str = STORE, first: int = 0, ends: bool = False
    ) -> None:
        if start is None:
            start = Volume(time.time_ns())
            start.put(f"{BASE}/a neighbour", b"")
            start.log.clear()
        # Where nobody asks for its points, the copy is saved.
        self.start, self.volume, self.first = start, start if ends else start.copy(), first
        self.layout = Layout(base)
        self.calls: list[Call] = []
        self.contents: ChainMap[tuple[str, str], Session] = ChainMap()
        self.unrecorded: dict[str, Session] = {}
        self.damaged: set[str] = set()
        self.kept: list[bytes] = []
        self.erased: list[bytes] = []
        self._timelines: dict[str, list[bytes | None]] = {}

    @property
    def now(self) -> int:
        """The point that it is at."""
        return self.first + len(self.volume.log)

    def journal(self, session_id: str) -> bytes:
        """A session's journal as programs see it."""
        return self.volume.data(self.layout.journal(session_id)) or b""

    def sessions(self) -> list[str]:
        """The sessions that anything was promised of."""
        called = (call.thing for call in self.calls if isinstance(call.thing, str))
        return list(dict.fromkeys([*self.unrecorded, *called]))

    # Where it begins

    def put(self, path: str, data: bytes) -> None:
        """Let a file be there from the beginning, on disk."""
        assert not self.volume.log, "it has begun already"
        self.start.put(path, data)
        self.start.log.clear()
        self.volume = self.start.copy()

    def put_foreign(self, session_id: str, text: bytes) -> None:
        """Let another program's file be all that there is of a session."""
        self.put(self.layout.snapshot(session_id), text)
        self.unrecorded[session_id] = Session.from_document(parse_document(text.decode()))

    def put_in_quarantine(self, session_id: str, text: str) -> None:
        """Let everything be on disk, and a part of the journal that was cut off once in the quarantine."""
        path = f"{self.layout.quarantine}/{session_id}.0.{'0' * 8}"
        self.begin_here()
        self.put(path, text.encode())

    def forget_calls(self, number: int) -> None:
        """Take the last calls back: what they wrote is to be damaged."""
        del self.calls[-number:]

    def begin_here(self) -> None:
        """Everything that was done so far is long on disk, and no crash comes before this."""
        self.volume.sync_all()
        self.volume.log.clear()
        self.start, self.first = self.volume.copy(), 0
        self.volume = self.start.copy()
        for call in self.calls:
            call.begun = 0
            call.ended, call.durable = None if call.ended is None else 0, True

    # Where it may crash

    def points(self) -> Iterator[tuple[int, Volume, Operation | None]]:
        """Each point, with the volume as it was there, and the operation that comes next."""
        volume, log = self.start.copy(), self.volume.log
        sessions = self.sessions()
        for session_id in sessions:
            timeline = self._timelines.setdefault(session_id, [])
            del timeline[self.first :]
            timeline.extend([None] * (self.first - len(timeline)))
        for number in range(len(log) + 1):
            for session_id in sessions:
                self._timelines[session_id].append(volume.data(self.layout.journal(session_id)))
            yield self.first + number, volume, log[number] if number < len(log) else None
            if number < len(log):
                volume.do(log[number])

    def promise(self, point: int, *, power: bool) -> Promise:
        """What a crash must and may leave at a point that `points` has come to."""
        documents = dict.fromkeys(call.thing for call in self.calls if not isinstance(call.thing, str))
        return Promise(
            sessions={
                each: promise_of_session(
                    self.calls,
                    each,
                    point,
                    power=power,
                    timeline=self._timelines[each],
                    unrecorded=self.unrecorded.get(each),
                    is_damaged=each in self.damaged,
                )
                for each in self.sessions()
            },
            documents={each: promise_of_document(self.calls, each, point, power=power) for each in documents},
            under_way=[call for call in self.calls if call.is_under_way(point)],
            erased=self.erased_at(point),
        )

    def erased_at(self, point: int) -> list[bytes]:
        """What must be in no file at a point."""
        calls = (call for call in self.calls if call.erased and call.ended is not None)
        return [*self.erased, *(call.erased for call in calls if (call.ended or 0) <= point)]

    def after_kill(self, volume: Volume, point: int, *, ends: bool = False) -> "World":
        """The world in which every process was killed at a point, and others begin.

        Nothing of it is on disk that was not: the power may still be cut. `ends`: nobody will crash it.
        """
        world = self._next(volume, point, ends)
        for call in self.calls:
            if call.is_under_way(point):
                world.calls.append(replace(call, ended=None, refused=None))
            elif call.begun <= point:
                world.calls.append(call)
        world.unrecorded, world.damaged = self.unrecorded, set(self.damaged)
        if not ends:
            world._timelines = {each: timeline[:point] for each, timeline in self._timelines.items()}
        return world

    def after_power_cut(self, volume: Volume, *, ends: bool = False) -> "World":
        """The world that begins with what a power cut left: all of that is on disk."""
        return self._next(volume, 0, ends)

    def _next(self, volume: Volume, first: int, ends: bool) -> "World":
        world = World(volume, base=self.layout.base, first=first, ends=ends)
        world.contents, world.kept = self.contents.new_child(), self.kept
        return world
