"""The command `journal` in tests: called in this process, started as one of its own, at a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from journal.cli.commands import app

Call = Callable[..., Result]
"""What the fixture `call` gives: the command on the test's store."""

COMMAND = [sys.executable, "-m", "journal.cli"]


def invoke(folder: Path, *args: str, **options: Any) -> Result:
    """What the command says of a store; an error that it did not expect is the test's."""
    return CliRunner().invoke(app, ["--store", str(folder), *args], **{"catch_exceptions": False} | options)


def run(*args: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    """The command as a process, its output in pipes."""
    return subprocess.run([*COMMAND, *args], capture_output=True, timeout=60, check=False, **options)


def at_a_terminal(*args: str, **environment: str) -> str:
    """What a person would see: the command with a pseudo-terminal as its stdout."""
    outer, inner = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **environment}
    process = subprocess.Popen([*COMMAND, *args], stdin=inner, stdout=inner, stderr=inner, env=variables)
    os.close(inner)
    shown = b""
    try:
        while chunk := os.read(outer, 65536):
            shown += chunk
    except OSError:  # the other side is gone
        pass
    os.close(outer)
    process.wait(timeout=30)
    return shown.decode()
