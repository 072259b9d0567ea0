"""Take the pictures of the viewer for the README and the docs, of the demo store: `python tools/pictures.py`.

Needs Chromium, and the packages of the extra `view` and of the group `test`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

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


def take(folder: Path) -> list[Path]:
    """A picture of each screen; their files."""
    taken = []
    with tempfile.TemporaryDirectory() as base:
        store = Path(base) / "demo"
        with StateStore(store, durability="os") as filled:
            fill(filled)
        with chromium() as browser, served(store) as address:
            window = browser.new_context(viewport={"width": 1200, "height": 720}, color_scheme="light")
            opened = Opened(window.new_page(), address)
            for name, link in SCREENS.items():
                page = opened.go(link)
                page.wait_for_timeout(500)
                taken.append(folder / f"{name}.png")
                page.screenshot(path=taken[-1])
    return taken


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for path in take(PICTURES):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
