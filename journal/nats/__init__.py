"""NATS JetStream as a backend: one stream of journals and two of files, on one server or on several.

Needs the extra `nats`. How it lies there: journal/nats/layout.py.
"""

from typing import Any

from journal.backend import Promise
from journal.nats.address import parse
from journal.nats.checks import check_jetstream, check_version, find_promise, open_streams
from journal.nats.connection import Connection
from journal.nats.files import NatsFiles
from journal.nats.journals import NatsJournals
from journal.nats.layout import Layout

__all__ = ["NatsBackend"]


class NatsBackend:
    """A store in a cluster. See journal.backend.Backend.

    url      `nats://user:password@host:4222,host2:4222/NAME`, or tls://…; options may stand behind a `?`
    timeout  after so many seconds without an answer, whoever asks is told that there is none
    options  see journal.nats.address.Address. Raises ValueError where one makes no sense
    """

    def __init__(self, url: str, *, timeout: float = 30.0, **options: Any) -> None:
        self._address = address = parse(url, options)
        self.name = str(address)
        self._connection = connection = Connection(address, timeout)
        self._layout = layout = Layout(address.name)
        self.journals = NatsJournals(connection, layout)
        self.files = NatsFiles(connection, layout)

    async def open(self) -> Promise:
        """See Backend.open."""
        try:
            await self._connection.open()
            check_version(self._connection)
            await check_jetstream(self._connection)
            streams = await open_streams(self._connection, self._layout)
            return await find_promise(self._connection, streams)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See Backend.close."""
        await self.journals.close()
        await self.files.close()
        await self._connection.close()
