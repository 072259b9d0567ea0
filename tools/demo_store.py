"""A store with something to look at: a debugging agent at work, a fork of it, a long talk, and odd messages.

The same at every run but for ids and hashes: tests look at it, and screenshots are made of it.
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from journal import StateStore
from journal.importers import import_path
from projections import (
    AgentResponseAdded,
    Change,
    Event,
    MetadataSet,
    ReasoningAdded,
    SessionCreated,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)

START = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
LIMA = Path(__file__).with_name("lima.jsonl")
MODEL = "scripted-1"


def fill(store: StateStore) -> None:
    """Fill an empty store."""
    import_path(store, LIMA, user_id="ada")
    image = store.attach(_chart(), "image/png")
    for session_id, user_id, said in (
        ("flaky-test", "grace", _flaky_test(image)),
        ("long-talk", "ada", _long_talk()),
        ("odd-messages", "mallory", _odd_messages()),
    ):
        created = Change(event=SessionCreated(session_id=session_id, user_id=user_id), at=START)
        store.append(session_id, [created, *said], expected_version=0)
    # Before the fix that made things worse: another way out.
    before = next(
        record.seq for record in store.records("flaky-test") if isinstance(record.event, ReasoningAdded)
    )
    with store.acting(by="user:grace"):
        store.fork("flaky-test", before, new_id="flaky-test-retry")
    store.append("flaky-test-retry", list(_other_way()), expected_version=before)


class _Clock:
    """Tells when things happened: a little later each time."""

    def __init__(self) -> None:
        self._now = START

    def after(self, seconds: float, event: Event) -> Change:
        self._now += timedelta(seconds=seconds)
        is_users = isinstance(event, UserMessageAdded)
        return Change(event=event, at=self._now, by="user" if is_users else "agent:helper")


def _flaky_test(image: object) -> Iterator[Change]:
    at = _Clock().after
    yield at(2, UserMessageAdded(content="`test_upload` fails about one time in ten on CI. Find out why?"))
    yield at(1, MetadataSet(key="plan", value=["reproduce", "find the cause", "mend it"]))
    yield at(
        3, ToolCalled(call_id="c1", name="run_tests", arguments={"path": "tests/test_upload.py", "times": 20})
    )
    yield at(
        41,
        ToolReturned(
            call_id="c1",
            is_error=True,
            duration_ms=41_000.0,
            result="\x1b[31mFAILED\x1b[0m tests/test_upload.py::test_upload \x1b[2m(2 of 20)\x1b[0m\n"
            "\x1b[1mE   TimeoutError: the server did not answer within 0.2 s\x1b[0m\n"
            "\x1b[32m18 passed\x1b[0m, \x1b[31m2 failed\x1b[0m in 40.71s",
        ),
    )
    yield at(0.2, UsageRecorded(model=MODEL, input_tokens=1_840, output_tokens=96, cost=0.0021))
    yield at(
        2,
        AgentResponseAdded(
            content="It fails 2 times in 20 here, too: the server is not up when the test asks."
        ),
    )
    yield at(1, MetadataSet(key="plan", value=["find the cause", "mend it"]))
    yield at(
        2, ReasoningAdded(content="A longer timeout would hide it. The fixture does not wait for the port.")
    )
    yield at(
        1,
        ToolCalled(
            call_id="c2", name="edit", arguments={"path": "tests/conftest.py", "old": "0.2", "new": "5"}
        ),
    )
    yield at(0.1, ToolReturned(call_id="c2", result={"changed": 1}, duration_ms=12.5))
    yield at(
        2, ToolCalled(call_id="c3", name="run_tests", arguments={"path": "tests/test_upload.py", "times": 20})
    )
    yield at(
        96,
        ToolReturned(call_id="c3", result="\x1b[32m20 passed\x1b[0m in 95.80s", duration_ms=96_000.0),
    )
    yield at(0.2, UsageRecorded(model=MODEL, input_tokens=3_210, output_tokens=184, cost=0.0038))
    yield at(1, ToolCalled(call_id="c4", name="plot", arguments={"what": "seconds a run"}))
    yield at(1, ToolReturned(call_id="c4", result=image, duration_ms=830.0))  # type: ignore[arg-type]
    yield at(
        2,
        AgentResponseAdded(
            content="All 20 pass, but each run takes **twice as long** now:\n\n"
            "- the timeout is 5 s instead of 0.2 s\n"
            "- the *cause* is still there: `conftest.py` does not wait for the port\n\n"
            "```python\nserver = Server(port=0)\nserver.start()  # returns before it listens\n```\n\n"
            "Shall I wait for the port instead? See [the docs](https://docs.python.org/3/library/socket.html)."
        ),
    )
    yield at(1, MetadataSet(key="plan", value=["mend it"]))
    yield at(3_600, UserMessageAdded(content="Yes, please. And put the timeout back."))
    yield at(
        2,
        ToolCalled(
            call_id="c5", name="edit", arguments={"path": "tests/conftest.py", "old": "5", "new": "0.2"}
        ),
    )
    yield at(
        0.1,
        ToolReturned(
            call_id="c5",
            is_error=True,
            result="error: `5` is there 3 times; say which",
            duration_ms=9.0,
        ),
    )
    yield at(2, AgentResponseAdded(content="I need a moment: the edit is not unique."))


def _other_way() -> Iterator[Change]:
    at = _Clock().after
    yield at(60, ReasoningAdded(content="Wait for the port in the fixture, and leave the timeout alone."))
    yield at(
        2,
        ToolCalled(
            call_id="d1", name="edit", arguments={"path": "tests/conftest.py", "add": "wait_for(port)"}
        ),
    )
    yield at(0.1, ToolReturned(call_id="d1", result={"changed": 1}, duration_ms=11.0))
    yield at(
        2, ToolCalled(call_id="d2", name="run_tests", arguments={"path": "tests/test_upload.py", "times": 20})
    )
    yield at(
        43, ToolReturned(call_id="d2", result="\x1b[32m20 passed\x1b[0m in 42.10s", duration_ms=43_000.0)
    )
    yield at(0.3, MetadataSet(key="plan", value=[]))
    yield at(
        2,
        AgentResponseAdded(
            content="Mended: the fixture waits for the port. 20 of 20 pass, as fast as before."
        ),
    )


def _long_talk() -> Iterator[Change]:
    at = _Clock().after
    for number in range(1, 121):
        yield at(40, UserMessageAdded(content=f"Question {number}: what is {number} times {number + 1}?"))
        if number % 40 == 0:
            yield at(1, ToolReturned(call_id=f"late-{number}", result="no such call", is_error=True))
        yield at(number % 7 + 0.5, AgentResponseAdded(content=f"It is {number * (number + 1):,}."))
        if number % 10 == 0:
            yield at(
                0.1,
                UsageRecorded(
                    model=MODEL,
                    input_tokens=400 + 60 * number,
                    output_tokens=40 + number,
                    cost=number / 10_000,
                ),
            )


def _odd_messages() -> Iterator[Change]:
    at = _Clock().after
    yield at(
        1, UserMessageAdded(content="<script>document.title='broken'</script><img src=x onerror=alert(1)>")
    )
    yield at(1, UserMessageAdded(content="[a link](javascript:alert(1)) and [another](https://example.com)"))
    yield at(
        1,
        UserMessageAdded(
            content="turned round: \u202egnp.exe\u202c, and hid\u200bden, and \U000e0041\U000e0042"
        ),
    )
    yield at(
        1,
        ToolReturned(
            call_id="x", result="\x1b]52;c;cm0gLXJmIC8=\x07\x1b]8;;https://example.com\x07go\x1b]8;;\x07"
        ),
    )
    yield at(
        1,
        AgentResponseAdded(
            content="# A title\n\n> quoted\n\n1. one\n2. two\n\n`</textarea>` **bold _both_**"
        ),
    )


def _chart() -> bytes:
    """A small picture: bars that grow."""
    width, height = 160, 80
    rows = b"".join(
        b"\0"
        + b"".join(
            b"\x2f\x6f\xde" if height - y < 8 + (x // 20) * 9 and x % 20 > 4 else b"\xf4\xf6\xfa"
            for x in range(width)
        )
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
