"""Words: how a text is cut into them, for the search index and for what people ask of it.

SQLite cuts at spaces and punctuation. In Chinese, Japanese and Korean that would make a word of a sentence;
so each of their characters becomes a word, and what is asked in them a phrase.
"""

import re
import unicodedata
from bisect import bisect_left
from typing import Final, NamedTuple

from journal.errors import InvalidNameError

TOKENIZER: Final = "unicode61 remove_diacritics 2"
# More is no question, and SQLite's parser has limits of its own.
MAX_TERMS: Final = 100

# Han, Kana, Bopomofo, Hangul, with their extensions, halfwidth and compatibility forms.
_ALONE: Final = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u318f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    "\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"
)
# A phrase in quotes, closed or not, or what stands between spaces; before it a minus, behind it a star.
_TERM: Final = re.compile(r'(-?)"([^"]*)(?:"(\*?)|$)|([^\s"]+)')


class Query(NamedTuple):
    """What is asked, as SQLite takes it: `match` as a whole, and the words and phrases that it looks for."""

    match: str
    terms: list[str]


def parse_query(text: str) -> Query:
    """Words that must all be there, "a phrase", word* for whatever begins so, -word for what must not be.

    Whatever is typed is a query. Raises InvalidNameError only where it asks for nothing, or too much.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidNameError("query", text, "is not valid Unicode") from None
    wanted: list[str] = []
    unwanted: list[str] = []
    for minus, phrase, star, word in _TERM.findall(text):
        is_unwanted = bool(minus)
        if word:
            # A minus before no letter is what people paste: --verbose, ->
            is_unwanted = word[0] == "-" and word[1:2].isalnum()
            star = "*" if word.endswith("*") else ""
        term = word or phrase
        if any(map(_is_of_words, term)):
            (unwanted if is_unwanted else wanted).append(_quoted(term) + star)
    if not wanted:
        reason = "says only what must not be found" if unwanted else "holds no word to look for"
        raise InvalidNameError("query", text, reason)
    if len(wanted) + len(unwanted) > MAX_TERMS:
        raise InvalidNameError("query", text[:40] + "…", f"has over {MAX_TERMS} words")
    match = " AND ".join(wanted)
    if unwanted:
        match = f"({match}) NOT ({' OR '.join(unwanted)})"
    return Query(match, wanted)


def _quoted(term: str) -> str:
    """A text as SQLite's query language takes it: within quotes nothing has a meaning."""
    return '"' + spaced(term).replace('"', " ") + '"'


def _is_of_words(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) == "Co"


def spaced(text: str) -> str:
    """The text as it is indexed: with spaces around each character that is a word of its own."""
    text = text.replace("\0", " ")  # where SQLite takes a text to end
    return text if text.isascii() else _ALONE.sub(r" \g<0> ", text)


class Places:
    """Where a place in a spaced text is in the text itself."""

    def __init__(self, text: str) -> None:
        self._added: list[int] = []  # the spaces, by their places in the spaced text
        if not text.isascii():
            for count, found in enumerate(_ALONE.finditer(text)):
                self._added += found.start() + 2 * count, found.end() + 2 * count + 1

    def __call__(self, at: int) -> int:
        """The place in the text."""
        return at - bisect_left(self._added, at)
