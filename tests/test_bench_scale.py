"""The figures of docs/explanation/scale.md: the script that makes them, in small."""

import importlib
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("nats")


def test_every_figure_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row a figure, a column a number of sessions."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "tools/bench"))
    monkeypatch.setattr(sys, "argv", ["scale.py", "20", "40"])
    importlib.import_module("scale").main()
    rows = capsys.readouterr().out.splitlines()

    assert rows[0] == "| sessions | 20 | 40 |"
    assert len(rows) == 17
    assert all(re.fullmatch(r"\|[^|]+(\|[^|]*\d[^|]*){2}\|", row) for row in [rows[0], *rows[2:]])
