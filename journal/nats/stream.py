"""What a stream can be asked: to add a message, for one message, for those behind a place.

Two ways lead to a message. The leader knows what was acknowledged. Any server may answer a direct get, a
thousand messages at once, and may not have the last ones yet. So the leader has the last word.
"""

import asyncio
import binascii
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from journal.backend import Moved, Unclear, Unreachable
from journal.nats.client import Incoming, read_headers
from journal.nats.connection import Connection
from journal.nats.layout import EXPECTED
from journal.nats.link import NoAnswer

_TOGETHER: Final = 1000
_TOGETHER_BYTES: Final = 8 * 1024 * 1024
_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.25
_NO_HEADERS: Final[Mapping[str, str]] = {}

# Error codes of the server
_NOT_FOUND = (10037, 10043, 10059)  # no such message, sequence number, stream
# A message that is to be removed and was already: this code stands for other failures, too.
_NOT_REMOVED, _IS_REMOVED = 10057, "no message found"
_MOVED = (10071, 10164, 10201)  # another message is the last one
_NO_ROOM = (10002, 10023, 10028, 10047)
_STORE_FAILED = 10077  # no room, if it says that a maximum is exceeded
_REFUSED = (*_NO_ROOM, 10039, 10054, 10074, 10109)  # no JetStream, too large, too few servers, sealed
_PASSING = (429, 500, 503)  # as in HTTP: busy, failed, not there now


class Message(NamedTuple):
    """A message of a stream, and where it stands in it."""

    place: int
    subject: str
    headers: Mapping[str, str]
    data: bytes


class _Error(msgspec.Struct):
    code: int
    err_code: int = 0
    description: str = ""


class _Ack(msgspec.Struct):
    seq: int = 0
    error: _Error | None = None


class _Stored(msgspec.Struct):
    subject: str
    seq: int
    hdrs: str = ""
    data: str = ""


class _Got(msgspec.Struct):
    message: _Stored | None = None
    error: _Error | None = None


class _NobodyHearsError(Exception):
    """The server knows nobody who takes such messages: it was given to nobody."""


_encode = msgspec.json.encode
_decode_ack = msgspec.json.Decoder(_Ack).decode
_decode_got = msgspec.json.Decoder(_Got).decode


