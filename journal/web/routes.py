"""Routes: which call is answered by what. docs/reference/viewer.md says the same in words."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from typing import Any, Final
from urllib.parse import quote

import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from journal.errors import SessionNotFoundError
from journal.objects import moment_text
from journal.store import StateStore
from journal.web import charts, live
from journal.web.answers import Problem, bad_input, problem_of
from journal.web.attached_files import OTHER, attachment
from journal.web.call import Call
from journal.web.changes import blame, compare, diff
from journal.web.glances import glance
from journal.web.guard import Access, Guard, link_refused
from journal.web.integrity import verdict, verdicts
from journal.web.jumps import first_true, next_record
from journal.web.listing import MOST_SESSIONS, USUAL_SESSIONS, list_page
from journal.web.past import Past
from journal.web.prompts import seen_at
from journal.web.records import record_in_full
from journal.web.rows import MOST_ROWS, rows
from journal.web.sessions import Sessions
from journal.web.states import state_at
from journal.web.writing import DEEDS, done

PAGE: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/app.css": ("app.css", "text/css; charset=utf-8"),
}
_WRITE_HEADER: Final = "x-journal-write"
_MOST_BODY: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is shown: the store, how it is called, whether the page may write."""

    store: StateStore
    name: str
    command: str
    allow_write: bool = False


