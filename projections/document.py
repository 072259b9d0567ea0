"""The session as one JSON document: the shape that the seed's program reads and writes."""

import json
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from projections.messages import AgentResponse, Moment, UserMessage

if TYPE_CHECKING:
    from typing import TypeAlias

    Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
else:
    Json = Any  # msgspec cannot build a decoder from a recursive alias

# The deepest nesting below "metadata" that the seed's own reader accepts.
MAX_METADATA_DEPTH = 125


class SessionDocument(Struct, kw_only=True):
    """A session's keys in the seed's order; the two active ids are left out when there is none."""

    id: str
    user_id: str
    user_messages: list[UserMessage] = []
    agent_responses: list[AgentResponse] = []
    active_seed_id: str | UnsetType | None = UNSET
    active_persona_id: str | UnsetType | None = UNSET
    created_at: Moment
    updated_at: Moment
    metadata: dict[str, Json] = {}


def parse_document(text: str) -> SessionDocument:
    """Read a session document as strictly as the seed's program does.

    Unknown keys are ignored, a repeated known key is refused, nine-digit fractions keep their
    microseconds. Raises ValueError with the reason and the place.
    """
    try:
        loaded = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_integer,
        )
        msgspec.json.encode(loaded)  # finds lone surrogates, which Python's json lets through
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair") from None
    if not isinstance(loaded, dict):
        raise ValueError("expected an object with a session's keys")
    _refuse_repeated(loaded, SessionDocument, "$")
    for name, kind in (("user_messages", UserMessage), ("agent_responses", AgentResponse)):
        messages = loaded.get(name)
        for index, message in enumerate(messages if isinstance(messages, list) else ()):
            if isinstance(message, dict):
                place = f"$.{name}[{index}]"
                _refuse_repeated(message, kind, place)
                if "timestamp" not in message:
                    raise ValueError(f"missing required field `timestamp` - at `{place}`")
                _read_times(message, ("timestamp",), place)
    _read_times(loaded, ("created_at", "updated_at"), "$")
    if _depth(loaded.get("metadata")) > MAX_METADATA_DEPTH + 1:
        raise ValueError(f"metadata is nested more than {MAX_METADATA_DEPTH} levels deep - at `$.metadata`")
    try:
        return msgspec.convert(loaded, SessionDocument)
    except msgspec.ValidationError as error:  # it names the place
        raise ValueError(str(error)) from None


class _Repeating(dict[str, Any]):
    """An object of which some keys came more than once."""

    repeated: frozenset[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    repeating = _Repeating(plain)
    seen: set[str] = set()
    repeating.repeated = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return repeating


def _refuse_repeated(found: dict[str, Any], kind: type[Struct], place: str) -> None:
    if isinstance(found, _Repeating):
        for name in kind.__struct_fields__:
            if name in found.repeated:
                raise ValueError(f"the key {name!r} is there twice - at `{place}`")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is out of range")
    return number


def _integer(text: str) -> int | float:
    # Past 64 bits the seed's reader goes on in floating point.
    if len(text) <= 20 and -(2**63) <= (number := int(text)) < 2**64:
        return number
    return _finite_float(text)


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,18})?([Zz]|[+-]\d\d:\d\d)")


def _read_times(found: dict[str, Any], names: tuple[str, ...], place: str) -> None:
    for name in names:
        text = found.get(name)
        if not isinstance(text, str):
            continue  # its absence or another type is msgspec's to report
        if not _RFC3339.fullmatch(text):
            raise ValueError(f"{text[:40]!r} is not a time with an offset - at `{place}.{name}`")
        try:
            # Digits past the sixth are cut, not rounded: the moment is never moved into the future.
            found[name] = datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{text[:40]!r}: {error} - at `{place}.{name}`") from None


def _depth(value: Any) -> int:
    level, deepest = [value], 0
    while containers := [each for each in level if isinstance(each, dict | list)]:
        deepest += 1
        level = [
            inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return deepest
