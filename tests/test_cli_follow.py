"""`journal log -f` and `journal play`, as docs/reference/cli.md describes them."""

import json
import os
import pty
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from crash import mischief

from journal import ANY, Change, StateStore
from journal.cli.text import cells, wrapped
from projections import AgentResponseAdded, SessionCreated, UserMessageAdded
from tests.command import COMMAND, Call

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def talk(store: StateStore, session_id: str, *texts: str) -> None:
    events: list[UserMessageAdded | SessionCreated] = [UserMessageAdded(content=text) for text in texts]
    if session_id not in store.session_ids():
        events.insert(0, SessionCreated(session_id=session_id, user_id="ann"))
    store.append(session_id, events, expected_version=ANY)


class Following:
    """`journal log -f` as a process; its lines as they come."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--store", str(folder), "log", "-f", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watchdog = threading.Timer(60, self.process.kill)  # a test that hangs fails
        self._watchdog.start()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def said(self) -> str:
        """The next line on stderr."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def interrupt(self) -> None:
        """Ctrl-C, as of a person who has seen the last line: the process waits for the next one by then.

        Python swallows an interrupt that hits it within some of its own callbacks, those of an import.
        """
        time.sleep(0.3)
        self.process.send_signal(signal.SIGINT)

    def end(self, number: int = signal.SIGINT) -> int:
        if number == signal.SIGINT:
            self.interrupt()
        else:
            self.process.send_signal(number)
        code = self.process.wait(60)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        self._watchdog.cancel()
        return code


@pytest.fixture
def follow(folder: Path) -> Iterator[Callable[..., Following]]:
    started: list[Following] = []

    def start(*args: str) -> Following:
        started.append(Following(folder, *args))
        return started[-1]

    yield start
    for each in started:
        each.end(signal.SIGKILL)


# log -f


def test_it_prints_what_is_there_then_what_comes_and_ends_with_130(
    store: StateStore, follow: Callable[..., Following]
) -> None:
    """Each line at once, whoever reads it."""
    talk(store, "s", "one")
    following = follow("s")

    assert [following.line().split()[3] for _ in range(2)] == ["session_created", "user_message_added"]
    talk(store, "s", "two")
    assert following.line().endswith("two\n")
    assert following.end() == 130


def test_of_what_is_there_the_last_so_many(store: StateStore, follow: Callable[..., Following]) -> None:
    """Those that match, and then each that matches."""
    talk(store, "s", "one", "two", "three")
    following = follow("s", "-n", "2", "--type", "user_message_added", "--json")

    assert [json.loads(following.line())["seq"] for _ in range(2)] == [3, 4]
    store.append("s", [AgentResponseAdded(content="no"), UserMessageAdded(content="yes")], expected_version=4)
    assert json.loads(following.line())["event"]["content"] == "yes"


def test_a_range_may_begin_and_not_end(store: StateStore, follow: Callable[..., Following]) -> None:
    talk(store, "s", "one", "two", "three")

    assert follow("s@-2..", "--json").line().startswith('{"session_id":"s","seq":3,')


def test_without_an_id_it_follows_all(store: StateStore, follow: Callable[..., Following]) -> None:
    """Only what is new, each line with its session."""
    talk(store, "a", "old")
    following = follow()
    end = time.monotonic() + 20
    while not (begun := "inotify" in str(_files(following.process.pid))) and time.monotonic() < end:
        time.sleep(0.05)  # until it watches: what comes before that may be what is there
    talk(store, "b", "new")

    assert begun
    assert following.line().split()[:2] == ["b", "1"]
    assert following.line().split()[:2] == ["b", "2"]


def _files(pid: int) -> list[str]:
    return [os.path.realpath(each) for each in Path(f"/proc/{pid}/fd").iterdir()]


