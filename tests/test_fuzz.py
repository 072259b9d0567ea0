"""The fuzz campaign: a short run finds nothing, and each promise that is broken on purpose is noticed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crash import fuzz, fuzz_targets
from crash.campaign import Campaign
from crash.forging import CREATED, SAID, forged
from crash.fuzz_targets import JOURNAL, SNAPSHOT

from journal import repair, snapshot, store

JOURNAL_OF_TWO = forged([CREATED], [SAID])
DAMAGED = forged([CREATED], [SAID], [SAID]).replace(b"hello", b"HELLO", 1)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """A campaign's processes prepare themselves; here that must not outlive a test."""
    monkeypatch.setattr(fuzz.salvage, "_MOST_RESTORED", 0)
    before = fuzz.signal.signal(fuzz.signal.SIGALRM, fuzz._ring)
    yield
    fuzz.signal.signal(fuzz.signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
def test_a_few_inputs_break_nothing(tmp_path: Path):
    """The same ones each time."""
    tally = fuzz.try_slice(fuzz.Slice(seed=1, first=0, size=1000, folder=tmp_path))

    assert tally.breaches == []
    assert tally.figures["inputs"] == 1000
    assert {name.partition(":")[0] for name in tally.figures} == {"inputs", *fuzz.SHARES}


def test_a_campaign_counts_what_its_processes_did(tmp_path: Path):
    """As many inputs as were asked for, whatever the slices."""
    campaign = Campaign(seed=2, count=1500, seconds=60.0, folder=tmp_path)
    fuzz.run(campaign)

    assert campaign.figures["inputs"] == 1500
    assert campaign.breaches == []


def _raises(*arguments: Any, **options: Any) -> Any:
    raise KeyError("no error of ours")


def _hangs(*arguments: Any, **options: Any) -> Any:
    while True:
        time.sleep(0.001)


BROKEN: dict[str, tuple[Any, str, Callable[..., Any], str, dict[str, bytes]]] = {
    "another exception": (fuzz_targets, "decode_record", _raises, "journal", {JOURNAL: JOURNAL_OF_TWO}),
    "a hang": (fuzz_targets, "decode_record", _hangs, "journal", {JOURNAL: JOURNAL_OF_TWO}),
    "a snapshot's exception": (snapshot, "parse_document", _raises, "snapshot", {SNAPSHOT: b"{}"}),
    "a reader that passes bytes over": (
        fuzz_targets.Reader,
        "_explain",
        lambda *_, **__: None,
        "journal",
        {JOURNAL: DAMAGED},
    ),
    "a repair that does nothing": (store, "repair", lambda *_, **__: [], "store", {JOURNAL: DAMAGED}),
}


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_promise_is_noticed(tmp_path: Path, monkeypatch, name: str):
    """And the same input breaks nothing where nothing is broken."""
    where, what, by, kind, files = BROKEN[name]
    sound = fuzz.attempt(kind, files, tmp_path / "x")
    monkeypatch.setattr(where, what, by)
    monkeypatch.setattr(fuzz, "HANGS_AFTER_SECONDS", 0.5)
    _, error = fuzz.attempt(kind, files, tmp_path / "x")

    assert sound[1] is None
    assert error is not None


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
def test_a_line_that_a_repair_loses_is_noticed(tmp_path: Path, monkeypatch):
    """What was cut must be somewhere."""
    real = repair.keep
    files = {JOURNAL: DAMAGED}

    def keep_less(disk, folder, name, fd, offset):
        return real(disk, folder, name, fd, offset + 40)

    sound = fuzz.attempt("store", files, tmp_path / "x")
    monkeypatch.setattr(repair, "keep", keep_less)
    _, error = fuzz.attempt("store", files, tmp_path / "x")

    assert sound[1] is None
    assert error is not None
    assert "some are gone" in error


def test_a_breach_is_shown_as_small_as_it_can_be(tmp_path: Path, monkeypatch):
    """Of a long journal, the one byte that matters; of several files, the one."""

    def fails_at_a_bang(files: dict[str, bytes], folder: Path) -> str:
        if b"!" in files.get(JOURNAL, b""):
            raise KeyError
        return "fine"

    monkeypatch.setitem(fuzz.TARGETS, "journal", fails_at_a_bang)
    files = {JOURNAL: b"x" * 700 + b"!" + b"y" * 600, SNAPSHOT: b"{}"}
    outcome, error = fuzz.attempt("journal", files, tmp_path)

    assert error is not None
    assert fuzz.smallest("journal", files, tmp_path, outcome) == {JOURNAL: b"!"}
