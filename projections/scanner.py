"""What an expression is made of: words, signs and values; and where one goes wrong."""

import math
import re
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from projections.document import Json
from projections.paths import Step, parse_path

MAX_CHARACTERS: Final = 10_000
MAX_DEPTH: Final = 50
MAX_SHOWN: Final = 40
"""Of what was found in the place of something else, how many characters an error repeats."""

WORD: Final = re.compile(r"[^\W\d][\w-]*")
CONSTANTS: Final[dict[str, Json]] = {"true": True, "false": False, "null": None}
_SPACE: Final = re.compile(r"\s*")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MORE: Final = re.compile(r"[\w:.-]")
_QUOTED: Final = re.compile(r"""(["'])((?:(?!\1)[^\\]|\\.)*+)\1""", re.DOTALL)
_QUOTE: Final = re.compile("[\"']")
_OTHER_QUOTE: Final = re.compile("[“”„‘’«»`]")
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"} | {each: each for each in "\"'\\/"}
_STEP: Final = re.compile(r"-?\w[\w-]*")
_TOKEN: Final = re.compile(r"[\w.-]+|\S")
# Of a long line, what is shown on either side of the place.
_SHOWN_BEFORE, _SHOWN_AFTER = 50, 30


class ExpressionError(ValueError):
    """A text is no expression: why (`reason`), and at which of its characters (`position`)."""

    def __init__(self, text: str, position: int, reason: str) -> None:
        super().__init__(f"{reason}\n{_pointed_at(text, position)}")
        self.text = text
        self.position = position
        self.reason = reason


def _pointed_at(text: str, position: int) -> str:
    """The line with the place, and below it a caret."""
    begin = text.rfind("\n", 0, position) + 1
    end = position + len(text[position:].partition("\n")[0])
    first, last = max(begin, position - _SHOWN_BEFORE), min(end, position + _SHOWN_AFTER)
    before = ("…" if first > begin else "") + text[first:position]
    after = text[position:last] + ("…" if last < end else "")
    return f"  {before}{after}\n  {''.join(map(_blank, before))}^"


def _blank(character: str) -> str:
    """What takes the same room, and shows nothing."""
    if character == "\t":
        return character
    return "  " if unicodedata.east_asian_width(character) in "WF" else " "


class Scanner:
    """Reads a text piece by piece. Between two pieces there may be any white space."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        if len(text) > MAX_CHARACTERS:
            self.fail(f"an expression has at most {MAX_CHARACTERS:,} characters", MAX_CHARACTERS)

    def fail(self, reason: str, position: int | None = None) -> NoReturn:
        """Raise ExpressionError, for the place where the next piece begins unless another one is given."""
        self.skip()
        raise ExpressionError(self._text, self._position if position is None else position, reason)

    def fail_for(self, expected: str) -> NoReturn:
        """As `fail`: something else was expected than what comes next."""
        found = self.peek(_TOKEN)
        self.fail(f"expected {expected}, found {repr(found[0][:MAX_SHOWN]) if found else 'the end'}")

    def skip(self) -> int:
        """Go to where the next piece begins; the position."""
        if space := _SPACE.match(self._text, self._position):
            self._position = space.end()
        return self._position

    def peek(self, piece: re.Pattern[str]) -> re.Match[str] | None:
        """The next piece, if it is of this kind."""
        return piece.match(self._text, self.skip())

    def take(self, piece: re.Pattern[str]) -> str | None:
        """As `peek`, and go on behind it."""
        if found := self.peek(piece):
            self._position = found.end()
            return found[0]
        return None

    def word(self, expected: str) -> bool:
        """Whether the next piece is this word; if so, go on behind it."""
        found = self.peek(WORD)
        if found is None or found[0] != expected:
            return False
        self._position = found.end()
        return True

    def sign(self, expected: str) -> bool:
        """Whether this sign comes next; if so, go on behind it."""
        is_there = self._text.startswith(expected, self.skip())
        self._position += len(expected) * is_there
        return is_there

    def close(self, sign: str) -> None:
        """Go on behind a sign that must come next."""
        if not self.sign(sign):
            self.fail_for(repr(sign))

    @contextmanager
    def nested(self) -> Iterator[None]:
        """What is read meanwhile stands one level deeper."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(f"an expression is nested at most {MAX_DEPTH} levels deep")
        yield
        self._depth -= 1

    def step(self) -> Step | None:
        """One more step of the path that ends here: `.plan`, `.0`, `[-1]`, `["any key"]`."""
        if self._text.startswith(".", self._position):
            self._position += 1
            found = _STEP.match(self._text, self._position)
            if found is None:
                self.fail_for('a name or a number; any other key stands in brackets, ["a key"]')
            self._position = found.end()
            return parse_path(found[0])[0]
        if not self._text.startswith("[", self._position):
            return None
        self._position += 1
        start = self.skip()
        step = self.constant()
        if isinstance(step, bool) or not isinstance(step, str | int):
            self.fail("in brackets stands a number or a key in quotes", start)
        self.close("]")
        return step

    def constant(self) -> Json:
        """A number, a text, true, false, null, or a list of them."""
        if found := self.peek(_NUMBER):
            return self._number(found)
        if (word := self.peek(WORD)) and word[0] in CONSTANTS:
            self._position = word.end()
            return CONSTANTS[word[0]]
        return self._list() if self.sign("[") else self._string()

    def pattern(self) -> re.Pattern[str]:
        """A regular expression in quotes. Its backslashes are its own: it is taken as it stands."""
        start = self.skip() + 1
        pattern = self._between_quotes("a pattern in quotes")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what a later Python may read in another way
                return re.compile(pattern)
        except re.error as error:
            self.fail(f"the pattern does not compile: {error.msg}", start + (error.pos or 0))
        except (RecursionError, OverflowError):
            self.fail("the pattern does not compile: it is nested too deeply, or counts too far", start)

    def _number(self, found: re.Match[str]) -> Json:
        if _MORE.match(self._text, found.end()):
            self.fail("this is no number; a text or a time stands in quotes")
        try:
            number = float(found[0]) if found[1] or found[2] else int(found[0])
        except ValueError:  # more digits than Python reads
            number = math.inf
        if number in (math.inf, -math.inf):
            self.fail("the number is out of range")
        self._position = found.end()
        return number

    def _list(self) -> Json:
        values: list[Json] = []
        with self.nested():
            while not self.sign("]"):
                if values and not self.sign(","):
                    self.fail_for("',' or ']'")
                values.append(self.constant())
        return values

    def _string(self) -> str:
        start = self.skip() + 1
        quoted = self._between_quotes()

        def unescaped(found: re.Match[str]) -> str:
            if len(found[1]) == 5:
                return chr(int(found[1][1:], 16))
            if found[1] not in _ESCAPED:
                self.fail(
                    f"there is no escape {found[0]}; a backslash is written \\\\", start + found.start()
                )
            return _ESCAPED[found[1]]

        text = _ESCAPE.sub(unescaped, quoted)
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")  # an escaped pair becomes one
        except UnicodeDecodeError:
            self.fail("the text holds half of a surrogate pair", start)

    def _between_quotes(self, expected: str = "a path or a value") -> str:
        found = self.peek(_QUOTED)
        if found is None:
            if self.peek(_QUOTE):
                self.fail("the text that begins here has no closing quote")
            if self.peek(_OTHER_QUOTE):
                self.fail("a text stands in plain quotes, \"…\" or '…'")
            self.fail_for(expected)
        self._position = found.end()
        return found[2]
