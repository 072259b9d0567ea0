"""Excerpts: what of a text a query means, and a piece of it that shows that."""

import sqlite3
import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

from journal.errors import JournalError
from journal.words import TOKENIZER, Places, Query, spaced

# What an excerpt shows of a text: so much, and so much of that before the first match.
_LENGTH: Final = 200
_BEFORE: Final = 50
# Marks that SQLite puts around a match; in the text itself they are made spaces.
_OPEN, _CLOSE = "\x02", "\x03"
_NO_MARKS: Final = {ord(_OPEN): " ", ord(_CLOSE): " "}

Span = tuple[int, int]


class Excerpt(NamedTuple):
    """A piece of a text, with the spans in it that match, and where its first match is in the whole text."""

    text: str
    spans: tuple[Span, ...]
    at: int


class Excerpts:
    """Asks of texts what the search index asks of records, with SQLite's own idea of a word."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            self._database.execute(f"create virtual table hit using fts5(text, tokenize='{TOKENIZER}')")
        except sqlite3.OperationalError as error:
            self._database.close()
            raise JournalError(
                f"search needs SQLite 3.27 or later, with FTS5; this Python has {sqlite3.sqlite_version}: "
                f"{error}. Use a Python with another SQLite, or `journal grep`."
            ) from error

    def of(self, query: Query, texts: Sequence[str]) -> dict[int, Excerpt]:
        """The excerpts of the texts that the query finds, by the texts' indexes."""
        with self._mutex:
            self._database.execute("begin")
            try:
                self._database.executemany(
                    "insert into hit (rowid, text) values (?, ?)",
                    ((index, spaced(text.translate(_NO_MARKS))) for index, text in enumerate(texts)),
                )
                found = self._database.execute(
                    "select rowid, highlight(hit, 0, ?, ?) from hit where hit match ?",
                    (_OPEN, _CLOSE, query.match),
                ).fetchall()
            finally:
                self._database.execute("rollback")
        return {index: _excerpt(texts[index], marked) for index, marked in found}

    def close(self) -> None:
        """Forget everything."""
        self._database.close()


def _excerpt(text: str, marked: str) -> Excerpt:
    spans = _spans(text, marked)
    first = max(range(len(spans)), key=lambda index: _shown_from(spans, index), default=None)
    at = 0 if first is None else spans[first][0]
    start, end = _window(text, at)
    before, behind = "…" * (start > 0), "…" * (end < len(text))
    shift = len(before) - start
    shown = tuple((a + shift, min(b, end) + shift) for a, b in spans if start <= a < end)
    return Excerpt(before + text[start:end] + behind, shown, at)


def _spans(text: str, marked: str) -> list[Span]:
    """Where the matches are in a text, of the same text, spaced, with marks around them."""
    place = Places(text)
    spans: list[Span] = []
    outside, *pieces = marked.split(_OPEN)
    at = len(outside)
    for piece in pieces:
        inside, _, outside = piece.partition(_CLOSE)
        spans.append((place(at), place(at + len(inside))))
        at += len(inside) + len(outside)
    return spans


def _shown_from(spans: list[Span], index: int) -> int:
    """How many matches an excerpt shows that begins with this one."""
    end = spans[index][0] + _LENGTH - _BEFORE
    return sum(start < end for start, _ in spans[index : index + 20])


def _window(text: str, at: int) -> Span:
    """What to show around a place: whole words, where there are spaces."""
    start = max(at - _BEFORE, 0)
    end = min(start + _LENGTH, len(text))
    if start and (space := text.find(" ", start, at)) >= 0:
        start = space + 1
    if end < len(text) and (space := text.rfind(" ", at + 1, end)) >= 0:
        end = space
    return start, end
