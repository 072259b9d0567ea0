"""Chromium and the viewer: for tests, benchmarks and pictures. What the browser complains of is kept.

Playwright's loop runs in the thread of who started it, where no other may run meanwhile: close the browser
before anything else of asyncio begins.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
)
_ADDRESS = re.compile(r"http://\S+")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser. Raises LookupError where this machine has none, ImportError without playwright."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise LookupError("no Chromium was found: install it, as with `apt install chromium`")
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """`journal view` of a store, in a process of its own that stands beside it; the link that lets one in."""
    command = [sys.executable, "-c", "from journal.cli import main; main()", "--store", folder.name]
    process = subprocess.Popen(
        [*command, "view", "--no-browser", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder.parent,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if (found := _ADDRESS.search(line)) is not None:
                yield found[0]
                break
        else:
            raise AssertionError(f"`journal view` gave no address: {said}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


class Opened:
    """A page of the viewer: `go("#/…")`, and what it complained of since."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.goto(address)
        page.wait_for_selector("main")
        self._base = page.url.partition("#")[0]

    def go(self, link: str) -> Any:
        """Follow a deep link, as if it were pasted into a new tab's address."""
        self.page.goto("about:blank")
        self.page.goto(self._base + link)
        self.page.wait_for_selector("main")
        return self.page

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}")
