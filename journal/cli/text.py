"""Making text safe and short enough for a terminal: no character of a session may act on it."""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# What a terminal obeys or a reader is deceived by: C0, DEL, C1, line separators, bidirectional controls
# and tag characters.
_C0 = r"\x00-\x1f\x7f"
_HIDDEN = r"\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f"
_ACTING: Final = re.compile(f"[{_C0}{_HIDDEN}]")
_ACTING_IN_TEXT: Final = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f{_HIDDEN}]")
_ACTING_IN_JSON: Final = re.compile(rf"[\x7f{_HIDDEN}]")


def visible(text: str) -> str:
    """The text in one line, with a symbol for each control character: ␛, ⏎, <U+202E>."""
    return _ACTING.sub(_symbol, text)


def visible_lines(text: str) -> str:
    """As `visible`, for a body: its newlines and tabs stay what they are."""
    return _ACTING_IN_TEXT.sub(_symbol, text)


def safe_json(text: str) -> str:
    """The same JSON with what JSON itself lets through, though a terminal obeys it, escaped."""
    return _ACTING_IN_JSON.sub(_escaped, text)


def preview(text: str, width: int) -> str:
    """The beginning of a text, in one line, at most `width` cells wide."""
    line = visible(text[: width + 1].lstrip() or text[: width + 1])
    return cut(line, width) if len(text) <= width + 1 else cut(line + "…", width)


def cut(line: str, width: int) -> str:
    """A line cut to `width` cells, with an ellipsis where something is missing."""
    if line.isascii():
        return line if len(line) <= width else line[: max(width - 1, 0)] + "…"
    if cells(line) <= width:
        return line
    used, kept = 1, []
    for character in line:
        used += _cell(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + "…"


def wrapped(line: str, width: int) -> Iterator[str]:
    """A line in parts of at most `width` cells, broken behind a space where there is one."""
    start, space, used = 0, -1, 0
    for at, character in enumerate(line):
        used += _cell(character)
        if character == " ":
            space = at
        if used > width and at > start:
            end = space + 1 if space > start else at
            yield line[start:end].rstrip()
            start, space, used = end, -1, cells(line[end : at + 1])
    yield line[start:].rstrip()


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text filled with spaces to `width` cells; `right`: from the left side."""
    fill = " " * (width - cells(text))
    return fill + text if right else text + fill


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _symbol(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x0A:
        return "⏎"
    if code == 0x09:
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"<U+{code:04X}>"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}" if ord(found[0]) < 0x10000 else json.dumps(found[0])[1:-1]
