"""The command that shows a store in a browser: view."""

import contextlib
import os
import shlex
import sys
import threading
from types import ModuleType

import click

from journal.cli.address import find_record, is_session, parse_address, require
from journal.cli.app import Call, command
from journal.cli.place import find_store, user_name, without_secrets
from journal.cli.text import visible

_PACKAGES = ("starlette", "uvicorn", "sse_starlette")
_LOCAL = ("127.0.0.1", "::1", "localhost")


@command("view")
@click.argument("address", metavar="[ID[@POINT]]", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="The port, or the next one that is free; 0 is any. 7171 unless given.",
)
@click.option("--allow-write", is_flag=True, help="Let the page fork, rewind and erase.")
@click.option("--no-browser", is_flag=True, help="Only print the link.")
def view_command(
    call: Call, address: str | None, host: str, port: int | None, allow_write: bool, no_browser: bool
) -> None:
    """Look at the store, or at a session, in a browser. Ctrl-C ends it.

    Prints a link that lets one browser in, once, and opens it where there is a display. The page may only
    read, unless --allow-write.
    """
    viewing = _viewing()
    if host in ("", "0.0.0.0", "::"):
        raise click.UsageError("name one address to serve on: whoever asks must ask for exactly that")
    wanted = viewing.PORT if port is None else port
    with call.store(writes=allow_write, actor=user_name() if allow_write else None) as store:
        session_id = version = None
        if address is not None:
            where = parse_address(address, lambda each: is_session(store, each))
            session_id = require(store, where.session_id)
            version = None if where.end is None else find_record(store, session_id, where.end).seq
        try:
            served = viewing.listen("127.0.0.1" if host == "localhost" else host, wanted)
        except OSError as error:
            raise click.UsageError(
                f"nothing can be served on {host}, port {wanted}: {error.strerror}"
            ) from None
        place = without_secrets(find_store(call.place))
        shown = viewing.Shown(
            store=store,
            name=os.path.basename(store.name) or store.name,
            command=f"journal --store {shlex.quote(place)}",
            allow_write=allow_write,
        )
        viewer = viewing.Viewer(shown, served)
        link = viewer.link(session_id, version)
        _tell(call, link, served.port, wanted, allow_write=allow_write, host=host)
        if not no_browser:
            _open(link)
        viewer.run()


def _viewing() -> ModuleType:
    """The server. Raises MissingExtraError where what it needs is not installed."""
    from journal.errors import MissingExtraError

    try:
        from journal.web import server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _PACKAGES:
            raise
        raise MissingExtraError("the viewer's pages", error.name, "view") from None
    return server


def _tell(call: Call, link: str, port: int, wanted: int, *, allow_write: bool, host: str) -> None:
    out = call.out
    if wanted and port != wanted:
        out.warning(f"port {wanted} is in use; this is served on port {port}")
    if host not in _LOCAL:
        out.warning(f"whoever can reach {visible(host)} can ask; what is sent there is not encrypted")
    if out.as_json:
        out.json({"url": link, "port": port, "allow_write": allow_write})
    else:
        out.line(link)
        may = "it may fork, rewind and erase" if allow_write else "it may only read"
        out.note(f"the link lets one browser in, once; {may}. Ctrl-C ends it.")
    sys.stdout.flush()


def _open(link: str) -> None:
    """Open a browser where there is a display: one in the terminal would take the terminal."""
    import webbrowser

    if sys.platform != "darwin" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return

    def start() -> None:
        with contextlib.suppress(webbrowser.Error, OSError):  # the link was printed
            webbrowser.open(link)

    threading.Thread(target=start, daemon=True).start()
