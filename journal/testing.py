"""For pytest: a recorded session as a regression test. `from journal.testing import replay_session`."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from journal.layout import JOURNAL_ENDING
from journal.live.replay import Agent, Replayed
from journal.names import SESSIONS
from journal.store import StateStore


@pytest.fixture
def replay_session(tmp_path: Path) -> Callable[[str | os.PathLike[str], Agent], Replayed]:
    """`replay_session(path, agent)`: run an agent's program against a session's journal, `<id>.jsonl`.

    The test fails where the journal is damaged, or where the program does something else than is on record;
    recorded and asked stand side by side. Nothing with side effects runs, and the file stays as it is.
    """

    def replay(path: str | os.PathLike[str], agent: Agent) -> Replayed:
        journal = Path(path)
        session_id = journal.name.removesuffix(JOURNAL_ENDING)
        base = tmp_path / "replayed" / session_id
        (base / SESSIONS).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(journal, base / SESSIONS / f"{session_id}{JOURNAL_ENDING}")
        with StateStore(base, durability="os") as store:
            report = store.verify(session_id)
            assert report.ok, "\n".join(str(finding) for finding in report.findings)
            replayed = store.replay(session_id, agent)
        if replayed.divergence is not None:
            pytest.fail(f"{journal}: {replayed.divergence}", pytrace=False)
        return replayed

    return replay
