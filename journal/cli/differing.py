"""The commands that compare states, and say which records made a value what it is: diff, blame."""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import Address, is_session, locate, parse_address, require
from journal.cli.app import NO, Call, command
from journal.cli.document import part_of
from journal.cli.output import Output
from journal.cli.reading import record_line
from journal.cli.text import preview, visible

if TYPE_CHECKING:
    from journal.store import StateStore
    from projections.blame import Blame
    from projections.diff import Difference
    from projections.document import Json
    from projections.paths import Absent
    from projections.timeline import Timeline

# How much of what two long values have in common is shown before they differ.
_BEFORE = 20


@command("diff")
@click.argument("before", metavar="ID[@POINT]")
@click.argument("after", metavar="ID[@POINT]")
def diff_command(call: Call, before: str, after: str) -> None:
    """Print what differs between two states: of one session, or of two, such as a fork and its origin.

    Each value with the record of the second that made it so. Exit code 1 if they differ.
    """
    with call.store() as store:
        one, other = (_resolved(store, each) for each in (before, after))
        ancestor, found = _differences(store, one, other)
    if call.out.as_json:
        answer: dict[str, Any] = {"before": _object(one), "after": _object(other)}
        if ancestor is not None:
            answer["ancestor"] = ancestor
        call.out.json(answer | {"differences": [_difference_object(each) for each in found]})
    else:
        if ancestor:
            call.out.note(f"they parted after version {ancestor}")
        elif ancestor == 0:
            call.out.note("they have no record in common")
        call.out.lines(_difference_lines(found, call.out))
    if found:
        raise click.exceptions.Exit(NO)


def _resolved(store: "StateStore", text: str) -> tuple[str, int | None]:
    """A session and a version of it; None is the last."""
    where: Address = parse_address(text, lambda each: is_session(store, each))
    require(store, where.session_id)
    return where.session_id, None if where.end is None else locate(store, where.session_id, where.end)


def _differences(
    store: "StateStore", one: tuple[str, int | None], other: tuple[str, int | None]
) -> "tuple[int | None, list[Difference]]":
    """The last version that two sessions share (None: it is one), and what leads from state to state."""
    if one[0] == other[0]:
        timeline = store.timeline(one[0])
        return None, timeline.diff(*(_version_in(timeline, *each) for each in (one, other)))
    found = store.compare(one[0], other[0], at=one[1], other_at=other[1])
    return found.ancestor, found.between


def _version_in(timeline: "Timeline", session_id: str, version: int | None) -> int:
    """The version, None for the last. Raises SessionNotFoundError where there is none."""
    from journal.errors import SessionNotFoundError

    try:
        return timeline.resolve(timeline.version if version is None else version)
    except IndexError as error:
        raise SessionNotFoundError(session_id, str(error), exists=True) from None


def _object(state: tuple[str, int | None]) -> dict[str, Any]:
    return {"session_id": state[0], "version": state[1]}


def _difference_object(found: "Difference") -> dict[str, Any]:
    from projections.paths import path_text

    return {"path": path_text(found.path), **_values(found.before, found.after), "version": found.version}


def _values(before: "Json | Absent", after: "Json | Absent") -> dict[str, Any]:
    """The two values; one that is absent has no key."""
    from projections.paths import ABSENT

    return {key: value for key, value in (("before", before), ("after", after)) if value is not ABSENT}


def _difference_lines(found: "Iterable[Difference]", out: Output) -> Iterator[str]:
    from projections.paths import path_text

    for each in _forward(found):
        record = f"  (record {each.version})" if each.version else ""
        yield out.style(visible(path_text(each.path)), bold=True) + out.style(record, dim=True)
        yield from _value_lines(_values(each.before, each.after), out)


def _forward(found: "Iterable[Difference]") -> "Iterator[Difference]":
    """What was taken from a list, the first item first: to be applied, the last comes first."""
    from projections.paths import ABSENT

    def is_taken(each: "Difference") -> bool:
        return isinstance(each.path[-1], int) and each.after is ABSENT

    for (_, taken), group in groupby(found, key=lambda each: (each.path[:-1], is_taken(each))):
        together = list(group)
        yield from reversed(together) if taken else together


def _value_lines(values: dict[str, Any], out: Output) -> Iterator[str]:
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    width = max(out.width - 4, 20)
    start = _common(*texts.values()) - _BEFORE if len(texts) == 2 else 0
    if start < width // 2:
        start = 0
    for key, sign, color in (("before", "-", "red"), ("after", "+", "green")):
        if key in texts:
            text = f"…{texts[key][start:]}" if start else texts[key]
            yield out.style(f"  {sign} {preview(text, width)}", fg=color)


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@command("blame")
@click.argument("address", metavar="ID[@POINT]")
@click.argument("path", metavar="PATH")
def blame_command(call: Call, address: str, path: str) -> None:
    """Print the records that made the value at PATH what it is, the last one first.

    PATH is `metadata.plan.0`, `user_messages.-1.content`, or a JSON pointer. What set it to what it was
    already is not among them. Exit code 1 if there never was such a value.
    """
    from projections.paths import part_at

    with call.store() as store:
        session_id, point = _resolved(store, address)
        timeline = store.timeline(session_id)
        version = _version_in(timeline, session_id, point)
        found = timeline.blame(path, version)
        if call.out.as_json:
            from journal.objects import record_object

            for each in found:
                values = _values(each.before, each.after)
                call.out.json({"path": path, **values, "record": record_object(session_id, each.record)})
        else:
            call.out.lines(_blame_lines(found, call.out))
        if not found:
            part_of(part_at(timeline[version], ()), path)
            call.out.note(f"no record made what is at {path!r}")
            raise click.exceptions.Exit(NO)


def _blame_lines(found: "Iterable[Blame]", out: Output) -> Iterator[str]:
    for each in found:
        yield record_line(each.record, out)
        yield from _value_lines(_values(each.before, each.after), out)
