"""The server: a port on this machine, and the viewer behind it, until it is told to end."""

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final
from urllib.parse import quote

import uvicorn

from journal.web.guard import Access
from journal.web.routes import Shown, application

PORT: Final = 7171
_MOST_PORTS: Final = 50
_GRACE_SECONDS: Final = 2


@dataclass(frozen=True)
class Place:
    """A listening socket, and which port that is."""

    listener: socket.socket
    host: str
    port: int


def listen(host: str, port: int) -> Place:
    """Take a port, or the next one that is free. Raises OSError where there is none, or no such address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = port + _MOST_PORTS if port else 0
    for each in range(port, last + 1):
        # With its protocol named: of others asyncio does not turn off the waiting for more to send.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, each))
            listener.listen()
            return Place(listener, host, listener.getsockname()[1])
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or each in (last, 65_535):
                raise
    raise AssertionError("a port was tried")


class _Server(uvicorn.Server):
    """A server that lets go of those who follow a session before it waits for all calls to end."""

    def __init__(self, config: uvicorn.Config, let_go: Callable[[], None]) -> None:
        super().__init__(config)
        self._let_go = let_go

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal says that it is to end."""
        self._let_go()
        super().handle_exit(sig, frame)


class Viewer:
    """A viewer that listens; `run` answers until it is interrupted."""

    def __init__(self, shown: Shown, place: Place) -> None:
        self.place = place
        self._access = Access(place.port)
        names = {f"[{place.host}]" if ":" in place.host else place.host}
        if names & {"127.0.0.1", "[::1]", "localhost"}:
            names.add("localhost")
        hosts = frozenset(f"{name}:{place.port}" for name in names)
        self.address = f"http://{min(names)}:{place.port}"
        self.app, self._api = application(shown, self._access, hosts)
        config = uvicorn.Config(
            self.app,
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self.server = _Server(config, self._api.watch.end)

    def link(self, session_id: str | None = None, version: int | None = None) -> str:
        """The one-time link to the page, or to a point of a session in it."""
        at = f"?seq={version}" if version else ""
        where = f"#/s/{quote(session_id, safe='')}{at}" if session_id is not None else ""
        return f"{self.address}/open?token={self._access.token}{where}"

    def end(self) -> None:
        """Let `run`, in another thread, come to its end."""
        self._api.watch.end()
        self.server.should_exit = True

    def run(self) -> None:
        """Answer calls until it is interrupted. Raises KeyboardInterrupt then."""
        try:
            self.server.run(sockets=[self.place.listener])
        finally:
            self._api.close()
            self.place.listener.close()
