"""The transcripts in docs/reference/cli.md are what the command really prints."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"


def test_every_transcript_is_true(tmp_path: Path) -> None:
    """Run in order in one folder; `...` stands for what differs from run to run."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    steps = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    checker = doctest.OutputChecker()
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    prefix = f'journal() {{ "{sys.executable}" -m journal.cli "$@"; }}\n'

    assert steps
    for step in steps:
        command, _, expected = step.partition("\n")
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
