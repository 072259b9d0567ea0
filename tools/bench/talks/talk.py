"""A talk: one session of a framework, in the store that the framework brings or in ours."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

Durability = Literal["os", "disk"]


class Talk(ABC):
    """A session to which turns are added by the very calls that its framework's runner makes.

    folder      where the session is kept
    is_ours     whether it is kept by us, or by the framework itself
    durability  "disk": what a call wrote is on the disk when it returns; "os": the system has it
    turns       how many are there already
    recent      how many of the last messages a turn asks for; None: what the framework asks for by itself
    """

    THEIRS: ClassVar[str]  # the framework's own store
    AS_IT_COMES: ClassVar[Durability]  # how durable that is, unless somebody sees to it

    def __init__(
        self,
        folder: Path,
        *,
        is_ours: bool,
        durability: Durability,
        turns: int = 0,
        recent: int | None = None,
    ) -> None:
        self.folder, self.is_ours, self.durability = folder, is_ours, durability
        self.turns, self.recent = turns, recent

    @abstractmethod
    async def open(self) -> None:
        """Open the session; begin it where there is none."""

    @abstractmethod
    def messages(self) -> Any:
        """What is said in the next turn, as the framework's own objects."""

    async def read(self) -> None:
        """Ask for what the model is to know, as the runner does before a turn."""
        return

    @abstractmethod
    async def write(self, messages: Any) -> None:
        """Add what `messages` gave."""

    async def turn(self, messages: Any) -> None:
        """One turn; its session is as durable as its store says when it returns."""
        await self.read()
        await self.write(messages)
        self.turns += 1

    async def grow(self, turns: int) -> None:
        """Bring the session to so many turns."""
        while self.turns < turns:
            await self.write(self.messages())
            self.turns += 1

    @abstractmethod
    async def texts(self) -> list[str]:
        """All that the framework finds said in the session."""

    @abstractmethod
    async def close(self) -> None:
        """Close the store."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.close()

    @property
    def question(self) -> str:
        """What the user says next: some 200 characters."""
        return f"Question {self.turns}: " + "what does it cost to fly from Lima to Cusco on Friday? " * 4

    @property
    def answer(self) -> str:
        """What the agent says next: some 400 characters."""
        return f"Answer {self.turns}: " + "the cheapest seat is 120 dollars, and leaves at six. " * 8
