"""What an agent's loop pays: a step, a tool call, and to go on with a long session after a restart."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Literal

from measure import Row, best, medians, ms, us

from journal import ANY, StateStore
from projections import StepFinished

TURNS = 10_000
DURABILITIES: tuple[Literal["os", "disk"], ...] = ("os", "disk")


def rows(folder: Path) -> Iterator[Row]:
    """Steps against the append of the same event, and the resume of 10,000 turns."""
    for durability in DURABILITIES:
        yield from _step_rows(folder / durability, durability)
    yield from _resume_rows(folder / "resume")


def _step_rows(folder: Path, durability: Literal["os", "disk"]) -> Iterator[Row]:
    with StateStore(folder, durability=durability) as store:
        live = store.open_session("live", user_id="u")
        store.open_session("plain", user_id="u").close()
        event = StepFinished(name="plan", arguments=["a question"], result={"answer": 1}, duration_ms=0.1)
        keys = count(1)

        def append() -> None:
            store.append("plain", [event], expected_version=ANY, key=f"turn:1/plan#{next(keys)}")

        def step() -> None:
            live.step("plan", _answer, "a question")

        def call() -> None:
            live.run_tool("look", _look, {"at": "it"})

        times = 2000 if durability == "os" else 400
        stepped, appended, called = medians(times, step, append, call)
        floor = f"the append that it makes {us(appended)}"
        yield Row(
            f'a step, durability="{durability}"',
            f"{us(stepped)} = {stepped / appended:.2f} ×",
            floor,
            "≤ 1.5 ×",
            stepped <= 1.5 * appended,
        )
        yield Row(
            f'a tool call, durability="{durability}"',
            f"{us(called)} = {called / appended:.2f} ×",
            floor,
            "≤ 3 ×: it makes two",
            called <= 3 * appended,
        )


def _resume_rows(folder: Path) -> Iterator[Row]:
    with StateStore(folder, durability="os") as store:
        for session_id in ("chat", "work"):
            with store.open_session(session_id, user_id="u") as live:
                for turn in range(TURNS):
                    live.add_user_message(f"question {turn}: " + "what is it? " * 8)
                    if session_id == "work":
                        live.run_tool("look", _look, {"at": "it is there " * 8})
                    live.add_agent_response(f"answer {turn}: " + "it is this. " * 16)
    resumed, worked, loaded = best(
        7, lambda: _resume(folder, "chat"), lambda: _resume(folder, "work"), lambda: _load(folder)
    )
    for what, duration in ((f"{TURNS:,} turns", resumed), (f"{TURNS:,} turns with a tool call each", worked)):
        yield Row(
            f"resume of {what}: open, state, unfinished calls, first step",
            ms(duration),
            f"load_session {ms(loaded)}",
            "< 50 ms",
            duration < 0.05,
        )


def _resume(folder: Path, session_id: str) -> None:
    """As a process that was just started; its own start is not counted."""
    with StateStore(folder, durability="os") as store, store.open_session(session_id) as live:
        assert live.state.exchange_count == TURNS
        assert live.unfinished() == []
        live.step("plan", _answer, "a question")


def _load(folder: Path) -> None:
    with StateStore(folder, durability="os") as store:
        store.load_session("chat")


def _answer(question: str) -> dict[str, int]:
    return {"answer": 1}


def _look(at: str) -> str:
    return at
