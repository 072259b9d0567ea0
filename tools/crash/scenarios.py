"""What a store can be asked to do, each with what stands before: to be tried with every fault."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from journal import ANY, CorruptRecordError, Session, SessionPage, StateStore
from projections import SessionProjection, UserMessageAdded

OLD, NEW = "said before", "said now"
TEXT = "x" * 300
FOREIGN: Final = b"""{
  "id": "s",
  "user_id": "u",
  "user_messages": [{"content": "said before", "timestamp": "2026-11-22T12:00:00Z"}],
  "agent_responses": [],
  "active_seed_id": null,
  "active_persona_id": null,
  "created_at": "2026-11-22T12:00:00Z",
  "updated_at": "2026-11-22T12:00:00Z",
  "metadata": {}
}"""


class Deed(NamedTuple):
    """What is done under the fault, and what a caller does then who does not know the outcome.

    `looks`: that caller looks first whether it got through. What a look shows nobody acknowledged.
    """

    act: Callable[[], object]
    again: Callable[[], object]
    looks: bool = False


@dataclass(frozen=True)
class Scenario:
    """`prepare` makes the folder; `begin` gets a store ready and returns the deed.

    writes     whether the deed changes something; else it is a look, whose answer must not depend on a fault
    in_steps   whether it does several things: an error may come when the first are done
    snapshots  of the store
    """

    name: str
    prepare: Callable[[Path], None]
    begin: Callable[[StateStore], Deed]
    writes: bool = True
    in_steps: bool = False
    snapshots: Literal["auto", "always"] = "auto"


def healthy(folder: Path | str) -> StateStore:
    """A store without faults."""
    return StateStore(folder, durability="os")


# What stands before


def nothing(folder: Path) -> None:
    """No store yet, nor the folder above it."""


def one_session(folder: Path) -> None:
    """A session, and another one that must not be touched."""
    with healthy(folder) as store:
        for session_id in ("s", "other"):
            session = Session.with_id("u", session_id)
            session.add_user_message(OLD)
            store.save_session(session)
        store.save_json("notes", "a", {"said": OLD})
        store.save_markdown("notes", "b", OLD)


def stale_snapshot(folder: Path) -> None:
    """The snapshot stands for less than the journal."""
    one_session(folder)
    path = folder / "sessions" / "s.json"
    stale = path.read_bytes()
    with healthy(folder) as store:
        store.update_session_with("s", lambda session: session.add_user_message(TEXT))
    path.write_bytes(stale)


def torn_tail(folder: Path) -> None:
    """A crash left half of a record."""
    one_session(folder)
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(path.read_bytes() + b'{"v":1,"seq":3,"id":"half')


def damage(folder: Path) -> None:
    """A byte in the middle was altered."""
    one_session(folder)
    with healthy(folder) as store:
        store.update_session_with("s", lambda session: session.add_user_message(NEW))
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(path.read_bytes().replace(OLD.encode(), OLD.upper().encode()))


def broken_snapshot(folder: Path) -> None:
    """The snapshot is half of one."""
    one_session(folder)
    path = folder / "sessions" / "s.json"
    path.write_bytes(path.read_bytes()[:50])


def foreign_file(folder: Path) -> None:
    """Another program wrote the session."""
    one_session(folder)
    (folder / "sessions" / "s.jsonl").unlink()
    (folder / "sessions" / "s.json").write_bytes(FOREIGN)


# What is done


def _load(store: StateStore) -> Session:
    with closing(healthy(store.base_path)) as another:
        session = another.load_session("s")
    assert session is not None
    return session


def save(store: StateStore, *, warm: bool = False) -> Deed:
    """Save a session with a new message; again, the same session."""
    session = _load(store)
    if warm:
        session.add_user_message("warm")
        store.save_session(session)
    session.add_user_message(NEW)
    deed = partial(store.save_session, session)
    return Deed(deed, deed)


def save_batch(store: StateStore) -> Deed:
    """Save several records as one batch."""
    session = _load(store)
    for number in range(4):
        session.add_agent_response(f"{number} {TEXT}")
    deed = partial(store.save_session, session)
    return Deed(deed, deed)


def first_save(store: StateStore, session_id: str = "s") -> Deed:
    """Save a session that is not there yet."""
    session = Session.with_id("u", session_id)
    session.add_user_message(NEW)
    deed = partial(store.save_session, session)
    return Deed(deed, deed)


def append(store: StateStore) -> Deed:
    """Append with an expected version and a key; again with both."""
    version = _load(store).version
    deed = partial(
        store.append, "s", [UserMessageAdded(content=NEW)] * 2, expected_version=version, key="the key"
    )
    return Deed(deed, deed)


def append_anyhow(store: StateStore) -> Deed:
    """Append with a key, whatever the version is."""
    deed = partial(store.append, "s", [UserMessageAdded(content=NEW)], expected_version=ANY, key="the key")
    return Deed(deed, deed)


def update(store: StateStore) -> Deed:
    """Load, change and save in one; again only where it did not get through."""

    def again() -> None:
        session = store.load_session("s")
        assert session is not None
        if session.user_messages[-1].content != NEW:
            act()

    act = partial(store.update_session_with, "s", lambda session: session.add_user_message(NEW))
    return Deed(act, again, looks=True)


def rewind(store: StateStore) -> Deed:
    """Rewind to before anything was said; again only where it did not get through."""
    act = partial(store.rewind, "s", 1)

    def again() -> None:
        session = store.load_session("s")
        assert session is not None
        if session.user_messages:
            act()

    return Deed(act, again, looks=True)


def fork(store: StateStore) -> Deed:
    """Fork into a session that is not there yet; again only where it did not get through."""
    act = partial(store.fork, "s", new_id="new")
    return Deed(act, lambda: store.load_session("new") or act(), looks=True)


def erase(store: StateStore) -> Deed:
    """Erase what was said; again only where it did not get through."""
    act = partial(store.erase, "s", [2], reason="asked for")

    def again() -> None:
        session = store.load_session("s")
        assert session is not None
        if session.user_messages[0].content:
            act()

    return Deed(act, again, looks=True)


def repair(store: StateStore) -> Deed:
    """Mend what is wrong; again, what is left of it."""
    return Deed(partial(store.repair, "s"), partial(store.repair, "s"), looks=True)


def call(
    method: str, *arguments: Any, warm: bool = False, looks: bool = False
) -> Callable[[StateStore], Deed]:
    """Call a method, and again."""

    def begin(store: StateStore) -> Deed:
        deed = partial(_whole, getattr(store, method), *arguments)
        if warm:
            deed()
        return Deed(deed, deed, looks)

    return begin


def _whole(method: Callable[..., Any], *arguments: Any) -> object:
    """A method's answer, all of it, as something that can be compared."""
    answer = method(*arguments)
    if isinstance(answer, Session):
        return said(answer)
    if isinstance(answer, SessionPage):
        return list(answer), answer.unreadable
    return list(answer) if hasattr(answer, "__next__") else answer


