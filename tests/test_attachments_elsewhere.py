"""Attachments of stores on several machines: no lock reaches the others, and none is lost all the same.

One store deletes a session while another one records the same bytes anew: the one stops before a step of its
own, the other goes as far as one of its steps, the first goes on to its end, and so does the other.
"""

import threading
from contextlib import closing

import pytest

from journal import JournalWarning, StateStore
from journal.backend import Unreachable
from journal.memory import MemoryBackend
from journal.replica import Replica
from journal.waiting import AtOnce

LARGE = "large " * 100


class Stepwise(MemoryBackend):
    """A backend that two threads ask, each of which may be stopped before one of its questions."""

    def __init__(self):
        super().__init__("stepwise")
        self.asked, self.stops = {}, {}
        self.stopped, self.goes_on = {}, {}
        for asks, names in (
            (self.files, ("get", "put", "remove", "names")),
            (self.journals, ("append", "replace", "delete", "read", "head")),
        ):
            for name in names:
                setattr(asks, name, self.stepwise(getattr(asks, name)))

    def stepwise(self, ask):
        def step(*arguments):
            who = threading.current_thread().name
            self.asked[who] = self.asked.get(who, 0) + 1
            if self.asked[who] == self.stops.get(who):
                self.stopped[who].set()
                assert self.goes_on[who].wait(30)
            return ask(*arguments)

        return step

    def begin(self, who, work, stop):
        """Do some work in a thread, up to before its question of this number."""
        self.asked[who], self.stops[who] = 0, stop
        self.stopped[who], self.goes_on[who] = threading.Event(), threading.Event()

        def run():
            try:
                work()
            finally:
                self.stopped[who].set()

        thread = threading.Thread(target=run, name=who, daemon=True)
        thread.start()
        assert self.stopped[who].wait(30)
        return thread

    def finish(self, who, thread):
        self.goes_on[who].set()
        thread.join(30)
        assert not thread.is_alive()


def on(backend, folder):
    folder.mkdir(parents=True)
    return closing(StateStore._on(Replica(backend, AtOnce(), str(folder)), "disk", None, None, 100))


def record(store, session_id):
    """A new session, with a value that is too large for its record."""
    with store.open_session(session_id, user_id="u") as live:
        live.add_event("read", LARGE)


def play(folder, order, stops):
    """Each does its work, stopped before the question of the number in `stops`; how many each asked."""
    backend = Stepwise()
    with on(backend, folder / "a") as one, on(backend, folder / "b") as other:
        record(one, "old")
        other.load_session("old")
        work = {"deletes": lambda: one.delete_session("old"), "records": lambda: record(other, "new")}
        first, second = order
        threads = {who: backend.begin(who, work[who], stops[who]) for who in order}
        backend.finish(first, threads[first])
        backend.finish(second, threads[second])
    with on(backend, folder / "c") as third:
        *_, record_of_it = third.records("new")
        assert third.session_ids() == ["new"]
        assert third.attachment(record_of_it.event.data) == f'"{LARGE}"'.encode()
    return backend.asked


NEVER = {"deletes": 0, "records": 0}


@pytest.mark.parametrize("order", [("deletes", "records"), ("records", "deletes")], ids=" then ".join)
def test_what_is_recorded_anew_while_it_is_deleted_stays_whatever_the_steps(tmp_path, order):
    asked = play(tmp_path / "all", order, NEVER)
    assert min(asked.values()) > 4
    for deletes in range(1, asked["deletes"] + 1):
        for records in range(1, asked["records"] + 1):
            play(tmp_path / f"{deletes}-{records}", order, {"deletes": deletes, "records": records})


def test_a_record_that_is_there_does_not_look_as_if_it_were_not(tmp_path):
    """Its attachment could not be put anew: that is told, and it is there most likely."""
    backend = Stepwise()
    with on(backend, tmp_path / "a") as store:
        put, puts = backend.files.put, []

        async def put_once(name, data):
            puts.append(name)
            if len(puts) > 1:
                raise Unreachable("nobody answers")
            return await put(name, data)

        backend.files.put = put_once
        with pytest.warns(JournalWarning, match="nobody answers.*`journal verify`"):
            record(store, "s")
        assert len(puts) == 2
        assert store.verify("s").ok
