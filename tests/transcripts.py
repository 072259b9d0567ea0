"""Transcripts in the docs: commands that a reader types, and what a terminal shows then."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What a page's reader has in the folder.
FILES = ("tools/lima.jsonl", "docs/reference/check_proof.py")

_checker = doctest.OutputChecker()


def steps_in(text: str) -> list[str]:
    """What stands in the transcripts of a page: each step a command, then what it shows."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]


class Terminal:
    """A shell in a folder, with this tree's `journal`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # This tree, whatever is installed.
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": paths}
        self._prefix = f'journal() {{ "{sys.executable}" -m journal.cli "$@"; }}\n'
        self._prefix += f'python3() {{ "{sys.executable}" "$@"; }}\n'
        for file in FILES:
            shutil.copy(ROOT / file, folder)

    def type(self, command: str) -> str:
        """Run it; what it shows."""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value
            return ""
        result = subprocess.run(
            ["sh", "-c", self._prefix + command],
            cwd=self._folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        return result.stdout.decode()


def is_shown(expected: str, shown: str) -> bool:
    """Whether that is what was shown; `...` stands for what differs from run to run."""
    return _checker.check_output(expected, shown, doctest.ELLIPSIS)
