"""Run the benchmarks and print their table. Called by tools/bench/run, in its environment."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Behind the benchmarks: `cluster` is one of the packages there.
sys.path.append(str(Path(__file__).resolve().parents[1]))

import clustered
import following
import glance
import importing
import listing
import living
import loading
import rewriting
import saving
import sealing
import searching
import stages
import together
import travelling
import verifying
import viewing
from measure import Row


def main() -> int:
    """Print the table; 1 where a target was missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    benchmarks: dict[str, Callable[[Path], Iterator[Row]]] = {
        "save": saving.turn_rows,
        "stages": stages.rows,
        "batch": saving.batch_rows,
        "update": saving.update_rows,
        "fold": loading.rows,
        "together": together.rows,
        "verify": verifying.rows,
        "store": verifying.store_rows,
        "seal": sealing.rows,
        "import": lambda folder: importing.rows(folder, options.data),
        "list": listing.rows,
        "glance": glance.rows,
        "follow": following.rows,
        "search": searching.rows,
        "travel": travelling.rows,
        "rewrite": rewriting.rows,
        "live": living.rows,
        "view": viewing.rows,
        "cluster": clustered.rows,
    }
    unknown = set(options.names) - benchmarks.keys()
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(benchmarks)}")
    print(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores\n")
    print("| what | figure | floor, same run | target | holds |\n|---|---|---|---|---|")
    missed = 0
    for name in options.names or benchmarks:
        with tempfile.TemporaryDirectory(prefix="journal-bench-") as folder:
            os.sync()  # what the one before wrote must not be this one's cost
            for row in benchmarks[name](Path(folder)):
                print(row, flush=True)
                missed += not row.holds
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
