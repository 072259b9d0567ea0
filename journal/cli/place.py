"""Which store a call works with, and opening it."""

import contextlib
import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

if TYPE_CHECKING:
    from journal.store import StateStore

ENVIRONMENT = "JOURNAL_STORE"
# As StateStore.connect.
_TIMEOUT_SECONDS = 30.0
_BEGIN_ONE = "`journal import` or `journal say` begin one"


class StoreMissing(click.ClickException):
    """There is no store where one was asked for."""

    exit_code = 3


def find_store(given: str | None) -> str:
    """The folder or the URL: what was given, else JOURNAL_STORE, else the current folder if it is a store.

    Raises click.UsageError that names the three ways.
    """
    folder = given or os.environ.get(ENVIRONMENT)
    if folder:
        return folder
    if is_store("."):
        return "."
    raise click.UsageError(
        f"which store? Give --store DIR or a URL, or set {ENVIRONMENT}, or change to a folder that is a "
        "store (one with sessions/ or .journal/ in it)"
    )


def is_store(folder: str) -> bool:
    """Whether a folder holds sessions, or did once."""
    return any(os.path.isdir(os.path.join(folder, name)) for name in ("sessions", ".journal"))


def folder_in(store: str) -> str | None:
    """The folder that this names; None where it is a store elsewhere. Raises click.UsageError."""
    from journal.connecting import folder_of

    try:
        return folder_of(store)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def without_secrets(store: str) -> str:
    """A store's URL as it may be shown; of a folder, as it is."""
    scheme, slashes, rest = store.partition("://")
    place, question, _ = rest.partition("?")
    _, at, host = place.rpartition("@")
    if not slashes or not (at or question):
        return store
    return f"{scheme}://{'…@' if at else ''}{host}"


def check_path(path: str | None, *, advice: str) -> None:
    """Raise click.UsageError for a URL where a file or a folder of this machine is meant.

    One would be made that is called so, with the password in its name.
    """
    if path is not None and "://" in path and not os.path.lexists(path):
        raise click.UsageError(f"{without_secrets(path)} is a URL; {advice}")


def check_store_folder(folder: str, *, create: bool = False) -> str:
    """The folder, if there is a store in it, or if there may be. Raises click.UsageError, StoreMissing."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise click.UsageError(f"the store {folder!r} is a file, not a folder")
    if not create and not is_store(folder):
        state = "holds no sessions" if os.path.isdir(folder) else "does not exist"
        raise StoreMissing(f"the store {folder!r} {state}; {_BEGIN_ONE}")
    return folder


@contextlib.contextmanager
def open_store(
    place: str,
    *,
    create: bool,
    writes: bool = False,
    durability: Literal["disk", "os"] = "disk",
    actor: str | None = None,
) -> "Iterator[StateStore]":
    """The store in a folder or at a URL. Without `create`, none is made where there is none.

    Whoever only reads needs no promise of what is written: then the servers' disks are not asked about.
    """
    from journal.backend import Missing
    from journal.errors import UnreachableError
    from journal.store import StateStore

    folder = folder_in(place)
    if folder is not None:
        check_store_folder(folder, create=create)
        with StateStore(folder, durability=durability, actor=actor) as store:
            yield store
        return
    asked = read_url(place)
    wanted = (asked.durability or durability) if writes or create else "os"
    may_create = None if create else False
    try:
        connected = StateStore.connect(
            asked.url, durability=wanted, actor=actor, timeout=asked.timeout, create=may_create
        )
    except ValueError as error:  # the URL
        raise click.UsageError(str(error)) from None
    except UnreachableError as error:
        if isinstance(error.__cause__, Missing):
            raise StoreMissing(f"{without_secrets(place)}: there is no such store; {_BEGIN_ONE}") from None
        raise
    with connected as store:
        yield store


class Elsewhere(NamedTuple):
    """A store's URL, without what is not its servers' to know; and that, where the URL says it."""

    url: str
    durability: "Literal['disk', 'os'] | None"
    timeout: float


def read_url(url: str) -> Elsewhere:
    """A URL with maybe `durability=os` or `timeout=SECONDS` in it. Raises click.UsageError."""
    from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

    split = urlsplit(url)
    options = dict(parse_qsl(split.query))
    durability, timeout = options.pop("durability", None), options.pop("timeout", str(_TIMEOUT_SECONDS))
    if durability not in (None, "disk", "os"):
        raise click.UsageError(f"durability is 'disk' or 'os', not {durability!r}")
    try:
        seconds = float(timeout)
        if not 0 < seconds < math.inf:
            raise ValueError
    except ValueError:
        raise click.UsageError(f"timeout is a number of seconds, not {timeout!r}") from None
    if "durability=" in split.query or "timeout=" in split.query:
        url = urlunsplit(split._replace(query=urlencode(options)))
    return Elsewhere(url, durability, seconds)  # type: ignore[arg-type]  # it was looked at


def user_name() -> str | None:
    """Who runs this, as the operating system knows it."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
