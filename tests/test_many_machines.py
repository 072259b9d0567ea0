"""The how-to that goes from one machine to three servers and back: settings, commands, programs."""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, Server, ServerError
from cluster.ports import free_ports

from journal import DurabilityError, Session, StateStore
from journal.connecting import backend_of
from journal.copying import copy
from journal.errors import UnreachableError
from tests.transcripts import ROOT, Terminal, is_shown

pytest.importorskip("nats")

PAGE = (ROOT / "docs/how-to/many-machines.md").read_text()
BLOCKS = re.findall(r"^```(json|console|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NODES = ("a", "b", "c")


class OfThePage(Cluster):
    """Servers with the page's own settings, but that all are on this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(len(NODES), folder=folder)
        (settings,) = (json.loads(block) for kind, block in BLOCKS if kind == "json")
        self.places: dict[str, str] = {}  # what the page calls them, and where they are
        ports = free_ports(3 * len(NODES))
        for at, node in enumerate(NODES):
            for usual, port in zip((4222, 8222, 6222), ports[3 * at : 3 * at + 3], strict=True):
                self.places[f"{node}.example:{usual}"] = f"127.0.0.1:{port}"
        for at, node in enumerate(NODES):
            self.servers[at] = self._server(node, settings, self.folder / node)

    def _server(self, node: str, settings: dict[str, object], folder: Path) -> Server:
        text = json.dumps(settings).replace('"server_name": "a"', f'"server_name": "{node}"')
        text = text.replace("0.0.0.0:", f"{node}.example:").replace("/var/lib/nats", str(folder))
        client, monitor = (self.places[f"{node}.example:{usual}"].split(":")[1] for usual in (4222, 8222))
        return Server(node, folder, int(client), int(monitor), json.loads(self.here(text)))

    def here(self, text: str) -> str:
        """What the page says, of this machine."""
        for name, place in self.places.items():
            text = text.replace(name, place)
        return text

    def there(self, text: str) -> str:
        """What is shown here, as the page says it."""
        for name, place in self.places.items():
            text = text.replace(place, name)
        return text

    def tell(self, command: str) -> None:
        """What an administrator types."""
        found = re.fullmatch(r"ssh (\w)\.example systemctl (stop|start) nats-server", command)
        assert found is not None, command
        node = NODES.index(found[1])
        if found[2] == "stop":
            self.stop(node)
        else:
            self.restart(node)
            self.wait_until_ready()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[OfThePage]:
    for attempt in range(3):
        cluster = OfThePage(tmp_path / f"servers-{attempt}")
        try:
            cluster.start()
        except ServerError:  # somebody else took a port this very moment
            continue
        with contextlib.closing(cluster):
            yield cluster
        return
    pytest.fail("no servers")


def test_the_way_there_and_back_is_as_the_page_says(
    servers: OfThePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks run top to bottom, in one folder."""
    terminal = Terminal(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for kind, block in BLOCKS:
        if kind == "python":
            monkeypatch.setenv("JOURNAL_STORE", terminal.environment["JOURNAL_STORE"])
            exec(block, names)
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] if kind == "console" else ():
            command, _, expected = step.partition("\n")
            if command.startswith("ssh "):
                servers.tell(command)
                continue
            shown = servers.there(terminal.type(servers.here(command)))
            assert is_shown(expected, shown), f"$ {command}\n{shown}"

    url = servers.here(terminal.environment["JOURNAL_STORE"])
    with StateStore.connect(url) as there, StateStore(tmp_path / "talks") as here:
        assert here.verify("s-42").head == there.verify("s-42").head
        assert [each.by for each in here.records("s-42", after=4)] == ["shop", None, None]


@pytest.mark.parametrize(
    ("end", "how"), [("stop", "monitor"), ("kill", "monitor"), ("pause", "monitor"), ("stop", "system")]
)
def test_a_program_may_begin_while_a_server_is_down(end: str, how: str) -> None:
    """The others were asked, and they are most: what they acknowledge is on their disks."""
    with Cluster(3, accounts=True) as cluster:
        options = (
            {"monitor": ",".join(cluster.monitors)} if how == "monitor" else {"system": cluster.system_url}
        )
        StateStore.connect(cluster.url("s"), **options).close()
        getattr(cluster, end)(0)
        with StateStore.connect(cluster.url("s"), **options) as store:
            session = Session.with_id("ann", "s")
            store.save_session(session)

            assert re.search(r"on their disks .*; journal-\w+-0, down now, could not be asked", store.promise)


def test_a_server_that_nobody_named_is_not_taken_for_one_that_is_down(three_nodes: Cluster) -> None:
    """What it does is not known, so nothing is claimed of it."""
    named = ",".join(three_nodes.monitors[:2])
    with pytest.raises(DurabilityError, match="is not known"):
        StateStore.connect(three_nodes.url("nobody-named"), monitor=named)


def test_of_servers_that_are_all_down_for_whoever_asks_that_is_told(three_nodes: Cluster) -> None:
    """A URL that is wrong, most likely."""
    with pytest.raises(UnreachableError, match=r"monitor=http://127.0.0.1:1 does not tell"):
        StateStore.connect(three_nodes.url("wrong"), monitor="http://127.0.0.1:1")


def test_a_copy_goes_on_while_servers_fail(tmp_path: Path) -> None:
    """One after the other is killed, and paused: nothing is lost or doubled, there and back."""
    with StateStore(tmp_path / "here", durability="os") as store:
        for number in range(300):
            session = Session.with_id("ann", f"s{number}")
            for text in range(number % 5):
                session.add_user_message(f"message {text}")
            store.save_session(session)
        store.attach(b"x" * 2_000_000)
    with Cluster(3) as cluster:

        def fail() -> None:
            for node, how in enumerate((cluster.kill, cluster.pause)):
                time.sleep(0.3)
                how(node)
                time.sleep(1)
                cluster.restart(node)
                cluster.wait_until_ready()

        for source, target in (("here", cluster.url("s")), (cluster.url("s"), "back")):
            places = [place if "://" in place else tmp_path / place for place in (source, target)]
            failing = threading.Thread(target=fail)
            failing.start()
            found = asyncio.run(copy(*map(backend_of, places)))
            failing.join()

            assert (found.created, found.attachments, found.ok) == (300, 1, True)
    for path in (tmp_path / "here" / "sessions").glob("*.jsonl"):
        assert (tmp_path / "back" / "sessions" / path.name).read_bytes() == path.read_bytes()
