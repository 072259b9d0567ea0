"""The fixture that makes a test of a recorded session."""

import shutil

import pytest

from journal import StateStore
from journal.testing import replay_session

__all__ = ["replay_session"]


@pytest.fixture
def journal(tmp_path):
    """A recorded session's file, of its own folder."""
    with StateStore(tmp_path / "state") as store, store.open_session("s", user_id="ada") as live:
        live.add_user_message("hello")
        live.add_agent_response("hi")
    return shutil.copy(tmp_path / "state/sessions/s.jsonl", tmp_path / "s.jsonl")


def test_the_same_program_passes_and_the_file_stays(journal, replay_session):
    with open(journal, "rb") as file:
        before = file.read()
    replayed = replay_session(journal, lambda live: live.add_agent_response("hi"))
    with open(journal, "rb") as file:
        assert file.read() == before
    assert replayed.served == 2


def test_another_answer_fails_side_by_side(journal, replay_session):
    with pytest.raises(pytest.fail.Exception, match=r'recorded: .*"hi".*\n.*asked: .*"bye"'):
        replay_session(journal, lambda live: live.add_agent_response("bye"))


def test_a_damaged_record_fails(journal, replay_session):
    with open(journal, "r+b") as file:
        data = file.read().replace(b'"hi"', b'"ho"')
        file.seek(0)
        file.write(data)

    with pytest.raises(AssertionError, match="record 3"):
        replay_session(journal, lambda live: live.add_agent_response("ho"))
