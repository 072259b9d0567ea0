"""The command that mends: repair."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import require
from journal.cli.app import INTEGRITY, NO, Call, command, sentence_of, with_actor
from journal.cli.place import user_name
from journal.cli.progress import Progress
from journal.cli.text import visible

if TYPE_CHECKING:
    from journal.diagnosis import Diagnosis
    from journal.store import StateStore


@command("repair")
@click.argument("session_ids", metavar="[ID...]", nargs=-1)
@click.option(
    "--all", "every", is_flag=True, help="All sessions of the store, and what is derived from them."
)
@click.option(
    "--catalog",
    is_flag=True,
    help="The catalog and the search index, where broken, and what crashes left beside the sessions.",
)
@click.option("--yes", is_flag=True, help="Do it; without, only say what would be done.")
@click.option(
    "--only-proven", is_flag=True, help="Give up what can be read behind the damage, but is not proven."
)
@click.option("--user", metavar="USER", help="Whose the session is, where the record that said so is lost.")
@with_actor
def repair_command(
    call: Call, session_ids: tuple[str, ...], every: bool, catalog: bool, yes: bool, **wishes: Any
) -> None:
    """Say what is wrong with a session and what would mend it; with --yes, do it.

    Nothing is lost: whatever is cut or replaced is kept in the store's .journal/quarantine. What the chain
    of hashes proves keeps its place. Behind a place where it breaks off, what can be read is appended anew.
    """
    import warnings

    from journal.errors import JournalWarning

    user, only_proven = wishes["user"], wishes["only_proven"]
    if every and session_ids:
        raise click.UsageError("name the sessions to repair, or say --all, not both")
    if not (every or session_ids or catalog):
        raise click.UsageError("name the sessions to repair, or say --all or --catalog")
    if user and (len(session_ids) != 1 or only_proven):
        raise click.UsageError("--user is for one session, and keeps what --only-proven gives up")
    # What the engine would warn of is this command's answer.
    warnings.simplefilter("ignore", JournalWarning)
    told = _Told(call, yes=yes, is_one=len(session_ids) == 1)
    with call.store(writes=True, actor=user_name()) as store, store.acting(by=wishes["by"]):
        for session_id in session_ids:
            require(store, session_id)
        if catalog or every:
            _repair_store(store, told)
        for session_id in _all_ids(store) if every else dict.fromkeys(session_ids):
            _repair_session(store, told, session_id, only_proven=only_proven, user_id=user)
    told.end(every=every)


def _all_ids(store: "StateStore") -> Iterator[str]:
    """Every session that has a file: the catalog may be what is broken."""
    from journal.doctor import session_ids

    with Progress("looking at") as progress:
        store._disk.refresh(store._layout.sessions)
        ids = session_ids(store._disk, store._layout)
        for done, session_id in enumerate(ids):
            progress(session_id, done, len(ids))
            yield session_id


class _Told:
    """What was said so far, and what it comes to."""

    def __init__(self, call: Call, *, yes: bool, is_one: bool) -> None:
        self._call, self.yes, self._is_one = call, yes, is_one
        self._seen = self._wrong = self._open = self._hopeless = 0

    def tell(self, found: "Diagnosis", done: list[str]) -> None:
        """Say what was found, and what was done."""
        is_whole = not found.steps and not found.hopeless
        self._seen += found.session_id is not None
        self._wrong += not is_whole
        self._open += bool(found.steps) and not done
        self._hopeless += bool(found.hopeless)
        if is_whole and not self._is_one:
            return
        if self._call.out.as_json:
            self._call.out.json(_object(found, done))
        else:
            self._print(found, done)

    def _print(self, found: "Diagnosis", done: list[str]) -> None:
        out, name = self._call.out, visible(found.session_id or "the store")
        if not found.steps and not found.hopeless:
            out.line(f"{name}: nothing to repair")
            return
        if not self._is_one:
            out.line(out.style(f"{name}:", bold=True))
        for step in found.steps:
            for finding in step.findings:
                out.line(f"{out.style('wrong:', fg='red')} {visible(finding)}")
            if not done:
                out.line(f"{out.style('would:', fg='yellow')} {visible(step.remedy)}")
        for text in done:
            out.line(f"{out.style('done:', fg='green')}  {visible(text)}")
        for text in found.hopeless:
            out.line(f"{out.style('wrong:', fg='red')} {visible(text)}")

    def end(self, *, every: bool) -> None:
        """Close with what is left to do, and the exit code."""
        if not self._call.out.as_json:
            if every:
                self._call.out.note(f"{self._seen:,} session{'s' * (self._seen != 1)} looked at")
            if not self._wrong and not self._is_one:
                self._call.out.line("nothing to repair")
            elif self._open:
                self._call.out.note("nothing was changed; --yes does it")
        if self._hopeless:
            raise click.exceptions.Exit(INTEGRITY)
        if self._open:
            raise click.exceptions.Exit(NO)


def _repair_store(store: "StateStore", told: _Told) -> None:
    from journal.upkeep import diagnose_store, repair_store

    disk, layout = store._disk, store._layout
    found = diagnose_store(disk, layout)
    told.tell(found, repair_store(disk, layout) if told.yes and found.steps else [])


def _repair_session(
    store: "StateStore", told: _Told, session_id: str, *, only_proven: bool, user_id: str | None
) -> None:
    from journal.diagnosis import Diagnosis
    from journal.errors import JournalError, SessionNotFoundError

    done: list[str] = []
    try:
        found = store.diagnose(session_id, only_proven=only_proven, user_id=user_id)
        if told.yes and found.steps:
            done = store.repair(session_id, only_proven=only_proven, user_id=user_id)
    except SessionNotFoundError:
        return  # deleted this very moment
    except (JournalError, OSError) as error:
        found = Diagnosis(session_id=session_id, hopeless=[sentence_of(error)])
    told.tell(found, done)


def _object(found: "Diagnosis", done: list[str]) -> dict[str, Any]:
    steps = [
        {"kind": step.kind, "findings": step.findings, "remedy": step.remedy, "size_bytes": step.size_bytes}
        for step in found.steps
    ]
    return {"session_id": found.session_id, "steps": steps, "hopeless": found.hopeless, "done": done}
