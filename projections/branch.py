"""A list that grows, and now and then is what it was at an earlier version; each step costs the same."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Node(NamedTuple, Generic[T]):
    """An item, and what stands before it: lists that begin alike share that beginning."""

    before: "_Node[T] | None"
    item: T


class Branch(Generic[T]):
    """The list as it is now, of items that nobody changes. Memory grows with what was appended alone."""

    def __init__(self) -> None:
        # Where it changed, and its last item from there on.
        self._versions: list[int] = []
        self._ends: list[_Node[T] | None] = []

    def append(self, item: T, version: int) -> None:
        """From this version on it is one item longer."""
        self._become(_Node(self._end, item), version)

    def rewind(self, to: int, version: int) -> None:
        """From this version on it is what it was at version `to`."""
        at = bisect_right(self._versions, to) - 1
        self._become(self._ends[at] if at >= 0 else None, version)

    def restart(self, kept: int, items: Iterable[T], version: int) -> None:
        """From this version on it is its first `kept` items, and then these."""
        end = self._nodes()[kept - 1] if kept else None
        for item in items:
            end = _Node(end, item)
        self._become(end, version)

    def __iter__(self) -> Iterator[T]:
        return iter([node.item for node in self._nodes()])

    def __reversed__(self) -> Iterator[T]:
        """From the last item on; who stops early has not paid for the rest."""
        node = self._end
        while node is not None:
            yield node.item
            node = node.before

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Branch) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Branch[T]":
        twin: Branch[T] = Branch()
        twin._versions, twin._ends = [*self._versions], [*self._ends]
        return twin

    @property
    def _end(self) -> "_Node[T] | None":
        return self._ends[-1] if self._ends else None

    def _become(self, end: "_Node[T] | None", version: int) -> None:
        self._versions.append(version)
        self._ends.append(end)

    def _nodes(self) -> "list[_Node[T]]":
        nodes = []
        node = self._end
        while node is not None:
            nodes.append(node)
            node = node.before
        return nodes[::-1]
