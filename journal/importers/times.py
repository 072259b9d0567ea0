"""Times as sources write them: RFC 3339 with an offset, or seconds since 1970."""

from datetime import UTC, datetime


def parse_moment(value: object) -> datetime:
    """The moment, UTC, digits past microseconds cut. Raises ValueError with the reason."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            if moment.utcoffset() is None:
                raise ValueError("it has no offset, so it could be any of 26 hours; write Z or +00:00")
            return moment.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"timestamp {str(value)[:40]!r}: {error}") from None
    raise ValueError("the timestamp is neither a text nor a number")
