"""Columns: of each record, in arrays, what lists, jumps and charts need of it without reading it again."""

from array import array
from typing import Final, NamedTuple

from journal.chain import event_bytes
from projections.activity import to_us
from projections.events import (
    AgentResponseAdded,
    Erased,
    Record,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UsageRecorded,
    UserMessageAdded,
    event_type,
)

NONE: Final = -1
"""In `durations_ms` and `tools`: it is not known, or there is none."""
_USER: Final = str(UserMessageAdded.__struct_config__.tag)


class Used(NamedTuple):
    """What a record says that a model took."""

    seq: int
    model: str
    input_tokens: int
    output_tokens: int
    cost: float | None


class Columns:
    """Records 1, 2, 3 … are at the indices 0, 1, 2 …; some 60 bytes a record.

    offsets, lengths  where in the file its line is, without the newline
    at_us, sizes      its time in microseconds since 1970; how many bytes its event is
    kinds, tools      which of `names` its type is, and the tool that it calls or that returned
    errors            1 where a tool or a step failed
    turns             the number of the user's message that it belongs to, 0 before the first
    durations_ms      how long a tool or a step took
    ids               its id, hashed
    answer_seqs, answers_ms  which responses end a user's waiting, and after how long
    usage             what models took
    """

    def __init__(self) -> None:
        self.offsets, self.lengths, self.at_us, self.sizes = (array("q") for _ in range(4))
        self.kinds, self.tools, self.turns = array("l"), array("l"), array("l")
        self.errors = bytearray()
        self.durations_ms = array("d")
        self.ids = array("q")
        self.answer_seqs, self.answers_ms = array("l"), array("d")
        self.usage: list[Used] = []
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._types: dict[type, int] = {}
        self._open_calls: dict[str, tuple[int, int]] = {}
        self._turn = 0
        self._waiting_since_us: int | None = None

    def __len__(self) -> int:
        # What is appended last: whoever reads while a record is added sees all of it, or nothing.
        return len(self.offsets)

    def add(self, record: Record, line: bytes, offset: int) -> None:
        """Take in the next record, whose line stands there."""
        # One look at the type: this is done for every record of a session before its last one is shown.
        event, at_us = record.event, to_us(record.at)
        tool, duration, is_error = NONE, -1.0, False
        match event:
            case UserMessageAdded() | AgentResponseAdded():
                self._note_answer(record.seq, event, at_us)
            case ToolCalled():
                tool = self.number(event.name)
                self._open_calls[event.call_id] = tool, at_us
            case ToolReturned():
                tool, called_us = self._open_calls.pop(event.call_id, (NONE, at_us))
                is_error = event.is_error
                if event.duration_ms is not None:
                    duration = event.duration_ms
                elif at_us > called_us:
                    duration = (at_us - called_us) / 1000
            case UsageRecorded():
                spent = (record.seq, event.model, event.input_tokens, event.output_tokens, event.cost)
                self.usage.append(Used(*spent))
            case StepFinished():
                is_error = event.error is not None
                duration = event.duration_ms if event.duration_ms is not None else duration
            case Erased(was=was) if was == _USER:
                self._turn += 1
            case _:
                pass
        kind = self._types.get(type(event))
        if kind is None:
            kind = self.number(event_type(event))
            if not isinstance(event, UnknownEvent):
                self._types[type(event)] = kind
        self.at_us.append(at_us)
        self.sizes.append(len(event_bytes(line)))
        self.kinds.append(kind)
        self.tools.append(tool)
        self.turns.append(self._turn)
        self.errors.append(is_error)
        self.durations_ms.append(duration)
        self.ids.append(hash(record.id))
        self.lengths.append(len(line))
        self.offsets.append(offset)

    def number(self, name: str) -> int:
        """Which of the names it is; a new one is added."""
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self.names)
            self.names.append(name)
        return found

    def known(self, name: str) -> int:
        """As `number`, NONE for a name that no record has."""
        return self._numbers.get(name, NONE)

    def _note_answer(self, seq: int, event: UserMessageAdded | AgentResponseAdded, at_us: int) -> None:
        if event.timestamp is not None:
            at_us = to_us(event.timestamp)
        since = self._waiting_since_us
        if isinstance(event, UserMessageAdded):
            self._turn += 1
            self._waiting_since_us = at_us if since is None else since
        elif since is not None:
            self._waiting_since_us = None
            if at_us > since:  # what was imported without times tells nothing
                self.answer_seqs.append(seq)
                self.answers_ms.append((at_us - since) / 1000)
