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
    from journal.cli.app import app

    app(prog_name="journal")
