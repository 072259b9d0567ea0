"""Run a framework's pytest suite, unchanged, with a plugin that puts our class in the place of theirs."""

import fnmatch
import os
import subprocess
import tarfile
import xml.etree.ElementTree
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from conformance.outcome import Outcome

ROOT: Final = Path(__file__).resolve().parents[2]
_NOT_APPLICABLE: Final = "not applicable: "


def outcome(python: str, plugin: str, tests: Iterable[Path | str], folder: Path, work: Path) -> Outcome:
    """What came of these tests of the suite in `folder`, run by `python` with a plugin's module.

    What the run says is in `work`/<plugin>.log. Raises SystemExit where it did not come to its end.
    """
    work.mkdir(parents=True, exist_ok=True)
    report, log = work / f"{plugin}.xml", work / f"{plugin}.log"
    report.unlink(missing_ok=True)
    # Theirs first: its folder of tests may be called as ours is.
    paths = [str(folder), str(ROOT), str(ROOT / "tools"), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [python, "-m", "pytest", "-p", f"conformance.{plugin}", "-p", "no:cacheprovider", "-q", "-rs"]
    with log.open("w") as output:
        subprocess.run(
            [*command, f"--junitxml={report}", f"--basetemp={work / 'tmp'}", *map(str, tests)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not report.exists():
        raise SystemExit(f"the suite of {plugin} did not run; see {log}")
    cases = list(xml.etree.ElementTree.parse(report).iter("testcase"))
    if not cases:
        raise SystemExit(f"the suite of {plugin} has no tests; see {log}")
    skipped = [case for case in cases if _why(case).startswith(_NOT_APPLICABLE)]
    # An error at the end of a test is a case of its own, of the same name.
    failed = {_name(case) for case in cases if case not in skipped and len(case.findall("*"))}
    names = {_name(case) for case in cases}
    return Outcome(len(names), len(names) - len(skipped) - len(failed), len(skipped), sorted(failed))


def source(python: str, package: str, version: str, work: Path) -> Path:
    """The folder of a package's source archive, which holds the tests; fetched into `work` once."""
    name = f"{package.replace('-', '_')}-{version}"
    if not (work / name).exists():
        pip = [python, "-m", "pip", "download", "--quiet", "--no-deps", f"--no-binary={package}"]
        subprocess.run([*pip, f"--dest={work}", f"{package}=={version}"], check=True)
        with tarfile.open(work / f"{name}.tar.gz") as archive:
            archive.extractall(work, filter="data")
    return work / name


def skip_not_applicable(items: Iterable[Any], reasons: Mapping[str, str]) -> None:
    """Skip the collected tests whose names fit one of the patterns, with its reason."""
    import pytest

    for item in items:
        reason = next((reasons[each] for each in reasons if fnmatch.fnmatch(item.name, each)), None)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=_NOT_APPLICABLE + reason))


def _name(case: xml.etree.ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _why(case: xml.etree.ElementTree.Element) -> str:
    skipped = case.find("skipped")
    return "" if skipped is None else skipped.get("message", "")
