"""The guard of the viewer: whoever should not see a store is refused, whatever he tries."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from journal import StateStore
from tests.viewer import HOST, Visit, say

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
PATHS = ("/", "/app.js", "/open", "/api/store", "/api/sessions", "/api/s/s", "/api/s/s/live", "/nowhere")


@pytest.fixture
def visit(store: StateStore) -> Iterator[Visit]:
    """A browser that was not let in yet, before a store with one session."""
    say(store, "s", "Hello")
    made = Visit(store)
    yield made
    made.client.close()
    made.api.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example:7171", "127.0.0.1", "127.0.0.1:80", "localhost:8080", "127.0.0.1:7171.evil.example", ""],
)
def test_another_host_is_refused(visit: Visit, path: str, host: str):
    """A name that a page elsewhere gave this machine's address (DNS rebinding), or another port."""
    visit.let_in()
    answer = visit.client.get(path, headers={"host": host})

    assert answer.status_code == 403
    assert answer.json()["error"]["kind"] == "WrongHost"


def test_two_hosts_are_refused(visit: Visit):
    """Who says two says neither."""
    answer = visit.let_in().client.get("/api/store", headers=[("host", HOST), ("host", "evil.example")])

    assert answer.status_code == 403


def test_both_names_of_this_machine_are_served(visit: Visit):
    """127.0.0.1 and localhost, with the port."""
    visit.let_in()
    cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in visit.client.cookies.items())}
    answers = [
        visit.client.get("/api/store", headers={"host": host, **cookies}) for host in (HOST, "localhost:7171")
    ]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:7171", "http://127.0.0.1:8080", f"http://{HOST}.x"],
)
def test_another_origin_is_refused(visit: Visit, path: str, origin: str):
    """Reads, too."""
    answer = visit.let_in().client.get(path, headers={"origin": origin})

    assert answer.status_code == 403
    assert answer.json()["error"]["kind"] == "ForeignOrigin"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("path", ["/app.js", "/api/store", "/api/s/s/raw/1", "/api/s/s/live"])
def test_a_fetch_from_another_site_is_refused(visit: Visit, site: str, path: str):
    """As an image, a script, a frame, or a link into the API."""
    visit.let_in()
    for mode, destination in (("no-cors", "image"), ("navigate", "iframe"), ("navigate", "document")):
        headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": destination}
        assert visit.client.get(path, headers=headers).status_code == 403


def test_a_link_from_elsewhere_may_lead_to_the_entrance_alone(visit: Visit):
    """A top-level navigation, and no frame of a page elsewhere."""
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    frame = link | {"sec-fetch-dest": "iframe"}
    token = {"token": visit.access.token}

    assert visit.client.get("/open", params=token, headers=frame).status_code == 403
    assert visit.client.get("/open", params=token, headers=link).status_code == 303
    assert visit.client.get("/api/store", headers=link).status_code == 403


def test_the_link_lets_one_browser_in_once(visit: Visit):
    """A wrong token does not spend it, the right one does."""
    for token in ("", "x", visit.access.token[:-1], visit.access.token + "x", "ä"):
        refused = visit.client.get("/open", params={"token": token})
        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers
    assert visit.client.get("/open").status_code == 403
    first = visit.client.get("/open", params={"token": visit.access.token})
    again = visit.client.get("/open", params={"token": visit.access.token})

    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=Strict" in first.headers["set-cookie"]
    assert again.status_code == 403
    assert "journal view" in again.text


@pytest.mark.parametrize(
    "cookie", [None, "journal-7171=x", "journal-7172=x", "journal-7171=", "\x7f=;;=,", "=", "a" * 9000]
)
def test_the_api_needs_the_cookie(visit: Visit, cookie: str | None):
    """Missing, wrong, another port's, or no cookie at all."""
    headers = {"cookie": cookie} if cookie is not None else {}
    for path in ("/api/store", "/api/s/s", "/api/nowhere", "/api/verify", "/api"):
        answer = visit.client.get(path, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["kind"] == "NoCookie"
        assert "journal view" in answer.json()["error"]["what_to_do"]


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_not_served(visit: Visit, method: str):
    """A look ahead by HEAD must not spend the link either."""
    refused = visit.client.request(method, "/open", params={"token": visit.access.token})

    assert refused.status_code == 405
    visit.let_in()


@pytest.mark.parametrize("path", [*PATHS[:-1], "/open?token=x", "/nowhere", "/api/nowhere"])
def test_every_answer_has_the_headers(visit: Visit, path: str):
    """Refusals, too."""
    if not path.endswith("live"):
        visit.let_in()
    headers = visit.client.get(path).headers

    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "session_id",
    [
        *("..%2f..%2fetc%2fpasswd", "..%5c..%5cetc", "%2e%2e", ".%2e%2fs", "%2fetc%2fpasswd", "s%2f..%2fs"),
        *(
            "s%00",
            "%00",
            "s%0a",
            "%7f",
            "%ff%fe",
            "%c0%ae%c0%ae",
            "%ed%a0%80",
            ".hidden",
            "a" * 201,
            "b" * 60_000,
        ),
        *("s%2f", "%5c", "%E2%80%AE" + "c" * 199),
    ],
)
def test_tricks_in_ids_are_refused(visit: Visit, session_id: str):
    """Slashes however they are written, dots, NUL, what is no UTF-8, what is too long."""
    visit.let_in()
    for behind in ("", "/rows", "/raw/1", "/records/1", "/state/1", "/verify", "/live"):
        answer = visit.client.get(f"/api/s/{session_id}{behind}")
        assert answer.status_code == 400, answer.text
        assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "path", ["/api/s//rows", "/api/s/", "/api/s/s/", "//api/store", "/app.js/", "/page/app.js"]
)
def test_other_addresses_are_nothing(visit: Visit, path: str):
    """No address means what is close to it; none is redirected."""
    answer = visit.let_in().client.get(path)

    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["/../journal/store.py", "/%2e%2e/server.py", "/..%2fserver.py", "/app.js%00", "/page/../server.py"],
)
def test_nothing_but_the_page_is_served(visit: Visit, path: str):
    """No path leads out of the page's three files."""
    answer = visit.let_in().client.get("/", extensions={"target": path.encode()})

    assert answer.status_code == 404


def test_a_websocket_is_closed(visit: Visit):
    """There are none here: what checks nothing lets nobody in."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/api/s/s/live", "headers": [(b"host", HOST.encode())]}
    asyncio.run(visit.app(scope, receive, send))

    assert sent == ["websocket.close"]
