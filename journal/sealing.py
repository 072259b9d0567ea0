"""Sealing sessions as they are, and comparing them later with what was sealed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from journal.chain import header_and_chain
from journal.disk import Disk
from journal.errors import SealError
from journal.layout import Layout
from journal.log import Log
from journal.note import SigningKey
from journal.seal import Head, Scope, Seal, make_seal
from journal.tombstones import Tombstone, read_tombstones
from journal.verify import Report

# So many of those that cannot be sealed are named.
_MOST_TOLD = 3


def seal_sessions(
    disk: Disk, layout: Layout, reports: Mapping[str, Report], scope: Scope, at: datetime, key: SigningKey
) -> Seal:
    """Sign the heads that these reports found. Raises SealError where one is not whole, or has no journal."""
    if not reports:
        raise SealError("there is no session to seal; nothing was signed")
    faults = {each: fault for each, report in sorted(reports.items()) if (fault := _fault(report))}
    if faults:
        named = "; ".join(f"{each!r}: {fault}" for each, fault in list(faults.items())[:_MOST_TOLD])
        more = f"; and {len(faults) - _MOST_TOLD} more" if len(faults) > _MOST_TOLD else ""
        raise SealError(
            f"{len(faults)} of {len(reports)} sessions cannot be sealed: {named}{more}. Nothing was signed. "
            "Mend them, or name those that are to be sealed."
        )
    for session_id in reports:
        _sync(disk, layout, session_id)
    heads = [Head(each, report.version, str(report.head)) for each, report in reports.items()]
    return make_seal(heads, scope, at, key)


def _fault(report: Report) -> str | None:
    if not report.ok:
        return report.findings[0].removesuffix(".")
    return None if report.head else "it has no journal yet, so there is nothing to sign"


def _sync(disk: Disk, layout: Layout, session_id: str) -> None:
    """What is sealed is on disk: what a crash takes must not look like what somebody cut."""
    log = Log(disk, layout.journal(session_id), session_id, durable=False)
    try:
        log.look()
        log.sync(anyway=True)
    finally:
        log.close()


class AgainstSeal:
    """Sessions as they are now beside a seal. Writes nothing."""

    def __init__(self, disk: Disk, layout: Layout, seal: Seal) -> None:
        self._disk, self._layout, self._seal = disk, layout, seal
        self._tombstones: list[Tombstone] | None = None
        disk.refresh(layout.sessions)
        self._is_elsewhere = all(self._is_gone(each) for each in seal.heads)

    def of_one(self, session_id: str, verify_one: Callable[[str], Report]) -> Report:
        """A session's report, with what the seal says of it. One that the seal does not name is wrong."""
        is_gone = session_id in self._seal.heads and self._is_gone(session_id)
        report = Report(ok=True) if is_gone else verify_one(session_id)
        return self._compared(session_id, report, must_name=True)

    def of_each(
        self,
        session_ids: Iterable[str],
        verify_each: Callable[[Iterable[str]], Iterator[tuple[str, Report]]],
        *,
        must_name: bool,
    ) -> Iterator[tuple[str, Report]]:
        """Their reports, with what the seal says of them. `must_name`: one that it does not name is wrong."""
        there = []
        for session_id in session_ids:
            if session_id in self._seal.heads and self._is_gone(session_id):
                yield session_id, self._compared(session_id, Report(ok=True), must_name=must_name)
            else:
                there.append(session_id)
        for session_id, report in verify_each(there):
            yield session_id, self._compared(session_id, report, must_name=must_name)

    def _compared(self, session_id: str, report: Report, *, must_name: bool) -> Report:
        head = self._seal.heads.get(session_id)
        name = f"session {session_id!r}"
        if head is None:
            return self._unnamed(report, name, must_name=must_name)
        if self._is_gone(session_id):
            return self._of_gone(report, name, head)
        if report.version < head.version:
            return _wrong(report, self._what_is_missing(report, name, head))
        if self._chain_at(head, report) != head.chain:
            return _wrong(report, self._what_is_different(name, head))
        text = f"{name}: up to version {head.version} it is as sealed by {self._seal.by()}."
        if later := report.version - head.version:
            text += f" {later} later record{'s' * (later != 1)}: chained to that, and not signed."
        return replace(report, notes=[*report.notes, text], sealed=head.version)

    def _unnamed(self, report: Report, name: str, *, must_name: bool) -> Report:
        if must_name:
            return _wrong(report, f"{name}: the seal by {self._seal.by()} is not of it; nothing is proven.")
        return _noted(report, f"{name}: not in the seal; nothing of it is signed.")

    def _of_gone(self, report: Report, name: str, head: Head) -> Report:
        sealed = f"sealed at version {head.version} by {self._seal.by()}"
        tombstone = self._tombstone_of(head)
        if tombstone is not None:
            return _noted(report, f"{name}: {sealed}, and {_deletion(tombstone)}.")
        text = f"{name}: its journal is gone and no tombstone tells of that; it was {sealed}."
        if self._is_elsewhere and len(self._seal.heads) > 1:
            text += " None of the sealed sessions is here: is this the store that was sealed?"
        return _wrong(report, text)

    def _what_is_missing(self, report: Report, name: str, head: Head) -> str:
        sealed = f"version {head.version} was sealed by {self._seal.by()}"
        if not report.ok:
            return f"{name}: {sealed}, and only {report.version} of its records can be trusted."
        missing = head.version - report.version
        return (
            f"{name}: {sealed}, and it ends at version {report.version}: its tail was cut, "
            f"{missing} record{'s' * (missing != 1)} at least."
        )

    def _what_is_different(self, name: str, head: Head) -> str:
        text = (
            f"{name}: its version {head.version} is not the one that was sealed by {self._seal.by()}: "
            "what stood up to there was written anew, or this is another session of that id"
        )
        tombstone = self._tombstone_of(head)
        return f"{text}. The one that was sealed was {_deletion(tombstone)}." if tombstone else f"{text}."

    def _chain_at(self, head: Head, report: Report) -> str | None:
        """The chain of the session's record of the sealed number, checked from the first record on."""
        if report.version == head.version:
            return report.head
        log = Log(self._disk, self._layout.journal(head.session_id), head.session_id, durable=False)
        try:
            log.look()
            for seq, (_, line) in enumerate(log.read_new(), 1):
                if seq == head.version:
                    return header_and_chain(line)[1].decode()
            return None
        finally:
            log.close()

    def _is_gone(self, session_id: str) -> bool:
        status = self._disk.status(self._layout.journal(session_id))
        return status is None or status.st_size == 0

    def _tombstone_of(self, head: Head) -> Tombstone | None:
        """A deletion of the sealed session, or of what it had become; not one of an earlier version."""
        if self._tombstones is None:
            self._disk.refresh(self._layout.sessions)
            found = read_tombstones(self._disk, self._layout.tombstones)
            self._tombstones = [
                each for each in found if isinstance(each, Tombstone) and each.id in self._seal.heads
            ]
        return next((each for each in self._tombstones if _tells_of(each, head)), None)


def _tells_of(tombstone: Tombstone, head: Head) -> bool:
    if tombstone.id != head.session_id or tombstone.version < head.version:
        return False
    return tombstone.version > head.version or tombstone.chain == head.chain


def _deletion(tombstone: Tombstone) -> str:
    by = f" by {tombstone.by!r}" if tombstone.by else ""
    return f"deleted{by} at {tombstone.at.isoformat()}, as a tombstone says, which nobody signed"


def _wrong(report: Report, finding: str) -> Report:
    return replace(report, ok=False, findings=[*report.findings, finding])


def _noted(report: Report, note: str) -> Report:
    return replace(report, notes=[*report.notes, note])
