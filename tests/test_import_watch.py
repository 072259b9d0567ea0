"""`journal import --watch`: transcripts taken in as they grow, by a real process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from journal import StateStore
from journal.importers import import_path
from journal.importers.watch import Watch
from tests.test_import import CHAT, lines_of
from tests.test_import_growth import claude_code, told

COMMAND = [sys.executable, "-m", "journal.cli"]


class Watching:
    """`journal import --watch` as a process; what it tells, as it comes."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--store", str(folder), "import", "--watch", "--json", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watchdog = threading.Timer(60, self.process.kill)  # a test that hangs fails
        self._watchdog.start()

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def end(self, number: int = signal.SIGINT) -> tuple[int, list[dict[str, Any]]]:
        """The exit code, and what was told yet; the last is the summary."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=60)
        self._watchdog.cancel()
        return self.process.returncode, [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def watch(folder: Path) -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def start(*args: object) -> Watching:
        started.append(Watching(folder, *map(str, args)))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


def put(path: Path, content: bytes) -> None:
    """More bytes at a file's end, as a program writes them."""
    with path.open("ab") as file:
        file.write(content)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_takes_in_what_is_there_then_what_comes_and_ends_with_a_summary(
    watch: Callable[..., Watching], folder: Path, tmp_path: Path, number: int
) -> None:
    """Old files, growth, half a line, new files in new folders; each record once."""
    source = tmp_path / "in"
    source.mkdir()
    chat = source / "chat.jsonl"
    chat.write_bytes(lines_of(CHAT[0]))
    watching = watch(source)

    assert watching.told() | {"problems": []} == {
        "path": str(chat),
        "session_ids": ["chat"],
        "created": 1,
        "appended": 2,
        "problems": [],
    }
    half, rest = lines_of(CHAT[1])[:20], lines_of(CHAT[1])[20:]
    put(chat, lines_of(CHAT[1]) + half)
    assert watching.told()["appended"] == 1
    (source / "new" / "folder").mkdir(parents=True)
    (source / "new" / "folder" / "other.json").write_text(json.dumps(CHAT))
    assert watching.told()["session_ids"] == ["other"]
    put(chat, rest)
    assert watching.told()["appended"] == 1
    code, said = watching.end(number)

    assert code == 0
    assert said == [{"session_ids": ["chat", "other"], "created": 2, "appended": 7, "problems": []}]
    with StateStore(folder) as store:
        assert store.verify().ok
        assert len(told(store, "chat")) == 4


def test_what_is_half_written_at_the_end_is_told(watch: Callable[..., Watching], tmp_path: Path) -> None:
    """It is no part of the journal yet."""
    chat = tmp_path / "chat.jsonl"
    chat.write_bytes(lines_of(CHAT[0]) + b'{"role":')
    watching = watch(chat)

    assert watching.told()["appended"] == 2
    code, [line, summary] = watching.end()
    assert code == 1
    assert [(each["path"], each["line"]) for each in line["problems"]] == [(str(chat), 2)]
    assert summary["problems"] == line["problems"]


def test_a_transcript_that_grew_under_watch_is_what_it_is_imported_once(
    watch: Callable[..., Watching], folder: Path, tmp_path: Path
) -> None:
    """Whatever pieces it was written in: the same events, times and keys."""
    source = tmp_path / "in"
    source.mkdir()
    path = source / "grown.jsonl"
    content = lines_of(*claude_code([f"text {number}" for number in range(200)]))
    watching = watch(source, "--durability", "os")
    for start in range(0, len(content), 997):
        put(path, content[start : start + 997])
        time.sleep(0.002)
    with StateStore(tmp_path / "once", durability="os") as store:
        expected = import_path(store, path).appended
        once = told(store)
    appended = 0
    while appended < expected:
        appended += watching.told()["appended"]

    assert watching.end()[0] == 0
    with StateStore(folder) as store:
        assert told(store) == once


# What follows needs no process: the watch is stepped until it has told so much.


def steps(store: StateStore, *paths: Path, **options: Any) -> Iterator[tuple[str, Any]]:
    """What a watch tells that is news, at most for a while."""
    end = time.monotonic() + 30
    for path, outcome in Watch(store, paths, **options).follow(lambda: time.monotonic() > end):
        if outcome.appended or outcome.problems:
            yield path, outcome


