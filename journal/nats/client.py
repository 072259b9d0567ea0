"""The library's client of NATS, with a shorter way between the socket and who waits for an answer."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple

import nats.aio.client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError, Error, MaxPayloadError

_NO_HEADERS: Final[Mapping[str, str]] = {}
_VERSION: Final = "NATS/1.0"
# Where in a message's first line the status is, if there is one.
_STATUS: Final = slice(len(_VERSION) + 1, len(_VERSION) + 4)


class Incoming(NamedTuple):
    """A message, as it comes."""

    subject: bytes
    headers: Mapping[str, str]
    data: bytes


# What is left to do for a message takes a coroutine; none where all is done.
Heard = Callable[[Incoming], Coroutine[Any, Any, None] | None]


class NotEncryptedError(Error):
    """The server would be told a password in plain text."""


def read_headers(raw: bytes) -> dict[str, str]:
    """The headers of a message, which only servers and stores have written; `Status` of its first line."""
    first, *rest = raw.decode("utf-8", "replace").split("\r\n")
    found = {key: value.strip() for key, colon, value in (line.partition(":") for line in rest) if colon}
    if status := first[_STATUS]:
        found["Status"] = status
    return found


class Client(nats.aio.client.Client):
    """The library's client, but for four things.

    It would say its password unencrypted if the server does not ask for TLS. It takes more time over the
    headers of messages, letter by letter, than over all else. When a connection is lost it waits until
    the rest is sent over it, or fails in that, before it ends what belongs to it. And it has a queue before
    the socket and one behind it, each with a task that empties it: an answer waits for both.
    """

    def __init__(self, *, must_encrypt: bool) -> None:
        super().__init__()
        self._must_encrypt = must_encrypt
        self._listeners: dict[int, _Listener] = {}  # by the number of the subscription
        self._is_sending = False

    # Sending

    def send(self, subject: str, payload: bytes, reply: str, headers: Mapping[str, str] | None) -> None:
        """Publish what the caller has made: no part of it is checked for blanks or line ends.

        Raises ConnectionClosedError, MaxPayloadError.
        """
        if not self.is_connected:
            raise ConnectionClosedError
        if len(payload) > self._max_payload:
            raise MaxPayloadError
        if headers:
            lines = "".join([f"{key}: {value}\r\n" for key, value in headers.items()])
            head = f"{_VERSION}\r\n{lines}\r\n".encode()
            size = len(head) + len(payload)
            command = b"HPUB %b %b %d %d\r\n%b" % (subject.encode(), reply.encode(), len(head), size, head)
        else:
            command = b"PUB %b %b %d\r\n" % (subject.encode(), reply.encode(), len(payload))
        self._pending += (command, payload, b"\r\n")
        self._send_soon()

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        if self.is_connected:
            self._send_soon()

    def _send_soon(self) -> None:
        """Send what all tasks of this turn of the loop have to say, in one go, when it ends."""
        if not self._is_sending:
            self._is_sending = True
            asyncio.get_running_loop().call_soon(self.send_pending)

    def send_pending(self) -> None:
        """Send it now. A failure is noticed by whoever reads."""
        self._is_sending = False
        pending = self._pending
        self.drop_unsent()
        if pending and self.is_connected and self._transport is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._transport.writelines(pending)

    def drop_unsent(self) -> None:
        """Send nothing any more of what was not sent yet."""
        self._pending, self._pending_data_size = [], 0

    # Hearing

    async def listen(self, subject: str, heard: Heard) -> Subscription:
        """Call `heard` with what comes, one after the other. Raises ConnectionClosedError."""
        listener = _Listener(heard)

        async def hear(message: Msg) -> None:  # what comes before it is noted who listens
            listener.tell(Incoming(message.subject.encode(), message.headers or _NO_HEADERS, message.data))

        subscription = await self.subscribe(subject, cb=hear)
        self._listeners[subscription._id] = listener
        return subscription

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        listener = self._listeners.get(sid)
        if listener is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            listener.tell(Incoming(subject, read_headers(headers) if headers else _NO_HEADERS, data))

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._listeners.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    # Connecting

    def _connect_command(self) -> bytes:
        if self._must_encrypt and not self._server_info.get("tls_required"):
            raise NotEncryptedError("does not encrypt: set up its TLS, or use nats:// where that is meant")
        return super()._connect_command()

    async def _process_op_err(self, e: Exception) -> None:
        self.drop_unsent()
        await super()._process_op_err(e)


class _Listener:
    """Who hears one message after the other; what one takes longer for, the next waits for."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._behind: deque[Incoming] = deque()
        self._task: asyncio.Task[None] | None = None

    def tell(self, message: Incoming) -> None:
        """Hear it, now or in its turn. What goes wrong in that is reported to the loop, and others go on."""
        if self._task is not None:
            self._behind.append(message)
        elif (rest := self._hear(message)) is not None:
            self._task = asyncio.get_running_loop().create_task(self._finish(rest))

    def _hear(self, message: Incoming) -> Coroutine[Any, Any, None] | None:
        try:
            return self._heard(message)
        except Exception as error:
            _report(error)
            return None

    async def _finish(self, rest: Coroutine[Any, Any, None] | None) -> None:
        try:
            while True:
                if rest is not None:
                    try:
                        await rest
                    except Exception as error:
                        _report(error)
                if not self._behind:
                    return
                rest = self._hear(self._behind.popleft())
        finally:
            self._task = None


def _report(error: Exception) -> None:
    report = {"message": "a listener failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(report)
