"""Which store a call works with, and opening it."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from journal.store import StateStore

ENVIRONMENT = "JOURNAL_STORE"


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


def check_store_folder(folder: str, *, create: bool = False) -> str:
    """The folder, if there is a store in it, or if there may be. Raises click.UsageError, StoreMissing."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise click.UsageError(f"the store {folder!r} is a file, not a folder")
    if not create and not is_store(folder):
        state = "holds no sessions" if os.path.isdir(folder) else "does not exist"
        raise StoreMissing(f"the store {folder!r} {state}; `journal import` or `journal say` begin one")
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
    from journal.store import StateStore

    folder = folder_in(place)
    if folder is not None:
        check_store_folder(folder, create=create)
        with StateStore(folder, durability=durability, actor=actor) as store:
            yield store
        return
    url, asked = split_durability(place)
    wanted = (asked or durability) if writes or create else "os"
    try:
        connected = StateStore.connect(url, durability=wanted, actor=actor, create=None if create else False)
    except ValueError as error:  # the URL
        raise click.UsageError(str(error)) from None
    with connected as store:
        yield store


def split_durability(url: str) -> "tuple[str, Literal['disk', 'os'] | None]":
    """A URL without its `durability=os`, which is not the servers' to know; and what it says."""
    from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

    split = urlsplit(url)
    options = dict(parse_qsl(split.query))
    asked = options.pop("durability", None)
    if asked is None:
        return url, None
    if asked != "disk" and asked != "os":
        raise click.UsageError(f"durability is 'disk' or 'os', not {asked!r}")
    return urlunsplit(split._replace(query=urlencode(options))), asked


def user_name() -> str | None:
    """Who runs this, as the operating system knows it."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