def said(session: Session) -> tuple[list[str], list[str]]:
    """What was said in a session."""
    return (
        [message.content for message in session.user_messages],
        [response.content for response in session.agent_responses],
    )


SCENARIOS: Final = (
    Scenario("first save of a store", nothing, first_save),
    Scenario("first save of a session", one_session, partial(first_save, session_id="new")),
    Scenario("save", one_session, partial(save, warm=True)),
    Scenario("save in a store just opened", one_session, save),
    Scenario("save of a batch", one_session, save_batch),
    Scenario("save with a snapshot", one_session, save, snapshots="always"),
    Scenario("save behind a torn tail", torn_tail, save),
    Scenario("save of a foreign session", foreign_file, save),
    Scenario("append with a key", one_session, append),
    Scenario("append anyhow", one_session, append_anyhow),
    Scenario("append behind a torn tail", torn_tail, append),
    Scenario("update", one_session, update),
    Scenario("get or create", one_session, call("get_or_create_session", "u", "new", looks=True)),
    Scenario("rewind", one_session, rewind),
    Scenario("fork", one_session, fork),
    Scenario("erase", one_session, erase, in_steps=True),
    Scenario("delete", one_session, call("delete_session", "s")),
    Scenario("delete of a foreign session", foreign_file, call("delete_session", "s")),
    Scenario("compact", stale_snapshot, call("compact", "s")),
    Scenario("compact all", stale_snapshot, call("compact")),
    Scenario("first document", nothing, call("save_json", "notes/deep", "a", {"said": NEW})),
    Scenario("JSON document", one_session, call("save_json", "notes", "a", {"said": NEW})),
    Scenario("Markdown document", one_session, call("save_markdown", "notes", "b", NEW)),
    Scenario("delete of a document", one_session, call("delete_file", "notes", "a")),
    Scenario("repair of a torn tail", torn_tail, repair, in_steps=True),
    Scenario("repair of damage", damage, repair, in_steps=True),
    Scenario("repair of a snapshot", broken_snapshot, repair, in_steps=True),
    Scenario("load", stale_snapshot, call("load_session", "s"), writes=False),
    Scenario("load of a foreign session", foreign_file, call("load_session", "s"), writes=False),
    Scenario("records", one_session, call("records", "s"), writes=False),
    Scenario("verify", one_session, call("verify", "s"), writes=False),
    Scenario("verify all", one_session, call("verify"), writes=False),
    Scenario("diagnose", torn_tail, call("diagnose", "s"), writes=False),
    Scenario("list", one_session, call("list_sessions"), writes=False),
    Scenario("list again", one_session, call("list_sessions", warm=True), writes=False),
    Scenario("ids", one_session, call("session_ids"), writes=False),
    Scenario("load of a document", one_session, call("load_json", "notes", "a"), writes=False),
    Scenario("list of documents", one_session, call("list_category", "notes"), writes=False),
)


def state(folder: Path) -> dict[str, object]:
    """What a folder holds: of each session what was said, and each document. Ids and times do not count."""
    ids = sorted({path.stem for path in folder.glob("sessions/[!.]*.json*")})
    with healthy(folder) as store:
        held = {session_id: found for session_id in ids if (found := _held(store, session_id)) is not None}
    documents = sorted(folder.glob("notes/**/[!.]*.*"))
    return held | {str(path.relative_to(folder)): path.read_bytes() for path in documents}


def _held(store: StateStore, session_id: str) -> object:
    """What was said in a session, as its records say; None if there is none."""
    try:
        session = store.project(SessionProjection(), session_id)
    except CorruptRecordError:
        return "damaged"
    return said(session) if session is not None and session.id else None
