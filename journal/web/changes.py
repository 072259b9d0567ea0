"""Changes: what differs between two states, of one session or of two, and which records made it so."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from journal.objects import moment_text
from journal.web.answers import bad_input
from journal.web.cutting import shortened
from journal.web.past import Past
from journal.web.rows import title_at
from projections.activity import to_moment
from projections.blame import counted_from_the_start, last_turn, turns, value_in
from projections.comparison import common_version
from projections.diff import Difference, differences
from projections.document import Json
from projections.events import event_type
from projections.paths import ABSENT, Absent, Path, parse_path, path_text

MOST_CHANGES: Final = 500


def diff(past: Past, start: int, end: int) -> dict[str, Any]:
    """What leads from one state to another, and the record that made each value so."""
    with past.mutex:
        found = list(differences(past.history.state(start), past.history.state(end)))
        return {"from": start, "to": end, "changes": _changes(past, found, end), "total": len(found)}


def blame(past: Past, version: int, path: str) -> dict[str, Any]:
    """The records that made a value what it is at a version, the last first."""
    if not path:
        raise bad_input("`path` is missing: name a value, as metadata.plan")
    with past.mutex:
        steps = counted_from_the_start(past.history, parse_path(path), version)
        versions = turns(past.history, steps, version)
        found: list[dict[str, Any]] = [
            {"version": each, "before": before, "after": after}
            for each in reversed(versions[-MOST_CHANGES:])
            for before, after in [_around(past, steps, each)]
        ]
    for each in found:
        each |= _made_by(past, each["version"])
    return {"path": path, "found": found, "total": len(versions)}


def _around(past: Past, steps: Path, version: int) -> tuple[Json, Json]:
    """A value before a record and behind it; of a long one, which would be made each time, what changed."""
    history = past.history
    match steps:
        case ("metadata",):
            keys = sorted(history.settings_at(version))
            settings = [
                {key: value for key in keys if (value := history.setting(key, each)) is not ABSENT}
                for each in (version - 1, version)
            ]
            return shortened(settings[0]), shortened(settings[1])
        case ("user_messages",):
            return _counts(history.user_messages.length, version)
        case ("agent_responses",):
            return _counts(history.agent_responses.length, version)
        case _:
            return _value(value_in(history, steps, version - 1)), _value(value_in(history, steps, version))


def _counts(length: Callable[[int], int], version: int) -> tuple[Json, Json]:
    return {"count": length(version - 1)}, {"count": length(version)}


def compare(left: Past, left_at: int, right: Past, right_at: int) -> dict[str, Any]:
    """What leads from a state of one session to one of another; a version is a record of the second one."""
    # In the order of their names: who compares them the other way round must not wait for us for ever.
    first, second = sorted((left, right), key=lambda past: past.session_id)
    with first.mutex, second.mutex:
        ancestor = min(common_version(left, right), left_at, right_at)
        found = list(differences(left.history.state(left_at), right.history.state(right_at)))
        changes = _changes(right, found, right_at, ancestor)
    of = left.session_id
    if left.origin is not None and left.origin[0] == right.session_id:
        of = right.session_id
    return {
        "ancestor": {"session_id": of, "version": ancestor} if ancestor else None,
        "left": {"session_id": left.session_id, "version": left_at},
        "right": {"session_id": right.session_id, "version": right_at},
        "changes": changes,
        "total": len(found),
    }


def _changes(past: Past, found: Iterable[Difference], end: int, after: int = 0) -> list[dict[str, Any]]:
    """The first of the changes; a record that is not behind `after` did not make them."""
    changes: list[dict[str, Any]] = []
    for each in found:
        if len(changes) == MOST_CHANGES:
            break
        turn = last_turn(past.history, each.path, end) or 0
        kind = "added" if each.before is ABSENT else "removed" if each.after is ABSENT else "changed"
        changes.append(
            {
                "path": path_text(each.path),
                "kind": kind,
                "before": _value(each.before),
                "after": _value(each.after),
                "version": turn if turn > after else None,
            }
        )
    return changes


def _value(value: Json | Absent) -> Json:
    return None if value is ABSENT else shortened(value)


def _made_by(past: Past, version: int) -> dict[str, Any]:
    record = past.record(version)
    at = moment_text(to_moment(past.columns.at_us[version - 1]))
    return {"at": at, "by": record.by, "type": event_type(record.event), "title": title_at(past, version)}
