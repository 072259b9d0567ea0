"""Characters that a reader does not see, and that change what he sees or what a terminal does."""

import re
from typing import Final

from projections.document import Json
from projections.searchable import leaves

# Control characters but tab and newlines, soft hyphens, zero-width and bidirectional ones, tags. A joiner
# between two pictures makes one of them, and hides nothing.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
    "|(?<![\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\u200d"
)


def may_hide(line: bytes) -> bool:
    """Whether a record's line has anything but plain characters: of most a look says that it has not."""
    return not line.isascii() or b"\\u" in line or b"\x7f" in line


def hides(value: Json) -> bool:
    """Whether any text or key of JSON has hidden characters."""
    return any(_HIDDEN.search(text) is not None for text in leaves(value))
