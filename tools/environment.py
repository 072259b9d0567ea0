"""A virtual environment of the project's own, made on first use with nothing but an interpreter and pip."""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_MINOR = 11


# What the tests, the campaigns and the benchmarks need of the project: one environment for all of them.
EXTRAS = "[cli,nats,parquet,seal,view]"
# The agent frameworks, which weigh a hundred times as much: their adapters' tests have an environment alone.
FRAMEWORKS = "[adk,claude-agent,langgraph,openai-agents,strands]"


def interpreters() -> dict[str, Path]:
    """The interpreters that this machine has, by minor version ("3.12"); of several, the newest."""
    places = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    # Version managers keep one folder a version, side by side.
    places += sorted(Path(sys.base_prefix).parent.glob("3.*/bin"))
    found: dict[str, Path] = {f"3.{sys.version_info.minor}": Path(sys.executable)}
    for place in places:
        for candidate in sorted(place.glob("python3.[0-9]*")):
            version = candidate.name.removeprefix("python")
            if not version.removeprefix("3.").isdigit() or version in found:
                continue
            if int(version.removeprefix("3.")) >= OLDEST_MINOR:
                answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
                if answer.stdout.startswith(f"Python {version}."):
                    found[version] = candidate
    return found


def environment(
    name: str,
    *,
    version: str | None = None,
    extras: str = "",
    group: str | None = None,
    packages: Sequence[str] = (),
) -> Path:
    """The `bin` folder of a virtual environment with the project installed; made again when needs change.

    Needs are those of the extras, of a dependency group, and `packages`. Raises SystemExit with one sentence
    where the interpreter is missing or the installation fails.
    """
    have = interpreters()
    version = version or f"3.{sys.version_info.minor}"
    if version not in have:
        raise SystemExit(f"no Python {version} on this machine; it has {', '.join(sorted(have))}")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needs = [*(project["dependency-groups"][group] if group else []), *packages]
    mark = hashlib.sha256(f"{have[version]} {extras} {needs} {project['project']}".encode()).hexdigest()
    folder = ROOT / ".venv" / f"{name}-{version}"
    stamp = folder / "made-for"
    if not (stamp.exists() and stamp.read_text() == mark):
        print(f"Setting up {folder.relative_to(ROOT)} …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([have[version], "-m", "venv", folder])
        pip: list[str | Path] = [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",  # what is imported is compiled then: much of it never is
        ]
        _run([*pip, "--editable", f"{ROOT}{extras}", *needs])
        stamp.write_text(mark)
    return folder / "bin"


def _run(command: Sequence[str | Path]) -> None:
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"failed: {' '.join(map(str, command))}")
