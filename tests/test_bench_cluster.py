"""What tools/bench/run measures on servers: everything once, in small, and the floor is what it says."""

import asyncio
import importlib
import re
from pathlib import Path

import pytest

from journal import AsyncStateStore
from projections import SessionCreated, UserMessageAdded

BENCH = Path(__file__).parents[1] / "tools/bench"


@pytest.fixture
def modules(monkeypatch):
    """The benchmark, in small, and the bare client."""
    monkeypatch.syspath_prepend(str(BENCH))
    clustered = importlib.import_module("clustered")
    for name in ("RECORDS", "SESSIONS"):
        monkeypatch.setattr(clustered, name, 150)
    for name in ("BLOCKS", "ROUNDS", "TOGETHER_APPENDS"):
        monkeypatch.setattr(clustered, name, 1)
    return clustered, importlib.import_module("bare_nats")


def test_each_figure_stands_beside_its_floor(modules, tmp_path, monkeypatch):
    """At one node and at three."""
    clustered, _ = modules
    rows = list(clustered.rows(tmp_path))

    assert [row.what.split(":")[0] for row in rows] == ["one node"] * 7 + ["3 nodes"] * 7
    for row in rows:
        assert "bare" in row.floor
        share = int(re.search(r"(\d+) %", row.figure)[1])
        if row.target == "≥ 80 %" and share != 80:
            assert row.holds == (share > 80)


def test_a_bare_client_reads_what_is_there_and_writes_as_the_store_does(modules, three_nodes, store_name):
    """In a stream of the same settings; in the store's own it sees each message and each subject."""
    _, bare_nats = modules

    async def measure():
        where = three_nodes.url(store_name)
        async with await AsyncStateStore.connect(where, monitor=",".join(three_nodes.monitors)) as store:
            for number in range(5):
                session_id = f"s{number}"
                created = SessionCreated(session_id=session_id, user_id="u")
                await store.append(session_id, [created], expected_version=0)
                events = [UserMessageAdded(content="a"), UserMessageAdded(content="b")]
                await store.append(session_id, events, expected_version=1)
        bare = await bare_nats.Bare.beside(three_nodes.urls, store_name)
        await bare.make_stream()
        payload = await bare.one_payload()
        await bare.listen("s")
        heard = await bare.heard_after("s", payload, 3)
        infos = [await bare._ask(f"STREAM.INFO.{name}") for name in (store_name, bare_nats.NAME)]
        try:
            return (await bare.replay())[0], (await bare.subjects())[0], payload, heard, infos
        finally:
            await bare._ask(f"STREAM.DELETE.{bare_nats.NAME}")
            await bare.close()

    replayed, subjects, payload, heard, (ours, theirs) = asyncio.run(measure())

    assert (replayed, subjects) == (10, 5)
    assert payload.count(b"\n") == 2
    assert len(heard) == 3
    assert theirs["state"]["messages"] >= 3  # more, if some were lost
    own = {"name", "subjects", "republish"}
    assert {key: value for key, value in ours["config"].items() if key not in own} == {
        key: value for key, value in theirs["config"].items() if key not in own
    }


def test_what_a_bare_client_filled_in_is_a_store(modules, three_nodes, store_name, store):
    """Whole, with its batches, and on all nodes."""
    _, bare_nats = modules
    version = store.append("s", [SessionCreated(session_id="s", user_id="u")], expected_version=0)
    for size in (1, 3, 2):
        events = [UserMessageAdded(content="x") for _ in range(size)]
        version = store.append("s", events, expected_version=version)
    lines = (Path(store.base_path) / "sessions" / "s.jsonl").read_bytes().splitlines(keepends=True)

    async def fill_and_read():
        where = three_nodes.url(store_name)
        async with await AsyncStateStore.connect(where, durability="os", replicas=1):
            bare = await bare_nats.Bare.beside(three_nodes.urls, store_name)
            await bare.fill([("s", lines)])
            await bare.replicate(3)
            messages, _ = await bare.replay()
            await bare.close()
        async with await AsyncStateStore.connect(where, durability="os") as there:
            return messages, (await there.verify("s")).head, len([each async for each in there.records("s")])

    assert asyncio.run(fill_and_read()) == (4, store.verify("s").head, 7)
