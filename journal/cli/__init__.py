"""The command `journal`."""

import sys


def main() -> None:
    """Run the command; see docs/reference/cli.md."""
    try:
        import click  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print("journal: the command needs click; pip install 'session-journal[cli]'", file=sys.stderr)
        sys.exit(2)
    try:
        from journal.cli.commands import app

        app(prog_name="journal")
    except KeyboardInterrupt:  # before or after the command itself, which handles it
        sys.exit(130)
