"""A connection to a cluster: to one of its servers, and to another one when that is lost. It never hangs."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from nats.aio.subscription import Subscription
from nats.errors import Error

from journal.backend import Unreachable
from journal.nats.address import Address
from journal.nats.client import Heard, Incoming
from journal.nats.link import Link, NoAnswer, NotSent, connect

T = TypeVar("T")

_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 1.0
# So often somebody looks whether the connection is still there, for those who only listen.
_LOOKS_EVERY_SECONDS: Final = 0.25

_NOT_OPEN: Final = "the store is not open, or was closed: open it anew"

# So many questions are with the servers at once, and so many that are as large.
_AT_ONCE: Final = 256
_LARGE_AT_ONCE: Final = 16
_LARGE_BYTES: Final = 64 * 1024

# Of a call that asks several things
_until: ContextVar[float | None] = ContextVar("until", default=None)


class Connection:
    """What the streams are asked through.

    timeout  after so many seconds without an answer, whoever asks is told that there is none
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self.address, self.timeout = address, timeout
        self._servers = list(address.servers)
        self._link: Link | None = None
        self._linking: asyncio.Task[Link] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._listening: set[Listening] = set()
        self._is_open = False
        self._problem = ""

    async def open(self) -> None:
        """Connect. Raises Unreachable."""
        self._is_open = True
        # A server that has more to do than that answers too late: who asks must not take that for no answer.
        self._small, self._large = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_LARGE_AT_ONCE)
        await self._linked(self.until())
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End it."""
        self._is_open = False
        for task in (self._keeping, self._linking):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Unreachable):
                    await task
        if self._link is not None:
            await self._link.close()

    @property
    def server(self) -> Mapping[str, Any]:
        """What the server told about itself. Raises Unreachable before there was a connection."""
        if self._link is None:
            raise Unreachable(_NOT_OPEN)
        return self._link.server

    @property
    def largest_message(self) -> int:
        """So many bytes a message may have, with its headers."""
        size: int = self.server.get("max_payload", 1 << 20)
        return size

    # Asking

    def until(self) -> float:
        """When whoever asks now gives up."""
        until = _until.get()
        return time.monotonic() + self.timeout if until is None else until

    @contextlib.contextmanager
    def in_time(self) -> Iterator[None]:
        """Whatever is asked within gives up as if it were one question."""
        token = _until.set(self.until())
        try:
            yield
        finally:
            _until.reset(token)

    async def ask_once(self, subject: str, payload: bytes, headers: dict[str, str]) -> Incoming:
        """The answer; nothing is sent twice. Raises NoAnswer where it is in doubt, Unreachable."""
        until = self.until()
        turns = await self._turn(len(payload), until)
        try:
            while True:
                link = await self._linked(until)
                with contextlib.suppress(NotSent):
                    return await link.ask(subject, payload, headers)
        finally:
            turns.release()

    async def ask(self, subject: str, payload: bytes, understand: Callable[[Incoming], T]) -> T:
        """Its answer; repeated while there is none, or `understand` raises NoAnswer. Raises Unreachable."""

        async def attempt(link: Link) -> T:
            return understand(await link.ask(subject, payload))

        return await self._until_answered(attempt)

    async def ask_for_all(self, subject: str, payload: bytes) -> tuple[list[Incoming], Mapping[str, str]]:
        """As `ask`, for several answers: those, and the headers of the end."""

        async def attempt(link: Link) -> tuple[list[Incoming], Mapping[str, str]]:
            parts, end = await link.ask_for_all(subject, payload)
            status = end.headers
            if status.get("Status") == "503":
                raise NoAnswer("nobody answers")
            return parts, status

        return await self._until_answered(attempt)

    async def tell(self, subject: str, reply: str) -> None:
        """Send something that anybody may answer who hears it. Raises Unreachable."""
        link = await self._linked(self.until())
        with contextlib.suppress(Error):
            await link.client.publish(subject, b"", reply)

    async def _until_answered(self, attempt: Callable[[Link], Awaitable[T]]) -> T:
        until, pause = self.until(), _FIRST_PAUSE_SECONDS
        turns = await self._turn(0, until)
        try:
            while True:
                link = await self._linked(until)
                try:
                    return await attempt(link)
                except (NoAnswer, NotSent) as error:
                    self._problem = str(error)
                if time.monotonic() + pause > until:
                    raise Unreachable(self._why())
                await asyncio.sleep(pause)
                pause = _longer(pause)
        finally:
            turns.release()

    async def _turn(self, size: int, until: float) -> asyncio.Semaphore:
        """Wait until it is one's turn; what to release then. Raises Unreachable."""
        self._check_open()
        turns = self._large if size > _LARGE_BYTES else self._small
        if not turns.locked():
            await turns.acquire()
            return turns
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await turns.acquire()
        except TimeoutError:
            raise Unreachable(self._why()) from None
        return turns

    def _why(self) -> str:
        problem = f" ({self._problem})" if self._problem else ""
        return f"no answer in {self.timeout:g} s{problem}: see that the servers run and reach each other"

    # Connecting

    async def _linked(self, until: float) -> Link:
        """The connection, as soon as there is one. Raises Unreachable."""
        self._check_open()
        if self._link is not None and self._link.is_up:
            return self._link
        if self._linking is None or self._linking.done():
            self._linking = asyncio.create_task(self._link_anew())
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await asyncio.shield(self._linking)
        except TimeoutError:
            raise Unreachable(self._why()) from None

    def _check_open(self) -> None:
        if not self._is_open:
            raise Unreachable(_NOT_OPEN)

    async def _link_anew(self) -> Link:
        if self._link is not None:
            await self._link.close()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            refusal: Unreachable | None = None
            for server in self._in_turn():
                try:
                    return await self._link_to(server)
                except NotSent as error:
                    self._problem = str(error)
                except Unreachable as error:
                    refusal = error
            if refusal is not None:
                raise refusal
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = _longer(pause)

    def _in_turn(self) -> list[tuple[str, int]]:
        """Those that we were told of first: others may only be reached from where they are themselves."""
        ours = len(self.address.servers)
        # Not the same one first for everybody who lost it.
        return [server for some in (self._servers[:ours], self._servers[ours:]) for server in _mixed(some)]

    async def _link_to(self, server: tuple[str, int]) -> Link:
        link = await connect(self.address, server, self._tls_name(server))
        try:
            for listening in list(self._listening):
                await listening.go_on(link)
        except BaseException:
            await link.close()
            raise
        self._link = link
        self._meet(link)
        return link

    def _meet(self, link: Link) -> None:
        """Remember the cluster's other servers of which this one told."""
        for url in link.server.get("connect_urls") or ():
            host, _, port = str(url).rpartition(":")
            if port.isdecimal() and (server := (host.strip("[]"), int(port))) not in self._servers:
                self._servers.append(server)

    def _tls_name(self, server: tuple[str, int]) -> str:
        # A server tells of the others by their numbers, and their certificates have names.
        return server[0] if server in self.address.servers else self.address.servers[0][0]

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_LOOKS_EVERY_SECONDS)
            try:
                await self._linked(self.until())
            except Unreachable:
                await asyncio.sleep(_LONGEST_PAUSE_SECONDS)

    # Listening

    async def listen(self, subject: str, heard: Heard) -> "Listening":
        """Call `heard` with what comes, over all connections. Raises Unreachable."""
        listening = Listening(self, subject, heard)
        self._listening.add(listening)
        until = self.until()
        try:
            while True:
                link = await self._linked(until)
                with contextlib.suppress(NotSent):
                    await listening.go_on(link)
                    return listening
        except BaseException:
            await listening.close()
            raise


class Listening:
    """A subscription that outlives a connection. Made by `Connection.listen`."""

    def __init__(self, connection: Connection, subject: str, heard: Heard) -> None:
        self._connection, self._subject, self._heard = connection, subject, heard
        self._link: Link | None = None
        self._subscription: Subscription | None = None

    async def go_on(self, link: Link) -> None:
        """Listen over this connection. Raises NotSent."""
        if link is not self._link and self in self._connection._listening:
            self._subscription = await link.listen(self._subject, self._heard)
            self._link = link

    def check(self) -> None:
        """Raise Unreachable if a server has said no to it."""
        if self._link is not None:
            self._link.check_heard(self._subject)

    async def close(self) -> None:
        """Hear no more."""
        self._connection._listening.discard(self)
        if self._subscription is not None:
            with contextlib.suppress(Error):  # there is no connection any more
                await self._subscription.unsubscribe()


def _mixed(servers: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return random.sample(servers, len(servers))


def _longer(pause: float) -> float:
    return min(2 * pause, _LONGEST_PAUSE_SECONDS)