class Api:
    """The answers about one store. Each method gets a call, and may wait for the disk."""

    def __init__(self, shown: Shown) -> None:
        self.shown, self.store = shown, shown.store
        self.sessions = Sessions(shown.store)
        self.watch = live.Watch(shown.store._disk, shown.store._layout)

    def close(self) -> None:
        """End what goes on behind."""
        self.watch.close()

    # The store

    def about(self, call: Call) -> Any:
        """What is shown."""
        return {
            "name": self.shown.name,
            "path": self.store.name,
            "allow_write": self.shown.allow_write,
            "version": _version(),
            "command": self.shown.command,
        }

    def list_sessions(self, call: Call) -> Any:
        """The sessions, a page of them."""
        return list_page(
            self.store,
            user=call.text("user"),
            text=call.text("text"),
            since=call.moment("since"),
            until=call.moment("until"),
            limit=call.number("limit", USUAL_SESSIONS, least=1, most=MOST_SESSIONS),
            page=call.text("page"),
        )

    def search(self, call: Call) -> Any:
        """The records that say what is asked for."""
        found = self.store.search(
            call.required("q"),
            user_id=call.text("user"),
            since=call.moment("since"),
            until=call.moment("until"),
            limit=call.number("limit", 50, least=1, most=500),
        )
        hits = [
            {
                "session_id": each.session_id,
                "seq": each.seq,
                "address": each.address,
                "at": moment_text(each.at),
                "user_id": each.user_id,
                "type": each.type,
                "role": each.role,
                "snippet": each.snippet,
                "spans": each.spans,
            }
            for each in found
        ]
        return {"hits": hits, "unreadable": [each._asdict() for each in found.unreadable]}

    def compare(self, call: Call) -> Any:
        """Two points, of one session or of two."""
        (one, one_at), (other, other_at) = call.address("left"), call.address("right")
        right = self.sessions.past(other)

        def answer(left: Past) -> Any:
            points = [
                (past, past.version if at is None else _existing(past, at))
                for past, at in ((left, one_at), (right, other_at))
            ]
            return compare(*points[0], *points[1])

        return self.sessions.ask(one, answer)

    # A session

    def glance(self, call: Call) -> Any:
        """The session as a whole."""
        return self.sessions.ask(call.session_id, lambda past: glance(self.store, past))

    def rows(self, call: Call) -> Any:
        """Some of its records, in a line each."""
        first = call.number("from", 1, least=1)
        count = call.number("count", 200, least=1, most=MOST_ROWS)

        def answer(past: Past) -> Any:
            return {"last": past.last, "rows": rows(past, first, count)}

        return self.sessions.ask(call.session_id, answer, until=first + count - 1)

    def record(self, call: Call) -> Any:
        """A record in full."""
        seq = call.seq
        return self.sessions.ask(
            call.session_id, lambda past: record_in_full(past, _record(past, seq)), until=seq
        )

    def raw(self, call: Call) -> Response:
        """A record's line, or the bytes where the damage is."""
        seq = call.seq

        def answer(past: Past) -> bytes:
            if past.damage is not None and seq == past.version + 1:
                return past.damaged_line()
            return past.line(_record(past, seq))

        return _file(self.sessions.ask(call.session_id, answer, until=seq), f"{call.session_id}@{seq}.json")

    def state(self, call: Call) -> Any:
        """The session at a version."""
        version, path = call.seq, call.text("path") or ""
        return self.sessions.ask(
            call.session_id, lambda past: state_at(past, _existing(past, version), path), until=version
        )

    def diff(self, call: Call) -> Any:
        """What differs between two versions."""
        start, end = call.number("from"), call.number("to")
        return self.sessions.ask(
            call.session_id,
            lambda past: diff(past, _existing(past, start), _existing(past, end)),
            until=max(start, end),
        )

    def blame(self, call: Call) -> Any:
        """Which records made a value what it is."""
        version, path = call.seq, call.text("path") or ""
        return self.sessions.ask(
            call.session_id, lambda past: blame(past, _existing(past, version), path), until=version
        )

    def first(self, call: Call) -> Any:
        """The first version of which an expression is true."""
        expression = call.required("expr")
        return {"version": self.sessions.ask(call.session_id, lambda past: first_true(past, expression))}

    def next(self, call: Call) -> Any:
        """The next record of a kind."""
        seq, by = call.number("from", 0), call.required("by")
        direction = call.number("dir", 1, least=-1, most=1)
        return {"seq": self.sessions.ask(call.session_id, lambda past: next_record(past, seq, direction, by))}

    def strip(self, call: Call) -> Any:
        """The minimap."""
        columns = call.number("columns", 240, least=1, most=charts.MOST_COLUMNS)
        return self.sessions.ask(call.session_id, lambda past: charts.minimap(past, columns))

    def charts(self, call: Call) -> Any:
        """Activity, latency, usage, errors."""
        return self.sessions.ask(call.session_id, charts.charts)

    def seen(self, call: Call) -> Any:
        """What the model saw."""
        seq = call.seq
        return self.sessions.ask(call.session_id, lambda past: seen_at(past, _existing(past, seq)), until=seq)

    def verify(self, call: Call) -> Any:
        """Whether it is whole."""
        return verdict(self.store, call.session_id)

    def attachment(self, call: Call) -> Response:
        """What is attached somewhere."""
        data, kind = attachment(self.store, call.part("digest"))
        if kind == OTHER:
            return _file(data, call.part("digest"))
        return Response(data, media_type=kind)

    def write(self, call: Call) -> Any:
        """Fork, rewind or erase."""
        if not self.shown.allow_write:
            raise Problem(
                403, "ReadOnly", "this page may only read", "start it with `journal view --allow-write`"
            )
        if call.request.headers.get(_WRITE_HEADER) != "yes":
            raise Problem(403, "NotAsked", f"a write needs the header {_WRITE_HEADER}: yes")
        deed = call.request.url.path.rpartition("/")[2]
        return done(self.store, call.session_id, deed, call.body)


