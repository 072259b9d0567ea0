"""What came of an import."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """Something that was not imported: where it stands (`line` None: no one line), and why."""

    path: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.reason}"


@dataclass
class Outcome:
    """What an import did.

    session_ids  the sessions that it found and that are in the store now, in the order of the source
    created      how many of them are new
    appended     how many records it wrote; 0 where everything was there already
    problems     what could not be imported; everything else was
    """

    session_ids: list[str] = field(default_factory=list)
    created: int = 0
    appended: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Take in what came of another import."""
        self.session_ids += [each for each in other.session_ids if each not in self.session_ids]
        self.created += other.created
        self.appended += other.appended
        self.problems += other.problems
