"""The items of a session as they stand, whoever rewound it or took some back."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from journal.event_json import encode_json
from journal.kept import Unread
from projections.document import Json
from projections.events import Event
from projections.standing import Standing

_decode_items: Final = msgspec.json.Decoder(list[Any]).decode


class ItemList:
    """The items of a session, in order: as JSON, so that whoever reads them gets his own.

    item_of  what an event is as an item
    version  of the session
    """

    def __init__(self, item_of: Callable[[Event], Json]) -> None:
        self.version = 0
        self._item_of = item_of
        self._done: list[_Item | _Removal] = []
        self._items: list[_Item] = []
        self._standing = Standing()

    @property
    def end(self) -> int:
        """The record of the last item; 0 where there is none."""
        return self._items[-1].version if self._items else 0

    def last(self, limit: int | None) -> list[Any]:
        """The last items, or with None or less than nothing all. Raises CorruptRecordError."""
        start = 0 if limit is None or limit < 0 else max(len(self._items) - limit, 0)
        return _decode_items(b"[%b]" % b",".join([self._json(item) for item in self._items[start:]]))

    def add(self, version: int, item: Json | Unread) -> None:
        """Record `version` is this item, or when it is read will be one."""
        added = _Item(version, item if isinstance(item, Unread) else encode_json(item))
        self._done.append(added)
        self._items.append(added)

    def remove(self, version: int, first: int) -> None:
        """Record `version` takes back the items from record `first` on."""
        self._done.append(_Removal(version, first))
        self._remove(first)

    def rewind(self, version: int, to: int) -> None:
        """Record `version` takes back all that was done since `to`, removals too."""
        self._standing.rewind(version, to)
        self._items.clear()
        for each in self._done:
            if self._standing.stands(each.version):
                if isinstance(each, _Item):
                    self._items.append(each)
                else:
                    self._remove(each.first)

    def _json(self, item: "_Item") -> bytes:
        if isinstance(item.content, Unread):
            item.content = encode_json(self._item_of(item.content.read().event))
        return item.content

    def _remove(self, first: int) -> None:
        while self._items and self.end >= first:
            self._items.pop()


class _Removal(NamedTuple):
    version: int
    first: int


class _Item(msgspec.Struct, gc=False):  # there may be many, and nothing of them leads back to them
    version: int
    content: bytes | Unread
