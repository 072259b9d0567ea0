"""What is NATS's own: who is let in, what is promised, and what becomes of a change when servers fail."""

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import nats
import nkeys
import pytest
from cluster import Cluster
from nats.aio.client import Client

from journal.backend import Change, Moved, Promise, Unclear, Unreachable
from journal.nats import NatsBackend
from journal.nats.address import parse
from journal.nats.client import read_headers
from journal.nats.layout import AFTER, EXPECTED, HEADER_BYTES, KIND, PIECES, Layout
from journal.nats.stream import Stream, ask_api
from tests.coroutines import changes_of, comes_true, on_a_loop
from tests.nats_credentials import operated


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[NatsBackend]:
    backend = NatsBackend(url, **options)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


async def refusal(url: str, **options: Any) -> str:
    """Why it cannot be opened."""
    options.setdefault("timeout", 10)
    with pytest.raises(Unreachable) as caught:
        await NatsBackend(url, **options).open()
    return str(caught.value)


@contextlib.asynccontextmanager
async def answering(data: bytes, waits_for: bytes = b"") -> AsyncIterator[int]:
    """A port at which somebody says this, once he has heard that, and hangs up a moment later."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            if waits_for:
                await reader.readuntil(waits_for)
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def promise(url: str, **options: Any) -> Promise:
    backend = NatsBackend(url, **options)
    try:
        return await backend.open()
    finally:
        await backend.close()


# Where it is


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nats://h", "nats://h:4222/journal"),
        ("nats://u:secret@h:1,[::1]:2,h3/NAME", "nats://h:1,[::1]:2,h3:4222/NAME"),
        ("tls://secret@h/a-b_C?replicas=3", "tls://h:4222/a-b_C"),
        ("nats://h/x?user=u&password=secret&system=nats%3A%2F%2Fs:secret@h", "nats://h:4222/x"),
    ],
)
def test_a_url_says_where_a_store_is_and_nobody_repeats_its_secrets(url, text):
    backend = NatsBackend(url)

    assert backend.name == text
    assert "secret" not in repr(parse(url, {})) + repr(backend)


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("http://h", {}, "begins with nats://"),
        ("nats://", {}, "is no server"),
        ("nats://h:port/x", {}, "is no server"),
        ("nats://u:secret#tail@h", {}, "percent-encoded"),
        ("nats://u:secret/tail@h", {}, "percent-encoded"),
        ("nats://u:secret?tail@h", {}, "percent-encoded"),
        ("nats://u:secret\u2100@h", {}, "percent-encoded"),
        ("nats://u:secret?user=tail@h", {}, "begins with 'u' is no server|go together"),
        ("nats:secret@h", {}, "percent-encoded"),
        ("nats://secret@h?replicas", {}, "OPTION=VALUE"),
        ("nats://h/a.b", {}, "is no name"),
        ("nats://h/a/b", {}, "is no name"),
        ("nats://h?colour=red", {}, "knows no option colour"),
        ("nats://h?create=maybe", {}, "create='maybe': it is true or false"),
        ("nats://h", {"replicas": 2}, "1, 3 or 5"),
        ("nats://h", {"user": "u"}, "go together"),
        ("nats://h?monitor=file:///etc/hosts", {}, "begins with http://"),
        ("nats://h", {"monitor": "http://h:8222,http://u:secret@h:8222"}, "and no password"),
        ("nats://u:secret@h", {"token": "secret"}, "user and token are several ways"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url, options, says):
    with pytest.raises(ValueError, match=says) as caught:
        NatsBackend(url, **options)

    assert "secret" not in str(caught.value)


# Who is let in


@pytest.fixture(scope="module")
def guarded():
    """A server with a user, an administrator, and users who may not do everything."""
    limited = {
        "publish": {"deny": ["forbidden.e.>", "$JS.API.STREAM.MSG.DELETE.>"]},
        "subscribe": {"deny": ["quiet.live.>"]},
    }
    accounts = {
        "JOURNAL": {
            "jetstream": "enabled",
            "users": [
                {"user": "writer", "password": "a-password"},
                {"user": "limited", "password": "p", "permissions": limited},
            ],
        },
        "SMALL": {"jetstream": {"max_file": 200_000}, "users": [{"user": "small", "password": "p"}]},
        "NONE": {"users": [{"user": "none", "password": "p"}]},
        "ADMINISTRATION": {"users": [{"user": "administrator", "password": "another-password"}]},
    }
    with Cluster(1, accounts=True, settings={"accounts": accounts}) as cluster:
        yield cluster


def login(cluster: Cluster, user: str, password: str, name: str = "journal") -> str:
    return f"nats://{user}:{password}@{cluster.urls[0].removeprefix('nats://')}/{name}"


@on_a_loop
async def test_who_has_the_password_is_let_in(guarded, store_name):
    async with opened(guarded.url(store_name)) as backend:
        assert await backend.journals.append("s", [b"1\n"], 0)
    async with opened(f"{guarded.urls[0]}/{store_name}", user="writer", password="a-password") as backend:
        assert len(await changes_of(backend)) == 1


@on_a_loop
async def test_who_has_not_is_told_at_once(guarded):
    """In a sentence that does not hold the password."""
    start = time.monotonic()
    for url in (
        login(guarded, "writer", "wrong-secret"),
        guarded.urls[0],
        "nats://wrong-secret@" + guarded.urls[0][7:],
    ):
        says = await refusal(url)
        assert "does not let this user in" in says
        assert "secret" not in says
    assert time.monotonic() - start < 8


@on_a_loop
async def test_an_account_without_jetstream_is_told_so(guarded):
    assert "JetStream is not enabled" in await refusal(login(guarded, "none", "p"), timeout=3)


@on_a_loop
async def test_a_server_without_jetstream_is_told_so():
    with Cluster(1, settings={"jetstream": False}) as cluster:
        assert "has no JetStream" in await refusal(cluster.url())


@on_a_loop
async def test_what_a_user_may_not_do_is_refused_with_its_subject(guarded):
    """At once, and nothing was written."""
    async with (
        opened(guarded.url("forbidden")),
        opened(login(guarded, "limited", "p", "forbidden")) as limited,
    ):
        start = time.monotonic()
        with pytest.raises(Unreachable, match=r"may not publish to 'forbidden\.e\."):
            await limited.journals.append("s", [b"1\n"], 0)
        assert time.monotonic() - start < 1.9
        assert await changes_of(limited) == []


@on_a_loop
async def test_who_may_not_listen_is_told_so_and_others_are_not(guarded):
    """What is asked meanwhile is answered."""
    async with opened(guarded.url("quiet")), opened(login(guarded, "limited", "p", "quiet")) as limited:
        appending = asyncio.gather(*(limited.journals.append(f"s{n}", [b"1\n"], 0) for n in range(20)))
        with pytest.raises(Unreachable, match=r"may not listen to 'quiet\.live\.\*'"):
            await limited.journals.listen(None, print)
        assert len(set(await appending)) == 20


@on_a_loop
async def test_a_user_who_may_do_what_the_reference_says_can_do_changes_of():
    page = (Path(__file__).parents[1] / "docs" / "reference" / "nats.md").read_text()
    permissions = json.loads(page.split("## Permissions")[1].split("```json")[1].split("```")[0])
    users = [{"user": "u", "password": "p", "permissions": permissions}]
    limited = {"accounts": {"A": {"jetstream": "enabled", "users": users}}}
    with Cluster(1, settings=limited) as cluster:
        async with opened(login(cluster, "u", "p", "talks")) as backend:
            heard: list[Change] = []
            listening = [await backend.journals.listen(which, heard.append) for which in (None, "s")]
            place = await backend.journals.append("s", [b"1\n"], 0)
            place = await backend.journals.append("s", LARGE, place)
            place = await backend.journals.replace("s", LARGE, place)
            assert len(await changes_of(backend)) == 1
            place = await backend.journals.delete("s", b"t\n", place)
            assert await backend.journals.head("s") == place
            await comes_true(lambda: len(heard) == 8)
            for data in (b"x", b"x" * 3_000_000, b"y"):
                await backend.files.put("documents/a/b.md", data)
                assert (await backend.files.get("documents/a/b.md")).data == data
            assert await backend.files.names("documents") == ["documents/a/b.md"]
            assert await backend.files.remove("documents/a/b.md")
            for each in listening:
                await each.close()


@on_a_loop
async def test_a_full_account_is_told_so_and_nothing_was_written(guarded):
    async with opened(login(guarded, "small", "p", "small")) as backend:
        place, expected = 0, []

        async def fill() -> None:
            nonlocal place
            while len(expected) < 100:
                place = await backend.journals.append("s", [b"x" * 9_999 + b"\n"], place)
                expected.append(place)

        with pytest.raises(Unreachable, match=r"is full, .*: make room"):
            await fill()
        assert [change.place for change in await changes_of(backend)] == expected
        with pytest.raises(Unreachable):
            await backend.files.put("documents/a/b.md", b"x" * 500_000)
        with pytest.raises(Unreachable):
            await backend.files.put("documents/a/b.md", b"x" * 5_000_000)
        assert await backend.files.get("documents/a/b.md") is None


@on_a_loop
async def test_a_token_lets_in(store_name):
    with Cluster(1, settings={"authorization": {"token": "a-secret"}}) as cluster:
        host = cluster.urls[0].removeprefix("nats://")
        async with opened(f"nats://a-secret@{host}/{store_name}") as backend:
            assert "secret" not in backend.name
        async with opened(f"nats://{host}/{store_name}", token="a-secret"):
            pass
        assert "does not let this user in" in await refusal(f"nats://{host}/{store_name}", token="wrong")


@on_a_loop
async def test_a_key_lets_in(store_name, tmp_path):
    seeds = [nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER) for _ in range(2)]
    public = nkeys.from_seed(bytearray(seeds[0])).public_key.decode()
    with Cluster(1, settings={"authorization": {"users": [{"nkey": public}]}}) as cluster:
        url = cluster.url(store_name)
        async with opened(url, nkey_seed=seeds[0].decode()):
            pass
        assert "does not let this user in" in await refusal(url, nkey_seed=seeds[1].decode())
        says = await refusal(url, nkey_seed=seeds[0].decode()[:-3])
        assert "nkey_seed is no seed" in says
        assert seeds[0].decode()[:20] not in says


@on_a_loop
async def test_a_file_of_credentials_lets_in(store_name, tmp_path):
    settings, text = operated()
    path, other = tmp_path / "user.creds", tmp_path / "other.creds"
    path.write_text(text)
    other.write_text(operated()[1])
    with Cluster(1, settings=settings) as cluster:
        async with opened(cluster.url(store_name), credentials=str(path)) as backend:
            assert await backend.journals.append("s", [b"1\n"], 0)
        assert "does not let this user in" in await refusal(cluster.url(store_name), credentials=str(other))
        assert "does not let this user in" in await refusal(cluster.url(store_name))


@on_a_loop
async def test_a_file_that_is_no_credentials_is_refused(one_node, tmp_path):
    damaged = operated()[1].replace("\nSU", "\nXX")
    for name, content in (("empty", ""), ("half", damaged[:300]), ("key", "SUABC")):
        path = tmp_path / name
        path.write_text(content)
        assert "no file of credentials" in await refusal(one_node.url(), credentials=str(path))
    path.write_text(damaged)
    says = await refusal(one_node.url(), credentials=str(path))
    assert "is no seed" in says
    assert damaged.split("\nXX")[1][:9] not in says
    assert "cannot be read" in await refusal(one_node.url(), credentials=str(tmp_path / "none"))


# Encryption


@on_a_loop
async def test_a_certificate_that_is_not_trusted_is_refused(store_name):
    """And one that is, lets in; the connection is encrypted."""
    with Cluster(1, tls=True) as cluster:
        async with opened(cluster.url(store_name), tls_ca=str(cluster.certificates.ca)) as backend:
            assert await backend.journals.append("s", [b"1\n"], 0)
            assert backend.name.startswith("tls://")
        assert "is not trusted" in await refusal(cluster.url(store_name))
        assert "cannot be used" in await refusal(cluster.url(store_name), tls_ca="/nowhere.pem")


@on_a_loop
async def test_a_server_may_ask_for_a_certificate(store_name):
    with Cluster(1, tls="mutual") as cluster:
        certificate, key = cluster.certificates.issue("client")
        url, ca = cluster.url(store_name), str(cluster.certificates.ca)
        async with opened(url, tls_ca=ca, tls_cert=str(certificate), tls_key=str(key)) as backend:
            assert await backend.journals.append("s", [b"1\n"], 0)
        assert "tls_cert" in await refusal(url, tls_ca=ca, timeout=3)


@on_a_loop
async def test_no_password_is_said_to_a_server_that_does_not_encrypt(guarded):
    """It asks for no TLS, or somebody between makes it seem so: what was sent holds no password."""
    sent = bytearray()
    async with proxy(guarded.servers[0].port, to_server=lambda data: sent.extend(data) or data) as port:
        url = f"tls://writer:a-password@127.0.0.1:{port}/journal"
        assert "does not encrypt" in await refusal(url)
    assert b"a-password" not in sent


# What is promised


@on_a_loop
async def test_it_promises_the_disk_where_all_servers_sync_always(three_nodes, store_name):
    found = await promise(three_nodes.url(store_name), monitor=",".join(three_nodes.monitors))

    assert (found.survives, found.replicas) == ("disk", 3)


@on_a_loop
async def test_it_does_not_where_one_does_not_tell(three_nodes, store_name):
    """It names those of whom it is not known, and how to find out."""
    found = await promise(three_nodes.url(store_name), monitor=",".join(three_nodes.monitors[:2]))

    assert (found.survives, found.replicas) == ("os", 3)
    assert three_nodes.servers[2].name in found.text
    assert three_nodes.servers[0].name not in found.text
    assert "monitor=" in found.text
    assert (await promise(three_nodes.url(store_name))).survives == "os"


@on_a_loop
async def test_it_does_not_where_a_server_syncs_lazily(store_name):
    with Cluster(1, sync="lazy", accounts=True) as cluster:
        url = cluster.url(store_name)
        for how in ({"monitor": cluster.monitors[0]}, {"system": cluster.system_url}):
            found = await promise(url, **how)
            assert (found.survives, found.replicas) == ("os", 1)
            assert 'sync_interval: "always"' in found.text


@on_a_loop
async def test_the_administrator_may_ask_all_servers(guarded, store_name):
    found = await promise(guarded.url(store_name), system=guarded.system_url)

    assert found.survives == "disk"
    says = await refusal(guarded.url(store_name), system=guarded.system_url.replace("another-", "wrong-"))
    assert "system=… cannot be asked" in says
    assert "wrong-password" not in says


@on_a_loop
async def test_a_host_that_nobody_knows_is_told_so(monkeypatch):
    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio, "open_connection", unknown)
    assert "nowhere:4222: this host is not known (Name or" in await refusal("nats://nowhere", timeout=0.5)


@on_a_loop
async def test_a_monitor_that_does_not_answer_is_an_error(one_node, store_name):
    assert "does not tell" in await refusal(one_node.url(store_name), monitor="http://127.0.0.1:1")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"what?\r\n\r\n",
        *(b"HTTP/1.1 200 OK\r\n\r\n" + body for body in (b"what?", b"[]", b"{}", b'{"server_name": 1}')),
        b'HTTP/1.1 200 OK\r\n\r\n{"server_name": "n", "jetstream": []}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    ],
)
@on_a_loop
async def test_a_monitor_that_tells_something_else_is_an_error(one_node, store_name, answer):
    async with answering(answer, waits_for=b"\r\n\r\n") as port:
        says = await refusal(one_node.url(store_name), monitor=f"http://127.0.0.1:{port}")

    assert "does not tell about its server" in says


INFO = b'INFO {"server_id":"x","version":"2.11.0","headers":true,"max_payload":1048576%s}\r\nPONG\r\n'


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"INFO {what?}\r\n",
        b"INFO [1]\r\n",
        b"INFO {}",
        b"INFO " + b"x" * 200_000,
        bytes(range(256)),
        INFO % b"" + b"MSG what?\r\n",
        INFO % b',"connect_urls":["what?",":",7,"h:port"]',
    ],
)
@on_a_loop
async def test_what_is_no_server_is_told_so_in_time(answer):
    """Whatever it answers."""
    async with answering(answer) as port:
        says = await refusal(f"nats://127.0.0.1:{port}/x", timeout=0.5)

    assert "no answer in 0.5 s" in says or "no JetStream" in says


@on_a_loop
async def test_a_store_that_is_not_there_is_made_or_not(one_node, store_name):
    assert f"no store '{store_name}'" in await refusal(one_node.url(store_name), create=False)
    for _ in range(20):  # whichever of its streams the server tells of first
        assert "no store" in await refusal(one_node.url(store_name), create=False)
    assert (await promise(one_node.url(store_name))).replicas == 1
    assert (await promise(one_node.url(store_name), create=False)).replicas == 1


@on_a_loop
async def test_a_stream_with_other_settings_is_refused_by_their_name(one_node, store_name):
    client = await nats.connect(one_node.urls)
    for key, value in (("max_age", 10**12), ("discard", "old"), ("allow_direct", False)):
        await promise(one_node.url(store_name))
        info = json.loads((await client.request(f"$JS.API.STREAM.INFO.{store_name}")).data)
        other = json.dumps({**info["config"], key: value}).encode()
        answer = json.loads((await client.request(f"$JS.API.STREAM.UPDATE.{store_name}", other)).data)
        assert "error" not in answer
        says = await refusal(one_node.url(store_name))
        assert f"{store_name} is there with {key}={json.dumps(value)}" in says
        await client.request(f"$JS.API.STREAM.DELETE.{store_name}")
    await client.close()


@on_a_loop
async def test_more_replicas_than_servers_are_refused(one_node, three_nodes, store_name):
    assert "cannot be kept on 3 servers" in await refusal(one_node.url(store_name), replicas=3)
    assert (await promise(three_nodes.url(store_name), replicas=1)).replicas == 1
    assert "num_replicas=1, and the store needs 3" in await refusal(three_nodes.url(store_name), replicas=3)


@pytest.mark.parametrize("version", ["2.10.29", "1.4.1", "none"])
@on_a_loop
async def test_a_server_that_is_too_old_is_refused(one_node, monkeypatch, version):
    monkeypatch.setattr(
        "journal.nats.link.Link.server",
        property(lambda link: {**link.client._server_info, "version": version}),
    )
    assert f"nats-server {version} is too old" in await refusal(one_node.url())


# Failures, on the way


@contextlib.asynccontextmanager
async def proxy(
    port: int,
    to_server: Callable[[bytes], bytes] = lambda data: data,
    to_client: Callable[[bytes], bytes] = lambda data: data,
) -> AsyncIterator[int]:
    """A port behind which a server is; what passes may be looked at, changed, or kept back."""
    tasks: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Any) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(change(data))
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", port)
        for way in (pass_on(reader, here, to_server), pass_on(there, writer, to_client)):
            tasks.add(asyncio.create_task(way))

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Swallow:
    """Lets everything pass until it is told not to."""

    def __init__(self) -> None:
        self.is_on = False

    def __call__(self, data: bytes) -> bytes:
        return b"" if self.is_on else data


@pytest.mark.parametrize("way", ["to_server", "to_client"])
@on_a_loop
async def test_an_append_without_an_answer_is_unclear_and_reading_on_tells(one_node, store_name, way):
    """Swallowed on its way there, nothing is written; on its way back, it is. The same call goes on."""
    swallow = Swallow()
    async with (
        opened(one_node.url(store_name)) as other,
        proxy(one_node.servers[0].port, **{way: swallow}) as port,
        opened(f"nats://127.0.0.1:{port}/{store_name}", timeout=10) as backend,
    ):
        first = await backend.journals.append("s", [b"1\n"], 0)
        swallow.is_on = True
        with pytest.raises(Unclear):
            await backend.journals.append("s", [b"2\n"], first)
        found = [change.data for change in await changes_of(other, "s")]
        assert found == ([b"1\n"] if way == "to_server" else [b"1\n", b"2\n"])
        # A reader waits until it is back.
        reading = asyncio.create_task(changes_of(backend, "s", first))
        await asyncio.sleep(0.1)
        assert not reading.done()
        swallow.is_on = False
        assert [change.data for change in await reading] == found[1:]
        if way == "to_server":
            assert await backend.journals.append("s", [b"2\n"], first) > first
        else:
            with pytest.raises(Moved):
                await backend.journals.append("s", [b"2\n"], first)


@on_a_loop
async def test_a_lost_connection_is_noticed_at_once_and_replaced(one_node, store_name):
    """What is on its way then is unclear at once; who only listens goes on hearing."""
    async with (
        opened(one_node.url(store_name)) as other,
        proxy(one_node.servers[0].port, to_client=(swallow := Swallow())) as port,
        opened(f"nats://127.0.0.1:{port}/{store_name}") as backend,
    ):
        heard: list[Change] = []
        await backend.journals.listen(None, heard.append)
        place = await other.journals.append("s", [b"1\n"], 0)
        await comes_true(lambda: len(heard) == 1)
        swallow.is_on = True
        appending = asyncio.create_task(backend.journals.append("t", [b"1\n"], 0))
        await asyncio.sleep(0.1)
        lost = backend._connection._link
        lost.client._transport._io_writer.transport.abort()
        start = time.monotonic()
        swallow.is_on = False
        with pytest.raises(Unclear, match="lost"):
            await appending
        assert time.monotonic() - start < 1.9
        assert [change.data for change in await changes_of(backend, "s")] == [b"1\n"]
        assert backend._connection._link is not lost
        await other.journals.append("s", [b"2\n"], place)
        await comes_true(lambda: [change.data for change in heard][-1:] == [b"2\n"])


@on_a_loop
async def test_while_no_server_is_there_everything_ends_in_time_and_goes_on_later(store_name):
    """Unreachable, for nothing was sent; the same backend works when one is back, and hears again."""
    with Cluster(1) as cluster:
        async with opened(cluster.url(store_name), timeout=2) as backend:
            heard: list[Change] = []
            await backend.journals.listen("s", heard.append)
            place = await backend.journals.append("s", [b"1\n"], 0)
            await backend.files.put("documents/a/b.md", b"1")
            cluster.kill()
            await comes_true(lambda: not backend._connection._link.is_up)
            calls = [
                lambda: backend.journals.append("s", [b"2\n"], place),
                lambda: backend.journals.append("s", [b"x" * 3_000_000 + b"\n"], place),
                lambda: backend.journals.replace("s", [b"2\n"], place),
                lambda: backend.journals.delete("s", b"2\n", place),
                lambda: backend.journals.head("s"),
                lambda: changes_of(backend, "s"),
                lambda: backend.files.get("documents/a/b.md"),
                lambda: backend.files.put("documents/a/b.md", b"2"),
                lambda: backend.files.names(""),
                lambda: backend.files.remove("documents/a/b.md"),
            ]
            start = time.monotonic()
            results = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
            took = time.monotonic() - start

            assert all(isinstance(result, Unreachable) for result in results), results
            assert took < 8
            cluster.restart()
            cluster.wait_until_ready()
            await comes_true(lambda: backend._connection._link.is_up)
            place = await backend.journals.append("s", [b"2\n"], place)
            assert [change.data for change in await changes_of(backend, "s")] == [b"1\n", b"2\n"]
            await comes_true(lambda: len(heard) == 2)


@on_a_loop
async def test_a_listener_that_fails_is_reported_and_holds_up_nobody(one_node, store_name):
    """In the midst of a change that is fetched in pieces, too; and who stopped listening hears nothing."""
    reported, heard = [], []

    def fail_at_first(change):
        heard.append(change.place)
        if len(heard) < 3:
            raise LookupError("not heard")

    asyncio.get_running_loop().set_exception_handler(lambda _, report: reported.append(report["exception"]))
    async with opened(one_node.url(store_name)) as backend:
        listening = await backend.journals.listen("s", fail_at_first)
        client = backend._connection._link.client
        places = [0]
        for size in (1, 3_000_000, 1, 1):
            places.append(await backend.journals.append("s", [b"x" * size + b"\n"], places[-1]))
        await comes_true(lambda: len(heard) == 4)

        assert heard == places[1:]
        assert [str(error) for error in reported] == ["not heard"] * 2
        listeners = len(client._listeners)
        await listening.close()
        assert len(client._listeners) == listeners - 1
        await backend.journals.append("s", [b"x\n"], places[-1])
        await asyncio.sleep(0.1)
        assert len(heard) == 4


@on_a_loop
async def test_what_many_ask_in_one_turn_of_the_loop_is_one_write(one_node, store_name, monkeypatch):
    async with opened(one_node.url(store_name)) as backend:
        writes = []
        transport = backend._connection._link.client._transport
        writelines = transport.writelines
        monkeypatch.setattr(
            transport, "writelines", lambda parts: (writes.append(b"".join(parts)), writelines(parts))
        )
        heads = await asyncio.gather(*(backend.journals.head(f"s-{number}") for number in range(20)))

        assert heads == [0] * 20
        assert [write.count(b"STREAM.MSG.GET") for write in writes if b"STREAM.MSG.GET" in write] == [1, 19]


@on_a_loop
async def test_nobody_there_is_told_in_time():
    start = time.monotonic()
    says = await refusal("nats://127.0.0.1:1/journal", timeout=1)

    assert "127.0.0.1:1" in says
    assert time.monotonic() - start < 6


@on_a_loop
async def test_what_a_server_answers_is_found_behind_one_that_stands_still(store_name):
    """A paused server takes connections and says nothing: the others are tried."""
    with Cluster(3) as cluster:
        async with opened(cluster.url(store_name), timeout=20) as backend:
            place = await backend.journals.append("s", [b"1\n"], 0)
            name = backend._connection.server["server_name"]
            node = [server.name for server in cluster.servers].index(name)
            cluster.pause(node)
            written = [b"1\n"]
            start = time.monotonic()
            while time.monotonic() - start < 15 and len(written) < 20:
                line = b"%d\n" % (len(written) + 1)
                try:
                    place = await backend.journals.append("s", [line], place)
                except Unclear:
                    found = await changes_of(backend, "s", place)
                    assert [change.data for change in found] in ([], [line])
                    if not found:
                        continue
                    place = found[0].place
                written.append(line)
            cluster.resume(node)

            assert len(written) == 20
            assert [change.data for change in await changes_of(backend, "s")] == written


@pytest.mark.parametrize("how", ["kill", "pause"])
@on_a_loop
async def test_appends_go_on_when_the_leader_is_lost(store_name, how):
    """Each ends in a place, or in doubt which reading on resolves; none is lost, doubled or out of order."""
    with Cluster(3) as cluster:
        async with opened(cluster.url(store_name), timeout=20) as backend:
            written: dict[str, list[bytes]] = {}

            async def write(session_id: str) -> None:
                place, lines = 0, written.setdefault(session_id, [])
                while len(lines) < 60:
                    line = b"%d\n" % len(lines)
                    with contextlib.suppress(Unclear):
                        place = await backend.journals.append(session_id, [line], place)
                        lines.append(line)
                        await asyncio.sleep(0.01)
                        continue
                    for change in await changes_of(backend, session_id, place):
                        place = change.place
                        lines.append(change.data)

            writing = asyncio.gather(*(write(f"s{number}") for number in range(4)))
            await comes_true(lambda: all(len(lines) > 10 for lines in written.values()) and len(written) == 4)
            leader = await asyncio.to_thread(cluster.leader, store_name)
            getattr(cluster, how)(leader)
            await writing
            cluster.restart()

            for session_id, lines in written.items():
                assert lines == [b"%d\n" % number for number in range(60)]
                assert [change.data for change in await changes_of(backend, session_id)] == lines


@on_a_loop
async def test_where_nobody_takes_messages_an_append_waits(one_node, store_name):
    """As while servers choose a leader: it is written when there is one, or it certainly was not."""
    async with opened(one_node.url(store_name), timeout=2) as backend:
        await backend.journals.append("s", [b"1\n"], 0)
        await ask_api(backend._connection, f"STREAM.DELETE.{store_name}")
        start = time.monotonic()
        with pytest.raises(Unreachable, match="have no leader"):
            await backend.journals.append("s", [b"2\n"], 0)
        assert 1.5 < time.monotonic() - start < 8
        appending = asyncio.create_task(backend.journals.append("s", [b"3\n"], 0))
        await asyncio.sleep(0.3)
        assert not appending.done()
        await promise(one_node.url(store_name))
        await appending
        assert [change.data for change in await changes_of(backend, "s")] == [b"3\n"]


@on_a_loop
async def test_many_at_once_wait_for_their_turn(one_node, store_name):
    """More than a server answers in time; none of them is in doubt for that."""
    async with opened(one_node.url(store_name)) as backend:
        appends = (backend.journals.append(f"s{number}", [b"1\n"], 0) for number in range(6000))
        places = await asyncio.gather(*appends)

        assert sorted(places) == list(range(1, 6001))


@on_a_loop
async def test_a_closed_backend_says_so(one_node, store_name):
    backend = NatsBackend(one_node.url(store_name))
    for _ in range(2):
        with pytest.raises(Unreachable, match="was closed"):
            await backend.journals.append("s", [b"1\n"], 0)
        with pytest.raises(Unreachable, match="was closed"):
            await changes_of(backend)
        await backend.open()
        await backend.close()


# Reading, where servers know different things


@pytest.mark.parametrize("session_id", [None, "s"])
@on_a_loop
async def test_a_read_ends_though_others_write_on(one_node, store_name, monkeypatch, session_id):
    """All that was there before is in it; a list of a busy store would never be made else."""
    async with opened(one_node.url(store_name)) as backend:
        places = [0]

        async def write() -> None:
            places.append(await backend.journals.append("s", [b"1\n"], places[-1]))

        for _ in range(3):
            await write()
        ask = Stream.next

        async def ask_late(stream: Stream, subject: str, after: int) -> Any:
            await write()
            return await ask(stream, subject, after)

        monkeypatch.setattr(Stream, "next", ask_late)
        for after in (0, 1):
            before = places[-1]
            async with asyncio.timeout(20):
                found = [change.place async for change in backend.journals.read(session_id, after)]
            assert set(found) >= set(range(after + 1, before + 1))
            assert len(found) < before + 20


@on_a_loop
async def test_a_server_that_does_not_know_better_is_asked_again(one_node, store_name, monkeypatch):
    """One that led until a moment ago refuses what is right: it is written after all."""
    async with opened(one_node.url(store_name), timeout=2) as backend:
        first = await backend.journals.append("s", [b"1\n"], 0)
        add, refusals = Stream._add, [3]

        async def refusing(stream: Stream, *arguments: Any) -> int:
            if refusals[0]:
                refusals[0] -= 1
                raise Moved("wrong last sequence")
            return await add(stream, *arguments)

        monkeypatch.setattr(Stream, "_add", refusing)
        second = await backend.journals.append("s", [b"2\n"], first)
        assert [change.place for change in await changes_of(backend, "s")] == [first, second]
        refusals[0] = 1
        with pytest.raises(Moved):
            await backend.journals.append("s", [b"3\n"], first)
        refusals[0] = 10_000
        with pytest.raises(Unreachable, match="do not agree"):
            await backend.journals.append("s", [b"3\n"], second)
        assert len(await changes_of(backend, "s")) == 2


@on_a_loop
async def test_what_a_server_does_not_have_yet_is_read_from_the_leader(one_node, store_name, monkeypatch):
    """A direct get may be answered by one that lags behind, or knows nothing yet."""
    async with opened(one_node.url(store_name)) as backend:
        place = 0
        for number in range(5):
            place = await backend.journals.append("s", [b"%d\n" % number], place)
        whole = await changes_of(backend, "s")
        get_many = Stream._get_many
        for known in (0, 1, 4):

            async def lagging(stream: Stream, subject: str, after: int, known: int = known) -> Any:
                found, _ = await get_many(stream, subject, after)
                return [message for message in found if message.place <= known], False

            monkeypatch.setattr(Stream, "_get_many", lagging)
            assert await changes_of(backend, "s") == whole
            assert await changes_of(backend) == whole
            assert await changes_of(backend, "s", whole[1].place) == whole[2:]


@on_a_loop
async def test_a_message_that_is_lost_on_its_way_is_asked_for_again(one_node, store_name, monkeypatch):
    async with opened(one_node.url(store_name)) as backend:
        place = 0
        for number in range(30):
            place = await backend.journals.append("s", [b"%d\n" % number], place)
        connection, lose = backend._connection, [7, 0, 3, 21]
        ask_for_all = connection.ask_for_all

        async def lossy(subject: str, payload: bytes) -> Any:
            parts, end = await ask_for_all(subject, payload)
            if lose and parts:
                del parts[min(lose.pop(0), len(parts) - 1)]
            return parts, end

        monkeypatch.setattr(connection, "ask_for_all", lossy)
        assert [change.data for change in await changes_of(backend, "s")] == [b"%d\n" % n for n in range(30)]
        assert not lose


@pytest.mark.parametrize("kind", ["replace", "delete"])
@on_a_loop
async def test_what_a_crash_kept_of_an_erased_journal_goes_when_it_is_read(one_node, store_name, kind):
    """A server wrote a change that makes the others void, and crashed before it removed them."""
    async with opened(one_node.url(store_name)) as backend:
        other, place = await backend.journals.append("t", [b"1\n"], 0), 0
        for number in range(3):
            place = await backend.journals.append("s", [b"secret %d\n" % number], place)
        subject = backend._layout.changes("s")
        void = await backend.journals._stream.add(subject, b"x\n", {EXPECTED: str(place), KIND: kind})
        last = await backend.journals.append("s", [b"y\n"], void)
        found = await changes_of(backend, "s", place)

        assert [(each.place, each.kind) for each in found] == [(void, kind), (last, "append")]
        assert await changes_of(backend) == [Change("t", other, 0, "append", b"1\n"), *found]
        for after in (0, place, void):
            assert await changes_of(backend, "s", after) == [each for each in found if each.place > after]


# Pieces of large changes


LARGE = [b"x" * 1_500_000 + b"\n", b"y\n"]


def pieces_of(backend: NatsBackend) -> Any:
    return backend.journals._stream.subjects(f"{backend._layout.name}.s.>")


@on_a_loop
async def test_a_large_change_that_was_not_finished_is_not_there(one_node, store_name, monkeypatch):
    """Its writer ended before the message that names the pieces: they go when they can count no more."""
    async with opened(one_node.url(store_name)) as backend:
        first = await backend.journals.append("s", [b"1\n"], 0)
        session = backend.journals._session("s")
        id, count = await session._write_pieces(b"".join(LARGE), str(first))

        assert [change.data for change in await changes_of(backend, "s")] == [b"1\n"]
        await session.sweep()
        assert len(await pieces_of(backend)) == 1  # their message may still come
        second = await backend.journals.append("s", [b"2\n"], first)
        place = await backend.journals.append("s", LARGE, second)
        assert len(await pieces_of(backend)) == 1
        # And if it comes so late, it counts no more.
        with pytest.raises(Moved):
            await backend.journals._stream.add(
                backend._layout.changes("s"), b"", {EXPECTED: str(first), PIECES: f"{id}/{count}"}
            )
        assert [change.data for change in await changes_of(backend, "s")] == [b"1\n", b"2\n", b"".join(LARGE)]
        await backend.journals.delete("s", b"t\n", place)
        assert await pieces_of(backend) == []


@on_a_loop
async def test_pieces_of_changes_that_count_stay(one_node, store_name):
    """Whatever else is swept."""
    async with opened(one_node.url(store_name)) as backend:
        place = await backend.journals.append("s", LARGE, 0)
        place = await backend.journals.append("s", LARGE, place)
        place = await backend.journals.append("s", [b"3\n"], place)
        await backend.journals.append("t", LARGE, 0)
        for session_id in ("s", "t"):
            await backend.journals._session(session_id).sweep()

        assert len(await pieces_of(backend)) == 3
        assert [len(change.data) for change in await changes_of(backend, "s")] == [1_500_003, 1_500_003, 2]
        place = await backend.journals.replace("s", LARGE, place)
        assert len(await pieces_of(backend)) == 2
        assert [(each.kind, each.data) for each in await changes_of(backend, "s")] == [
            ("replace", b"".join(LARGE))
        ]
        assert [change.data for change in await changes_of(backend, "t", 0)] == [b"".join(LARGE)]


@on_a_loop
async def test_a_server_may_take_only_small_messages(store_name):
    """What just fits is a message, what just does not is in pieces; both are read as they were written."""
    size = 16384
    with Cluster(1, settings={"max_payload": size}) as cluster:
        async with opened(cluster.url(store_name)) as backend:
            place, expected = 0, []
            for length in (size - HEADER_BYTES, size - HEADER_BYTES + 1, size + 1, 20 * size):
                data = b"x" * (length - 1) + b"\n"
                expected.append(data)
                place = await backend.journals.append("s", [data], place)
                await backend.files.put("documents/a/b.md", data)
                assert (await backend.files.get("documents/a/b.md")).data == data
            assert [change.data for change in await changes_of(backend, "s")] == expected
            assert len(await pieces_of(backend)) == 3


@on_a_loop
async def test_a_change_that_is_replaced_while_it_is_read_is_left_out(one_node, store_name, monkeypatch):
    async with opened(one_node.url(store_name)) as backend:
        place = await backend.journals.append("s", LARGE, 0)
        reading = backend.journals.read("s", 0)
        seen = await backend.journals._stream.last(backend._layout.changes("s"))
        replaced = await backend.journals.replace("s", [b"new\n"], place)

        assert await backend.journals._data(seen) is None
        assert [(change.place, change.data) async for change in reading] == [(replaced, b"new\n")]


@on_a_loop
async def test_pieces_that_somebody_else_removed_are_an_error_that_names_the_session(one_node, store_name):
    async with opened(one_node.url(store_name)) as backend:
        await backend.journals.append("s", LARGE, 0)
        (subject,) = await pieces_of(backend)
        await backend.journals._stream.purge(subject)
        with pytest.raises(Unreachable, match=r"session 's': pieces of message \d+ were removed"):
            await changes_of(backend, "s")
        await backend.files.put("documents/a/b.json", b"x" * 3_000_000)
        objects = Stream(backend._connection, backend._layout.objects)
        (subject,) = await objects.subjects(">")
        await objects.purge(subject)
        with pytest.raises(Unreachable, match=r"file 'documents/a/b\.json': pieces of message \d+ were"):
            await backend.files.get("documents/a/b.json")


@on_a_loop
async def test_large_files_leave_nothing_behind(one_node, store_name):
    async with opened(one_node.url(store_name)) as backend:
        objects = Stream(backend._connection, backend._layout.objects)
        revision = 0
        for _ in range(3):
            revision = await backend.files.put("documents/a/b.json", b"x" * 3_000_000, revision)
            assert len(await objects.subjects(">")) == 1
        with pytest.raises(Moved):
            await backend.files.put("documents/a/b.json", b"x" * 3_000_000, revision - 1)
        # One that was not finished goes when another one was.
        await backend.files._file("documents/a/b.json")._write_pieces(b"y" * 3_000_000, str(revision))
        assert len(await objects.subjects(">")) == 2
        revision = await backend.files.put("documents/a/b.json", b"x" * 3_000_000, revision)
        assert len(await objects.subjects(">")) == 1
        await backend.files.put("documents/a/other.json", b"x" * 3_000_000)
        assert await backend.files.remove("documents/a/other.json")
        assert len(await objects.subjects(">")) == 1
        await backend.files.put("documents/a/b.json", b"small")
        assert await objects.subjects(">") == []


@on_a_loop
async def test_a_put_without_an_answer_is_found_and_is_not_done_twice(one_node, store_name):
    swallow = Swallow()
    async with (
        opened(one_node.url(store_name)) as other,
        proxy(one_node.servers[0].port, to_client=swallow) as port,
        opened(f"nats://127.0.0.1:{port}/{store_name}", timeout=15) as backend,
    ):
        first = await backend.files.put("documents/a/b.md", b"1", 0)
        asking = backend._connection.ask_once

        async def swallowed(*arguments: Any) -> Any:
            swallow.is_on = True
            asyncio.get_running_loop().call_later(2.5, setattr, swallow, "is_on", False)
            return await asking(*arguments)

        backend._connection.ask_once = swallowed
        second = await backend.files.put("documents/a/b.md", b"2", first)
        found = await other.files.get("documents/a/b.md")

        assert (found.data, found.revision) == (b"2", second)
        assert second > first


@pytest.mark.parametrize(
    "raw",
    [
        b"NATS/1.0\r\nNats-Stream: a\r\nNats-Subject:a.e.b\r\nX: a: b \r\nEmpty:\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 7\r\n\r\n",
        b"NATS/1.0 404 Message Not Found\r\n\r\n",
    ],
)
def test_headers_are_read_as_the_library_reads_them(raw):
    """But for what a status says in words, of which nobody asks."""
    found = asyncio.run(Client()._process_headers(raw))
    found.pop("Description", None)

    assert read_headers(raw) == found


def test_the_names_on_record_do_not_change():
    assert (AFTER, EXPECTED, PIECES) == (
        "Journal-After",
        "Nats-Expected-Last-Subject-Sequence",
        "Journal-Pieces",
    )
    layout = Layout("NAME")
    assert layout.changes("s-42") == "NAME.e.ecmj8cg"
    assert layout.pieces("s-42", "ID") == "NAME.s.ecmj8cg.ID"
    assert layout.live(None) == "NAME.live.*"
    assert layout.file_pieces("notes/a.md", "ID") == "$O.NAME-objects.C.notes/.a.md.ID"
    assert layout.file("documents/notes/a.md") == "$KV.NAME-files.documents/.notes/.a.md"
    assert layout.file("a/ü*..b/=") == "$KV.NAME-files.a/.=C3=BC=2A=2E=2Eb/.=3D"
