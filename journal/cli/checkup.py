"""The command that looks a whole store over: doctor."""

import contextlib
import dataclasses
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from journal.cli.address import require_in
from journal.cli.app import INTEGRITY, Call, command
from journal.cli.listing import size_text
from journal.cli.place import check_store_folder, find_store, folder_in, without_secrets
from journal.cli.progress import Progress
from journal.cli.text import cells, pad, visible

if TYPE_CHECKING:
    from journal.disk import Disk
    from journal.doctor import Checkup, Remark
    from journal.layout import Layout

# How a state is shown; what is not here is not well.
_WORDS = {
    "ok": ("ok", "green"),
    "torn_tail": ("torn tail", "yellow"),
    "broken_snapshot": ("broken snapshot", "yellow"),
}
# For these a repair can do nothing.
_BEYOND_REPAIR = ("ok", "missing_attachment", "altered_attachment", "unreadable_attachment")
_WIDEST_ID = 40
# So many sessions are named in what to type next.
_MOST_NAMED = 5


@command("doctor")
@click.argument("session_ids", metavar="[ID...]", nargs=-1)
def doctor_command(call: Call, session_ids: tuple[str, ...]) -> None:
    """Look over a whole store, or some of its sessions. Changes nothing.

    One line a session, then what is around them: the catalog, the search index, the quarantine, who may
    read the files.
    """
    from journal.disk import Disk
    from journal.doctor import Remark, check_store
    from journal.layout import Layout

    place = find_store(call.place)
    if (folder := folder_in(place)) is not None:
        disk, layout = Disk(), Layout(check_store_folder(folder))
        _look_over(call, disk, layout, session_ids, lambda: list(check_store(disk, layout)))
        return
    with call.store() as store:
        # What is around the sessions is here only while this looks.
        remarks = [Remark(about="servers", text=store.promise)]
        _look_over(call, store._disk, store._layout, session_ids, lambda: remarks)


def _look_over(
    call: Call,
    disk: "Disk",
    layout: "Layout",
    session_ids: tuple[str, ...],
    around: "Callable[[], list[Remark]]",
) -> None:
    from journal.attachment_files import problems
    from journal.doctor import check_session
    from journal.doctor import session_ids as all_ids
    from journal.errors import SessionNotFoundError

    ids = list(dict.fromkeys(require_in(disk, layout, each) for each in session_ids))
    if not ids:
        disk.refresh(layout.sessions)
        ids = all_ids(disk, layout)
    told = _Told(call, width=min(max(map(cells, map(visible, ids)), default=0), _WIDEST_ID))
    problem_of = problems(disk, layout)
    # Where a person sees the lines themselves, they are the progress.
    quiet = call.out.is_terminal and not call.out.as_json
    with Progress("looking at", quiet=quiet) as progress:
        for done, session_id in enumerate(ids):
            progress(session_id, done, len(ids))
            with contextlib.suppress(SessionNotFoundError):  # deleted this very moment
                told.session(check_session(disk, layout, session_id, problem_of))
    told.end([] if session_ids else around())


class _Told:
    """What was said so far, and what it comes to."""

    def __init__(self, call: Call, *, width: int) -> None:
        self._call, self._out, self._width = call, call.out, width
        self._states: Counter[str] = Counter()
        self._ill: list[str] = []  # the first of those that are not well, or could be better
        self._is_well = True

    def session(self, found: "Checkup") -> None:
        """One line, and a sentence for each thing that is wrong."""
        self._states[found.state] += 1
        self._is_well &= found.is_well
        if found.state not in _BEYOND_REPAIR and len(self._ill) <= _MOST_NAMED:
            self._ill.append(found.session_id)
        if self._out.as_json:
            self._out.json(dataclasses.asdict(found))
            return
        word, color = _WORDS.get(found.state, (found.state.replace("_", " ").upper(), "red"))
        word = self._out.style(pad(word, 16), fg=color, bold=not found.is_well)
        numbers = (
            f"{found.version:>7,} record{'s' * (found.version != 1):1}  {size_text(found.size_bytes):>7}"
        )
        self._out.line(f"{pad(visible(found.session_id), self._width)}  {word}{numbers}")
        for text in found.findings or (found.notes if found.state != "ok" else ()):
            self._out.line(f"    {visible(text)}")

    def end(self, remarks: "list[Remark]") -> None:
        """What is around the sessions, what it all comes to, what to type next; and the exit code."""
        self._is_well &= all(remark.is_well for remark in remarks)
        if self._out.as_json:
            counts = {"sessions": self._states.total(), "states": dict(self._states)}
            store = [dataclasses.asdict(remark) for remark in remarks]
            self._out.json({"ok": self._is_well, **counts, "store": store})
        else:
            self._print_end(remarks)
        if not self._is_well:
            raise click.exceptions.Exit(INTEGRITY)

    def _print_end(self, remarks: "list[Remark]") -> None:
        if remarks and self._states:
            self._out.line()
        for remark in remarks:
            color = "red" if not remark.is_well else "yellow" if remark.advice else None
            about = self._out.style(pad(remark.about, 13), fg=color)
            self._out.line(f"{about}{visible(remark.text)}")
        number = self._states.total()
        rest = ", ".join(
            f"{count:,} {state.replace('_', ' ')}" for state, count in sorted(self._states.items())
        )
        self._out.note(f"{number:,} session{'s' * (number != 1)}" + (f": {rest}" if rest else ""))
        advices = [*self._repairs(), *(remark.advice for remark in remarks if remark.advice)]
        for advice in dict.fromkeys(advices):
            self._out.note(f"next: {advice}")

    def _repairs(self) -> Iterator[str]:
        """How to go on with what is ill; each shows what it would do, and does it with --yes."""
        place = self._call.place
        store = f" --store {shlex.quote(without_secrets(place))}" if place else ""
        if len(self._ill) > _MOST_NAMED:
            yield f"journal{store} repair --all"
        else:
            yield from (f"journal{store} repair {shlex.quote(each)}" for each in self._ill)
