"""AsyncLiveSession: a live session for asyncio, each call in a worker thread; only the waiting is its own."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from journal.live.outcome import Decode, Encode, as_json
from journal.live.session import LiveSession
from journal.live.steps import Claim
from journal.live.tools import ToolCall, UnfinishedCall, by_name, name_of
from projections.document import Json
from projections.messages import AgentResponse
from projections.prompt import Message, Shape
from projections.session import Session

P = ParamSpec("P")
T = TypeVar("T")
InThread = Callable[..., Awaitable[Any]]


class AsyncLiveSession:
    """As LiveSession, with `await`. Use it in an `async with`: that opens it.

    A call that is cancelled may still land: give it a `key`, or let a `step` do it. A function that is no
    coroutine runs in a worker thread.
    """

    def __init__(self, open_it: Callable[[], LiveSession], in_thread: InThread) -> None:
        self._open_it, self._in_thread = open_it, in_thread
        self._opened: LiveSession | None = None

    @property
    def _live(self) -> LiveSession:
        if self._opened is None:
            raise RuntimeError("a live session is opened by `async with`")
        return self._opened

    @property
    def id(self) -> str:
        """As LiveSession.id."""
        return self._live.id

    @property
    def user_id(self) -> str:
        """As LiveSession.user_id."""
        return self._live.user_id

    @property
    def version(self) -> int:
        """As LiveSession.version."""
        return self._live.version

    async def state(self) -> Session:
        """As LiveSession.state, which is no property here: it may have to read."""
        return await self._call(lambda: self._live.state)

    async def messages(self, shape: Shape = "openai") -> list[Message]:
        """As LiveSession.messages."""
        return await self._call(self._live.messages, shape)

    async def unfinished(self) -> list[UnfinishedCall]:
        """As LiveSession.unfinished."""
        return await self._call(self._live.unfinished)

    async def add_user_message(self, content: str, *, key: str | None = None, extra: Json = None) -> int:
        """As LiveSession.add_user_message."""
        return await self._call(self._live.add_user_message, content, key=key, extra=extra)

    async def add_agent_response(self, response: AgentResponse | str, *, key: str | None = None) -> int:
        """As LiveSession.add_agent_response."""
        return await self._call(self._live.add_agent_response, response, key=key)

    async def add_reasoning(
        self, content: str, signature: str | None = None, *, key: str | None = None
    ) -> int:
        """As LiveSession.add_reasoning."""
        return await self._call(self._live.add_reasoning, content, signature, key=key)

    async def set_metadata(self, name: str, value: Json, *, key: str | None = None) -> int:
        """As LiveSession.set_metadata."""
        return await self._call(self._live.set_metadata, name, value, key=key)

    async def set_active_seed(self, seed_id: str | None, *, key: str | None = None) -> int:
        """As LiveSession.set_active_seed."""
        return await self._call(self._live.set_active_seed, seed_id, key=key)

    async def set_active_persona(self, persona_id: str | None, *, key: str | None = None) -> int:
        """As LiveSession.set_active_persona."""
        return await self._call(self._live.set_active_persona, persona_id, key=key)

    async def add_event(self, name: str, data: Json = None, *, key: str | None = None) -> int:
        """As LiveSession.add_event."""
        return await self._call(self._live.add_event, name, data, key=key)

    async def record_usage(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        cost: float | None = None,
        *,
        extra: Json = None,
        key: str | None = None,
    ) -> int:
        """As LiveSession.record_usage."""
        return await self._call(
            self._live.record_usage, model, input_tokens, output_tokens, cost, extra=extra, key=key
        )

    async def record_compaction(
        self,
        summary: str,
        through: int,
        *,
        tokens_before: int | None = None,
        tokens_after: int | None = None,
        key: str | None = None,
    ) -> int:
        """As LiveSession.record_compaction."""
        return await self._call(
            self._live.record_compaction,
            summary,
            through,
            tokens_before=tokens_before,
            tokens_after=tokens_after,
            key=key,
        )

    async def rewind(self, to: int) -> int:
        """As LiveSession.rewind."""
        return await self._call(self._live.rewind, to)

    def tool_call(
        self, name: str, arguments: Json, *, call_id: str | None = None, extra: Json = None
    ) -> "AsyncToolCall":
        """As LiveSession.tool_call, in an `async with`."""
        return AsyncToolCall(
            self._live.tool_call(name, arguments, call_id=call_id, extra=extra), self._in_thread
        )

    async def run_tool(
        self,
        name: str,
        function: Callable[..., Any],
        arguments: Mapping[str, Any] | None = None,
        *,
        call_id: str | None = None,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> Any:
        """As LiveSession.run_tool; `function` may be a coroutine function."""
        given = by_name(name, arguments)
        return await self._run_call(
            name, given, functools.partial(function, **given), call_id, encode, decode
        )

    async def _run_call(
        self,
        name: str,
        given: Mapping[str, Any],
        function: Callable[[], Any],
        call_id: str | None = None,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> Any:
        call, done = await self._call(self._live._recall_call, name, given, call_id)
        if done is not None:
            return await self._call(done.result, self._live._attachments, decode)
        async with AsyncToolCall(call, self._in_thread):
            call.result = as_json(await self._run(function), encode, f"what the tool {name!r} gave")
        return call.result if decode is None else decode(call.result)

    def tool(self, function: Callable[P, Any]) -> Callable[P, Coroutine[Any, Any, Any]]:
        """As LiveSession.tool; `function` may be a coroutine function."""
        signature = inspect.signature(function)

        @functools.wraps(function)
        async def recorded(*args: P.args, **kwargs: P.kwargs) -> Any:
            given = signature.bind(*args, **kwargs).arguments
            call = functools.partial(function, *args, **kwargs)
            return await self._run_call(name_of(function), given, call)

        return recorded

    async def settle(self, call_id: str, result: Json = None, *, error: str | None = None) -> int:
        """As LiveSession.settle."""
        return await self._call(self._live.settle, call_id, result, error=error)

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        *args: Any,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """As LiveSession.step; `function` may be a coroutine function.

        Which step it is, is settled at this call, not when it is awaited: several that are made in one order
        and awaited together keep their identity.
        """
        return self._step(self._live._claim(name), name, function, args, encode, decode)

    async def _step(
        self,
        claim: Claim,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        encode: Encode | None,
        decode: Decode | None,
    ) -> Any:
        step, event = await self._call(self._live._recall_step, claim, name, args)
        if event is not None:
            return await self._call(step.result_of, event, self._live._attachments, decode)
        started = perf_counter()
        try:
            result = await self._run(functools.partial(function, *args))
        except Exception as error:
            failed = step.failed(error, (perf_counter() - started) * 1000)
            await self._call(self._live._record_step, step, failed)
            raise
        event = step.finished(result, encode, (perf_counter() - started) * 1000)
        ended = await self._call(self._live._record_step, step, event)
        attachments = None if ended is event else self._live._attachments
        return await self._call(step.result_of, ended, attachments, decode)

    def scope(self, name: str) -> AbstractContextManager[None]:
        """As LiveSession.scope, in a plain `with`; it holds for the tasks that are started inside it."""
        return self._live.scope(name)

    async def close(self) -> None:
        """As LiveSession.close."""
        self._live.close()

    async def __aenter__(self) -> Self:
        self._opened = await self._in_thread(self._open_it)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Async{repr(self._opened)[1:]}" if self._opened else "<AsyncLiveSession, not opened>"

    async def _call(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        result: T = await self._in_thread(call, *args, **options)
        return result

    async def _run(self, function: Callable[[], Any]) -> Any:
        """Call what may be a coroutine function; another one in a thread, so that the loop goes on."""
        if inspect.iscoroutinefunction(function):
            return await function()
        result = await asyncio.to_thread(function)
        return await result if inspect.isawaitable(result) else result


class AsyncToolCall:
    """As ToolCall, in an `async with`."""

    def __init__(self, call: ToolCall, in_thread: InThread) -> None:
        self._call, self._in_thread = call, in_thread

    @property
    def call_id(self) -> str:
        """As ToolCall.call_id."""
        return self._call.call_id

    @property
    def result(self) -> Json:
        """As ToolCall.result."""
        return self._call.result

    @result.setter
    def result(self, value: Json) -> None:
        self._call.result = value

    def fail(self, error: str) -> None:
        """As ToolCall.fail."""
        self._call.fail(error)

    async def __aenter__(self) -> Self:
        await self._in_thread(self._call.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._in_thread(self._call.__exit__, kind, error, trace)
