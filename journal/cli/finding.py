"""The commands that look for words in all sessions: search, grep."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from journal.cli.address import Moment, require
from journal.cli.app import INTEGRITY, NO, SYSTEM, Call, command, sentence_of
from journal.cli.output import Output
from journal.cli.progress import Progress
from journal.cli.text import cells, cut, visible

if TYPE_CHECKING:
    from journal.grep import Match
    from journal.search import SearchHit, SearchPage
    from journal.store import StateStore

# How a match looks, and how much of a line is shown before it.
_MATCH = {"fg": "red", "bold": True}
_BEFORE = 40


@command("search")
@click.argument("words", metavar="TEXT...", nargs=-1, required=True)
@click.option("--user", metavar="USER", help="Only this user's sessions.")
@click.option("--since", type=Moment(), help="Only records at or after this time.")
@click.option("--until", type=Moment(), help="Only records before this time.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."
)
def search_command(
    call: Call,
    words: tuple[str, ...],
    user: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> None:
    """Find records by their words, the best first.

    All words must be there. '"a phrase"' in quotes, 'word*' for whatever begins so, '-word' for what must not
    be there: put the whole text in single quotes. `journal grep` takes regular expressions.
    """
    with call.store() as store, Progress("indexing") as progress:
        found = store.search(
            " ".join(words), user_id=user, since=since, until=until, limit=limit, progress=progress
        )
    if call.out.as_json:
        for hit in found:
            call.out.json(_hit_object(hit))
    else:
        call.out.lines(line for hit in found for line in _hit_lines(hit, call.out))
    _search_notes(found, call.out, limit)
    if not found:
        raise click.exceptions.Exit(NO)


def _hit_object(hit: "SearchHit") -> dict[str, object]:
    at = f"{hit.at:%Y-%m-%dT%H:%M:%S.%f}Z"
    return {"address": hit.address} | dataclasses.asdict(hit) | {"at": at}


def _hit_lines(hit: "SearchHit", out: Output) -> Iterator[str]:
    at = out.style(f"{hit.at:%Y-%m-%d %H:%M:%SZ}", dim=True)
    yield f"{out.style(visible(hit.address), bold=True)}  {at}  {hit.role}"
    yield f"    {_marked(hit.snippet, hit.spans, out, max(out.width - 4, 20))}"


def _search_notes(found: "SearchPage", out: Output, limit: int) -> None:
    if not found:
        out.note("no record matches")
    elif len(found) == limit and not out.as_json:
        out.note(f"the best {limit}; -n shows more")
    for each in found.unreadable:
        out.warning(f"{each.id} was searched only as far as it can be read: {each.reason}")


@command("grep")
@click.argument("pattern")
@click.argument("session_ids", metavar="[ID...]", nargs=-1)
@click.option("-i", "--ignore-case", is_flag=True, help="Capitals make no difference.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only such events; may be repeated.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many lines.")
@click.option("--raw", is_flag=True, help="Search the journal's own lines, as they stand in the file.")
def grep_command(
    call: Call,
    pattern: str,
    session_ids: tuple[str, ...],
    ignore_case: bool,
    types: tuple[str, ...],
    limit: int | None,
    raw: bool,
) -> None:
    """Print the lines that a regular expression matches, in these sessions or in all.

    PATTERN is Python's; ^ and $ match at each line of a text. Texts are searched as they were said, each for
    itself; --raw searches the JSON. A damaged session is searched up to the damage.
    """
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
    try:
        compiled = re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise click.UsageError(f"{pattern!r} is no regular expression: {error}") from None
    with call.store() as store:
        ids = list(dict.fromkeys(require(store, each) for each in session_ids)) or store.session_ids()
        search = _Grep(call, store, ids, limit)
        lines = search.matches(compiled, types, raw)
        if call.out.as_json:
            for match in lines:
                call.out.json({"address": match.address} | dataclasses.asdict(match))
        else:
            call.out.lines(_match_line(match, call.out) for match in lines)
    search.end()


def _match_line(match: "Match", out: Output) -> str:
    head = f"{visible(match.address)}  "
    kind = visible(match.type)
    room = max(out.width - cells(head) - cells(kind) - 2, 20)
    line = _marked(match.line, match.spans, out, room)
    return f"{out.style(head, bold=True)}{out.style(kind, dim=True)}  {line}"


class _Grep:
    """What was found so far, and what could not be read."""

    def __init__(self, call: Call, store: "StateStore", ids: list[str], limit: int | None) -> None:
        self._call, self._store, self._ids, self._limit = call, store, ids, limit
        self._found = 0
        self._errors: list[Exception] = []

    def matches(self, pattern: re.Pattern[str], types: Sequence[str], raw: bool) -> "Iterator[Match]":
        """The matches of all sessions; those that cannot be read are left for the end."""
        from journal.errors import JournalError, SessionNotFoundError
        from journal.grep import grep

        # Where a person sees the lines themselves, they are the progress.
        with Progress("searching", quiet=self._call.out.is_terminal) as progress:
            for done, session_id in enumerate(self._ids):
                progress(session_id, done, len(self._ids))
                try:
                    for match in grep(self._store, session_id, pattern, types=types, raw=raw):
                        self._found += 1
                        yield match
                        if self._found == self._limit:
                            return
                except SessionNotFoundError:
                    pass  # deleted this very moment
                except (JournalError, OSError) as error:
                    self._errors.append(error)

    def end(self) -> None:
        """Say what could not be read, and what it comes to: the exit code."""
        from journal.errors import CorruptRecordError, CorruptSnapshotError, InvalidNameError

        for error in self._errors:
            self._call.out.error(sentence_of(error))
        if self._errors:
            damaged = (CorruptRecordError, CorruptSnapshotError, InvalidNameError)
            is_damage = any(isinstance(error, damaged) for error in self._errors)
            raise click.exceptions.Exit(INTEGRITY if is_damage else SYSTEM)
        if not self._found:
            self._call.out.note("nothing matches")
            raise click.exceptions.Exit(NO)


def _marked(text: str, spans: Sequence[tuple[int, int]], out: Output, width: int) -> str:
    """A text in one line, its matches in colour, cut to a width so that the first is in it."""
    start = 0
    if spans and spans[0][1] > width - 1:
        start = max(spans[0][0] - _BEFORE, 0)
    pieces = ["…"] if start else []
    left, at = width - len(pieces), start
    for begin, end in [*spans, (len(text), len(text))]:
        for piece, look in ((text[at:begin], {}), (text[begin:end], _MATCH)):
            if left > 0:
                shown = visible(piece[: width + 1])
                pieces.append(out.style(cut(shown, left), **look) if look else cut(shown, left))
                left -= cells(shown)
        at = end
    return "".join(pieces).rstrip()
