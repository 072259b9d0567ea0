"""Durations in words."""

from typing import Final

_UNITS: Final = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def duration_text(seconds: float) -> str:
    """A duration that a person compares at a glance: 850 ms, 2.5 s, 4 min 10 s, 3 d 2 h."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    n = next(n for n, (_, size) in enumerate(_UNITS) if whole >= size)
    unit, size = _UNITS[n]
    count, rest = divmod(whole, size)
    smaller = rest // _UNITS[n + 1][1] if n + 1 < len(_UNITS) else 0
    return f"{count:,} {unit}" + (f" {smaller} {_UNITS[n + 1][0]}" if smaller else "")
