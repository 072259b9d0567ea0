"""Take the pictures of the viewer for the README and the docs, of the demo store: `python tools/pictures.py`.

Needs Chromium, and the packages of the extra `view` and of the group `test`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browsing import Opened, chromium, served
from demo_store import fill

from journal import StateStore

PICTURES: Final = Path(__file__).resolve().parents[1] / "docs/images"
SCREENS: Final = {
    "sessions": "#/",
    "debugger": "#/s/flaky-test?seq=5&tab=event",
    "state": "#/s/flaky-test?seq=8&tab=diff",
    "compare": "#/compare?left=flaky-test@20&right=flaky-test-retry@14",
    "integrity": "#/s/flaky-test/integrity",
    "search": "#/search?q=port",
}


def take(folder: Path, browser: Any) -> list[Path]:
    """A picture of each screen; their files."""
    taken = []
    with tempfile.TemporaryDirectory() as base:
        store = Path(base) / "demo"
        with StateStore(store, durability="os") as filled:
            fill(filled)
        window = browser.new_context(viewport={"width": 1200, "height": 720}, color_scheme="light")
        with served(store) as address:
            opened = Opened(window.new_page(), address)
            for name, link in SCREENS.items():
                page = opened.go(link)
                page.wait_for_timeout(500)
                taken.append(folder / f"{name}.png")
                page.screenshot(path=taken[-1])
        window.close()
    return taken


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    with chromium() as browser:
        for path in take(PICTURES, browser):
            print(f"{path.name}: {path.stat().st_size:,} bytes")
