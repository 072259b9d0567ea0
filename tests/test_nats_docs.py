"""The page on stores on NATS names what there is, and what it says can be tried."""

import asyncio
import base64
import json
import re

import pytest
from cluster import Cluster

from journal import Session, StateStore
from tests.transcripts import ROOT

pytest.importorskip("nats")

from journal.nats import layout as layouts
from journal.nats.address import parse
from journal.nats.checks import OLDEST
from journal.nats.layout import Layout

PAGE = (ROOT / "docs/reference/nats.md").read_text()


def test_the_page_names_every_option_and_no_other() -> None:
    """Those that a URL takes; the text of the error lists them."""
    with pytest.raises(ValueError, match="it knows") as raised:
        parse("nats://host", {"nothing": 1})
    known = set(str(raised.value).partition("it knows ")[2].split(", "))
    table = PAGE.partition("## Options")[2].partition("\n\nOf `connect`")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }

    assert named == known


def test_the_page_names_every_header_stream_and_subject() -> None:
    """As the code has them."""
    headers = [layouts.EXPECTED, layouts.KIND, layouts.PIECES, layouts.PUT, layouts.AFTER]
    headers.append(layouts.TOMBSTONES)
    layout = Layout("NAME")
    token = layout.changes("s-42").rpartition(".")[2]

    assert [each for each in headers if f"`{each}" not in PAGE] == []
    assert [name for name in layout.settings() if f"| `{name}` |" not in PAGE] == []
    for subject in (layout.changes("s-42"), layout.live("s-42"), layout.pieces("s-42", "ID")):
        assert f"`{subject.replace(token, 'TOKEN')}`" in PAGE
    assert f"`s-42` is `{token}`" in PAGE
    assert token == base64.b32hexencode(b"s-42").decode().rstrip("=").lower()
    assert f"`{layout.file('documents/notes/a.md').rpartition('files.')[2]}`" in PAGE
    assert f"nats-server {OLDEST[0]}.{OLDEST[1]} or later" in PAGE


def test_the_permissions_of_the_page_are_enough_and_no_more() -> None:
    """A store does all that a store does; another store's sessions it cannot touch."""
    (block,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    users = [
        {"user": "writer", "password": "w", "permissions": json.loads(block)},
        {"user": "other", "password": "o"},
    ]
    accounts = {"JOURNAL": {"jetstream": "enabled", "users": users}}
    with Cluster(1, settings={"accounts": accounts}) as cluster:
        url = cluster.url("talks").replace("//", "//writer:w@")
        with StateStore.connect(url, monitor=cluster.monitors[0]) as store:
            session = Session.with_id("ann", "s")
            session.add_user_message("hello")
            store.save_session(session)
            session.set_metadata("large", "x" * 2_000_000)
            store.save_session(session)
            store.save_markdown("notes", "n", "y" * 2_000_000)
            store.save_markdown("notes", "n", "small")
            reference = store.attach(b"picture")
            store.erase("s", [2], reason="asked for")
            store.fork("s", new_id="t")
            store.delete_session("s", why="asked for")
            assert store.delete_file("notes", "n")
        with StateStore.connect(url, durability="os") as store:
            assert [each.id for each in store.list_sessions()] == ["t"]
            assert next(store.follow("t", timeout=1)).session_id == "t"
            assert store.attachment(reference) == b"picture"
            assert [each.why for each in store.tombstones()] == ["asked for"]
        asyncio.run(_refused(cluster.urls[0]))


async def _refused(url: str) -> None:
    import nats

    refused: list[str] = []

    async def hear(error: Exception) -> None:
        refused.append(str(error))

    client = await nats.connect(url, user="writer", password="w", error_cb=hear)
    await client.publish("mine.e.abc", b"x")
    await client.subscribe("talks.e.*")
    async with asyncio.timeout(10):
        while len(refused) < 2:
            await asyncio.sleep(0.02)
    await client.close()

    assert all("permissions violation" in each.lower() for each in refused)
