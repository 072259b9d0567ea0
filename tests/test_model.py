"""The store against a model in memory: any sequence of operations and mishaps, and they agree after each."""

import errno
import json
import os
import warnings

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, precondition, rule

from journal import ANY, CorruptRecordError, DurabilityError, JournalWarning, Session, StateStore
from journal.snapshot import document_json
from projections.document import parse_document
from tests.machine import IDS, PARTS, STORES, Machine, part_of, with_a_journal
from tests.model import ERASED, NOTE, Model, act_of, acts, do, event, shown

pytestmark = pytest.mark.filterwarnings("ignore::journal.JournalWarning")


class StoreAndModel(Machine):
    """What else happens to them: processes that end, files that are lost, other programs."""

    copies = Bundle("copies")

    def reopen_all(self):
        for n in (0, 1):
            self.crash(n)

    # Processes that end, and what may be lost without loss

    @rule(n=STORES)
    def compact(self, n):
        """Snapshots change no answer."""
        self.opened[n].compact()

    @rule(n=STORES)
    def reopen(self, n):
        """A process ends in order, another begins."""
        self.opened[n].close()
        self.opened[n] = StateStore(self.folder, durability="os")

    @rule(n=STORES)
    def crash(self, n):
        """A process ends without closing anything."""
        old, self.opened[n] = self.opened[n], StateStore(self.folder, durability="os")
        old._handles.close()
        old._marks.close()
        old._catalog.close()

    @precondition(lambda self: all(model.acts for model in self.models.values()))
    @rule()
    def lose_the_snapshots(self):
        """They are disposable, once a journal stands beside them."""
        for path in (self.folder / "sessions").glob("*.json"):
            path.unlink()

    @rule(garbage=st.none() | st.binary(max_size=200), keep=st.integers(0, 9000))
    def lose_the_catalog(self, garbage, keep):
        """So is it: removed, cut short, written over."""
        for path in (self.folder / ".journal").glob("catalog*"):
            if garbage is None:
                path.unlink()
            elif path.suffix == ".sqlite3":
                path.write_bytes(path.read_bytes()[:keep] + garbage)

    @rule()
    def lose_the_marks(self):
        """Of what was marked in them, the next process knows by itself."""
        for path in (self.folder / ".journal").glob("changed*"):
            path.unlink()
        self.reopen_all()

    # Writes that break off

    @with_a_journal
    @rule(n=STORES, session_id=IDS, torn=st.binary(min_size=1, max_size=20))
    def tear(self, n, session_id, torn):
        """A crash leaves bytes at the end; the next writer cuts them and says so in a record."""
        session_id, model = self.pick(session_id)
        with self.journal(session_id).open("ab") as file:
            file.write(torn)
        self.check(session_id, self.opened[1 - n])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            version = self.opened[n].update_session_with(session_id, lambda s: s.add_user_message("next"))
        assert [warning.category for warning in caught] == [JournalWarning]
        model.do(NOTE, ("say", "next"))
        assert version == model.version
        self.check(session_id)

    @with_a_journal
    @rule(n=STORES, session_id=IDS, done=acts, part=PARTS, repairs=st.booleans())
    def crash_in_a_write(self, n, session_id, done, part, repairs):
        """Of a real batch any part is there: the session is as before, whoever looks."""
        session_id, model = self.pick(session_id)
        path = self.journal(session_id)
        before = path.stat().st_size
        self.opened[n].append(session_id, [event(act) for act in done], expected_version=model.version)
        left = part_of(range(before, path.stat().st_size), part)
        os.truncate(path, left)
        self.crash(n)
        self.check(session_id)
        assert self.opened[1 - n].verify(session_id).ok
        if left > before and repairs:
            assert len(self.opened[n].repair(session_id)) == 1
            model.do(NOTE)
            self.check(session_id)
        elif left > before:
            model.do(NOTE)
            assert self.opened[n].append(session_id, [], expected_version=model.version - 1) == model.version

    @with_a_journal
    @rule(n=STORES, session_id=IDS, done=acts, part=st.sampled_from([0.0, 0.5, 0.99, 1.0]))
    def save_with_unknown_outcome(self, n, session_id, done, part):
        """The disk fails while a batch is written; the same save again neither doubles nor loses it."""
        session_id, model = self.pick(session_id)
        store = self.opened[n]
        session = store.load_session(session_id)
        do(session, *done)
        written = break_writes(store._disk, part)
        try:
            with pytest.raises(DurabilityError) as failed:
                store.save_session(session)
            assert failed.value.outcome_unknown
        finally:
            mend_writes(store._disk)
        model.do(*[NOTE] * (written[0] > 0 and part < 1), *done)
        assert store.save_session(session) == model.version
        assert shown(session) == model.now
        self.check(session_id)

    # What other programs do

    @with_a_journal
    @rule(
        n=STORES,
        session_id=IDS,
        part=PARTS,
        in_header=st.booleans(),
        in_place=st.booleans(),
        looks=st.booleans(),
    )
    def edit_a_record(self, n, session_id, part, in_header, in_place, looks):
        """Somebody alters a record: what came before can be read, nothing is written, a repair mends it."""
        session_id, model = self.pick(session_id)
        lines = self.journal(session_id).read_bytes().splitlines()
        told = (b'"salt":null', b'"type":"journal_repaired"')  # of what was lost before
        whole = [k for k, line in enumerate(lines, 1) if not any(mark in line for mark in told)]
        if not whole:
            return
        k = part_of(whole, part)
        mark = b'"at":"' if in_header else b'"event":{"type":"'
        at = lines[k - 1].index(mark) + len(mark) + 2
        # Two bits: of one, a repair would know what it was.
        lines[k - 1] = lines[k - 1][:at] + bytes([lines[k - 1][at] ^ 3]) + lines[k - 1][at + 1 :]
        damaged = b"".join(line + b"\n" for line in lines)
        replace(self.journal(session_id), damaged, in_place=in_place)
        is_known = not looks and self.is_current(session_id, lines[-1])
        if looks:
            self.snapshot(session_id).unlink(missing_ok=True)
            self.crash(n)
            self.check_damage(self.opened[n], session_id, k)
            assert self.journal(session_id).read_bytes() == damaged
        assert not self.opened[n].verify(session_id).ok
        self.opened[n].repair(session_id, user_id="u")
        first = json.loads(lines[k - 1]).get("first", k)
        said = model.now
        if k > 1 and not in_header:
            model.acts[k - 1] = ERASED
            model.do(NOTE)
        else:
            # The chain breaks off: what stands whole behind the last good batch is appended anew.
            stays = model.acts[: first - 1] or [model.acts[0] if k > 1 else ("create",)]
            anew = [*model.acts[len(stays) : k - 1], *model.acts[k:]]
            model.acts = [*stays, NOTE, *(act for act in anew if act[0] != "erased")]
        # A snapshot of all there was knows what was lost.
        back = [act_of(each.event) for each in self.opened[n].records(session_id, after=model.version)]
        model.do(*back)
        # A record that told of an erasure is told of in its turn.
        assert model.now == said if is_known and k > 1 else set(back) <= {NOTE}
        self.check(session_id)
        assert self.opened[1 - n].verify(session_id).ok

    def is_current(self, session_id, last_line):
        """Whether the snapshot stands for the end of the journal."""
        path = self.snapshot(session_id)
        marker = json.loads(path.read_text()).get("journal", {}) if path.exists() else {}
        return marker.get("chain") == json.loads(last_line)["chain"]

    def check_damage(self, store, session_id, k):
        """A process that has not seen the session before meets an altered record."""
        model, records = self.models[session_id], store.records(session_id)
        assert [next(records).seq for _ in range(1, k)] == [*range(1, k)]
        with pytest.raises(CorruptRecordError) as damage:
            next(records)
        assert damage.value.seq == k
        if k > 1:
            assert shown(store.load_session(session_id, at=k - 1)) == model.at(k - 1)
        for call in (
            lambda: store.load_session(session_id),
            lambda: store.load_session(session_id, at=model.version),
            lambda: store.update_session_with(session_id, lambda s: s.add_user_message("no")),
            lambda: store.append(session_id, [event(NOTE)], expected_version=ANY),
        ):
            with pytest.raises(CorruptRecordError):
                call()
        assert [each.id for each in store.list_sessions().unreadable] == [session_id]

    @with_a_journal
    @rule(n=STORES, session_id=IDS, done=acts, meanwhile=st.just([]) | acts, in_place=st.booleans())
    def rewrite_the_snapshot(self, n, session_id, done, meanwhile, in_place):
        """Another program changes its file; the journal wins until a repair takes the change in."""
        session_id, model = self.pick(session_id)
        foreign = self.opened[n].load_session(session_id)
        do(foreign, *done)
        replace(self.snapshot(session_id), document_json(foreign), in_place=in_place)
        self.check(session_id)
        assert not self.opened[n].verify(session_id).ok
        if meanwhile:
            self.opened[1 - n].update_session_with(session_id, lambda session: do(session, *meanwhile))
            model.do(*meanwhile)
            self.check(session_id)
        self.opened[n].repair(session_id)
        model.do(*(act_of(each.event) for each in self.opened[n].records(session_id, after=model.version)))
        assert model.now == shown(foreign)
        self.check(session_id)

    @with_a_journal
    @rule(session_id=IDS)
    def lose_the_journal(self, session_id):
        """Somebody removes it: what its snapshot says is all there is, and no version of it."""
        session_id, _ = self.pick(session_id)
        self.journal(session_id).unlink()
        if self.snapshot(session_id).exists():
            document = parse_document(self.snapshot(session_id).read_text())
            self.models[session_id] = Model(before=shown(Session.from_document(document)))
        else:
            del self.models[session_id]
        self.check(session_id)

    @with_a_journal
    @rule(target=copies, session_id=IDS)
    def keep_a_copy(self, session_id):
        """A backup, for a restore later."""
        session_id, model = self.pick(session_id)
        return session_id, self.journal(session_id).read_bytes(), list(model.acts)

    @rule(copy=copies, in_place=st.booleans())
    def restore_a_copy(self, copy, in_place):
        """Somebody puts an older journal in the place of the newer one, or of none."""
        session_id, data, acts = copy
        replace(self.journal(session_id), data, in_place=in_place)
        self.models[session_id] = Model(acts)
        self.check(session_id)
        if in_place:
            self.reopen_all()  # else a list would not know: the folder did not change


def replace(path, data, *, in_place):
    """Put a file in the place of another, or write over it."""
    other = path if in_place else path.with_name("other")
    other.write_bytes(data)
    os.utime(other)  # a moment of its own, however soon after another change
    other.rename(path)


def break_writes(disk, part):
    """From now on a write of records ends after a part of it, and nothing can be cut off again."""
    written = []

    def write(fd, data):
        if bytes(data[:6]) != b'{"v":1':
            return os.write(fd, data)
        written.append(os.write(fd, data[: int(len(data) * part)]))
        raise OSError(errno.EIO, "broken")

    def truncate(fd, size):
        raise OSError(errno.EIO, "broken")

    disk.write, disk.truncate = write, truncate
    return written


def mend_writes(disk):
    """They work again."""
    del disk.write, disk.truncate


TestStoreAndModel = StoreAndModel.TestCase
TestStoreAndModel.settings = settings(max_examples=80, stateful_step_count=40)
