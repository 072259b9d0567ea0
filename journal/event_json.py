"""An event's JSON: exactly what will be stored, and only what comes back as it is."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from journal.errors import InvalidEventError
from projections.document import Json
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    Erased,
    Event,
    KnownEvent,
    MetadataSet,
    ReasoningAdded,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UsageRecorded,
    UserMessageAdded,
)
from projections.events import event_type as event_type

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 100
KNOWN_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in KnownEvent.__args__)

# How an integer that may not fit in 64 bits begins, when all digits are made one, and what may be before it.
_LONG_INTEGER: Final = b":" + b"0" * 19
_SHAPE: Final = bytes.maketrans(b"123456789,[", b"000000000::")

encode_json = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_known = msgspec.json.Decoder(KnownEvent).decode


def encode_event(event: Event) -> bytes:
    """The event's JSON, exactly as it will be stored.

    Raises InvalidEventError for what JSON or a reader could not give back: NaN and infinities, integers
    past 64 bits, lone surrogates, nesting past 100, over 16 MiB, keys that are no texts, wrong types.
    """
    if (plain := _encode_plain(event)) is not None:
        return plain
    if isinstance(event, UnknownEvent):
        raw = _raw_of_unknown(event)
    elif isinstance(event, Erased):
        raise InvalidEventError("Erased is what `erase` leaves of an event; it cannot be appended")
    else:
        try:
            if type(event) is SessionReplaced:
                check_json(event.session.metadata, deepest=MAX_DEPTH + 1)
            elif type(event) is SessionForked:
                check_json(event.document and event.document.metadata, deepest=MAX_DEPTH + 1)
            else:
                for value in free_json(event):
                    check_json(value, deepest=MAX_DEPTH + (type(event) is SessionRewound))
            raw = encode_json(event)
            # What is written must come back as it is: a wrong type, or a tuple for a list, does not.
            if _decode_known(raw) != event:
                raise InvalidEventError(f"{type(event).__name__}: a value would come back as another one")
        except InvalidEventError:
            raise
        except UnicodeEncodeError:
            raise InvalidEventError(
                f"{type(event).__name__}: a text holds half of a surrogate pair"
            ) from None
        except (msgspec.MsgspecError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InvalidEventError(f"{type(event).__name__}: {error}") from None
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEventError(
            f"{type(event).__name__}: {len(raw):,} bytes, over the {MAX_EVENT_BYTES:,} that a record may hold"
        )
    return raw


def _encode_plain(event: Event) -> bytes | None:
    """The JSON of an event that comes back as it is; None where that takes a closer look, or fails it.

    What JSON has no place for comes back as something else; but integers do, however long, and other readers
    have no place for those.
    """
    if event.__class__ in (UnknownEvent, Erased):
        return None
    try:
        raw = encode_json(event)
        is_plain = (
            len(raw) <= MAX_EVENT_BYTES
            and raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH
            and _LONG_INTEGER not in raw.translate(_SHAPE, b"-")
            and _decode_known(raw) == event
        )
    except (msgspec.MsgspecError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return raw if is_plain else None


def encode_plain_text(event: Event) -> bytes | None:
    """The JSON of the commonest events, where nothing in them could come back as another value."""
    if type(event) is UserMessageAdded:
        is_plain = event.timestamp is None and event.extra is None
    elif type(event) is AgentResponseAdded:
        is_plain = (
            event.timestamp is None
            and event.session_id is None
            and event.seed_id is None
            and event.phase_reached is None
            and event.evaluation_passed is None
            and event.extra is None
        )
    else:
        return None
    # At most six bytes a character: of the few that are too long, `encode_event` finds those that are.
    if is_plain and type(event.content) is str and len(event.content) < MAX_EVENT_BYTES // 8:
        try:
            return encode_json(event)
        except UnicodeEncodeError:
            return None
    return None


def check_json(value: object, *, deepest: int = MAX_DEPTH) -> None:
    """Raise InvalidEventError unless `value` is JSON that comes back the same."""
    stack: list[tuple[Sequence[object], int]] = [([value], 0)]
    while stack:
        values, depth = stack.pop()
        for each in values:
            if each is None or isinstance(each, str | bool):
                continue
            if isinstance(each, int):
                if not -(2**63) <= each < 2**64:
                    raise InvalidEventError(f"an integer of {each.bit_length()} bits does not fit in 64")
            elif isinstance(each, float):
                if not math.isfinite(each):
                    raise InvalidEventError(f"{each} is not JSON")
            elif isinstance(each, dict | list):
                if depth == deepest:
                    raise InvalidEventError(f"JSON nested more than {deepest} levels deep")
                if isinstance(each, list):
                    stack.append((each, depth + 1))
                    continue
                for key in each:
                    if not isinstance(key, str):
                        raise InvalidEventError(f"the key {key!r} is not a text")
                stack.append((list(each.values()), depth + 1))
            else:
                raise InvalidEventError(f"a value of type {type(each).__name__} is not JSON")


def json_in(text: str) -> Json:
    """The JSON that a text holds, if an event can store it as one of its parts; else the text itself."""
    try:
        value: Json = _decode(text)
        check_json(value, deepest=MAX_DEPTH - 10)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, InvalidEventError):
        return text
    return value


def _raw_of_unknown(event: UnknownEvent) -> bytes:
    try:
        value = _decode(event.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEventError(f"UnknownEvent: {error}") from None
    if not isinstance(value, dict) or value.get("type") != event.type or b"\n" in event.raw:
        raise InvalidEventError("UnknownEvent: `raw` must be one line of JSON whose type is `type`")
    if event.type in KNOWN_TYPES:
        raise InvalidEventError(f"UnknownEvent: {event.type!r} is a known type")
    check_json(value)
    return event.raw


def free_json(event: Event) -> tuple[Json, ...]:
    """The parts of an event whose shapes are the writer's own."""
    match event:
        case UserMessageAdded() | AgentResponseAdded() | ReasoningAdded():
            return () if event.extra is None else (event.extra,)
        case MetadataSet():
            return (event.value,)
        case CustomEvent():
            return (event.data,)
        case SessionRewound():
            return (event.metadata,)
        case ToolCalled():
            return event.arguments, event.extra
        case ToolReturned():
            return event.result, event.duration_ms, event.extra
        case StepFinished():
            return event.arguments, event.result, event.duration_ms
        case UsageRecorded():
            return event.cost, event.extra
        case _:
            return ()