def application(shown: Shown, access: Access, hosts: frozenset[str]) -> tuple[ASGIApp, Api]:
    """The guarded application for a store, and what is to be closed behind it."""
    api = Api(shown)

    def route(path: str, answer: Callable[[Call], Any]) -> Route:
        return Route(path, _in_thread(api, answer), methods=["GET"])

    async def open_page(request: Request) -> Response:
        cookie = access.redeem(request.query_params.get("token", ""))
        if cookie is None:
            return link_refused()
        return RedirectResponse("/", 303, {"set-cookie": cookie})

    async def follow(request: Request) -> Response:
        try:
            call = Call(request)
            session_id = call.session_id
            after = call.after()
            await live.in_thread(api.sessions.past, session_id)
        except Exception as error:
            return _explained(error, api)
        events = live.follow(api.store, api.sessions, api.watch, session_id, after)
        return live.stream(events)

    async def verify_all(request: Request) -> Response:
        return live.stream(_verdicts(api))

    async def write(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY:
                return _explained(bad_input("the call is too long"), api)
        return await _answered(api, api.write, Call(request, body))

    routes = [
        Route("/open", open_page, methods=["GET"]),
        *(Route(path, _page(*file), methods=["GET"]) for path, file in PAGE.items()),
        route("/api/store", api.about),
        route("/api/sessions", api.list_sessions),
        route("/api/search", api.search),
        route("/api/compare", api.compare),
        Route("/api/verify", verify_all, methods=["GET"]),
        route("/api/attachments/{digest}", api.attachment),
        route("/api/s/{id}", api.glance),
        route("/api/s/{id}/rows", api.rows),
        route("/api/s/{id}/records/{seq}", api.record),
        route("/api/s/{id}/raw/{seq}", api.raw),
        route("/api/s/{id}/state/{seq}", api.state),
        route("/api/s/{id}/diff", api.diff),
        route("/api/s/{id}/blame/{seq}", api.blame),
        route("/api/s/{id}/first", api.first),
        route("/api/s/{id}/next", api.next),
        route("/api/s/{id}/strip", api.strip),
        route("/api/s/{id}/charts", api.charts),
        route("/api/s/{id}/seen/{seq}", api.seen),
        route("/api/s/{id}/verify", api.verify),
        Route("/api/s/{id}/live", follow, methods=["GET"]),
        *(Route(f"/api/s/{{id}}/{deed}", write, methods=["POST"]) for deed in DEEDS),
    ]

    async def nowhere(request: Request, error: Exception) -> Response:
        return _explained(Problem(404, "NoSuchAddress", "there is nothing at this address"), api)

    app = Starlette(routes=routes, exception_handlers={404: nowhere, 405: nowhere})
    app.router.redirect_slashes = False
    return Guard(app, access, hosts), api


def _in_thread(api: Api, answer: Callable[[Call], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return await _answered(api, answer, Call(request))

    return endpoint


async def _answered(api: Api, answer: Callable[[Call], Any], call: Call) -> Response:
    """What an answer comes to, made in a thread of its own."""

    def made() -> Response:
        found = answer(call)
        if isinstance(found, Response):
            return found
        return Response(msgspec.json.encode(found), media_type="application/json")

    try:
        return await live.in_thread(made)
    except Exception as error:
        return _explained(error, api)


def _explained(error: Exception, api: Api) -> Response:
    problem = problem_of(error, api.store)
    if problem is None:
        raise error
    return Response(msgspec.json.encode(problem.to_json()), problem.status, media_type="application/json")


async def _verdicts(api: Api) -> AsyncIterator[Any]:
    found: Iterator[tuple[str, dict[str, Any]]] = verdicts(api.store)
    with contextlib.closing(found):  # type: ignore[type-var]
        # Not left behind when the page goes: what is at work cannot be closed.
        while not api.watch.is_over and (each := await to_thread.run_sync(next, found, None)) is not None:
            yield live.event(*each)


def _page(name: str, kind: str) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            data = (resources.files("journal.web") / "page" / name).read_bytes()
        except OSError:
            return Response("The page was not built: see journal/web/ui.\n", 503, media_type="text/plain")
        return Response(data, headers={"content-type": kind})

    return endpoint


def _file(data: bytes, name: str) -> Response:
    """Bytes to be saved, and never shown."""
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Response(data, media_type=OTHER, headers=headers)


def _record(past: Past, seq: int) -> int:
    """The number of a record that is there. Raises SessionNotFoundError."""
    if 1 <= seq <= past.version:
        return seq
    detail = f"its records are 1 to {past.version}, there is no record {seq}"
    raise SessionNotFoundError(past.session_id, detail, exists=True)


def _existing(past: Past, version: int) -> int:
    """A version that it has reached; 0 is the nothing before the first. Raises SessionNotFoundError."""
    return version and _record(past, version)


def _version() -> str:
    try:
        return metadata.version("session-journal")
    except metadata.PackageNotFoundError:  # run from its sources
        return "0"
