"""Take one sync, lock, check or rename out of the engine at a time, and see which test notices.

The lists are mutations.py and mutations_replica.py. Each is tried on a copy of the project; a mutation that
no test notices is a breach, and so is one that no longer applies. `python tools/crash/mutate.py
journal/fork.py` tries those of a file.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crash.campaign import Campaign
from crash.mutations import MUTATIONS as ENGINE
from crash.mutations import Mutation
from crash.mutations_replica import MUTATIONS as REPLICA

ROOT = Path(__file__).resolve().parents[2]
MUTATIONS = [*ENGINE, *REPLICA]
# Where one is likely to be noticed first; the others follow.
LIKELY = [
    "test_durability",
    "test_refusals",
    "test_marks",
    "test_log",
    "test_store",
    "test_commits",
    "test_record",
    "test_security",
    "test_documents",
    "test_catalog",
    "test_seed_weaknesses",
    "test_repair",
    "test_simulated_disk",
    "test_concurrency",
]
# What looks closest at a file, where that is not the test of its name.
CLOSEST = {
    "rechain": "fork",
    "lineage": "fork",
    "erasures": "erase",
    "sealing": "seal",
    "merkle": "proof",
    "trail": "follow",
    "search_index": "search",
    "indexing": "search",
}
# A mutation may make the engine wait for ever; that is noticed, too. So long no test is silent otherwise.
PATIENCE_SECONDS = 180


def run(campaign: Campaign, mutations: list[Mutation] = MUTATIONS) -> None:
    """A unit is a mutation; by default all of them, two at a time. Prints a table as it goes."""
    if (test := _first_failure(_copy(campaign.folder / "as-it-is"))) is not None:
        campaign.breach(f"{test} fails though nothing is taken out: nothing can be told from the tests")
        return
    print("| what is taken out | of | noticed by |\n|---|---|---|", flush=True)
    chosen = [mutation for mutation, _ in zip(mutations, campaign.units(), strict=False)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        for mutation, test in zip(
            chosen, threads.map(lambda each: _noticed(campaign, each), chosen), strict=True
        ):
            campaign.figures["mutations"] += 1
            campaign.figures["noticed"] += test is not None
            print(f"| {mutation.what} | {mutation.path} | {test or '**nothing**'} |", flush=True)
            if test is None:
                campaign.breach(f"no test notices when the engine goes without: {mutation.what}")


def _noticed(campaign: Campaign, mutation: Mutation) -> str | None:
    """The first test that fails with the mutation in; None where all pass."""
    folder = _copy(campaign.folder / f"mutation-{MUTATIONS.index(mutation)}")
    file = folder / mutation.path
    text = file.read_text()
    if text.count(mutation.before) != 1:
        campaign.breach(f"{mutation.what}: {mutation.path} does not say once what is to be taken out")
        return None
    file.write_text(text.replace(mutation.before, mutation.after))
    try:
        return _first_failure(folder, mutation.path)
    finally:
        shutil.rmtree(folder)


def _copy(folder: Path) -> Path:
    """The project, without what is made from it."""
    made = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    return shutil.copytree(ROOT, folder, ignore=made)


def _first_failure(folder: Path, path: str = "") -> str | None:
    """The first test that fails in a copy of the project in which this file was changed."""
    name = "replica*" if Path(path).parent.name == "replica" else Path(path).stem
    closest = [f"tests/{each.name}" for each in (folder / "tests").glob(f"test_{CLOSEST.get(name, name)}.py")]
    likely = [f"tests/{name}.py" for name in LIKELY]
    likely = [*sorted(closest), *(each for each in likely if each not in closest)]
    others = sorted(str(path.relative_to(folder)) for path in (folder / "tests").glob("test_*.py"))
    return _run(folder, likely) or _run(folder, [each for each in others if each not in likely])


def _run(folder: Path, tests: list[str]) -> str | None:
    command = [sys.executable, "-m", "pytest", "-x", "-vv", "-p", "no:cacheprovider", *tests]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert process.stdout is not None
    said = bytearray()
    with process.stdout as out:
        while select.select([out], [], [], PATIENCE_SECONDS)[0]:
            if not (more := os.read(out.fileno(), 65536)):
                break
            said += more
        else:
            os.killpg(process.pid, signal.SIGKILL)
    if process.wait() == 0:
        return None
    lines = said.decode(errors="replace").splitlines()
    failed = [line.split()[1] for line in lines if line.startswith(("FAILED", "ERROR"))]
    if failed:
        return failed[0].removeprefix("tests/")
    return f"{lines[-1].split()[0].removeprefix('tests/')}, which ends no more"


def main() -> int:
    """Try the mutations of some files."""
    chosen = [mutation for mutation in MUTATIONS if mutation.path in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="journal-mutate-") as folder:
        campaign = Campaign(seed=0, count=None, seconds=float("inf"), folder=Path(folder))
        run(campaign, chosen)
    print(*campaign.breaches, f"{campaign.figures['noticed']} of {len(chosen)} noticed", sep="\n")
    return 1 if campaign.breaches or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
