"""Which backend a URL names."""

import os
from typing import Any

from journal.backend import Backend


def folder_of(url: str | os.PathLike[str]) -> str | None:
    """The folder that a URL names; None where the store is elsewhere."""
    text = os.fspath(url)
    if text.startswith("file:"):
        return text.removeprefix("file:").removeprefix("//")
    return None if text.startswith(("nats:", "tls:", "memory:")) else text


def backend_of(url: str, *, timeout: float = 30.0, **options: Any) -> Backend:
    """The backend at a URL, not open yet. Raises ValueError for a URL that is none."""
    if url.startswith("memory:"):
        from journal.memory import shared

        return shared(url.removeprefix("memory:"))
    from journal.nats import NatsBackend

    return NatsBackend(url, timeout=timeout, **options)


def refuse_options(url: object, options: dict[str, Any]) -> None:
    """Raise ValueError for options of a store that has none."""
    if options:
        raise ValueError(f"{url!r} takes no {', '.join(options)}: that is for a store on other machines")
