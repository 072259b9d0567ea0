"""The Claude Agent SDK's contracts of session stores, which it ships."""

import re
import subprocess
import tempfile
import traceback
from pathlib import Path
from typing import Final

from conformance.outcome import Outcome
from conformance.suite import ROOT

VERSION: Final = "0.2.184"
PACKAGES: Final = [f"claude-agent-sdk=={VERSION}"]
SUITE: Final = f"run_session_store_conformance of claude-agent-sdk {VERSION}"
NOT_APPLICABLE: Final[dict[str, str]] = {}
# How the contracts are numbered in its source.
_CONTRACT: Final = re.compile(r"^ +# (\d+)\. (.*)")


def run(python: str, checkout: Path | None, work: Path) -> Outcome:
    """Run the contracts, in the order of the suite; it ends with the first that fails."""
    command = [python, "-m", "conformance.claude_agent"]
    paths = f"{ROOT}:{ROOT / 'tools'}"
    done = subprocess.run(
        command, cwd=work, env={"PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True, check=False
    )
    if not done.stdout:
        raise SystemExit("the contracts of the Claude Agent SDK did not run")
    total, passed, *failed = done.stdout.splitlines()
    return Outcome(int(total), int(passed), 0, failed)


# In the framework's environment


def main() -> None:
    """Print how many contracts there are and how many hold; below that, the one that does not."""
    import asyncio

    from claude_agent_sdk.testing import session_store_conformance as suite

    from journal import AsyncStateStore
    from journal.adapters.claude_agent import JournalSessionStore

    lines = Path(suite.__file__).read_text().splitlines()
    matches = ((number, _CONTRACT.match(line)) for number, line in enumerate(lines, 1))
    contracts = [(number, match[0].strip()) for number, match in matches if match]
    passed, failed = len(contracts), []

    def fresh() -> JournalSessionStore:
        return JournalSessionStore(AsyncStateStore(tempfile.mkdtemp(), durability="os"))

    try:
        asyncio.run(suite.run_session_store_conformance(fresh))
    except Exception as error:
        traceback.print_exc()
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        at = next(frame.f_lineno for frame in frames if frame.f_code.co_filename == suite.__file__)
        begun = [text for number, text in contracts if number <= at]
        passed, failed = len(begun) - 1, begun[-1:]
    print(len(contracts), passed, *failed, sep="\n")


if __name__ == "__main__":
    main()
