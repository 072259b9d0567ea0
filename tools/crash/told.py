"""What writers tell of their deeds: each before it is done, and again when the store acknowledged it."""

from typing import NamedTuple

from projections import UserMessageAdded


class Batch(NamedTuple):
    """Messages that one call saves: whose they are, the how manieth batch of that writer, and how many."""

    writer: int
    number: int
    size: int = 1
    padding: int = 0

    def texts(self) -> list[str]:
        """The messages. Each says where it belongs, so that a journal can be held against what was told."""
        return [self.text(index) for index in range(self.size)]

    def text(self, index: int) -> str:
        """One of its messages."""
        return f"{'.'.join(map(str, (*self, index)))}:{'x' * self.padding}"

    @staticmethod
    def of_text(text: str) -> "tuple[Batch, int]":
        """The batch that a message belongs to, and its place there. Raises ValueError for any other text."""
        writer, number, size, padding, index = map(int, text.partition(":")[0].split("."))
        batch = Batch(writer, number, size, padding)
        if batch.text(index) != text:
            raise ValueError(text)
        return batch, index

    def events(self) -> list[UserMessageAdded]:
        """The messages as events."""
        return [UserMessageAdded(content=text) for text in self.texts()]

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"{self.writer}.{self.number}"


class Began(NamedTuple):
    """A batch may be there from now on. `expected`: of an append with a key, which may be tried again."""

    session_id: str
    batch: Batch
    expected: int | None = None


class Done(NamedTuple):
    """A batch was acknowledged: its last message is record `version`.

    `expected`: the version that its writer had seen; no other batch may stand between.
    """

    session_id: str
    batch: Batch
    version: int
    expected: int | None = None


class Refused(NamedTuple):
    """The store said that nothing of a batch was written."""

    session_id: str
    batch: Batch


class Deleting(NamedTuple):
    """A session may be gone from now on."""

    session_id: str


class Deleted(NamedTuple):
    """A deletion was acknowledged: whether something was there to be deleted."""

    session_id: str
    was_there: bool


class Keeping(NamedTuple):
    """A document may hold this number from now on."""

    name: str
    number: int


class Kept(NamedTuple):
    """A document was acknowledged with this number."""

    name: str
    number: int


class Broken(NamedTuple):
    """A writer saw a broken promise itself."""

    what: str
