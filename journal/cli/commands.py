"""Every command, registered with the app: whoever runs it imports it from here."""

from journal.cli import bisecting, care, checkup, listing, reading, repairing, searching, transfer, writing
from journal.cli.app import app

__all__ = [
    "app",
    "bisecting",
    "care",
    "checkup",
    "listing",
    "reading",
    "repairing",
    "searching",
    "transfer",
    "writing",
]
