"""A worker's process: `python -m journal.worker FOLDER QUESTION`. See workers.py."""

import signal
import sys
from collections.abc import Callable

import msgspec

from journal.store import StateStore


def main(folder: str, question: str) -> None:
    """Answer until there is no further question."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks decides when this ends
    with StateStore(folder, durability="os", allow_network=True) as store:
        answers: dict[str, Callable[[str], object]] = {
            "verify": store._questions.verifier(),
            "summarize": store._questions.summarize,
            "measure": store._questions.measure,
        }
        answer = answers[question]
        for line in sys.stdin.buffer:
            found = [answer(session_id) for session_id in msgspec.json.decode(line)]
            sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
