"""The table of conformance: a run brings its own rows up to date, and what it says is whole."""

import re

from conformance.outcome import Outcome
from conformance.table import PAGE, page, suites


def test_every_test_of_a_suite_passed_or_does_not_apply():
    rows = re.findall(
        r"^\| \[?(\w+).*?\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE
    )

    assert {name for name, *_ in rows} <= suites().keys()
    assert rows
    for _, tests, passed, not_applicable, failed in rows:
        assert int(tests) == int(passed) + int(not_applicable) > 0
        assert int(failed) == 0


def test_a_run_changes_only_its_own_row():
    known = suites()
    text = PAGE.read_text()
    changed = page(text, known, {"langgraph": Outcome(9, 7, 1, ["that one"])})

    assert page(text, known, {}) == text
    assert "| 9 | 7 | 1 | 1 |" in changed
    assert [line for line in changed.splitlines() if "langgraph" not in line] == [
        line for line in text.splitlines() if "langgraph" not in line
    ]


def test_what_does_not_apply_is_told_with_its_reason():
    for name, suite in suites().items():
        for test, reason in suite.NOT_APPLICABLE.items():
            assert f"`{test}`" in PAGE.read_text(), name
            assert reason in PAGE.read_text(), name
