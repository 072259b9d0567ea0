"""Every command, registered with the app: whoever runs it imports it from here."""

from journal.cli import care, checkup, finding, listing, reading, repairing, transfer, writing
from journal.cli.app import app

__all__ = ["app", "care", "checkup", "finding", "listing", "reading", "repairing", "transfer", "writing"]
