"""Records whose hashes fit, and whose content no writer lets through: a JournalError, never another one.

Whoever may write the folder can compute the hashes; the chain says nothing about what a record holds.
"""

import contextlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.forging import CREATED, SAID, forged, head

from journal import JournalError, Session, StateStore, UserMessage
from journal.export import export_json, export_lines, export_markdown

DOCUMENT = {
    "id": "s",
    "user_id": "u",
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}
_DOCUMENT = json.dumps(DOCUMENT).encode()
_TIMES = (b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"2026-01-01T00:00:00")


def nested(depth: int) -> bytes:
    """Lists in lists."""
    return b"[" * depth + b"]" * depth


def adopted(document: bytes) -> bytes:
    """The event that takes in another program's file."""
    return b'{"type":"session_adopted","document":%b}' % json.dumps(document.decode()).encode()


def replaced(**keys: object) -> bytes:
    """The event that sets a session to a new state."""
    return b'{"type":"session_replaced","session":%b}' % json.dumps(DOCUMENT | keys).encode()


VALUES = {
    **{f"nested {depth}": nested(depth) for depth in (101, 253, 960, 100_000)},
    **{f"{digits} digits": b"1" * digits for digits in (25, 5000, 100_000)},
    "1e400": b"1e400",
    "a float of many digits": b"0." + b"1" * 100_000,
    "a large float": b"1" * 400 + b".0",
    "half a pair": b'"\\ud800"',
    "half a pair in a key": b'{"\\ud800":1}',
    "no UTF-8": b'"\xff"',
    "a NUL": b'"\\u0000"',
    "a key twice": b'{"a":1,"a":2}',
    "many keys": b"{" + b'"a":0,' * 100_000 + b'"a":1}',
    "many lists": b"[" + b"[]," * 20_000 + b"[]]",
}
EVENTS = {
    **{f"metadata: {n}": b'{"type":"metadata_set","key":"k","value":%b}' % v for n, v in VALUES.items()},
    **{f"unknown: {n}": b'{"type":"dreamed","value":%b}' % v for n, v in VALUES.items()},
    **{f"tool: {n}": b'{"type":"tool_returned","call_id":"c","result":%b}' % v for n, v in VALUES.items()},
    **{
        f"adopted: {n}": adopted(_DOCUMENT[:-1] + b',"metadata":{"k":%b}}' % v)
        for n, v in VALUES.items()
        if b"\xff" not in v
    },
    **{f"replaced: {n}": replaced()[:-2] + b',"metadata":{"k":%b}}}' % v for n, v in VALUES.items()},
    **{
        f"said at {at.decode()}": b'{"type":"user_message_added","content":"x","timestamp":"%b"}' % at
        for at in _TIMES
    },
    **{f"replaced at {at.decode()}": replaced(updated_at=at.decode()) for at in _TIMES},
}
SHAPES = {
    "no object": b"[]",
    "a number": b"1",
    "no type": b"{}",
    "a type that is a number": b'{"type":5}',
    "a type twice": b'{"type":"dreamed","type":"metadata_set","key":"k","value":1}',
    "a wrong type": b'{"type":"metadata_set","key":1,"value":1}',
    "half of an event": b'{"type":"metadata_set"',
    "two events": b'{"type":"dreamed"},"event":{"type":"dreamed"}',
    "spaces": b' { "type" : "metadata_set" , "key":"k", "value":1 } ',
    "another session": b'{"type":"session_created","session_id":"t","user_id":"u"}',
    "a session outside": b'{"type":"session_created","session_id":"../../x","user_id":"u"}',
    "replaced by another": replaced(id="t"),
    "adopted another": adopted(_DOCUMENT.replace(b'"s"', b'"../x"')),
    "adopted nothing": adopted(b"{}"),
    "adopted NaN": adopted(_DOCUMENT[:-1] + b',"metadata":{"k":NaN}}'),
    "a repair elsewhere": b'{"type":"journal_repaired","offset":-1,"size_bytes":%b,"reason":"",'
    b'"quarantine":"../../x"}' % (b"9" * 30),
}
HEADS = {
    **{f"at {at.decode()}": head(at=at) for at in (*_TIMES, b"yesterday", b"2026-01-01T00:00:00+00:00:30")},
    "an id that is no UTF-8": head(id=b"\xff"),
    "an id of half a pair": head(id=b"\\ud800"),
    "an id that looks like a chain": head(id=b'a","chain":"b'),
    "first": head(more=b',"first":1'),
    "more and first": head(more=b',"more":1,"first":1'),
    "an actor that is no UTF-8": head(more=b',"by":"\xff"'),
    "an actor that is a number": head(more=b',"by":5'),
    "an actor that is deep": head(more=b',"by":%b' % nested(2000)),
    "a key of half a pair": head(more=b',"key":"\\ud800"'),
    "a number twice": head(more=b',"seq":7'),
    "another key": head(more=b',"extra":[1]'),
}
JOURNALS = {
    **{name: forged([CREATED], [SAID], [event]) for name, event in (EVENTS | SHAPES).items()},
    **{f"first: {name}": forged([event], [SAID]) for name, event in SHAPES.items()},
    **{f"header: {name}": forged([CREATED], [SAID], [(each, SAID)]) for name, each in HEADS.items()},
    **{f"in a batch: {name}": forged([CREATED, (each, SAID), SAID]) for name, each in HEADS.items()},
}


def _by_hand(store: StateStore) -> None:
    if (session := store.load_session("s")) is not None:
        session.metadata["z"] = 1
        session.user_messages.append(UserMessage("by hand"))
        store.save_session(session)


READERS: list[Callable[[StateStore], object]] = [
    lambda store: store.load_session("s"),
    lambda store: store.load_session("s", at=2),
    lambda store: [str(record) for record in store.records("s")],
    lambda store: store.verify("s"),
    lambda store: store.diagnose("s"),
    lambda store: store.list_sessions(),
    lambda store: store.load_json("sessions", "s"),
    lambda store: export_json(store, "s"),
    lambda store: export_markdown(store, "s"),
    lambda store: export_lines(store, "s", lambda line: None),
]
WRITERS: list[Callable[[StateStore], object]] = [
    lambda store: store.compact("s"),
    lambda store: store.update_session_with("s", lambda s: s.add_user_message("x")),
    _by_hand,
    lambda store: store.repair("s"),
]


@pytest.mark.parametrize("name", JOURNALS)
def test_content_that_no_writer_lets_through_is_an_error_of_ours(folder: Path, name: str):
    """Every call answers or raises a JournalError; reads change nothing; a repair makes the session work."""
    path = folder / "sessions" / "s.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(JOURNALS[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with StateStore(folder, durability="os") as store:
            for call in READERS:
                with contextlib.suppress(JournalError):
                    call(store)
            after_reads = path.read_bytes()
        with StateStore(folder, durability="os", snapshots="always") as store:
            for call in WRITERS:
                with contextlib.suppress(JournalError):
                    call(store)
        works = _works_now(folder)

    assert after_reads == JOURNALS[name]
    assert works


def _works_now(folder: Path) -> bool:
    """Whether the session can be written and verified; or nothing can mend it, and it says so."""
    with StateStore(folder, durability="os") as store:
        try:
            session = store.load_session("s")
        except JournalError:
            return bool(store.diagnose("s").hopeless)
        if session is None:
            store.save_session(Session.with_id("u", "s"))
        return store.update_session_with("s", lambda s: s.add_user_message("x")) > 0 and store.verify("s").ok
