"""A live session under asyncio: the same face, and steps that keep their identity side by side."""

import asyncio
import inspect

import pytest

from journal import AsyncStateStore, StateStore
from journal.errors import NondeterminismError
from journal.live import AsyncLiveSession, LiveSession
from projections import StepFinished, ToolReturned

# Those that are used otherwise: what they give is awaited, or used in an `async with`.
_PLAIN = ("tool_call", "step", "scope", "tool", "state")


def public(kind):
    members = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    return {**members, "id": property(), "user_id": property()}


def parameters(function):
    return [str(parameter) for parameter in inspect.signature(function).parameters.values()]


def test_both_faces_have_the_same_names():
    assert public(LiveSession).keys() == public(AsyncLiveSession).keys()


@pytest.mark.parametrize("name", sorted({*public(LiveSession)} - {"state"}))
def test_both_faces_have_the_same_parameters(name):
    one, other = public(LiveSession)[name], public(AsyncLiveSession)[name]
    if isinstance(one, property):
        assert isinstance(other, property)
        return

    assert parameters(one) == parameters(other)
    assert inspect.iscoroutinefunction(other) == (name not in _PLAIN)


def run(tmp_path, main):
    async def opened():
        async with AsyncStateStore(tmp_path) as store:
            return await main(store)

    return asyncio.run(opened())


async def never(*args):
    raise AssertionError("it ran again")


def test_it_is_opened_by_async_with(tmp_path):
    async def main(store):
        live = store.open_session("s", user_id="ada")
        with pytest.raises(RuntimeError, match="async with"):
            await live.add_user_message("hello")
        async with live:
            await live.add_user_message("hello")
            return (await live.state()).user_messages[0].content, live.version, live.id

    assert run(tmp_path, main) == ("hello", 2, "s")


def test_tools_and_steps_take_functions_of_both_kinds(tmp_path):
    async def double(n):
        await asyncio.sleep(0)
        return 2 * n

    async def main(store):
        async with store.open_session("s", user_id="ada") as live:

            @live.tool
            async def greet(name):
                return f"hello {name}"

            async with live.tool_call("look", {}) as call:
                call.result = 0
            return [
                await live.step("a", double, 1),
                await live.step("b", str, 2),
                await live.step("c", lambda: double(4)),
                await live.run_tool("d", double, {"n": 8}),
                await live.run_tool("e", str, {"object": 16}),
                await greet("bob"),
            ]

    assert run(tmp_path, main) == [2, "2", 8, 16, "16", "hello bob"]
    with StateStore(tmp_path) as store:
        returned = [r.event.result for r in store.records("s") if isinstance(r.event, ToolReturned)]

        assert returned == [0, 16, "16", "hello bob"]


def test_steps_side_by_side_keep_the_identity_of_their_calls(tmp_path):
    """The later ones end first; each has the place at which it was asked for."""

    async def slow(n):
        await asyncio.sleep((5 - n) / 200)
        return n * n

    async def main(store, function=slow):
        async with store.open_session("s", user_id="ada") as live:
            return await asyncio.gather(*(live.step("square", function, n) for n in range(5)))

    first = run(tmp_path, main)

    assert first == [0, 1, 4, 9, 16]
    assert run(tmp_path, lambda store: main(store, never)) == first


def test_tasks_with_several_steps_have_scopes(tmp_path):
    async def main(store, function, order):
        async with store.open_session("s", user_id="ada") as live:

            async def branch(name):
                with live.scope(name):
                    await asyncio.sleep(order[name] / 100)
                    return [await live.step("work", function, [name, n]) for n in range(3)]

            return await asyncio.gather(*(branch(name) for name in "abc"))

    async def echo(value):
        return value

    first = run(tmp_path, lambda store: main(store, echo, {"a": 2, "b": 1, "c": 0}))

    assert run(tmp_path, lambda store: main(store, never, {"a": 0, "b": 1, "c": 2})) == first


def test_without_scopes_another_order_is_told(tmp_path):
    async def main(store, order):
        async with store.open_session("s", user_id="ada") as live:
            return [await live.step("work", str, n) for n in order]

    run(tmp_path, lambda store: main(store, [1, 2]))

    with pytest.raises(NondeterminismError):
        run(tmp_path, lambda store: main(store, [2, 1]))


def test_a_cancelled_call_is_unfinished_and_a_cancelled_step_runs_again(tmp_path):
    async def main(store):
        async with store.open_session("s", user_id="ada") as live:
            for work in (
                live.run_tool("wait", lambda: asyncio.sleep(60), call_id="c1"),
                live.step("wait", lambda: asyncio.sleep(60)),
            ):
                task = asyncio.ensure_future(work)
                await asyncio.sleep(0.1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            unfinished = [call.call_id for call in await live.unfinished()]
        async with store.open_session("s") as live:
            return unfinished, await live.step("wait", str, encode=lambda text: text or "empty")

    assert run(tmp_path, main) == (["c1"], "empty")
    with StateStore(tmp_path) as store:
        assert sum(isinstance(record.event, StepFinished) for record in store.records("s")) == 1


def test_a_failing_coroutine_is_recorded(tmp_path):
    async def bad():
        raise ValueError("no")

    async def main(store, function):
        async with store.open_session("s", user_id="ada") as live:
            await live.step("a", function)

    for function in (bad, never):
        with pytest.raises(ValueError, match="no"):
            run(tmp_path, lambda store, function=function: main(store, function))