def test_damage_is_said_once_and_the_repair_is_waited_for(
    store: StateStore, follow: Callable[..., Following]
) -> None:
    talk(store, "s", "one")
    talk(store, "s", "two")
    mischief.damage(mischief.path_of(store, "s"), 2, breaks_chain=False)
    following = follow("s", "-n", "9")

    assert [following.line().split()[0] for _ in range(2)] == ["1", "2"]
    said = following.said()
    assert said.startswith("journal: warning: ")
    assert said.endswith("Waiting for its repair.\n")
    store.repair("s")
    assert [following.line().split()[3] for _ in range(2)] == ["erased", "journal_repaired"]
    assert following.process.poll() is None
    following.interrupt()
    assert following.said() == "\n"  # behind the ^C; nothing else was said


def test_it_ends_when_nobody_reads(store: StateStore, folder: Path) -> None:
    talk(store, "s", "one", "two", "three")
    command = f"({' '.join(COMMAND)} --store '{folder}' log -f s; echo $? >'{folder}/code') | head -1"
    process = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < end:
        talk(store, "s", "more")
        time.sleep(0.05)
    shown, said = process.communicate(timeout=5)

    assert shown.count(b"\n") == 1
    assert said == b""
    assert (folder / "code").read_text() == "141\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["log"], "follow all of them with -f"),
        (["log", "-f", "-n", "3"], "-n needs a session"),
        (["log", "-f", "s", "-r"], "-f has no end, and -r needs one"),
        (["log", "-f", "s", "--until", "2026-11-22T12:00Z"], "-f has no end, and --until needs one"),
        (["log", "-f", "s@2"], "write s or s@3.."),
        (["log", "-f", "s@1..2"], "write s or s@3.."),
        (["play", "s", "--speed", "0"], "must be more than 0"),
        (["play", "s", "--speed", "nan"], "must be more than 0"),
        (["play", "s", "--idle-limit", "-1"], "must be 0 or more"),
        (["play", "s", "--idle-limit", "nan"], "must be 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(store: StateStore, call: Call, args: list[str], said: str) -> None:
    talk(store, "s", "one")
    result = call(*args)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_session_that_is_not_there_is_an_error(store: StateStore, call: Call) -> None:
    """It may be a slip; `log -f` without an id shows what begins."""
    talk(store, "s-42", "one")
    for args in (["log", "-f", "s-24"], ["play", "s-24"]):
        result = call(*args)
        assert result.exit_code == 3
        assert "did you mean 's-42'?" in result.stderr


# play


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long `play` would have waited each time; it does not."""
    waited: list[float] = []
    monkeypatch.setattr("journal.cli.keys.time.sleep", waited.append)
    monkeypatch.setattr("journal.cli.keys.time.monotonic", lambda: 0.0)
    return waited


def scene(store: StateStore, *gaps: float) -> None:
    """A session whose messages came so many seconds after each other."""
    at = NOON
    changes = [Change(event=SessionCreated(session_id="s", user_id="ann"), at=at)]
    for number, gap in enumerate(gaps):
        at += timedelta(seconds=gap)
        changes.append(Change(event=UserMessageAdded(content=f"text {number}"), at=at))
    store.append("s", changes, expected_version=0)


def test_pauses_are_those_that_were_within_the_limit(
    store: StateStore, call: Call, pauses: list[float]
) -> None:
    """Divided by the speed, then held to the limit; where the clock went back there is none."""
    scene(store, 1.0, 0.25, 60.0, -5.0)

    assert call("play", "s").exit_code == 0
    assert pauses == [0.0, 1.0, 0.25, 2.0, 0.0]
    del pauses[:]
    call("play", "s", "--speed", "2", "--idle-limit", "10")
    assert pauses == [0.0, 0.5, 0.125, 10.0, 0.0]
    del pauses[:]
    call("play", "s@4..", "--idle-limit", "inf")
    assert pauses == [0.0, 0.0]


def test_what_was_said_is_shown_in_full_and_harmless(
    store: StateStore, call: Call, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    talk(store, "s", "a long line " * 20 + "\n\n\x1b[31mred\tend")
    result = call("play", "s")
    shown = result.stdout.splitlines()

    assert "a long line " * 4 in result.stdout
    assert " ".join(shown).replace(" ", "").count("alongline") == 20
    assert max(map(len, shown)) <= 60
    assert shown[-2:] == ["", "       ␛[31mred    end"]


def test_play_gives_json_lines_and_says_where_nothing_is(
    store: StateStore, call: Call, pauses: list[float]
) -> None:
    scene(store, 1.0, 1.0)

    assert [json.loads(line)["seq"] for line in call("play", "s", "--json").stdout.splitlines()] == [1, 2, 3]
    result = call("play", "s@9..")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "no record matches\n")


@pytest.mark.parametrize("width", [1, 2, 3, 7, 80])
@pytest.mark.parametrize(
    "text", ["", "one two  three", "x" * 20, "日本語 日本語日本語", "e\u0301" * 9, "a " * 50]
)
def test_wrapping_loses_nothing_and_fits(text: str, width: int) -> None:
    """But spaces where a line is broken; a wide character needs two columns."""
    parts = list(wrapped(text, width))

    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert max(map(cells, parts)) <= max(width, 2)


# play, at a terminal


class Stage:
    """`journal play` with a person before it."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.outer, self.inner = pty.openpty()
        self.before = termios.tcgetattr(self.inner)
        self.shown = b""
        self.process = subprocess.Popen(
            [*COMMAND, "--store", str(folder), "play", "s", *args],
            stdin=self.inner,
            stdout=self.inner,
            stderr=self.inner,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"},
            start_new_session=True,
            preexec_fn=self._take_terminal,
        )
        self._watchdog = threading.Timer(60, self.process.kill)
        self._watchdog.start()

    @staticmethod
    def _take_terminal() -> None:
        import fcntl

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def see(self, text: str) -> None:
        """Wait until this is shown."""
        while text.encode() not in self.shown:
            self.shown += os.read(self.outer, 4096)

    def press(self, pressed: bytes) -> None:
        os.write(self.outer, pressed)

    def end(self) -> int:
        """The exit code; the terminal is as it was."""
        code = self.process.wait(60)
        self._watchdog.cancel()
        assert termios.tcgetattr(self.inner) == self.before, f"exit code {code}, shown: {self.shown!r}"
        os.close(self.inner)
        os.close(self.outer)
        return code


NEVER = ["--idle-limit", "1e6"]


@pytest.mark.parametrize("key", [b".", b"\x1b[C", b"\x1bOC"])
def test_a_key_shows_the_next_record(store: StateStore, folder: Path, key: bytes) -> None:
    scene(store, 1e5, 1e5)
    stage = Stage(folder, *NEVER)
    stage.see("for ann")
    stage.press(key)
    stage.see("text 0")
    stage.press(b"x" + key)  # together they mean nothing
    stage.press(b"x")
    time.sleep(0.1)
    assert b"text 1" not in stage.shown
    stage.press(key)
    stage.see("text 1")

    assert stage.end() == 0


def test_a_key_ends_it(store: StateStore, folder: Path) -> None:
    scene(store, 1e5)
    stage = Stage(folder, *NEVER)
    stage.see("for ann")
    stage.press(b"q")

    assert stage.end() == 0
    assert b"text 0" not in stage.shown


def test_space_pauses_and_goes_on(store: StateStore, folder: Path) -> None:
    """While it pauses, only keys bring the next record."""
    scene(store, 0.4, 0.4, 0.4)
    stage = Stage(folder)
    stage.see("for ann")
    stage.press(b" ")
    time.sleep(1.5)
    stage.press(b".")
    stage.see("text 0")
    assert b"text 1" not in stage.shown
    stage.press(b" ")
    stage.see("text 2")

    assert stage.end() == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_whatever_ends_it_the_terminal_is_as_it_was(
    store: StateStore, folder: Path, number: int, code: int
) -> None:
    scene(store, 1e5)
    stage = Stage(folder, *NEVER)
    stage.see("for ann")
    assert termios.tcgetattr(stage.inner) != stage.before
    stage.process.send_signal(number)

    assert stage.end() == code


def test_without_a_terminal_nobody_is_asked(store: StateStore, folder: Path) -> None:
    """What stands in a pipe is no key."""
    scene(store, 0.1, 0.1)
    result = subprocess.run(
        [*COMMAND, "--store", str(folder), "play", "s"],
        input=b"q" * 9,
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert result.stdout.count(b"text") == 2
