"""Erasures: which records of a journal have lost their content, and whether a later record says so."""

from typing import NamedTuple

from projections.events import ContentErased, Erased, JournalRepaired, Record, SessionForked


class Untold(NamedTuple):
    """A record without its content: its number, its byte, the type that it says it had; what is wrong."""

    seq: int
    offset: int
    was: str
    reason: str = "its content was taken out, and no record says so"


class Erasures:
    """The records without content that no record names yet, by their ids.

    What a record `was` stands in no hash of its own; the record that names it says it, too, and that counts.
    A fork's first record names those of its copies that only a later record of its origin names.
    """

    def __init__(self) -> None:
        self.untold: dict[str, Untold] = {}
        self._named_before: dict[str, tuple[str | None, int]] = {}

    def see(self, record: Record, offset: int) -> None:
        """Take note of the next record of the journal, which stands at this byte."""
        match record.event:
            case Erased(was=was):
                self.untold[record.id] = Untold(record.seq, offset, was)
                if record.id in self._named_before:
                    self._tell(record.id, *self._named_before[record.id])
            case SessionForked(erased=ids, erased_types=types):
                for named, said in zip(ids, types, strict=False):
                    self._named_before[named] = said, record.seq
            case JournalRepaired(erased=ids, erased_types=types):
                for index, named in enumerate(ids):
                    self._tell(named, types[index] if index < len(types) else None, record.seq)
            case ContentErased(versions=versions, types=types):
                ids_by_seq = {each.seq: each_id for each_id, each in self.untold.items()}
                for version, was in zip(versions, types, strict=False):
                    self._tell(ids_by_seq.get(version, ""), was, record.seq)

    def _tell(self, record_id: str, was: str | None, by: int) -> None:
        untold = self.untold.get(record_id)
        if untold is None:
            return
        if was is None or was == untold.was:
            del self.untold[record_id]
        else:
            reason = (
                f"it says that it was {untold.was}, and record {by}, which tells of it, that it was {was}"
            )
            self.untold[record_id] = untold._replace(reason=reason)
