"""Run campaigns and print their figures. Called by tools/crash/run, in its environment."""

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crash.campaign import Campaign

# Each is a module of this folder with `run(campaign)`; beside it, how many units a short run makes, and how
# many seconds it may take.
CAMPAIGNS: dict[str, tuple[int | None, float]] = {
    "fuzz": (40_000, 12.0),
    "flips": (60_000, 60.0),
    "simulate": (100_000, 600.0),
    "kill": (50, 20.0),
    "agents": (40, 20.0),
    "faults": (250, 15.0),
    "full": (500, 8.0),
    "writers": (5_000, 15.0),
    "follow": (60, 30.0),
    "soak": (None, 12.0),
    "power": (20, 30.0),
    "cluster": (None, 20.0),
    "mutate": (None, float("inf")),
}
# What CI makes. To take each part out of the engine and run all tests takes an hour.
SHORT = [name for name in CAMPAIGNS if name != "mutate"]


def main() -> int:
    """Print a table for each campaign; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="tools/crash/run", description="Try to break the store's promises.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(CAMPAIGNS)}; all but the last unless given"
    )
    parser.add_argument("--seed", type=int, help="of all chance; drawn and printed unless given")
    parser.add_argument("--count", type=int, help="how many units; as many as fit in --seconds unless given")
    parser.add_argument("--seconds", type=float, help="how long a campaign may take")
    options = parser.parse_args()
    if unknown := set(options.names) - CAMPAIGNS.keys():
        parser.error(f"no campaign named {', '.join(sorted(unknown))}; there are {', '.join(CAMPAIGNS)}")
    seed = SystemRandom().randrange(2**32) if options.seed is None else options.seed
    breaches = 0
    for name in options.names or SHORT:
        breaches += _run(name, seed, options.count, options.seconds)
    return 1 if breaches else 0


def _run(name: str, seed: int, count: int | None, seconds: float | None) -> int:
    if count is None and seconds is None:
        count, seconds = CAMPAIGNS[name]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"journal-{name}-") as folder:
        limit = float("inf") if seconds is None else seconds
        campaign = Campaign(seed=seed, count=count, seconds=limit, folder=Path(folder))
        importlib.import_module(f"crash.{name}").run(campaign)
    print(f"\n## {name}, seed {seed}, {time.monotonic() - start:.1f} s\n")
    print("| what | how many |\n|---|---|")
    for what, number in campaign.figures.items():
        print(f"| {what} | {number:,} |")
    print(f"| promises broken | {len(campaign.breaches):,} |", flush=True)
    for why in campaign.skipped:
        print(f"\nnot tried: {why}", flush=True)
    for breach in campaign.breaches[:20]:
        print(f"\nBROKEN: {breach}", file=sys.stderr, flush=True)
    return len(campaign.breaches)


if __name__ == "__main__":
    sys.exit(main())
