"""Usage: the tokens that a model took, as transcripts tell them — each counted once."""

from typing import Final, NamedTuple

from projections.document import Json
from projections.events import Event, UsageRecorded

UNKNOWN_MODEL: Final = "unknown"


class Tokens(NamedTuple):
    """Tokens that went in, those from a cache among them, and that came out, those of thoughts among them."""

    input: int
    output: int


class Meter:
    """What counters have grown by: transcripts tell totals, and tell them again."""

    def __init__(self) -> None:
        self._last: dict[str, Tokens] = {}

    def grown(self, counter: str, now: Tokens) -> Tokens | None:
        """What a counter has grown by since it was told last; None: not at all. A lower one began anew."""
        last = self._last.get(counter, Tokens(0, 0))
        self._last[counter] = now
        if now.input < last.input or now.output < last.output:
            last = Tokens(0, 0)
        grown = Tokens(now.input - last.input, now.output - last.output)
        return grown if any(grown) else None


def usage_events(model: str | None, tokens: Tokens, payload: Json) -> list[Event]:
    """The events that say which model took how many tokens; `payload` is what the transcript says of it.

    The one place that knows how usage is kept.
    """
    name = UNKNOWN_MODEL if model is None else model
    counts = {"input_tokens": tokens.input, "output_tokens": tokens.output}
    return [UsageRecorded(model=name, **counts, extra=payload)]


def count_of(counts: object, *keys: str) -> int:
    """The sum of what stands under these keys; what is no number counts as none."""
    if not isinstance(counts, dict):
        return 0
    found = (counts.get(key) for key in keys)
    return sum(each for each in found if type(each) is int and each > 0)
