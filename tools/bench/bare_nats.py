"""A bare client of NATS, beside a store: what it reaches with the same requests is the floor.

It checks no hash, keeps nothing and knows no session: it sends a payload with the sequence number that it
expects, reads the answer's, and counts what it is given.
"""

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from journal.nats.layout import Layout

NAME = "BARE"
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
# The most that a server gives in one answer to a direct get.
BATCH = 1000
_TIMEOUT_SECONDS = 30.0
# Nobody sends again what a subscription did not get.
_LOST_AFTER_SECONDS = 0.5


class Bare:
    """Two connections to where a store is, one to write and one to hear."""

    def __init__(self, client: Client, other: Client, store: str) -> None:
        self.client, self.other, self.store = client, other, store
        self._last: defaultdict[str, int] = defaultdict(int)
        self._heard = asyncio.Queue[tuple[int, float]]()

    @classmethod
    async def beside(cls, urls: Sequence[str], store: str) -> Self:
        """Connect."""
        client, other = [await nats.connect(list(urls), max_reconnect_attempts=2) for _ in range(2)]
        return cls(client, other, store)

    async def make_stream(self) -> None:
        """A stream of its own, with the settings of the store's."""
        config = (await self._ask(f"STREAM.INFO.{self.store}"))["config"]
        config |= {"name": NAME, "subjects": [f"{NAME}.e.*"]}
        config["republish"] = {"src": f"{NAME}.e.*", "dest": f"{NAME}.live.{{{{wildcard(1)}}}}"}
        await self._ask(f"STREAM.CREATE.{NAME}", config)

    async def close(self) -> None:
        """Disconnect."""
        await self.client.close()
        await self.other.close()

    async def _ask(self, what: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        body = b"" if payload is None else json.dumps(payload).encode()
        answer = await self.client.request(f"$JS.API.{what}", body, timeout=_TIMEOUT_SECONDS)
        told: dict[str, Any] = json.loads(answer.data)
        if "error" in told:
            raise RuntimeError(f"{what}: {told['error']}")
        return told

    async def append(self, subject: str, payload: bytes) -> None:
        """Publish to its own stream with the sequence number that is expected; wait for the answer."""
        headers = {EXPECTED: str(self._last[subject])}
        answer = await self.client.request(
            f"{NAME}.e.{subject}", payload, timeout=_TIMEOUT_SECONDS, headers=headers
        )
        self._last[subject] = json.loads(answer.data)["seq"]

    async def listen(self, subject: str) -> None:
        """Hear with the other connection what is published to a subject of its own stream."""

        async def hear(message: Msg) -> None:
            assert message.headers is not None
            self._heard.put_nowait((int(message.headers["Nats-Sequence"]), time.perf_counter()))

        await self.other.subscribe(f"{NAME}.live.{subject}", cb=hear)

    async def heard_after(self, subject: str, payload: bytes, times: int) -> list[float]:
        """How long it takes, time after time, until that is heard; what gets lost does not count."""
        taken: list[float] = []
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            while len(taken) < times:
                start = time.perf_counter()
                await self.append(subject, payload)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOST_AFTER_SECONDS):
                        while (found := await self._heard.get())[0] != self._last[subject]:
                            pass
                    taken.append(found[1] - start)
        return taken

    async def fill(self, journals: Iterable[tuple[str, Sequence[bytes]]]) -> None:
        """Put journals into the store's stream, whose subjects have none of them; a message is a batch."""
        last = (await self._ask(f"STREAM.INFO.{self.store}"))["state"]["last_seq"]
        names = Layout(self.store)
        for session_id, lines in journals:
            subject, before, batch = names.changes(session_id), 0, b""
            for line in lines:
                batch += line
                if b',"more":' in line[:200]:
                    continue
                await self.client.publish(subject, batch, headers={EXPECTED: str(before)})
                last, before, batch = last + 1, last + 1, b""
        while (state := (await self._ask(f"STREAM.INFO.{self.store}"))["state"])["last_seq"] < last:
            await asyncio.sleep(0.1)
        assert state["messages"] == last, "some were refused"

    async def replicate(self, nodes: int) -> None:
        """Have so many nodes keep the store's stream; wait until they do."""
        config = (await self._ask(f"STREAM.INFO.{self.store}"))["config"]
        await self._ask(f"STREAM.UPDATE.{self.store}", {**config, "num_replicas": nodes})
        while True:
            cluster = (await self._ask(f"STREAM.INFO.{self.store}")).get("cluster", {})
            others = cluster.get("replicas", [])
            if len(others) == nodes - 1 and all(each["current"] and not each.get("lag") for each in others):
                return
            await asyncio.sleep(0.1)

    async def replay(self) -> tuple[int, float]:
        """Read everything that the store's stream holds, in batches: how many messages, and seconds."""
        inbox = self.client.new_inbox()
        ended = asyncio.Event()
        got, end = 0, {"Nats-Num-Pending": "1", "Nats-Last-Sequence": "0"}

        async def hear(message: Msg) -> None:
            nonlocal got, end
            if message.headers is not None and "Status" in message.headers:
                end = message.headers
                ended.set()
            else:
                got += 1

        start = time.perf_counter()
        listening = await self.client.subscribe(inbox, cb=hear)
        while end["Nats-Num-Pending"] != "0":  # a status other than an end has none: KeyError
            first = int(end["Nats-Last-Sequence"]) + 1
            ask = json.dumps({"seq": first, "batch": BATCH, "next_by_subj": f"{self.store}.e.*"}).encode()
            ended.clear()
            await self.client.publish(f"$JS.API.DIRECT.GET.{self.store}", ask, reply=inbox)
            await asyncio.wait_for(ended.wait(), _TIMEOUT_SECONDS)
        await listening.unsubscribe()
        return got, time.perf_counter() - start

    async def subjects(self) -> tuple[int, float]:
        """Ask for the name of each session in the store's stream: how many, and seconds."""
        start = time.perf_counter()
        names: dict[str, int] = {}
        while True:
            page = {"subjects_filter": f"{self.store}.e.*", "offset": len(names)}
            told = (await self._ask(f"STREAM.INFO.{self.store}", page))["state"].get("subjects") or {}
            names |= told
            if not told or len(names) >= 100_000:
                return len(names), time.perf_counter() - start

    async def one_payload(self) -> bytes:
        """What the store's last message holds."""
        answer = await self.client.request(
            f"$JS.API.DIRECT.GET.{self.store}",
            json.dumps({"last_by_subj": f"{self.store}.e.*"}).encode(),
            timeout=_TIMEOUT_SECONDS,
        )
        return answer.data
