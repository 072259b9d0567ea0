"""Marks: what a writer notes is found by a reader, whoever comes when."""

import time

import pytest

from journal.disk import Disk
from journal.marks import COUNTS_FOR_SECONDS, MAX_BYTES, NAME, Marks


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".journal"


@pytest.fixture
def writer(folder):
    return Marks(Disk(), str(folder))


@pytest.fixture
def reader(folder):
    return Marks(Disk(), str(folder))


def wait():
    """Until a writer no longer counts on the marks that it made."""
    time.sleep(2 * COUNTS_FOR_SECONDS)


def test_a_mark_made_while_others_are_worked_off_is_found_by_the_next_reader(writer, reader):
    """The file that is worked off goes: a mark must not stand in it alone."""
    writer.mark("s")
    taken = reader.take()
    assert taken.session_ids >= {"s"}
    writer.mark("s")
    reader.forget(taken)
    assert "s" in reader.take().session_ids


def test_a_mark_in_a_file_that_somebody_removed_is_made_anew(writer, reader, folder):
    """It may be deleted at any time."""
    writer.mark("s")
    (folder / NAME).unlink()
    wait()
    writer.mark("s")
    assert "s" in reader.take().session_ids


@pytest.mark.parametrize("garbage", [b"\0\0\0", b"-\n", b"x"])
def test_a_garbled_file_is_set_aside(writer, reader, folder, garbage):
    """A crash left it; nobody can count on it."""
    folder.mkdir()
    (folder / NAME).write_bytes(garbage)
    writer.mark("s")
    assert "s" in reader.take().session_ids


def test_of_a_file_that_no_writer_made_nothing_is_read(reader, folder):
    """All files are compared instead."""
    folder.mkdir()
    with (folder / NAME).open("wb") as file:
        file.write(b"+\ns\n")
        file.truncate(MAX_BYTES + 1)
    taken = reader.take()
    assert not taken.is_all
    assert taken.session_ids == set()
    reader.forget(taken)
    assert reader.take().is_all
