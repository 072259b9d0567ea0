"""The talks that tools/bench/agents measures: in both stores the same is said, and all is measured."""

import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "tools/bench"
# What each framework needs to be measured in its own store.
NEEDS = {
    "openai-agents": ["agents"],
    "langgraph": ["langgraph.checkpoint.sqlite"],
    "adk": ["google.adk", "aiosqlite"],
    "strands": ["strands"],
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("side_by_side")


def cases(bench: Any, name: str) -> list[Any]:
    for module in NEEDS[name]:
        pytest.importorskip(module)
    return [case for case in bench.CASES if case.name == name]


def opened(case: Any, kind: Any, folder: Path) -> Any:
    return case.type(folder, **kind._asdict(), recent=case.recent)


@pytest.mark.parametrize("name", NEEDS)
def test_the_same_is_said_in_both_stores(bench: Any, name: str, folder: Path):
    """Else one would have less to do."""

    async def said(case: Any, kind: Any, path: Path) -> list[str]:
        async with opened(case, kind, path) as talk:
            await talk.turn(talk.messages())
            return [text.partition(":")[0] for text in await talk.texts()]

    for case in cases(bench, name):
        below = folder / case.what
        below.mkdir(parents=True)
        for kind, path in asyncio.run(bench.built(case, below, [2, 30])).items():
            texts = asyncio.run(said(case, kind, path))

            everything = [f"{role} {n}" for n in range(kind.turns + 1) for role in ("Question", "Answer")]
            kept = case.recent or 0 if name == "langgraph" else 0
            assert texts == everything[-kept:]


@pytest.mark.parametrize("name", NEEDS)
def test_every_kind_is_measured(bench: Any, name: str, folder: Path):
    """With each size, in both stores, with both durabilities; what warms up does not count."""
    case, *_ = cases(bench, name)
    folder.mkdir()
    folders = asyncio.run(bench.built(case, folder, [1, 2]))

    costs = asyncio.run(bench.measured(case, folders, 2))

    assert len(costs) == 8
    assert {len(cost.clock) for cost in costs.values()} == {2 * bench.BLOCK}


@pytest.mark.parametrize("name", ["openai-agents", "langgraph", "adk"])
@pytest.mark.parametrize(("durability", "level"), [("disk", 2), ("os", 0)])
def test_their_database_waits_for_the_disk_as_its_talk_says(
    bench: Any, name: str, durability: str, level: int, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """As it comes it does; made as quick as ours with durability="os", it does not."""
    case, *_ = cases(bench, name)
    folder.mkdir()
    levels = []

    def noting(*arguments: Any, **options: Any) -> Any:
        connection = bench.connect(*arguments, **options)
        levels.append(connection.execute("pragma synchronous").fetchone()[0])
        return connection

    async def one_turn() -> None:
        async with opened(case, bench.Kind(0, False, durability), folder) as talk:
            await talk.grow(1)

    monkeypatch.setattr("sqlite3.connect", noting)
    asyncio.run(one_turn())

    assert set(levels) == {level}


def test_a_line_holds_where_ours_is_ahead_and_flat(bench: Any):
    """And not where it is behind, or grows though what it is asked for does not."""
    pytest.importorskip("strands")
    case = bench.Case("strands", "strands:StrandsTalk", "nothing read")
    costs = {
        bench.Kind(turns, is_ours, durability): bench.Cost([seconds], [seconds])
        for is_ours, durability, by_turns in (
            (True, "os", {10: 1.0, 100: 1.6}),
            (True, "disk", {10: 3.0, 100: 1.0}),
            (False, "os", {10: 2.0, 100: 2.0}),
            (False, "disk", {10: 4.0, 100: 4.0}),
        )
        for turns, seconds in by_turns.items()
    }

    assert [holds for _, holds in bench.lines(case, costs)] == [True, False, False, True]
