"""Workers: one question about many sessions, answered here and in a process for each further core.

A worker (worker.py) gets a line of ids and gives a line of answers, as JSON. It opens the store for itself
and only reads. Where one cannot start, or dies, its share is answered here.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

Answer = TypeVar("Answer")
Chunk: TypeAlias = list[str]

# To start a process costs as much as this many small sessions, or bytes.
WORTH_SESSIONS: Final = 2_000
WORTH_BYTES: Final = 32 * 1024 * 1024
# What is asked in one line: small enough that nobody waits long for the last.
CHUNK_SESSIONS: Final = 64
CHUNK_BYTES: Final = 1024 * 1024
MAX_WORKERS: Final = 8


def ask_each(
    folder: str,
    question: str,
    sizes: dict[str, int],
    here: Callable[[str], Answer],
    kind: type[Any] | Any,
) -> Iterator[tuple[str, Answer]]:
    """Every session's answer, in no certain order. `sizes` says how much there is to read of each.

    `here` answers in this process; a worker's answers are read as `kind`.
    """
    chunks = deque(_chunks(sizes))
    is_worth_it = len(sizes) >= WORTH_SESSIONS or sum(sizes.values()) >= WORTH_BYTES
    count = min(_cores() - 1, MAX_WORKERS, len(chunks) - 1) if is_worth_it else 0
    team = _Team[Answer](chunks, kind)
    try:
        for _ in range(count):
            team.hire(folder, question)
        while True:
            yield from team.answers()
            try:
                chunk = chunks.popleft()
            except IndexError:
                if not team.is_working():
                    break
                yield from team.answers(wait=True)
                continue
            for session_id in chunk:
                yield session_id, here(session_id)
        yield from team.answers()
    finally:
        team.dismiss()


class _Team(Generic[Answer]):
    """The workers of one question, and a thread for each that hands it its chunks."""

    def __init__(self, chunks: deque[Chunk], kind: Any) -> None:
        self._chunks = chunks
        self._decode = msgspec.json.Decoder(list[kind]).decode
        self._answers: SimpleQueue[list[tuple[str, Answer]]] = SimpleQueue()
        self._working = 0
        self._workers: list[tuple[subprocess.Popen[bytes], threading.Thread]] = []

    def hire(self, folder: str, question: str) -> None:
        """Start a worker, where this is an interpreter that can start another."""
        if not os.path.basename(sys.executable or "").startswith(("python", "pypy")):
            return
        command = [sys.executable, "-P", "-W", "ignore", "-m", "journal.worker", folder, question]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with contextlib.suppress(OSError):
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
            thread = threading.Thread(target=self._feed, args=(process,), daemon=True)
            self._workers.append((process, thread))
            self._working += 1
            thread.start()

    def is_working(self) -> bool:
        """Whether answers are still to come."""
        return self._working > 0 or not self._answers.empty()

    def answers(self, *, wait: bool = False) -> Iterator[tuple[str, Answer]]:
        """What the workers have answered; with `wait`, at least one chunk of it or news that one is gone."""
        while True:
            try:
                found = self._answers.get(block=wait)
            except Empty:
                return
            wait = False
            if not found:
                self._working -= 1
            yield from found

    def dismiss(self) -> None:
        """Let the workers end."""
        self._chunks.clear()
        for process, thread in self._workers:
            process.kill()  # it only reads
            thread.join()

    def _feed(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            while True:
                try:
                    chunk = self._chunks.popleft()
                except IndexError:
                    return
                try:
                    process.stdin.write(msgspec.json.encode(chunk) + b"\n")
                    process.stdin.flush()
                    answers = self._decode(process.stdout.readline())
                    self._answers.put(list(zip(chunk, answers, strict=True)))
                except (OSError, ValueError, msgspec.MsgspecError):
                    self._chunks.appendleft(chunk)  # it died: somebody else answers
                    return
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.kill()
            process.stdout.close()
            process.wait()
            self._answers.put([])


def _chunks(sizes: dict[str, int]) -> Iterator[Chunk]:
    """Small sessions together; the largest first, so that none is left for the end."""
    chunk: Chunk = []
    held = 0
    for session_id in sorted(sizes, key=lambda each: sizes[each], reverse=True):
        chunk.append(session_id)
        held += sizes[session_id]
        if held >= CHUNK_BYTES or len(chunk) >= CHUNK_SESSIONS:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