def test_a_rewritten_transcript_is_told_once_and_nothing_is_mixed_in(
    store: StateStore, tmp_path: Path
) -> None:
    """In place, keeping what was there longer than it was."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(lines_of(*CHAT))
    told_of = steps(store, tmp_path)
    next(told_of)
    before = told(store, "chat")
    path.write_bytes(lines_of({"role": "user", "content": "another"}, *CHAT, *CHAT))
    _, outcome = next(told_of)
    put(path, lines_of(*CHAT))
    (tmp_path / "other.jsonl").write_bytes(lines_of(*CHAT))
    path_of_next, _ = next(told_of)
    told_of.close()  # type: ignore[attr-defined]

    assert ["was rewritten" in each.reason for each in outcome.problems] == [True]
    assert path_of_next.endswith("other.jsonl")
    assert told(store, "chat") == before


def test_a_file_that_was_replaced_by_a_longer_one_goes_on(store: StateStore, tmp_path: Path) -> None:
    """As programs do that write a new file and rename it."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(lines_of(*CHAT))
    told_of = steps(store, tmp_path)
    next(told_of)
    (tmp_path / "new").write_bytes(lines_of(*CHAT, CHAT[0]))
    os.replace(tmp_path / "new", path)
    _, outcome = next(told_of)
    told_of.close()  # type: ignore[attr-defined]

    assert (outcome.problems, outcome.appended) == ([], 1)


def test_a_session_that_was_deleted_meanwhile_comes_whole_or_is_told(
    store: StateStore, tmp_path: Path
) -> None:
    """Never from its middle on."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(lines_of(*CHAT))
    told_of = steps(store, tmp_path)
    next(told_of)
    store.delete_session("chat")
    put(path, lines_of(CHAT[0]))
    _, outcome = next(told_of)
    put(path, lines_of(CHAT[1]))
    _, again = next(told_of)
    told_of.close()  # type: ignore[attr-defined]

    assert ["deleted meanwhile" in each.reason for each in outcome.problems] == [True]
    assert (again.problems, again.appended) == ([], 5)


def test_the_folder_may_go_and_come_back(store: StateStore, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_bytes(lines_of(*CHAT))
    told_of = steps(store, source)
    next(told_of)
    shutil.rmtree(source)
    time.sleep(0.3)
    source.mkdir()
    (source / "b.jsonl").write_bytes(lines_of(*CHAT))
    path, _ = next(told_of)
    told_of.close()  # type: ignore[attr-defined]

    assert path.endswith("b.jsonl")


def test_the_stores_own_files_are_no_transcripts(store: StateStore, tmp_path: Path) -> None:
    """A store within the folder that is watched."""
    (tmp_path / "a.jsonl").write_bytes(lines_of(*CHAT))
    told_of = steps(store, tmp_path)
    names = [Path(next(told_of)[0]).name]
    for name in ("z.jsonl", "zz.jsonl"):
        (tmp_path / name).write_bytes(lines_of(*CHAT))
        time.sleep(1.2)  # all files are looked at, and left alone for long enough
        names.append(Path(next(told_of)[0]).name)
    told_of.close()  # type: ignore[attr-defined]

    assert names == ["a.jsonl", "z.jsonl", "zz.jsonl"]


def test_a_document_is_read_when_it_is_left_alone(store: StateStore, tmp_path: Path) -> None:
    """Half of it is no problem while it is being written."""
    (tmp_path / "a.jsonl").write_bytes(lines_of(*CHAT))
    told_of = steps(store, tmp_path)
    next(told_of)
    document = json.dumps(CHAT, indent=1).encode()
    put(tmp_path / "b.json", document[:30])
    timer = threading.Timer(0.25, put, [tmp_path / "b.json", document[30:]])
    timer.start()
    path, outcome = next(told_of)
    timer.join()
    told_of.close()  # type: ignore[attr-defined]

    assert path.endswith("b.json")
    assert (outcome.problems, outcome.appended) == ([], 3)


def test_a_line_without_its_newline_is_one_line(store: StateStore, tmp_path: Path) -> None:
    """It is taken in as soon as it is whole, and the next one has the next number."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(lines_of(CHAT[0])[:-1])
    told_of = steps(store, tmp_path)
    _, first = next(told_of)
    put(path, b"\nodd\n")
    _, second = next(told_of)
    told_of.close()  # type: ignore[attr-defined]

    assert first.appended == 2
    assert [each.line for each in second.problems] == [2]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"format": "word"}, ValueError),
        ({"session_id": "one"}, ValueError),
        ({"path": "no"}, FileNotFoundError),
    ],
)
def test_a_watch_that_cannot_work_writes_nothing(
    store: StateStore, folder: Path, tmp_path: Path, options: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Watch(store, [tmp_path / options.pop("path", ".")], **options)  # type: ignore[arg-type]

    assert not folder.exists()
