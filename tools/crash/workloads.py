"""Workloads: short scripts against a simulated store, each the beginning of many crashes."""

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from crash.simulate_process import USER, Durability, Process
from crash.simulate_world import STORE, World
from journal import Session

BOTH: Final[tuple[Durability, Durability]] = ("disk", "os")
# The sizes of what is said: one line, over a sector, over a page.
SIZES: Final = (12, 12, 12, 700, 5_000)
Script = Callable[[World, Random, int], None]


class Workload(NamedTuple):
    """A script, how many variants of it there are, and where its store is."""

    script: Script
    variants: int
    base: str


WORKLOADS: Final[dict[str, Workload]] = {}


def workload(*, variants: int = 1, base: str = STORE) -> Callable[[Script], Script]:
    """Add a script to the workloads, under its own name."""

    def add(script: Script) -> Script:
        WORKLOADS[script.__name__] = Workload(script, variants, base)
        return script

    return add


def a_text(random: Random) -> str:
    """Something to say, now and then longer than a sector or a page."""
    text = f"message {random.randrange(10**9)} "
    return text + "word " * ((random.choice(SIZES) - 12) // 5)


def a_session(random: Random, session_id: str = "s", messages: int = 1) -> Session:
    """A new session in which something was said."""
    session = Session.with_id(USER, session_id)
    for _ in range(messages):
        session.add_user_message(a_text(random))
    return session


def a_secret(random: Random) -> tuple[str, str]:
    """Something to say that is erased later, and what is said in it again and again."""
    secret = f"secret {random.randrange(10**9)}"
    return f"{secret} " * (random.choice(SIZES) // 12), secret


def go_on(process: Process, random: Random) -> None:
    """What a new process does that knows nothing of what was before."""
    session = process.store.load_session("s") or Session.with_id(USER, "s")
    session.add_agent_response(a_text(random))
    process.save(session)