class Refused(Unreachable):
    """JetStream says no. `code` says why, in the server's numbers."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"JetStream refuses: {text}")
        self.code = code


class Stream:
    """One stream."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection, self.name = connection, name
        self._get = f"$JS.API.STREAM.MSG.GET.{name}"
        self._direct = f"$JS.API.DIRECT.GET.{name}"

    # Writing

    async def add(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        """Add a message; its place. Raises Moved, Unclear, Unreachable."""
        until, pause = self.connection.until(), _PAUSE_SECONDS
        while True:
            try:
                return await self._add(subject, data, headers)
            except Moved:
                # Whoever led a moment ago may say so and not know better: it wrote nothing, in any case.
                last = await self.last(subject)
                if (last.place if last is not None else 0) != int(headers[EXPECTED]):
                    raise
                reason = "do not agree which is its last message"
            except _NobodyHearsError:
                reason = "have no leader for it: see that most of them run and reach each other"
            if time.monotonic() > until:
                raise Unreachable(f"the servers of {self.name} {reason}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _add(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        try:
            answer = await self.connection.ask_once(subject, data, headers)
        except NoAnswer as error:
            raise Unclear(f"{self.name}: {error}") from error
        if answer.headers.get("Status") == "503":
            raise _NobodyHearsError
        try:
            ack = _decode_ack(answer.data)
        except msgspec.MsgspecError as error:
            raise Unclear(f"{self.name}: what answers is no stream: {error}") from None
        if ack.error is not None:
            raise self._not_added(ack.error)
        return ack.seq

    def _not_added(self, error: _Error) -> Exception:
        if error.err_code in _MOVED:
            return Moved(error.description)
        is_full = error.err_code == _STORE_FAILED and "maximum" in error.description
        if is_full or error.err_code in _NO_ROOM:
            return Unreachable(f"the stream {self.name} is full, {error.description}: make room for it")
        if error.err_code in _REFUSED or error.code not in _PASSING:
            return Unreachable(f"the stream {self.name} does not take it: {error.description}")
        return Unclear(f"{self.name}: {error.description}")

    async def remove(self, place: int) -> bool:
        """Overwrite a message on the servers' disks, and remove it. Raises Unreachable.

        False where it is not there any more.
        """
        return await ask_api(self.connection, f"STREAM.MSG.DELETE.{self.name}", seq=place) != {}

    async def purge(self, subject: str, before: int | None = None) -> None:
        """Remove all messages of a subject, or those before a place. Raises Unreachable.

        Their bytes stay in the servers' files for now: see journal/nats/overwriting.py.
        """
        rest = {} if before is None else {"seq": before}
        await ask_api(self.connection, f"STREAM.PURGE.{self.name}", filter=subject, **rest)

    # Reading: from the leader

    async def last(self, subject: str) -> Message | None:
        """The last message of a subject. Raises Unreachable."""
        return await self._get_one(last_by_subj=subject)

    async def next(self, subject: str, after: int) -> Message | None:
        """The first message behind a place; the subject may have wildcards. Raises Unreachable."""
        return await self._get_one(next_by_subj=subject, seq=after + 1)

    async def _get_one(self, **which: object) -> Message | None:
        got = await self.connection.ask(self._get, _encode(which), _read_got)
        if got is None:
            return None
        headers = read_headers(binascii.a2b_base64(got.hdrs)) if got.hdrs else _NO_HEADERS
        return Message(got.seq, got.subject, headers, binascii.a2b_base64(got.data))

    async def info(self, **about: object) -> dict[str, Any]:
        """What the leader tells about the stream. Raises Unreachable."""
        told = await ask_api(self.connection, f"STREAM.INFO.{self.name}", **about)
        if not told:
            raise Unreachable(f"the stream {self.name} is gone: somebody removed it")
        return told

    async def subjects(self, pattern: str) -> list[str]:
        """The subjects of which there are messages, in no order. Raises Unreachable."""
        return list(await self.counts(pattern))

    async def counts(self, pattern: str) -> dict[str, int]:
        """How many messages there are, by subject, of those that have some. Raises Unreachable."""
        found: dict[str, int] = {}
        while True:
            info = await self.info(subjects_filter=pattern, offset=len(found))
            some = info["state"].get("subjects") or {}
            found |= some
            if not some or len(found) >= info.get("total", 0):
                return found

    # Reading: from anybody, and what is missing from the leader

    async def read(self, subject: str, after: int) -> AsyncIterator[list[Message]]:
        """The messages behind a place, in order, up to this moment, some at a time. Raises Unreachable."""
        # Whoever looks again and again finds one message or none: then the leader alone is asked.
        alone, is_far_behind = 0, after == 0
        until: int | None = None  # where it ended when there was something: others may write for ever
        while until is None or after < until:
            if is_far_behind:
                async with contextlib.aclosing(self._read_many(subject, after)) as reading:
                    async for found in reading:
                        yield found
                        after = found[-1].place
                is_far_behind = False
            elif (one := await self.next(subject, after)) is None:
                return
            else:
                yield [one]
                after = one.place
                alone += 1
                is_far_behind = alone > 1
            if until is None:
                last = await self.last(subject)
                until = last.place if last is not None else after

    async def _read_many(self, subject: str, after: int) -> AsyncGenerator[list[Message], None]:
        """The messages behind a place that some server has. It reads on while the caller looks at some."""
        reading = asyncio.create_task(self._get_many(subject, after))
        try:
            is_more = True
            while is_more:
                found, is_more = await reading
                after = found[-1].place if found else after
                if is_more:
                    reading = asyncio.create_task(self._get_many(subject, after))
                if found:
                    yield found
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reading

    async def messages(self, subject: str, before: int | None = None) -> list[Message]:
        """All messages of a subject, or those before a place, without their data. Raises Unreachable."""
        found: list[Message] = []
        async for some in self.read(subject, 0):
            found += (each._replace(data=b"") for each in some if before is None or each.place < before)
            if before is not None and some[-1].place >= before:
                break
        return found

    async def _get_many(self, subject: str, after: int) -> tuple[list[Message], bool]:
        """The next messages that some server has, and whether it has more."""
        which = {"next_by_subj": subject, "seq": after + 1, "batch": _TOGETHER, "max_bytes": _TOGETHER_BYTES}
        parts, end = await self.connection.ask_for_all(self._direct, _encode(which))
        found: list[Message] = []
        before = "0"
        for part in parts:
            headers = part.headers
            # Each names the one that was sent before it: what got lost on its way is asked for again.
            if headers.get("Nats-Last-Sequence") != before:
                return found, True
            before = headers["Nats-Sequence"]
            found.append(Message(int(before), headers["Nats-Subject"], headers, part.data))
        return found, bool(parts) and end.get("Nats-Num-Pending") != "0"


async def ask_api(connection: Connection, what: str, **body: object) -> dict[str, Any]:
    """What JetStream answers; empty if it does not know the stream or message. Raises Unreachable."""

    def understand(message: Incoming) -> dict[str, Any]:
        answer: dict[str, Any] = _read_json(message)
        error = answer.get("error")
        if error is None:
            return answer
        _check(msgspec.convert(error, _Error))
        return {}

    return await connection.ask(f"$JS.API.{what}", _encode(body) if body else b"", understand)


def _check(error: _Error) -> None:
    """Return if the server says that something is not there, else raise NoAnswer or Unreachable."""
    was_removed = error.err_code == _NOT_REMOVED and error.description == _IS_REMOVED
    if error.err_code in _NOT_FOUND or was_removed:
        return
    if error.code in _PASSING and error.err_code not in _REFUSED:
        raise NoAnswer(error.description)
    raise Refused(error.err_code, error.description)


def _read_got(message: Incoming) -> _Stored | None:
    try:
        got = _decode_got(message.data)
    except msgspec.MsgspecError:
        raise NoAnswer("nobody answers for the stream") from None
    if got.error is not None:
        _check(got.error)
    return got.message


def _read_json(message: Incoming) -> Any:
    try:
        return msgspec.json.decode(message.data)
    except msgspec.MsgspecError:
        raise NoAnswer("nobody answers for JetStream") from None
