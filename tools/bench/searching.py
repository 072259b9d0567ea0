"""How fast journals are indexed, and how long a search takes once they are."""

import random
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measure import Row, medians, ms, seconds

from journal import ANY, Session, StateStore
from journal.indexing import text_for
from projections import AgentResponseAdded, ToolCalled, ToolReturned, UserMessageAdded
from projections.document import Json

GIB = 1 << 30
SESSIONS = 1_000
SYLLABLES = "ba co du fe gi ha jo ka lu me ni po qua re si to vu wa xy za".split()  # noqa: SIM905
# What is looked for: how often a word stands there is what a search depends on.
QUERIES = {
    "a rare word": "ticket4711",
    "a common word": "baba",
    "three common words": "baba bacoco badudu",
    "a phrase": '"baba bababa"',
    "a beginning": "xyza*",
    "a common word without another": "baba -bacoba",
    "nothing": "nosuchword",
}


def rows(folder: Path) -> Iterator[Row]:
    """Index 1 GiB of journals of 1,000 sessions; search them; search again after one more message."""
    with StateStore(folder / "search", durability="os") as store:
        ids = _fill(store)
        size = sum(path.stat().st_size for path in (folder / "search" / "sessions").glob("*.jsonl"))
        store.list_sessions(limit=1)  # the catalog is made by whoever comes first
        taken = seconds(lambda: store.search("nosuchword"))
        bare = seconds(lambda: _into_a_table(store, ids, folder / "table.sqlite3"))
        yield Row(
            f"index {size / GIB:.1f} GiB of journals",
            f"{size / taken / 1e6:,.0f} MB/s = {taken / bare:.2f} ×",
            f"their texts into a plain table {size / bare / 1e6:,.0f} MB/s",
            "> 20 MB/s",
            size / taken > 20e6,
        )
        index = (folder / "search" / ".journal" / "search.sqlite3").stat().st_size
        yield Row("size of the index", f"{index / size:.0%} of the journals", "", "(no target)", True)
        for what, query in QUERIES.items():
            found = len(store.search(query))
            (median,) = medians(40, partial(store.search, query))
            yield Row(f"search for {what}: {found} hits", ms(median), "", "< 100 ms", median < 0.1)
        (median,) = medians(40, lambda: store.search("baba", user_id="user-7"))
        yield Row("search for a common word of one user", ms(median), "", "< 100 ms", median < 0.1)

        def say_and_search() -> None:
            store.append(ids[7], [UserMessageAdded(content="one more baba")], expected_version=ANY)
            store.search("ticket4711")

        (median,) = medians(40, say_and_search)
        yield Row("save a message, then search for a rare word", ms(median), "", "< 100 ms", median < 0.1)


def _fill(store: StateStore) -> list[str]:
    """Sessions of messages and tool calls, whose words are as unevenly spread as those of a language."""
    draw = random.Random(1)
    words = ["".join(draw.choices(SYLLABLES, k=draw.randint(2, 4))) for _ in range(50_000)]
    words[:4] = ["baba", "bababa", "bacoco", "badudu"]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    pieces = [" ".join(draw.choices(words, weights, k=40)) for _ in range(20_000)]
    ids = []
    for number in range(SESSIONS):
        session = Session.with_id(f"user-{number % 50}", f"session-{number:04}")
        store.save_session(session)
        ids.append(session.id)
        left = GIB // SESSIONS
        while left > 0:
            batch = [event for _ in range(20) for event in _turn(draw, pieces)]
            store.append(session.id, batch, expected_version=ANY)
            left -= 52_500  # what such a batch takes
    return ids


def _turn(
    draw: random.Random, pieces: list[str]
) -> list[AgentResponseAdded | ToolCalled | ToolReturned | UserMessageAdded]:
    """A question, a tool's call and its result, an answer."""
    call = f"call-{draw.randrange(10**9)}"
    found: Json = {"ticket": f"ticket{draw.randrange(10**6)}", "amount": draw.randrange(1000)}
    return [
        UserMessageAdded(content=draw.choice(pieces)),
        ToolCalled(call_id=call, name="look_up", arguments={"query": draw.choice(pieces)[:60]}),
        ToolReturned(call_id=call, result={"status": "ok", "found": [found], "text": draw.choice(pieces)}),
        AgentResponseAdded(content="\n\n".join(draw.choices(pieces, k=3))),
    ]


def _into_a_table(store: StateStore, ids: list[str], path: Path) -> None:
    """The same records read, their texts put into a table of SQLite's."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma journal_mode = wal")
    database.execute("create table record (row integer primary key, text text)")
    for session_id in ids:
        database.execute("begin")
        texts = ((text_for(record.event),) for record in store.records(session_id))
        database.executemany("insert into record (text) values (?)", texts)
        database.execute("commit")
    database.close()
