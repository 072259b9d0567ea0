"""How fast conversations are imported."""

import json
from collections.abc import Iterator
from pathlib import Path

from measure import Row, best

from journal import StateStore
from journal.importers import import_path


def rows(folder: Path, data: Path | None) -> Iterator[Row]:
    """Import of real transcripts where there are some, else of made-up ones."""
    sources = (
        [data / "claude-code-context-evaluator", data / "tau-bench-airline"] if data else [_made_up(folder)]
    )
    size = sum(file.stat().st_size for source in sources for file in source.rglob("*.json*"))
    count = 0

    def run() -> None:
        nonlocal count
        count += 1
        with StateStore(folder / f"import-{count}", durability="os") as store:
            for source in sources:
                assert not import_path(store, source).problems

    def floor() -> None:
        for source in sources:
            for file in source.rglob("*.json*"):
                lines = file.read_bytes().split(b"\n") if file.suffix == ".jsonl" else [file.read_bytes()]
                for line in lines:
                    if line:
                        json.loads(line)

    ours, bare = best(3, run, floor)
    yield Row(
        f"import of {size / 1e6:,.1f} MB of {'real' if data else 'made-up'} conversations",
        f"{size / ours / 1e6:,.0f} MB/s",
        f"json.loads of the same {size / bare / 1e6:,.0f} MB/s",
        "> 20 MB/s",
        size / ours > 20e6,
    )


def _made_up(folder: Path) -> Path:
    source = folder / "source"
    source.mkdir()
    for n in range(50):
        with (source / f"talk-{n}.jsonl").open("w") as file:
            for turn in range(100):
                for role in ("user", "assistant"):
                    line = {"role": role, "content": f"{turn} " * 200, "timestamp": "2026-11-22T12:00:00Z"}
                    file.write(json.dumps(line) + "\n")
    return source
