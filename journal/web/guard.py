"""The guard: who may ask, and what no answer lacks. Other pages in the same browser are not trusted.

A page elsewhere can make a browser call this server (by a link, a form, an image, a script), and can give a
name of its own this machine's address. So each call must name the host that is served, must not come from
another page, and must bring the cookie that the one-time link gave.
"""

import hmac
import secrets
import threading
from http.cookies import CookieError, SimpleCookie
from typing import Final

import msgspec
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from journal.web.answers import Problem

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_RESERVED: Final = frozenset(name for name, _ in HEADERS)
# Where a link from elsewhere may lead: there is nothing to see without the cookie.
_ENTRANCES: Final = frozenset(("/open", "/"))
_RUN_AGAIN: Final = "run `journal view` again, and open the link that it prints"


class Access:
    """The token of the one-time link, and the cookie that it is exchanged for."""

    def __init__(self, port: int) -> None:
        # Cookies do not know ports: two viewers must not take each other's.
        self.cookie_name = f"journal-{port}"
        self.token = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._is_used = False
        self._mutex = threading.Lock()

    def redeem(self, token: str) -> str | None:
        """The Set-Cookie for a token, the first time that the right one comes."""
        if not _same(token, self.token):
            return None
        with self._mutex:
            if self._is_used:
                return None
            self._is_used = True
        return f"{self.cookie_name}={self._cookie}; HttpOnly; SameSite=Strict; Path=/"

    def admits(self, cookies: list[str]) -> bool:
        """Whether one of a call's Cookie headers has the cookie."""
        for header in cookies:
            try:
                found = SimpleCookie(header).get(self.cookie_name)
            except CookieError:
                continue
            if found is not None and _same(found.value, self._cookie):
                return True
        return False


class Guard:
    """Stands before an application. `hosts`: what a Host header may say, port included."""

    def __init__(self, app: ASGIApp, access: Access, hosts: frozenset[str]) -> None:
        self._app, self._access, self._hosts = app, access, hosts
        self._origins = frozenset(f"http://{host}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [each for each in message.get("headers", ()) if each[0].lower() not in _RESERVED]
                message = {**message, "headers": [*own, *HEADERS]}
            await send(message)

        # Segments stay encoded until the path is taken apart: an encoded slash is part of an id.
        path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
        refusal = self._refusal(scope, path)
        if refusal is not None:
            await refused(refusal)(scope, receive, send_guarded)
            return
        await self._app({**scope, "path": path, "root_path": ""}, receive, send_guarded)

    def _refusal(self, scope: Scope, path: str) -> Problem | None:
        """Why a call is refused; None where it may pass."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        method = scope["method"]
        if method not in ("GET", "POST"):
            return Problem(405, "MethodNotAllowed", f"{method[:20]} is not served here")
        hosts = headers.get("host", [])
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return _forbidden(
                "WrongHost", f"this address is not served here: {', '.join(hosts)[:200] or 'none'}"
            )
        origins = headers.get("origin", [])
        if any(each not in self._origins for each in origins):
            return _forbidden("ForeignOrigin", f"another page asks: {', '.join(origins)[:200]}")
        if any(each not in ("same-origin", "none") for each in headers.get("sec-fetch-site", [])):
            is_link = (
                method == "GET"
                and headers.get("sec-fetch-mode") == ["navigate"]
                and headers.get("sec-fetch-dest") == ["document"]
            )
            if not (is_link and path in _ENTRANCES):
                return _forbidden("CrossSite", "another site asks")
        if path.startswith("/api") and not self._access.admits(headers.get("cookie", [])):
            return _forbidden("NoCookie", "this browser was not let in")
        return None


def refused(problem: Problem) -> Response:
    """The answer to a call that is refused."""
    body = msgspec.json.encode(problem.to_json())
    return Response(body, problem.status, media_type="application/json")


def link_refused() -> Response:
    """The page for a link that was used, or that is none."""
    return HTMLResponse(
        "<!doctype html><meta charset=utf-8><title>Session journal</title>"
        f"<p>This link was used already, or it is not whole. To look again, {_RUN_AGAIN.replace('`', '')}.",
        403,
    )


def _forbidden(kind: str, message: str) -> Problem:
    return Problem(403, kind, message, _RUN_AGAIN)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
