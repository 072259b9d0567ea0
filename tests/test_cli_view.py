"""`journal view`: what it prints, where it serves, how it ends."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from journal import StateStore
from tests.command import COMMAND, Call
from tests.viewer import say


class Running:
    """The command, as a process of its own, until the `with` ends."""

    def __init__(self, folder: Path, *args: str) -> None:
        self._args = [*COMMAND, "--store", str(folder), "view", "--no-browser", *args]

    def __enter__(self) -> "Running":
        self.process = subprocess.Popen(self._args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=20)

    def interrupted(self, how: int = signal.SIGINT) -> tuple[int, str]:
        """The exit code, and what it said on stderr, after a signal."""
        # It answers: while a program still starts, Python may drop what a signal raises.
        httpx.get(f"http://{urlsplit(self.link).netloc}/", timeout=20)
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


@pytest.fixture(autouse=True)
def a_session(store: StateStore) -> None:
    """There is one to look at."""
    say(store, "s", "one", "two")


def test_the_printed_link_leads_to_the_page_and_ctrl_c_ends_it(folder: Path):
    """One line on stdout; whatever a page follows meanwhile, the end is quick and quiet."""
    with Running(folder, "--port", "0") as running, httpx.Client(timeout=20) as client:
        assert client.get(running.link).status_code == 303
        parts = urlsplit(running.link)
        with client.stream("GET", f"http://{parts.netloc}/api/s/s/live?after=0") as live:
            assert live.status_code == 200
            next(live.iter_lines())
            code, said = running.interrupted()

    assert parts.hostname == "127.0.0.1"
    assert code == 130
    assert said.strip() == "the link lets one browser in, once; it may only read. Ctrl-C ends it."


def test_a_point_is_in_the_link(folder: Path):
    """The session's id and the record, as the page's own addresses have them."""
    with Running(folder, "s@-1", "--port", "0") as running:
        assert running.link.endswith("#/s/s?seq=3")


def test_as_json(folder: Path):
    """One object, at once."""
    with Running(folder, "s", "--port", "0", "--json", "--allow-write") as running:
        found = json.loads(running.link)

    assert set(found) == {"url", "port", "allow_write"}
    assert found["url"].startswith(f"http://127.0.0.1:{found['port']}/open?token=")
    assert found["url"].endswith("#/s/s")
    assert found["allow_write"]


def test_a_port_in_use(folder: Path):
    """The next free one, said clearly."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Running(folder, "--port", str(port)) as running:
            served = urlsplit(running.link).port
            _, said = running.interrupted()

    assert served is not None
    assert served > port
    assert f"port {port} is in use; this is served on port {served}" in said


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["nothing"], 3),
        (["s@9"], 3),
        (["../s"], 2),
        (["--host", "0.0.0.0"], 2),
        (["--host", "203.0.113.7"], 2),
        (["--port", "70000"], 2),
    ],
)
def test_what_cannot_be_shown_is_said(call: Call, args: list[str], code: int):
    """Before anything is served."""
    result = call("view", "--no-browser", *args)

    assert result.exit_code == code
    assert "http" not in result.stdout


def test_it_says_what_to_install() -> None:
    """Without the extra; and nothing else of the command needs it."""
    code = "import sys; sys.modules['uvicorn'] = None; from journal.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "view"], capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 6
    assert (
        result.stderr
        == "journal: the viewer's pages need the package 'uvicorn': pip install 'session-journal[view]'\n"
    )


def test_the_command_does_not_load_the_server() -> None:
    """Importing the library or the command costs nobody the viewer."""
    loads = "import sys, journal.cli.commands, journal.web.glances"
    code = f"{loads}; print({{'starlette', 'uvicorn'}} & {{*sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert result.stdout == "set()\n"
