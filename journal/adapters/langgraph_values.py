"""LangGraph's values as JSON: what can be is readable, the rest is the serializer's bytes as base64."""

import importlib
import math
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from journal.adapters.langgraph_messages import BLANK, Reference, retold, told
from projections.document import Json


class Gone:
    """What was erased: lists and mappings are without it, a channel is empty."""


GONE: Final = Gone()

# A text that begins so stands for a message, a dict with such a key alone for a value of another kind; what
# only looks like that begins with two of them.
_MARK: Final = "$"
_ESCAPED: Final = _MARK * 2
# Without this JSON is what it says.
MARKED: Final = f'"{_MARK}'.encode()
_TOLD: Final = f"{_MARK}message"
_BYTES: Final = f"{_MARK}bytes"
_ID_LENGTH: Final = 36  # of a record
# What the framework wraps values in: where its class is, and what it is made of.
_WRAPPERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "Send": ("langgraph.types", ("node", "arg")),
    "_DeltaSnapshot": ("langgraph.checkpoint.serde.types", ("value",)),
}
# A record holds a hundred levels, its own included. Each list of a deep one is one, each wrapper two.
_DEEPEST: Final = 40


class Values:
    """To JSON and back. `refer` says which message on record a message is, `find` gives it.

    Without `refer`, what is no JSON is bytes; a message that it does not know is told in its place.

    A serializer other than LangGraph's usual one may be there to encrypt: it is given everything, and whole,
    and no text is on record beside it.
    """

    def __init__(
        self,
        serde: SerializerProtocol,
        *,
        refer: Callable[[BaseMessage], Reference | None] | None = None,
        find: Callable[[Reference], BaseMessage | Gone] | None = None,
    ) -> None:
        self._serde, self._refer, self._find = serde, refer, find
        # For what stands inside a message.
        self._plain: Values = self if refer is None and find is None else Values(serde)
        self._is_readable = isinstance(serde, JsonPlusSerializer)

    def to_json(self, value: Any) -> Json:
        """JSON of which `of_json` makes the same value."""
        return self._to_json(value, 0) if self._is_readable else self._bytes(value)

    def of_json(self, value: Json) -> Any:
        """The value of what `to_json` made; GONE where it was erased."""
        if isinstance(value, str):
            return value if value[:1] != _MARK else self._marked_text(value)
        if isinstance(value, list):
            return [each for each in map(self.of_json, value) if each is not GONE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name.startswith(_MARK) and not name.startswith(_ESCAPED):
                return self._marked(name, inner)
        made = {_unescaped(key): self.of_json(each) for key, each in value.items()}
        return {key: each for key, each in made.items() if each is not GONE}

    def _to_json(self, value: Any, depth: int) -> Json:
        kind = type(value)
        if kind is str:
            if value.isascii() and value[:1] != _MARK:
                return value  # type: ignore[no-any-return]
            return _escaped(value) if _is_text(value) else self._bytes(value)
        if value is None or kind is bool:
            return value  # type: ignore[no-any-return]
        if kind is int:
            return value if -(2**63) <= value < 2**64 else self._bytes(value)
        if kind is float:
            return value if math.isfinite(value) else self._bytes(value)
        if depth < _DEEPEST:
            if kind is list:
                return [self._to_json(each, depth + 1) for each in value]
            if kind is dict and all(map(_is_key, value)):
                return {_escaped(key): self._to_json(each, depth + 1) for key, each in value.items()}
            if self._refer is not None and kind in BLANK and _may_be_id(value.id):
                if (reference := self._refer(value)) is None:
                    return {_TOLD: told(value, self._plain.to_json, self._plain.of_json)}
                ref, id = reference
                return f"{_MARK}{ref}{id or ''}"
            module, names = _WRAPPERS.get(kind.__name__, ("", ()))
            if kind.__module__ == module and getattr(value, "timeout", None) is None:
                return {
                    f"${kind.__name__}": [self._to_json(getattr(value, name), depth + 2) for name in names]
                }
        return self._bytes(value)

    def _bytes(self, value: Any) -> Json:
        kind, data = self._serde.dumps_typed(value)
        return {_BYTES: [kind, b64encode(data).decode()]}

    def _marked_text(self, value: str) -> Any:
        if value.startswith(_ESCAPED):
            return value[1:]
        return GONE if self._find is None else self._find(_reference(value))

    def _marked(self, name: str, inner: Json) -> Any:
        if name == _TOLD:
            return retold(inner, self._plain.of_json)
        assert isinstance(inner, list)
        if name == _BYTES:
            kind, data = inner
            try:
                return self._serde.loads_typed((str(kind), b64decode(str(data), validate=True)))
            except NotBase64:
                return GONE  # a redaction hid some of it
        module, names = _WRAPPERS[name[1:]]
        parts = self.of_json(inner)
        if len(parts) < len(names):
            return GONE
        return getattr(importlib.import_module(module), name[1:])(*parts)


def references(value: Json) -> Iterator[Reference]:
    """The messages in a value."""
    if isinstance(value, str):
        if value.startswith(_MARK) and not value.startswith(_ESCAPED):
            yield _reference(value)
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            if each.__class__ is not str:
                yield from references(each)
            elif each[:1] == _MARK and each[1:2] != _MARK:
                yield _reference(each)


def _reference(value: str) -> Reference:
    return value[1 : 1 + _ID_LENGTH], value[1 + _ID_LENGTH :] or None


def _escaped(value: str) -> str:
    return _MARK + value if value.startswith(_MARK) else value


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith(_ESCAPED) else key


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _may_be_id(id: str | None) -> bool:
    return id is None or (id != "" and _is_text(id))


def _is_key(key: object) -> bool:
    return type(key) is str and _is_text(key)
