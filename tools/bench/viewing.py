"""What the viewer costs in a real browser: with 100,000 records, with 10,000 sessions, live, exported."""

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from browsing import chromium, served
from measure import Row, ms, seconds

from journal import ANY, Session, StateStore
from journal.web.embedding import export_page
from projections import (
    AgentResponseAdded,
    Change,
    Event,
    MetadataSet,
    SessionCreated,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)

RECORDS: Final = 100_000
SESSIONS: Final = 10_000
_JUMPS: Final = 40
_LIVE: Final = 500
_SHOWN: Final = "article[data-seq]:not(.is-waiting)"
_MIB: Final = 1024 * 1024
# In the page: the hash is set, and each frame asks whether the record is drawn.
_JUMP: Final = """async seq => {
    const start = performance.now();
    location.hash = location.hash.replace(/seq=\\d+/, `seq=${seq}`);
    const isThere = () => document.querySelector(`article[data-seq="${seq}"]:not(.is-waiting)`);
    while (!isThere()) await new Promise(requestAnimationFrame);
    return performance.now() - start;
}"""
# What happens in each frame is done there; how long the frames took is what comes back.
_FRAMES: Final = """async ([selector, seconds]) => {
    const moved = document.querySelector(selector);
    const frames = [];
    let before = performance.now();
    const end = before + seconds * 1000;
    for (let n = 0; before < end; n += 1) {
        if (moved.type === "range") {
            moved.value = 1 + (n * 997) % moved.max;
            moved.dispatchEvent(new Event("input", { bubbles: true }));
        } else {
            moved.scrollTop = (n * 977) % (moved.scrollHeight - moved.clientHeight);
        }
        const now = await new Promise(requestAnimationFrame);
        frames.push(now - before);
        before = now;
    }
    return frames;
}"""
# When each message was in sight, by the page's clock, which is the machine's.
_WATCH: Final = """() => {
    window.seenAt = {};
    new MutationObserver(() => {
        for (const [text] of document.querySelector("main").innerText.matchAll(/live \\d+/g))
            window.seenAt[text] ??= Date.now();
    }).observe(document.querySelector("main"), { childList: true, subtree: true, characterData: true });
}"""


def rows(folder: Path) -> Iterator[Row]:
    """First paint, jumps, frames, memory; the list; how soon a live record is in sight; the exported file."""
    _fill(folder / "long")
    _fill_many(folder / "many")
    try:
        with chromium() as browser:
            yield from _session_rows(browser, folder / "long")
            yield from _list_rows(browser, folder / "many")
            yield from _live_rows(browser, folder / "live")
            yield from _export_rows(browser, folder)
    except LookupError as error:
        print(f"not measured: {error}", file=sys.stderr)


def _session_rows(browser: Any, folder: Path) -> Iterator[Row]:
    with served(folder) as address:
        page = browser.new_page(viewport={"width": 1360, "height": 850})
        page.goto(address)
        page.wait_for_selector("main")
        base = page.url.partition("#")[0]
        page.goto("about:blank")
        start = time.perf_counter()
        page.goto(f"{base}#/s/long?seq=50000")
        page.wait_for_selector(_SHOWN)
        taken = time.perf_counter() - start
        painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        yield Row(
            f"a session of {RECORDS:,} records, opened in its middle: first contentful paint",
            ms(painted),
            f"the records in sight after {ms(taken)}: the server reads up to there, once",
            "< 1 s",
            painted < 1,
        )
        numbers = random.Random(1)
        jumps = [page.evaluate(_JUMP, numbers.randrange(1, RECORDS)) / 1000 for _ in range(_JUMPS)]
        yield Row(
            f"a jump to any record of it, the slowest of {_JUMPS}",
            ms(max(jumps)),
            f"median {ms(statistics.median(jumps))}",
            "< 200 ms",
            max(jumps) < 0.2,
        )
        yield _frames_row(page, "scrubbing through it", "input.scrubber")
        heap = _heap(page)
        yield Row("the page's heap after that", f"{heap / _MIB:.0f} MiB", "", "< 100 MiB", heap < 100 * _MIB)
        memory = _memory_of_server(folder)
        yield Row("the server's memory", f"{memory / _MIB:.0f} MiB", "", "< 300 MiB", memory < 300 * _MIB)
        page.close()


def _list_rows(browser: Any, folder: Path) -> Iterator[Row]:
    with served(folder) as address:
        page = browser.new_page(viewport={"width": 1360, "height": 850})
        start = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("[role=row][data-id]")
        taken = time.perf_counter() - start
        yield Row(f"a list of {SESSIONS:,} sessions in sight", ms(taken), "", "< 1 s", taken < 1)
        yield _frames_row(page, "scrolling through it", ".sessions")
        page.close()


def _frames_row(page: Any, what: str, selector: str) -> Row:
    frames = sorted(page.evaluate(_FRAMES, [selector, 4]))
    p95 = frames[int(len(frames) * 0.95)]
    median = f"median {statistics.median(frames):.1f} ms of {len(frames)} frames"
    return Row(f"{what}: 95 of 100 frames within", f"{p95:.1f} ms", median, "< 33 ms", p95 < 33)


