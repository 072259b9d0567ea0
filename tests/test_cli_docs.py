"""The transcripts in the README, the command's page and the how-tos are what the command really prints."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import lend_conversations

ROOT = Path(__file__).parents[1]
# What a page's reader has in the folder.
FILES = ("tools/lima.jsonl", "docs/reference/check_proof.py")


PAGES = [
    page
    for page in (
        "README.md",
        "docs/reference/cli.md",
        *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/how-to/*.md")),
    )
    if "```console" in (ROOT / page).read_text()
]


@pytest.mark.parametrize("page", PAGES)
def test_every_transcript_is_true(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Run in order in one folder; `...` stands for what differs from run to run."""
    lend_conversations(ROOT / page, tmp_path, request)
    blocks = re.findall(r"^```console\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    steps = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    checker = doctest.OutputChecker()
    # This tree, whatever is installed.
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": paths}
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path)
    prefix = f'journal() {{ "{sys.executable}" -m journal.cli "$@"; }}\n'
    prefix += f'python3() {{ "{sys.executable}" "$@"; }}\n'

    assert steps
    for step in steps:
        command, _, expected = step.partition("\n")
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            environment[name] = value
            continue
        result = subprocess.run(
            ["sh", "-c", prefix + command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        shown = result.stdout.decode()
        assert checker.check_output(expected, shown, doctest.ELLIPSIS), f"$ {command}\n{shown}"
