"""Which backend a URL names."""

import os
import re
from typing import Any, Final

from journal.backend import Backend
from journal.errors import MissingExtraError

_NATS: Final = ("nats:", "tls:")
_MEMORY: Final = "memory:"
_FILE: Final = "file:"
# `C:` of another system is no scheme, and neither is the colon in a folder's name.
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# What the extra `nats` brings.
_PACKAGES: Final = ("nats", "greenlet", "nkeys")


def folder_of(url: str | os.PathLike[str]) -> str | None:
    """The folder that a URL names; None where the store is elsewhere. Raises ValueError for any other URL."""
    text = os.fspath(url)
    if text.startswith(_FILE):
        path = text.removeprefix(_FILE).removeprefix("//")
        if not path or (text.startswith(f"{_FILE}//") and not path.startswith("/")):
            raise ValueError(
                f"{text!r} names no folder of this machine; write file:///path, or the path alone"
            )
        return path
    if text.startswith((*_NATS, _MEMORY)):
        return None
    if (scheme := _SCHEME.match(text)) is not None:
        raise ValueError(
            f"no store is reached with {scheme[1]!r}; there are folders, nats://HOST:4222/NAME, "
            "tls://HOST:4222/NAME and memory:NAME"
        )
    return text


def backend_of(
    url: str | os.PathLike[str], *, timeout: float = 30.0, create: bool | None = None, **options: Any
) -> Backend:
    """The backend at a URL, or in a folder; not open yet.

    `create`: whether one may be made where there is none; unless said, here or in the URL, it may.
    Raises ValueError for a URL or an option that is none, MissingExtraError.
    """
    text = os.fspath(url)
    if (folder := folder_of(text)) is not None:
        from journal.folder import FolderBackend

        refuse_options(url, options)
        return FolderBackend(folder, create=create is not False)
    if text.startswith(_MEMORY):
        from journal.memory import shared

        refuse_options(url, options)
        return shared(text.removeprefix(_MEMORY))
    try:
        from journal.nats import NatsBackend
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _PACKAGES:
            raise
        raise MissingExtraError("stores on NATS", error.name, "nats") from None
    if create is not None:
        options["create"] = create
    return NatsBackend(text, timeout=timeout, **options)


def refuse_url(path: str | os.PathLike[str]) -> None:
    """Raise ValueError for a URL where a folder is meant, or one would be made that is called so."""
    text = os.fspath(path)
    if text.startswith((*_NATS, _MEMORY, _FILE)) or _SCHEME.match(text):
        raise ValueError(
            f"this takes a folder, and not a URL that begins with {text.partition(':')[0]}: — "
            "StateStore.connect(…) takes that, or `await AsyncStateStore.connect(…)`"
        )


def refuse_options(url: object, options: dict[str, Any]) -> None:
    """Raise ValueError for options of a store that has none."""
    if options:
        raise ValueError(f"{url!r} takes no {', '.join(options)}: that is for a store on other machines")