def _live_rows(browser: Any, folder: Path) -> Iterator[Row]:
    with ExitStack() as stack:
        store = stack.enter_context(StateStore(folder, durability="os"))
        store.save_session(Session.with_id("u", "live"))
        address = stack.enter_context(served(folder))
        page = browser.new_page(viewport={"width": 1360, "height": 850})
        page.goto(address)
        page.wait_for_selector("main")
        page.goto(f"{page.url.partition('#')[0]}#/s/live")
        page.wait_for_selector(_SHOWN)
        page.evaluate(_WATCH)
        saved = {}
        begin = time.perf_counter()
        for number in range(_LIVE):
            time.sleep(max(begin + number / 100 - time.perf_counter(), 0))
            store.append("live", [UserMessageAdded(content=f"live {number}")], expected_version=ANY)
            saved[f"live {number}"] = time.time() * 1000
        page.wait_for_timeout(1000)
        seen = page.evaluate("window.seenAt")
        # Of those that come together only the last few are in sight; the last one always is.
        delays = sorted(seen[text] - saved[text] for text in seen)
        p95 = delays[int(len(delays) * 0.95)]
        yield Row(
            "from a save to the screen, 100 saves a second: 95 of 100 within",
            f"{p95:.0f} ms",
            f"median {statistics.median(delays):.0f} ms of the {len(delays)} that were in sight",
            "< 300 ms",
            p95 < 300 and f"live {_LIVE - 1}" in seen,
        )
        page.close()


def _export_rows(browser: Any, folder: Path) -> Iterator[Row]:
    path = folder / "long.html"
    with StateStore(folder / "long") as store, path.open("wb") as file:
        taken = seconds(lambda: export_page(store, "long", file.write))
    size = path.stat().st_size
    yield Row(
        f"export of {RECORDS:,} records as a page", ms(taken), f"{size / _MIB:.1f} MiB", "< 10 s", taken < 10
    )
    page = browser.new_page(viewport={"width": 1360, "height": 850})
    start = time.perf_counter()
    page.goto(f"{path.as_uri()}#/s/long?seq=50000")
    page.wait_for_selector(_SHOWN)
    taken = time.perf_counter() - start
    yield Row("that file opened: its records in sight", ms(taken), "", "< 1.5 s", taken < 1.5)
    page.close()


def _heap(page: Any) -> float:
    devtools = page.context.new_cdp_session(page)
    devtools.send("HeapProfiler.collectGarbage")
    return float(devtools.send("Runtime.getHeapUsage")["usedSize"])


def _memory_of_server(folder: Path) -> float:
    """By the command line of the process: it serves this folder."""
    listed = subprocess.run(["ps", "-eo", "rss,args"], capture_output=True, text=True, check=True).stdout
    served_here = f"--store {folder.name} view"
    return max(float(line.split()[0]) * 1024 for line in listed.splitlines() if served_here in line)


def _fill(folder: Path) -> None:
    with StateStore(folder, durability="os") as store:
        changes = list(_work())
        for at in range(0, RECORDS, 1000):
            store.append("long", changes[at : at + 1000], expected_version=at)


def _fill_many(folder: Path) -> None:
    with StateStore(folder, durability="os") as store:
        for number in range(SESSIONS):
            session = Session.with_id(f"user-{number % 40}", f"session-{number:05}")
            session.add_user_message("a question")
            store.save_session(session)
        store.list_sessions()  # the catalog is there, as it is in a store that is used


def _work() -> Iterator[Change]:
    """An agent that works: turns of a question, three tool calls, usage, a setting, an answer."""
    chance, now, said = random.Random(1), datetime(2026, 11, 1, tzinfo=UTC), 0
    words = ["the", "agent", "looks", "at", "a", "file", "and", "says", "what", "it", "found"]

    def text(length: int) -> str:
        return " ".join(chance.choice(words) for _ in range(length))

    def turn(number: int) -> Iterator[tuple[float, Event]]:
        yield 20, UserMessageAdded(content=f"question {number}: {text(12)}")
        for call in range(3):
            call_id = f"c{number}-{call}"
            yield 1, ToolCalled(call_id=call_id, name="read", arguments=json.loads(f'{{"n":{call}}}'))
            failed = chance.random() < 0.03
            yield 1, ToolReturned(call_id=call_id, result=text(30), is_error=failed, duration_ms=900.0)
        if number % 3 == 0:
            yield 0.1, MetadataSet(key=f"key-{number % 7}", value={"step": number})
        yield 0.1, UsageRecorded(model="m", input_tokens=1000, output_tokens=100, cost=0.001)
        yield 2, AgentResponseAdded(content=f"answer {number}: {text(40)}")

    yield Change(event=SessionCreated(session_id="long", user_id="u"), at=now)
    number = 0
    while said < RECORDS - 1:
        number += 1
        for pause, event in turn(number):
            now += timedelta(seconds=pause)
            said += 1
            if said < RECORDS:
                yield Change(event=event, at=now)
