"""The suites that there are, and the table of what came of them. Called by tools/conformance/run."""

import argparse
import importlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast

from environment import ROOT, environment

from conformance.outcome import Outcome

PAGE = ROOT / "docs/reference/conformance.md"
_HERE = Path(__file__).resolve().parent
_HEAD = "| adapter | suite | tests | passed | not applicable | failed |\n|---|---|---|---|---|---|\n"
_BEGIN, _END = "<!-- written by tools/conformance/run -->\n", "<!-- end -->\n"


class Suite(Protocol):
    """A module of this folder: how a framework's suite is run, and what of it is not about us.

    NOT_APPLICABLE  the name of a test, or a pattern of names, and why
    """

    PACKAGES: list[str]
    SUITE: str
    NOT_APPLICABLE: dict[str, str]

    def run(self, python: str, checkout: Path | None, work: Path) -> Outcome:
        """Run it with this interpreter, which has the packages. `work` is a folder to work in."""
        ...


def suites() -> dict[str, Suite]:
    """Every suite, by its module's name."""
    modules = {path.stem: importlib.import_module(f"conformance.{path.stem}") for path in _HERE.glob("*.py")}
    return {
        name: cast(Suite, modules[name]) for name in sorted(modules) if hasattr(modules[name], "PACKAGES")
    }


def main(usage: str) -> int:
    """Run what is asked for, and bring the page up to date; 1 where not all is well."""
    known = suites()
    parser = argparse.ArgumentParser(
        description=usage, formatter_class=argparse.RawDescriptionHelpFormatter, prog="tools/conformance/run"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    parser.add_argument("--checkout", action="append", default=[], metavar="NAME=PATH")
    options = parser.parse_args()
    checkouts = dict(each.partition("=")[::2] for each in options.checkout)
    if unknown := {*options.names, *checkouts} - known.keys():
        parser.error(f"no suite named {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    print(_HEAD, end="")
    outcomes, is_well = {}, True
    for name in options.names or known:
        try:
            outcomes[name] = _run(name, known[name], checkouts.get(name))
        except SystemExit as error:
            print(f"{name}: {error}", file=sys.stderr)
            is_well = False
            continue
        print(row(name, known[name].SUITE, outcomes[name]), end="", flush=True)
        for failed in outcomes[name].failed:
            print(f"failed: {failed}", file=sys.stderr)
            is_well = False
    PAGE.write_text(page(PAGE.read_text(), known, outcomes))
    return 0 if is_well else 1


def _run(name: str, suite: Suite, checkout: str | None) -> Outcome:
    python = environment(f"conformance-{name}", packages=suite.PACKAGES) / "python"
    work = ROOT / ".venv" / "conformance" / name
    work.mkdir(parents=True, exist_ok=True)
    return suite.run(str(python), Path(checkout).resolve() if checkout else None, work)


def row(name: str, suite: str, outcome: Outcome) -> str:
    """A line of the table."""
    how_to = f"../how-to/{name.replace('_', '-')}.md"
    linked = f"[{name}]({how_to})" if (PAGE.parent / how_to).exists() else name
    figures = outcome.tests, outcome.passed, outcome.not_applicable, len(outcome.failed)
    return f"| {linked} | {suite} | {' | '.join(map(str, figures))} |\n"


def page(text: str, known: Mapping[str, Suite], outcomes: Mapping[str, Outcome]) -> str:
    """The page with these rows in the place of theirs before; the others stay as they are."""
    before, _, rest = text.partition(_BEGIN)
    written, _, after = rest.partition(_END)
    rows = {match[1]: match[0] for match in re.finditer(r"^\| \[?(\w+).*\n", written, re.MULTILINE)}
    rows |= {name: row(name, known[name].SUITE, outcome) for name, outcome in outcomes.items()}
    table = "".join(rows[name] for name in known if name in rows)
    return f"{before}{_BEGIN}\n{_HEAD}{table}\n{''.join(_reasons(known))}{_END}{after}"


def _reasons(known: Mapping[str, Suite]) -> Iterator[str]:
    """What does not apply, and why: a paragraph for each reason."""
    for name, suite in known.items():
        tests = defaultdict(list)
        for test, reason in suite.NOT_APPLICABLE.items():
            tests[reason].append(f"`{test}`")
        for reason, named in tests.items():
            yield f"Not applicable in {name}: {reason}: {', '.join(named)}.\n\n"
