"""Erasing in several sessions, and with that the attachments that nothing else refers to."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from journal.attachments import Attachments
from journal.erase import Erasure
from journal.layout import Layout


def erase_all(
    layout: Layout, attachments: Attachments, erase: Callable[[bool], list[Erasure]], *, dry_run: bool
) -> list[Erasure]:
    """Erase, and the attachments that nothing else refers to with it; say which those are.

    `erase(True)` says what would go. They go before the journals, so that after a crash there is still what
    names them: erase again. And once more behind that: somebody may have put one back meanwhile, or erased
    another record that referred to it.
    """
    if not attachments.are_there():
        return erase(dry_run)
    planned = erase(True)
    digests = {digest for each in planned for digest in each.attachments}
    gone = attachments.sweep(digests, _leaving(layout, planned), dry_run=dry_run)
    if dry_run:
        return [_with(each, gone) for each in planned]
    erased = erase(False)
    gone |= attachments.sweep(digests.union(*(each.attachments for each in erased)))
    return [_with(each, gone) for each in erased]


def _leaving(layout: Layout, planned: Sequence[Erasure]) -> dict[str, Collection[int] | None]:
    """What the erasures take away, by the files' paths: it refers to nothing any more."""
    leaving: dict[str, Collection[int] | None] = {}
    for each in planned:
        leaving[layout.journal(each.session_id)] = frozenset(each.versions)
        leaving[layout.snapshot(each.session_id)] = None
        leaving |= {os.path.join(layout.quarantine, name): None for name in each.quarantine}
    return leaving


def _with(erasure: Erasure, gone: set[str]) -> Erasure:
    return replace(erasure, attachments=[each for each in erasure.attachments if each in gone])
