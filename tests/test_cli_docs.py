"""The transcripts in the README, the command's page and the how-tos are what the command really prints."""

from pathlib import Path

import pytest

from tests.test_docs import SERVED, lend_conversations
from tests.transcripts import ROOT, Terminal, is_shown, steps_in

PAGES = [
    page
    for page in (
        "README.md",
        "docs/reference/cli.md",
        *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/how-to/*.md")),
    )
    if "```console" in (ROOT / page).read_text() and Path(page).name not in SERVED
]


@pytest.mark.parametrize("page", PAGES)
def test_every_transcript_is_true(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Run in order in one folder; `...` stands for what differs from run to run."""
    lend_conversations(ROOT / page, tmp_path, request)
    terminal = Terminal(tmp_path)
    steps = steps_in((ROOT / page).read_text())

    assert steps
    for step in steps:
        command, _, expected = step.partition("\n")
        shown = terminal.type(command)
        assert is_shown(expected, shown), f"$ {command}\n{shown}"
