"""One question about many sessions, answered by several processes: the same answers, whatever happens."""

import os
import sys

import pytest

from journal import Session, StateStore, workers
from journal.verify import Report
from projections import ToolCalled, ToolReturned
from projections.totals import ToolUse
from tests.strategies import said


@pytest.fixture
def many(folder, monkeypatch):
    """A store of 300 sessions, one of them damaged, on a machine of three cores."""
    monkeypatch.setattr(workers, "WORTH_SESSIONS", 10)
    monkeypatch.setattr(workers, "CHUNK_SESSIONS", 7)
    monkeypatch.setattr(workers, "_cores", lambda: 3)
    with StateStore(folder, durability="os") as store:
        for number in range(300):
            session = Session.with_id("u", f"s{number:03}")
            session.add_user_message("x" * number)
            store.save_session(session)
        store.append("s007", [said("y")], expected_version=2)
        path = folder / "sessions" / "s007.jsonl"
        path.write_bytes(path.read_bytes().replace(b"xxxxxxx", b"xxxXxxx"))
        yield store


@pytest.fixture
def listed(many):
    """The same, with a catalog that is up to date."""
    many.session_ids()
    return many


@pytest.fixture
def started(monkeypatch):
    """The processes that were started."""
    processes = []
    real = workers.subprocess.Popen

    def popen(*arguments, **options):
        processes.append(real(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(workers.subprocess, "Popen", popen)
    return processes


def test_verify_of_a_whole_store_asks_every_core(listed, started):
    """And says what a single process would say."""
    report = listed.verify()
    assert len(started) == 2
    assert report.sessions == 300
    assert not report.ok
    assert len(report.findings) == 1
    assert "s007.jsonl" in report.findings[0]
    alone = Report.of_all(listed.verify(each) for each in listed.session_ids())
    assert report == alone
    assert all(process.poll() is not None for process in started)


def test_a_new_catalog_is_filled_by_every_core(many, started):
    """The list is the same as that of a process that did all alone."""
    page = many.list_sessions()
    assert len(started) == 2
    assert [each.id for each in page.unreadable] == ["s007"]
    assert {each.id: len(many.load_session(each.id).user_messages[0].content) for each in page} == {
        f"s{number:03}": number for number in range(300) if number != 7
    }


def test_what_sessions_come_to_is_asked_of_every_core(listed, started):
    """And is what a single process would say, up to the durations of tools; of a damaged one, up to there."""
    call = ToolCalled(call_id="c", name="search", arguments={})
    returned = ToolReturned(call_id="c", result="no", is_error=True, duration_ms=1.5)
    listed.append("s299", [call, returned], expected_version=2)
    questions, ids = listed._questions, listed.session_ids()
    found = dict(questions.measure_each(ids))

    assert len(started) == 2
    assert found == {each: questions.measure(each) for each in ids}
    assert found["s299"].totals.tools == {"search": ToolUse(1, 1, [1.5])}
    assert [each for each in ids if found[each].damage] == ["s007"]
    assert found["s007"].totals.records == 1


@pytest.mark.parametrize("question", ["verify", "measure", "summarize"])
def test_workers_really_answer(many, monkeypatch, question):
    """Not this process in their place, as it would if it did not understand them."""
    questions, ids, answered = many._questions, many.session_ids(), []
    ask = getattr(questions, question)
    monkeypatch.setattr(questions, question, lambda each, *_: answered.append(each) or ask(each))
    found = list(getattr(questions, f"{question}_each")(ids))

    assert sorted(each for each, _ in found) == ids
    assert len(answered) < 300


@pytest.mark.parametrize("what", ["dies", "talks nonsense", "is no interpreter", "cannot start"])
def test_what_a_worker_does_not_answer_is_answered_here(many, monkeypatch, tmp_path, what):
    """Nothing is left out, and nothing is said twice."""
    program = tmp_path / "python"
    body = {"dies": "exit 1", "talks nonsense": "while read -r line; do echo '[{}]'; done"}.get(what, "")
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o700 if body else 0o600)
    executable = sys.executable if what == "is no interpreter" else str(program)
    if what == "is no interpreter":
        executable = str(tmp_path / "server")
    monkeypatch.setattr(workers.sys, "executable", executable)
    found = list(many.verify_each())
    assert sorted(each for each, _ in found) == sorted(many.session_ids())
    assert [each for each, report in found if not report.ok] == ["s007"]


def test_whoever_stops_asking_leaves_no_process_behind(many, started):
    """The rest of the answers is not waited for."""
    reports = many.verify_each()
    next(reports)
    reports.close()
    assert started
    assert all(process.poll() is not None for process in started)


def test_few_sessions_start_no_process(folder, started):
    """It would cost more than it saves."""
    with StateStore(folder, durability="os") as store:
        store.save_session(Session.with_id("u", "s"))
        assert store.verify().ok
        assert len(store.list_sessions()) == 1
    assert started == []


def test_a_worker_does_not_import_what_lies_in_the_current_folder(many, tmp_path, monkeypatch):
    """Somebody else's msgspec.py, for one."""
    (tmp_path / "msgspec.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers.sys, "path", [each for each in sys.path if each not in ("", os.getcwd())])
    answered = []
    verify = many._questions.verify
    monkeypatch.setattr(many._questions, "verify", lambda each, *_: answered.append(each) or verify(each))
    assert len(dict(many.verify_each())) == 300
    assert len(answered) < 300
