"""Which return belongs to which tool call."""

from collections.abc import Iterable

from projections.events import Erased, Record, ToolCalled, ToolReturned


def returns_of(records: Iterable[Record]) -> dict[str, Record]:
    """The return of each call that has one, by the id of the call's record.

    A return that names the record of its call as its cause is that one's, and the last such counts. Any other
    is of the last call with its call id that has none yet. An erased one is found by its cause alone.
    """
    found: dict[str, Record] = {}
    calls: set[str] = set()
    waiting: dict[str, list[str]] = {}  # by call id; some of them have their return by now
    for record in records:
        event = record.event
        if isinstance(event, ToolCalled):
            calls.add(record.id)
            waiting.setdefault(event.call_id, []).append(record.id)
        elif is_call(record):
            calls.add(record.id)
        elif is_return(record):
            if record.cause in calls:
                found[record.cause] = record
            elif isinstance(event, ToolReturned):
                of_this_id = waiting.get(event.call_id, [])
                while of_this_id and of_this_id[-1] in found:
                    of_this_id.pop()
                if of_this_id:
                    found[of_this_id.pop()] = record
    return found


def is_call(record: Record) -> bool:
    """Whether it is a call, be it erased."""
    return isinstance(record.event, ToolCalled) or record.event == _ERASED_CALL


def is_return(record: Record) -> bool:
    """Whether it is a return, be it erased."""
    return isinstance(record.event, ToolReturned) or record.event == _ERASED_RETURN


_ERASED_CALL = Erased(was="tool_called")
_ERASED_RETURN = Erased(was="tool_returned")
