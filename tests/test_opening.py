"""Opening a store elsewhere: whatever goes wrong behind the connection, that is closed, and nothing stays."""

import asyncio
import os
import tempfile

import pytest

from journal import AsyncStateStore, DurabilityError, StateStore
from journal.backend import Promise
from journal.disk import Disk
from journal.memory import MemoryBackend
from journal.waiting import LoopThread


class Counted(MemoryBackend):
    """Knows how many have it open. Closing it waits for something, as that of a connection does."""

    def __init__(self):
        super().__init__("counted")
        self.open_ones = 0
        self.survives = "disk"

    async def open(self):
        self.open_ones += 1
        return Promise(self.survives, 1, "it is in memory")

    async def close(self):
        await asyncio.sleep(0)
        self.open_ones -= 1


@pytest.fixture
def backend(monkeypatch, tmp_path):
    """What each URL leads to; temporary folders are made below `tmp_path`."""
    backend = Counted()
    monkeypatch.setattr("journal.opening.backend_of", lambda url, **options: backend)
    monkeypatch.setattr("journal.opening.AtOnce", LoopThread)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return backend


def connect(**options):
    StateStore.connect("memory:x", **options).close()


def connect_in_a_loop(**options):
    async def main():
        await (await AsyncStateStore.connect("memory:x", **options)).close()

    asyncio.run(main())


@pytest.fixture(params=[connect, connect_in_a_loop])
def attempt(request):
    return request.param


def test_what_was_opened_is_closed_and_leaves_nothing(backend, attempt, tmp_path):
    attempt()

    assert backend.open_ones == 0
    assert [*tmp_path.iterdir()] == []


def failing(method, at):
    """The disk's method, which fails for paths that end so."""

    def fails(self, path, **options):
        if path.endswith(at):
            raise OSError(28, "No space left on device", path)
        return method(self, path, **options)

    return fails


@pytest.mark.parametrize(
    ("method", "at"),
    [
        ("open", "in-use"),
        ("make_folder", "store"),
        ("make_folder", "sessions"),
        ("make_folder", "quarantine"),
    ],
)
def test_where_the_private_folder_cannot_be_made_the_connection_is_closed(
    backend, attempt, tmp_path, monkeypatch, method, at
):
    """And what was made of the folder is gone."""
    monkeypatch.setattr(Disk, method, failing(getattr(Disk, method), at))
    with pytest.raises(
        DurabilityError, match=r"private folder .* cannot be made: .* No space left"
    ) as caught:
        attempt()

    assert not caught.value.outcome_unknown
    assert backend.open_ones == 0
    assert [*tmp_path.iterdir()] == []


def test_without_any_temporary_folder_the_connection_is_closed(backend, attempt, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(DurabilityError, match=r"private folder .* TMPDIR"):
        attempt()

    assert backend.open_ones == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"attach_over_bytes": -1}, ValueError),
        ({"durability": "paper"}, ValueError),
        *(({"timeout": each}, ValueError) for each in (0, -1, float("nan"), float("inf"), "5", None)),
    ],
)
def test_an_option_that_is_none_leaves_no_connection(backend, attempt, tmp_path, options, error):
    with pytest.raises(error, match=next(iter(options))):
        attempt(**options)

    assert backend.open_ones == 0
    assert [*tmp_path.iterdir()] == []


def test_a_promise_that_is_too_little_leaves_no_connection(backend, attempt, tmp_path):
    backend.survives = "os"
    with pytest.raises(DurabilityError, match="is not what it promises"):
        attempt()

    assert backend.open_ones == 0
    attempt(durability="os")
    assert backend.open_ones == 0
    assert [*tmp_path.iterdir()] == []


def test_a_temporary_folder_that_may_not_be_listed_will_do(backend, attempt, tmp_path, monkeypatch):
    """What others left there is then left to them."""
    scan = os.scandir

    def refused(path):
        if path == str(tmp_path):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    attempt()

    assert backend.open_ones == 0
