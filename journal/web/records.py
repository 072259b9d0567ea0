"""One record in full: its header, its event, its batch, and whether it is linked to the one before."""

from typing import Any

from journal.chain import check_lines, first_chain, outline
from journal.objects import event_object, moment_text
from journal.web.cutting import cut_texts
from journal.web.past import Past


def record_in_full(past: Past, seq: int) -> dict[str, Any]:
    """The record, its event with long texts cut, and its link, computed anew. Raises Replaced."""
    line = past.line(seq)
    record = past.decoded(seq, line)
    event = cut_texts(event_object(record.event))
    previous = past.record(seq - 1).chain if seq > 1 else first_chain(past.session_id).decode()
    chains, _, _ = check_lines([line], seq, previous.encode())
    placed = outline(line)
    first = placed.first or seq if placed is not None else seq
    more = placed.more if placed is not None else 0
    return {
        "record": {
            "seq": record.seq,
            "id": record.id,
            "at": moment_text(record.at),
            "by": record.by,
            "cause": record.cause,
            "key": record.key,
            "digest": record.digest,
            "chain": record.chain,
            "batch": {"first": first, "last": seq + more},
        },
        "event": event.value,
        "cut": event.places,
        "link": {"previous_chain": previous, "chain": record.chain, "holds": bool(chains)},
    }
