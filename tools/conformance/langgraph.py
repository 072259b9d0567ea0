"""LangGraph's suite for checkpointers, from its package, on ours."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from conformance.outcome import Outcome

VERSION: Final = "0.0.2"
PACKAGES: Final = ["langgraph-checkpoint==4.3.2", f"langgraph-checkpoint-conformance=={VERSION}"]
SUITE: Final = f"langgraph-checkpoint-conformance {VERSION}, base and extended"
NOT_APPLICABLE: Final[dict[str, str]] = {}
ROOT: Final = Path(__file__).resolve().parents[2]


def run(python: str, checkout: Path | None, work: Path) -> Outcome:
    """Run the suite that is installed for `python`. Raises SystemExit where it did not come to its end."""
    paths = [str(ROOT), str(ROOT / "tools"), *filter(None, [os.environ.get("PYTHONPATH")])]
    finished = subprocess.run(
        [python, "-m", "conformance.langgraph"],
        cwd=work,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise SystemExit("the suite of langgraph did not come to its end")
    return Outcome(**json.loads(finished.stdout.splitlines()[-1]))


# In the framework's environment


async def outcome() -> Outcome:
    """What came of it here. A capability that the suite does not find in our class is a failed test."""
    from langgraph.checkpoint.conformance import checkpointer_test, validate

    from journal import StateStore
    from journal.adapters.langgraph import JournalSaver

    async def savers() -> AsyncIterator[Any]:
        with tempfile.TemporaryDirectory() as folder, StateStore(folder, durability="os") as store:
            async with JournalSaver(store) as saver:
                yield saver

    report = await validate(checkpointer_test(name="JournalSaver")(savers))
    results = report.results
    missing = [name for name, result in results.items() if not result.detected]
    failed = [each for result in results.values() for each in result.failures]
    passed = sum(result.tests_passed for result in results.values())
    return Outcome(passed + len(failed) + len(missing), passed, 0, [*missing, *failed])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(outcome())._asdict()))
    sys.exit(0)
