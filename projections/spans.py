"""A list as it was at each version: it grows, and now and then it starts anew from a part of what it was."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class _Span(Generic[T]):
    """What was appended from version `start` on, behind the first `kept` items of `base`.

    `versions` has the version with which each item came. `base` is None where nothing was kept.
    """

    start: int
    kept: int = 0
    base: "_Span[T] | None" = None
    items: list[T] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)


class Spans(Generic[T]):
    """What two versions have in common is kept once: memory grows with what was appended alone."""

    def __init__(self) -> None:
        self._spans: list[_Span[T]] = [_Span(0)]
        self._starts: list[int] = [0]

    def append(self, item: T, version: int) -> None:
        """From this version on the list is one item longer."""
        self._spans[-1].items.append(item)
        self._spans[-1].versions.append(version)

    def restart(self, kept: int, items: list[T], version: int) -> None:
        """From this version on it is its first `kept` items, and then these."""
        kept = min(kept, self.length(version))
        base: _Span[T] | None = self._spans[-1]
        # A base of which only its own base is kept is none: a chain of them would grow with each restart.
        while base is not None and kept <= base.kept:
            base = base.base
        span = _Span(version, kept if base is not None else 0, base, list(items), [version] * len(items))
        self._spans.append(span)
        self._starts.append(version)

    def length(self, version: int) -> int:
        """How long the list was."""
        span = self._span(version)
        return span.kept + bisect_right(span.versions, version)

    def at(self, version: int) -> list[T]:
        """The list as it was; the caller's own."""
        span: _Span[T] | None = self._span(version)
        assert span is not None
        length = span.kept + bisect_right(span.versions, version)
        parts: list[list[T]] = []
        while span is not None:
            if length > span.kept:
                parts.append(span.items[: length - span.kept])
                length = span.kept
            span = span.base
        return parts[0] if len(parts) == 1 else [item for part in reversed(parts) for item in part]

    def item(self, index: int, version: int) -> tuple[T, int] | None:
        """The item at a place as it was, and the version with which it came; None where there was none."""
        if index >= self.length(version):
            return None
        span: _Span[T] | None = self._span(version)
        while span is not None:
            if index >= span.kept:
                return span.items[index - span.kept], span.versions[index - span.kept]
            span = span.base
        return None

    def touched(self, index: int | None = None) -> list[int]:
        """The versions at which the item at a place, or without one the list, may have become another."""
        found = set(self._starts[1:])
        for span in self._spans:
            if index is None:
                found.update(span.versions)
            elif 0 <= index - span.kept < len(span.versions):
                found.add(span.versions[index - span.kept])
        return sorted(found)

    def _span(self, version: int) -> _Span[T]:
        return self._spans[bisect_right(self._starts, version) - 1]
