"""Durations: `90d`, `12h`, `2w`, `30m`, `45s`, `1.5h`."""

import re
from datetime import timedelta

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)


def parse_duration(text: str) -> timedelta:
    """The duration that a text says. Raises ValueError with what was meant to stand there."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no duration. Durations are like 90d, 12h, 2w, 30m (minutes), 45s")
    number, unit = found[1], found[2].lower()
    if unit not in _UNITS:
        problem = f"{text!r} has no unit" if not unit else f"{text!r}: there is no unit {found[2]!r}"
        raise ValueError(
            f"{problem}. The units are s, m (minutes), h, d and w; say months and years in days, as 90d"
        )
    try:
        duration = timedelta(**{_UNITS[unit]: float(number)})
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any clock can tell") from None
    if not duration:
        raise ValueError(f"{text!r} is no time at all")
    return duration


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore] # generic from click 8.4 on
    """A duration with its unit, as an option's value."""

    name = "duration"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help calls it."""
        return "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse it, or say what is wrong."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
