"""The viewer in tests: a browser that was let in, and a server of its own for what lasts."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from journal import ANY, Session, StateStore
from projections.events import Event

pytest.importorskip("starlette", reason="the viewer's server needs the extra `view`")

from journal.web.guard import Access
from journal.web.routes import Api, Shown, application
from journal.web.server import Viewer, listen

HOST = "127.0.0.1:7171"


class InProcess(httpx.BaseTransport):
    """Calls an application, without a server. The extension `target` is a path as it is, dots and all."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        target = request.extensions.get("target", request.url.raw_path)
        path, _, query = target.partition(b"?")
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        body = [request.read()]
        answer: dict[str, Any] = {"status_code": 0, "headers": [], "content": b""}

        async def receive() -> dict[str, Any]:
            if body:
                return {"type": "http.request", "body": body.pop(), "more_body": False}
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.update(status_code=message["status"], headers=message["headers"])
            else:
                answer["content"] += message.get("body", b"")

        scope = {"type": "http", "method": request.method, "scheme": "http", "http_version": "1.1"}
        scope |= {"raw_path": path, "path": unquote(path.decode("latin-1")), "query_string": query}
        scope |= {
            "headers": headers,
            "asgi": {"version": "3.0"},
            "server": ("127.0.0.1", 7171),
            "root_path": "",
        }
        asyncio.run(self._app(scope, receive, send))
        return httpx.Response(**answer)


class Visit:
    """A browser before a viewer: its client, and what it was not given."""

    def __init__(self, store: StateStore, *, allow_write: bool = False) -> None:
        shown = Shown(store=store, name="state", command="journal --store state", allow_write=allow_write)
        self.access = Access(7171)
        self.app, self.api = application(shown, self.access, frozenset({HOST, "localhost:7171"}))
        self.client = httpx.Client(transport=InProcess(self.app), base_url=f"http://{HOST}")

    def let_in(self) -> "Visit":
        """Open the one-time link."""
        assert self.client.get("/open", params={"token": self.access.token}).status_code == 303
        return self

    def json(self, path: str, /, status: int = 200, **params: Any) -> Any:
        """The answer to a call."""
        answer = self.client.get(path, params=params or None)
        assert answer.status_code == status, answer.text
        return answer.json()


@contextlib.contextmanager
def visiting(store: StateStore, *, allow_write: bool = False) -> Iterator[Visit]:
    """A browser that was let in."""
    visit = Visit(store, allow_write=allow_write)
    try:
        yield visit.let_in()
    finally:
        visit.client.close()
        visit.api.close()


@contextlib.contextmanager
def served(store: StateStore) -> Iterator[httpx.Client]:
    """A server that listens, and a client that it let in."""
    shown = Shown(store=store, name="state", command="journal --store state")
    viewer = Viewer(shown, listen("127.0.0.1", 0))
    thread = threading.Thread(target=viewer.run)
    thread.start()
    try:
        with httpx.Client(base_url=viewer.address, timeout=20) as client:
            assert client.get(viewer.link().removeprefix(viewer.address)).status_code == 303
            yield client
    finally:
        viewer.end()
        thread.join(timeout=20)
        assert not thread.is_alive()


def say(store: StateStore, session_id: str, *texts: str, user: str = "ada") -> None:
    """A session in which a user says these things, one a save."""
    session = store.get_or_create_session(user, session_id)
    for text in texts:
        session.add_user_message(text)
        store.save_session(session)


def put(store: StateStore, session_id: str, *events: Event, user: str = "ada") -> int:
    """A session with these events in one batch; its version."""
    if store.load_session(session_id) is None:
        store.save_session(Session.with_id(user, session_id))
    return store.append(session_id, events, expected_version=ANY)


__all__ = ["HOST", "Api", "Visit", "put", "say", "served", "visiting"]
