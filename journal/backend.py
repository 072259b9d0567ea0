"""The seam: what a store on many machines is made of. Journals in one order, and files by name.

A folder needs none of it: there the engine works on the files themselves. Everywhere else a store works on a
`Replica`, a folder that is kept in step with a backend, and knows no more of it than stands here.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias


class Change(NamedTuple):
    """One change of a session's journal.

    place  where it stands; later changes of any session have higher places. 0 is before all
    after  the place of the same session's change before it, where that can still be read; else any lower one
    kind   "append": a batch behind what is there; "replace": a whole new journal in the place of the old one;
           "delete": the journal is gone
    data   the bytes of whole lines; of a deletion, the session's tombstones, all that it ever had
    tombstones  of a replacement, those that the session had: what told of them can be read no more
    """

    session_id: str
    place: int
    after: int
    kind: Literal["append", "replace", "delete"]
    data: bytes
    tombstones: bytes = b""


Heard: TypeAlias = Callable[[Change], None]


class Moved(Exception):
    """Somebody else changed the journal after the place that was named; nothing was written."""


class Unclear(Exception):
    """Whether it was written cannot be known: no answer came in time. Read on to find out.

    It may be written later still, as long as nothing else is behind the place that was named.
    """


class Unreachable(Exception):
    """The backend does not answer, or refuses; nothing was written. The text says why, and what to do."""


class Missing(Unreachable):
    """There is no such store, and none may be made."""


class Listening(Protocol):
    """A subscription."""

    async def close(self) -> None:
        """End it."""


class Journals(Protocol):
    """Every session's journal, as changes in one order. All methods raise Unreachable.

    Bytes are whole lines, each ended by a newline; what stands in them is not looked at. Any session id that
    `journal.names.check_session_id` lets through works, of any case and with any of its characters.
    """

    async def head(self, session_id: str) -> int:
        """The place of a session's last change, 0 where it has none: by whoever decides what comes next."""

    def read(self, session_id: str | None, after: int) -> AsyncIterator[Change]:
        """A session's changes behind a place, or all sessions', in order, up to this moment.

        What was acknowledged to anybody before the call is there. Changes that a later replacement or
        deletion of the same session made void may be left out.
        """

    async def append(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """Add lines as one change, all or none, if `after` is the head; the place of the change.

        On record as the backend promises when this returns. Raises Moved, Unclear.
        """

    async def replace(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """Put lines in the place of all that is there; as `append`. What was there can be read no more.

        What is known of the session's tombstones stays known: the change has them.
        """

    async def delete(self, session_id: str, tombstones: bytes, after: int) -> int:
        """Remove a session's lines; as `append`. What was there can be read no more."""

    async def listen(self, session_id: str | None, heard: Heard) -> Listening:
        """Call `heard` with each change of a session, or of any, from now on, as it comes.

        In order within a session. Some may be missed, and `after` shows that: whoever must have all reads.
        """


class File(NamedTuple):
    """A file's bytes and its revision, which is another one after each change."""

    data: bytes
    revision: int


class Files(Protocol):
    """Whole files by name, as `notes/a.md`: documents, attachments, snapshots. All raise Unreachable.

    A name is a path of parts with `/` between them; each part is any text without `/`.
    """

    async def get(self, name: str) -> File | None:
        """A file; None where there is none."""

    async def put(self, name: str, data: bytes, revision: int | None = None) -> int:
        """Put a whole file in the place of what is there; its revision.

        `revision`: only where this is the one that is there, 0 for none. Raises Moved where it is not.
        """

    async def touch(self, name: str) -> int | None:
        """Put what is there in its own place: its new revision; None where nothing is there."""

    async def remove(self, name: str, revision: int | None = None) -> bool:
        """Remove a file; True if it was there.

        `revision`: only where this is the one that is there. Raises Moved where it is another one.
        """

    async def names(self, folder: str) -> list[str]:
        """The names of the files below a folder, at any depth, sorted; "" is all."""


@dataclass(frozen=True)
class Promise:
    """What a backend promises of what it acknowledged.

    survives  "disk": a power cut of every machine; "os": of the machines that are fewer than a majority
    replicas  on how many machines it is kept
    text      the same in a sentence, with what it rests on
    """

    survives: Literal["disk", "os"]
    replicas: int
    text: str


class Backend(Protocol):
    """Journals and files that several stores share."""

    @property
    def name(self) -> str:
        """Its URL, without secrets."""

    @property
    def journals(self) -> Journals:
        """Every session's journal."""

    @property
    def files(self) -> Files:
        """Everything else."""

    async def open(self) -> Promise:
        """Connect, see that all that is needed is there, and say what is promised. Raises Unreachable."""

    async def close(self) -> None:
        """Let go of it; what was acknowledged stays."""
