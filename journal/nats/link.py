"""One connection to one server, until it is lost: questions and their answers.

All answers come to one subscription. A question that got no answer is in doubt; whether it may be asked again
is for the caller to say.
"""

import asyncio
import contextlib
import itertools
import os
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import nkeys
from nats.aio.client import RawCredentials
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError

from journal.backend import Unreachable
from journal.nats.address import Address, host_and_port
from journal.nats.client import Client, Heard, Incoming, NotEncryptedError

# Longer than a server takes that is well, and its disk.
ANSWER_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = ANSWER_SECONDS / 8
_CONNECT_SECONDS: Final = 2.0
_DENIED = re.compile(r'permissions violation for (publish|subscription) to "?([^" ]+)')


class NoAnswer(Exception):
    """It was sent, or may have been; whether it was done is not known."""


class NotSent(Exception):
    """There is no connection any more; it was not sent."""


class Denied(Unreachable):
    """The user may not do that."""


class _Question:
    """What was asked, and what came.

    until_end  whether there are several answers, up to one that is only a status
    until      when whoever asked gives up, unless something comes
    """

    __slots__ = ("answer", "parts", "subject", "until", "until_end")

    def __init__(
        self, subject: str, answer: "asyncio.Future[Incoming]", until: float, *, until_end: bool
    ) -> None:
        self.subject, self.answer, self.until, self.until_end = subject, answer, until, until_end
        self.parts: list[Incoming] = []

    def fail(self, error: Exception) -> None:
        """There will be no answer."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Link:
    """A connection. Made by `connect`."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.loop = asyncio.get_running_loop()
        self._inbox = f"{client.new_inbox()}."
        self._prefix = len(self._inbox)
        self._numbers = itertools.count(1)
        self._questions: dict[bytes, _Question] = {}
        self._patrol: asyncio.TimerHandle | None = None  # one for all questions: a timer each costs more
        self._deaf_to: set[str] = set()

    @property
    def is_up(self) -> bool:
        """Whether it was not lost yet, as far as is known."""
        return self.client.is_connected

    @property
    def server(self) -> Mapping[str, Any]:
        """What the server told about itself."""
        info: Mapping[str, Any] = self.client._server_info
        return info

    async def ask(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Incoming:
        """Send it, once, and wait for the answer. Raises NotSent, NoAnswer; Unreachable if it is denied."""
        return await self._answer(self._question(subject, until_end=False), payload, headers)

    async def ask_for_all(self, subject: str, payload: bytes) -> tuple[list[Incoming], Incoming]:
        """As `ask`, for several answers: those, and the status at the end."""
        question = self._question(subject, until_end=True)
        end = await self._answer(question, payload, None)
        return question.parts, end

    def _question(self, subject: str, *, until_end: bool) -> _Question:
        until = self.loop.time() + ANSWER_SECONDS
        return _Question(subject, self.loop.create_future(), until, until_end=until_end)

    async def _answer(
        self, question: _Question, payload: bytes, headers: Mapping[str, str] | None
    ) -> Incoming:
        number = str(next(self._numbers))
        key = number.encode()
        self._questions[key] = question
        if self._patrol is None:
            self._patrol = self.loop.call_later(_LOOK_SECONDS, self._look)
        try:
            self.client.send(question.subject, payload, self._inbox + number, headers)
            if len(self._questions) == 1:  # nobody else's could go with it
                self.client.send_pending()
            return await question.answer
        except ConnectionClosedError as error:
            raise NotSent("the connection was lost") from error
        finally:
            del self._questions[key]

    def _look(self) -> None:
        """Tell those who waited long enough that nothing came."""
        now = self.loop.time()
        for question in self._questions.values():
            if now >= question.until:
                question.fail(NoAnswer(f"no answer in {ANSWER_SECONDS:g} s"))
        self._patrol = self.loop.call_later(_LOOK_SECONDS, self._look) if self._questions else None

    def _answered(self, message: Incoming) -> None:
        question = self._questions.get(message.subject[self._prefix :])
        if question is None or question.answer.done():
            return  # nobody waits for it any more
        if question.until_end and "Status" not in message.headers:
            question.parts.append(message)
            question.until = self.loop.time() + ANSWER_SECONDS
        else:
            question.answer.set_result(message)

    async def listen(self, subject: str, heard: Heard) -> Subscription:
        """Call `heard` with what comes. Raises NotSent."""
        try:
            return await self.client.listen(subject, heard)
        except ConnectionClosedError as error:
            raise NotSent("the connection was lost") from error

    async def close(self) -> None:
        """End it, whatever state it is in; who waits for an answer gets none."""
        self._lost()
        self.client.drop_unsent()
        # A server that stands still takes nothing, and the system would wait until it does.
        with contextlib.suppress(Exception):  # it may never have been connected
            async with asyncio.timeout(1):
                await self.client.close()
        transport = getattr(self.client._transport, "_io_writer", None)
        if transport is not None:
            transport.transport.abort()

    def _lost(self) -> None:
        for question in self._questions.values():
            question.fail(NoAnswer("the connection was lost"))

    def check_heard(self, subject: str) -> None:
        """Raise Unreachable if the server has said that this user may not listen to it."""
        if subject.lower() in self._deaf_to:
            raise _may_not("listen", subject)

    def _denied(self, what: str, subject: str) -> None:
        """The server says which subject, with small letters."""
        if what == "subscription":
            self._deaf_to.add(subject)
        for question in self._questions.values():
            is_answered_there = what == "subscription" and subject == f"{self._inbox}*".lower()
            is_asked_there = what == "publish" and subject == question.subject.lower()
            if is_answered_there or is_asked_there:
                question.fail(_may_not("listen" if is_answered_there else "publish", subject))


def _may_not(what: str, subject: str) -> Denied:
    return Denied(f"this user may not {what} to {subject!r}: ask the administrator for it")


async def connect(address: Address, server: tuple[str, int], tls_name: str | None = None) -> Link:
    """Connect to one of the servers. Raises Unreachable where it refuses, NotSent where it is not there."""
    tls = address.tls()
    client = Client(must_encrypt=tls is not None)
    link = Link(client)
    problem: Exception | None = None

    async def on_error(error: Exception) -> None:
        nonlocal problem
        problem = error
        if denied := _DENIED.search(str(error).lower()):
            link._denied(denied[1], denied[2].strip("'"))

    async def on_closed() -> None:
        link._lost()

    options: dict[str, Any] = dict(login(address))
    if tls is not None:
        options |= {"tls": tls, "tls_hostname": tls_name or server[0]}
    try:
        # Two answers to pings missing, and it is lost: TCP alone notices no server that stands still.
        async with asyncio.timeout(2 * _CONNECT_SECONDS):
            await client.connect(
                [f"nats://{host_and_port(*server)}"],
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_CONNECT_SECONDS,  # type: ignore[arg-type]
                ping_interval=1,
                max_outstanding_pings=2,
                pending_size=0,  # nothing is kept for a connection that may come
                error_cb=on_error,
                closed_cb=on_closed,
                **options,
            )
            await link.listen(f"{link._inbox}*", link._answered)
            return link
    except Unreachable:
        await link.close()
        raise
    except Exception as error:  # what answers may be no such server, and say whatever it likes
        await link.close()
        raise _refusal(server, problem or error) from None
    except BaseException:
        await link.close()
        raise


def login(address: Address) -> dict[str, Any]:
    """What the client needs to be let in. Raises Unreachable where a file of credentials is none."""
    path, seed = address.login.get("user_credentials"), address.login.get("nkeys_seed_str")
    if seed is not None:
        _check_seed("nkey_seed", seed)
    if path is None:
        return dict(address.login)
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreachable(f"the credentials in {path} cannot be read: {error}") from None
    found = re.search(r"BEGIN NATS USER JWT-+\s+\S+\s.*BEGIN USER NKEY SEED-+\s+(\S+)\s", text, re.DOTALL)
    if found is None:
        raise Unreachable(f"{path} is no file of credentials: `nsc generate creds` writes one")
    _check_seed(path, found[1])
    return {"user_credentials": RawCredentials(text)}


def _check_seed(where: str, seed: str) -> None:
    """Raise Unreachable where it is none; it is in no error."""
    try:
        nkeys.from_seed(bytearray(seed.encode())).wipe()
    except Exception:  # the library raises whatever comes
        raise Unreachable(f"what is in {where} is no seed of a user's key: it begins with SU") from None


def _refusal(server: tuple[str, int], error: Exception) -> Exception:
    """What a failure to connect means: a refusal, or that nobody is there now."""
    where, text = host_and_port(*server), str(error).removeprefix("nats: ").strip("'\" ")
    if isinstance(error, TimeoutError):
        return NotSent(f"{where}: no answer")
    if isinstance(error, NotEncryptedError):
        return Unreachable(f"{where} {text}")
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "name the authority's certificate with tls_ca, and the server by a name that is in its own"
        return Unreachable(f"the certificate of {where} is not trusted, {error.verify_message}: {advice}")
    if "authorization" in text.lower() or "authentication" in text.lower():
        return Unreachable(f"{where} does not let this user in: check the password, token or credentials")
    if isinstance(error, ssl.SSLError):
        return Unreachable(f"{where} does not agree to this TLS, {error.reason}: check tls_cert, tls_key")
    if isinstance(error, socket.gaierror):  # its numbers are not the system's
        text = f"this host is not known ({error.strerror})"
    elif isinstance(error, OSError) and error.errno:
        text = os.strerror(error.errno)
    return NotSent(f"{where}: {text or type(error).__name__}")
