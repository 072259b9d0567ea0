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
    """The folder: what was given, else JOURNAL_STORE, else the current folder if it is a store.

    Raises click.UsageError that names the three ways.
    """
    folder = given or os.environ.get(ENVIRONMENT)
    if folder:
        return folder
    if is_store("."):
        return "."
    raise click.UsageError(
        f"which store? Give --store DIR, or set {ENVIRONMENT}, or change to a folder that is a store "
        "(one with sessions/ or .journal/ in it)"
    )


def is_store(folder: str) -> bool:
    """Whether a folder holds sessions, or did once."""
    return any(os.path.isdir(os.path.join(folder, name)) for name in ("sessions", ".journal"))


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
    folder: str,
    *,
    create: bool,
    durability: Literal["disk", "os"] = "disk",
    actor: str | None = None,
) -> "Iterator[StateStore]":
    """The store in a folder. Without `create`, nothing is made of a folder that is none."""
    from journal.store import StateStore

    check_store_folder(folder, create=create)
    with StateStore(folder, durability=durability, actor=actor) as store:
        yield store


def user_name() -> str | None:
    """Who runs this, as the operating system knows it."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
