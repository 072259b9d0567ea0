"""What came of copying a store."""

from dataclasses import dataclass, field
from typing import NamedTuple

from journal.backend import Promise


class Left(NamedTuple):
    """What was left alone, or not copied whole, and why. `name`: a session's id, or a file's name."""

    name: str
    reason: str


@dataclass
class Copied:
    """What was copied, and what was there.

    created      sessions that are new there
    continued    those that were there, and got what they had not
    rewritten    those that were there, and got a journal in the place of theirs: content was erased since
    same         those that were there, with all that the source has
    ahead        those that were there, and have more
    records      the records that were written
    tombstones   sessions whose deletions were noted
    documents, attachments   the files that were written
    conflicts    what is there with something else, and was left alone
    problems     what could not be copied whole, because it is damaged or not there
    promise      what the target promises of all that
    """

    created: int = 0
    continued: int = 0
    rewritten: int = 0
    same: int = 0
    ahead: int = 0
    records: int = 0
    tombstones: int = 0
    documents: int = 0
    attachments: int = 0
    conflicts: list[Left] = field(default_factory=list)
    problems: list[Left] = field(default_factory=list)
    promise: Promise | None = None

    @property
    def ok(self) -> bool:
        """Whether all that the source has is there now."""
        return not self.conflicts and not self.problems
