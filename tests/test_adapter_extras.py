"""An adapter without its framework says what to install."""

import importlib
import sys

import pytest

from journal.errors import MissingExtraError


@pytest.mark.parametrize(
    ("name", "module"), [("adk", "google.adk.errors"), ("strands", "strands.session.session_repository")]
)
def test_a_missing_framework_is_told(name, module, monkeypatch):
    monkeypatch.delitem(sys.modules, f"journal.adapters.{name}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtraError, match=rf"session-journal\[{name}\]"):
        importlib.import_module(f"journal.adapters.{name}")
