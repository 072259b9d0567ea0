"""Every command, registered with the app: whoever runs it imports it from here."""

from journal.cli import (
    bisecting,
    care,
    checkup,
    exporting,
    finding,
    info,
    listing,
    playing,
    pruning,
    reading,
    repairing,
    sealing,
    searching,
    stats,
    transfer,
    writing,
)
from journal.cli.app import app

__all__ = [
    "app",
    "bisecting",
    "care",
    "checkup",
    "exporting",
    "finding",
    "info",
    "listing",
    "playing",
    "pruning",
    "reading",
    "repairing",
    "sealing",
    "searching",
    "stats",
    "transfer",
    "writing",
]
