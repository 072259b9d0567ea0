"""One session, looked at in every way that a store offers: do they agree, and which batches are there?"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from crash.told import Batch
from journal import JournalError, Record, Session, SessionNotFoundError, StateStore
from projections import AgentResponseAdded, JournalRepaired, SessionCreated, UserMessageAdded


@dataclass
class History:
    """What a look at a session showed.

    batches       each with the number of its last record
    housekeeping  the records that no batch holds
    """

    version: int = 0
    chain: str = ""
    batches: dict[Batch, int] = field(default_factory=dict)
    housekeeping: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def look(store: StateStore, session_id: str, before: History | None = None) -> History:
    """Read a session's state, its records and its proof. `before`: what an earlier look showed.

    Others may write it meanwhile: the state is read first, and held against the records up to it.
    """
    history = History()
    try:
        session = store.load_session(session_id)
        records = list(store.records(session_id))
        report = store.verify(session_id)
    except SessionNotFoundError:
        return history
    except (JournalError, OSError) as error:
        history.problems.append(f"{session_id} cannot be read: {error!r}")
        return history
    history.version, history.chain = len(records), records[-1].chain if records else ""
    history.problems += [f"{session_id}: {problem}" for problem in _problems(records, history)]
    history.problems += [f"verify: {finding}" for finding in report.findings]
    if session is not None and not _agree(session, records):
        history.problems.append(f"{session_id}: version {session.version} is not what its records say")
    if before is not None and before.version:
        known = records[before.version - 1].chain if before.version <= len(records) else "nothing"
        if known != before.chain:
            history.problems.append(f"{session_id}: record {before.version} was {before.chain}, is {known}")
    return history


def _problems(records: list[Record], history: History) -> Iterator[str]:
    """What is wrong with the records as such; fills in the batches on the way."""
    batch, index = Batch(-1, -1, 0), 0
    for seq, record in enumerate(records, 1):
        if record.seq != seq:
            yield f"record {record.seq} stands where {seq} belongs"
        match record.event:
            case UserMessageAdded(content=text) | AgentResponseAdded(content=text):
                try:
                    of, at = Batch.of_text(text)
                except ValueError:
                    yield f"record {seq} holds what nobody wrote: {text[:80]!r}"
                    continue
                if at == 0:
                    if index != batch.size:
                        yield f"{batch} is cut off before record {seq}"
                    batch, index = of, 0
                if (of, at) != (batch, index):
                    yield f"record {seq} is message {at} of {of}, after {index} of {batch}"
                index = at + 1
                if index == batch.size:
                    if batch in history.batches:
                        yield f"{batch} stands there twice: records {history.batches[batch]} and {seq}"
                    history.batches[batch] = seq
            case JournalRepaired():
                history.housekeeping.add(seq)
            case SessionCreated() if seq == 1:
                history.housekeeping.add(seq)
            case other:
                yield f"record {seq} is what nobody wrote: {type(other).__name__}"
    if index != batch.size:
        yield f"{batch} is cut off at the end"


def _agree(session: Session, records: list[Record]) -> bool:
    """Whether a loaded session says what its records say."""
    events = [record.event for record in records[: session.version]]
    messages = [event.content for event in events if isinstance(event, UserMessageAdded)]
    responses = [event.content for event in events if isinstance(event, AgentResponseAdded)]
    return (
        session.version <= len(records)
        and messages == [message.content for message in session.user_messages]
        and responses == [response.content for response in session.agent_responses]
    )
