"""The transcripts in the README and in the docs are what the command really prints."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["README.md", "docs/reference/cli.md", "docs/how-to/search.md"])
def test_every_transcript_is_true(page: str, tmp_path: Path) -> None:
    """Run in order in one folder; `...` stands for what differs from run to run."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    steps = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    checker = doctest.OutputChecker()
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    shutil.copy(ROOT / "tools" / "lima.jsonl", tmp_path)
    prefix = f'journal() {{ "{sys.executable}" -m journal.cli "$@"; }}\n'

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
