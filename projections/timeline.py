"""The timeline: every state that a session ever had, at random access."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple, overload

from projections.document import Json
from projections.events import MetadataSet, Record, SessionRewound
from projections.messages import AgentResponse, UserMessage
from projections.session import Session, SessionProjection, apply_event
from projections.spans import Spans

# The metadata is kept whole after so many changes, or as many as it has keys: no state is further away.
_KEYFRAME_AFTER: Final = 64


class _Header(NamedTuple):
    """What a state says beside its messages, its metadata and when it changed."""

    id: str
    user_id: str
    active_seed_id: str | None
    active_persona_id: str | None
    created_at: datetime


class _Keyframe(NamedTuple):
    """The metadata as it was behind so many of its changes."""

    changes: int
    metadata: dict[str, Json]


class _Setting(NamedTuple):
    """A key of the metadata was set, or it went."""

    key: str
    value: Json
    is_there: bool = True


class Timeline(Sequence[Session]):
    """The states of one session: `timeline[7]` is the session as it was at version 7.

    Numbers are versions, as in the address ID@7: 1 to `len(timeline)`; -1 is the last, 0 the nothing before
    the first. `timeline[3:6]` are the states 3, 4 and 5, each made when it is asked for. A state is the
    caller's own. What states have in common is kept once: memory is in proportion to the history.

    records  the records in order: `timeline.records[n - 1]` led to `timeline[n]`
    """

    def __init__(self, records: Iterable[Record]) -> None:
        """Fold the records, once."""
        self.records: list[Record] = []
        self.user_messages: Spans[UserMessage] = Spans()
        self.agent_responses: Spans[AgentResponse] = Spans()
        # Where each of these changed: the versions, and what it was from there on.
        self._header_versions: list[int] = []
        self._headers: list[_Header] = []
        self._setting_versions: list[int] = []
        self._settings: list[_Setting] = []
        self._keyframes: list[_Keyframe] = [_Keyframe(0, {})]
        self._updated_at: list[datetime] = []
        self._ends: list[datetime] = []
        state = SessionProjection().initial()
        self._note_header(state, 0)
        for record in records:
            version = record.seq
            if version:  # else it is another program's file, which has no record yet
                self.records.append(record)
            lists, metadata = (state._user_messages, state._agent_responses), state.metadata
            apply_event(state, record.event, record.at)
            self._note_messages(state, record, version, lists)
            self._note_settings(state, record, version, metadata)
            self._note_header(state, version)

    # Noting what a record changed

    def _note_messages(
        self, state: Session, record: Record, version: int, before: tuple[object, object]
    ) -> None:
        event = record.event
        if isinstance(event, SessionRewound):
            self.user_messages.restart(event.user_messages_kept, event.user_messages, version)
            self.agent_responses.restart(event.agent_responses_kept, event.agent_responses, version)
            return
        if state._user_messages is not before[0]:
            self.user_messages.restart(0, state._user_messages, version)
            self.agent_responses.restart(0, state._agent_responses, version)
            return
        if len(state._user_messages) > self.user_messages.length(version):
            self.user_messages.append(state._user_messages[-1], version)
        if len(state._agent_responses) > self.agent_responses.length(version):
            self.agent_responses.append(state._agent_responses[-1], version)

    def _note_settings(self, state: Session, record: Record, version: int, before: dict[str, Json]) -> None:
        event, metadata = record.event, state.metadata
        if isinstance(event, MetadataSet):
            settings = [_Setting(event.key, metadata[event.key])]
        elif isinstance(event, SessionRewound):
            settings = [_Setting(key, None, is_there=False) for key in event.metadata_removed]
            settings += [_Setting(key, metadata[key]) for key in event.metadata]
        elif metadata is not before:
            settings = [_Setting(key, None, is_there=False) for key in before.keys() - metadata.keys()]
            settings += [_Setting(key, value) for key, value in metadata.items()]
        else:
            return
        self._setting_versions += [version] * len(settings)
        self._settings += settings
        behind = len(self._settings) - self._keyframes[-1].changes
        if behind >= max(_KEYFRAME_AFTER, len(metadata)):
            self._keyframes.append(_Keyframe(len(self._settings), dict(metadata)))

    def _note_header(self, state: Session, version: int) -> None:
        self._updated_at[version:] = [state.updated_at]
        header = _Header(
            state.id, state.user_id, state.active_seed_id, state.active_persona_id, state.created_at
        )
        if not self._headers or header != self._headers[-1]:
            self._header_versions.append(version)
            self._headers.append(header)

    # The states

    @property
    def version(self) -> int:
        """The number of the last record."""
        return len(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, version: int) -> Session: ...
    @overload
    def __getitem__(self, version: slice) -> "States": ...
    def __getitem__(self, version: int | slice) -> "Session | States":
        """The session as it was at a version, or a range of them. IndexError where it has no such version."""
        if isinstance(version, slice):
            return States(self, self._range(version))
        return self._state(self.resolve(version))

    def __iter__(self) -> Iterator[Session]:
        return iter(self[:])

    def __reversed__(self) -> Iterator[Session]:
        return iter(self[::-1])

    def resolve(self, version: int) -> int:
        """A version, counted from the end where it is negative. Raises IndexError."""
        last = len(self.records)
        found = version + last + 1 if version < 0 else version
        if not 0 <= found <= last or (version < 0 and found == 0):
            raise IndexError(f"version {version}: the session is at version {last}")
        return found

    def version_at(self, moment: datetime) -> int:
        """The version at a moment: that of the last record that is not later; 0 before the first."""
        if not self._ends:
            # Clocks go back: what counts of a record is the earliest time from there on.
            times = [record.at for record in self.records]
            for index in range(len(times) - 2, -1, -1):
                times[index] = min(times[index], times[index + 1])
            self._ends = times
        return bisect_right(self._ends, moment)

    def at(self, moment: datetime) -> Session | None:
        """The session as it was at a moment; None where it did not exist yet."""
        version = self.version_at(moment)
        return self._state(version) if version else None

    def first(self, predicate: Callable[[Session], object]) -> int | None:
        """The first version of which something is true, or None. Asks of each; exact.

        The session that `predicate` gets is lent: it is valid until it returns, and not to be changed.
        """
        return next((record.seq for record, state in self.steps() if predicate(state)), None)

    def bisect(self, predicate: Callable[[Session], object]) -> int | None:
        """The first version of which something is true that stays true, or None. Asks about log₂ n times."""
        low, high = 0, len(self.records) + 1  # false at `low`, true at `high`
        while high - low > 1:
            middle = (low + high) // 2
            if predicate(self._state(middle)):
                high = middle
            else:
                low = middle
        return high if high <= len(self.records) else None

    def steps(self) -> Iterator[tuple[Record, Session]]:
        """Each record with the state behind it, which is lent until the next one: no states are made."""
        state = SessionProjection().initial()
        for record in self.records:
            apply_event(state, record.event, record.at)
            state.version = record.seq
            yield record, state

    def _state(self, version: int) -> Session:
        header = self._headers[bisect_right(self._header_versions, version) - 1]
        state = Session(
            id=header.id,
            user_id=header.user_id,
            user_messages=self.user_messages.at(version),
            agent_responses=self.agent_responses.at(version),
            active_seed_id=header.active_seed_id,
            active_persona_id=header.active_persona_id,
            created_at=header.created_at,
            updated_at=self._updated_at[version],
            metadata=self._metadata(version),
        )
        state.metadata = state.copy_metadata()
        state.version = version
        return state

    def _metadata(self, version: int) -> dict[str, Json]:
        """The metadata as it was; its values are the timeline's own."""
        end = bisect_right(self._setting_versions, version)
        at = bisect_right(self._keyframes, end, key=lambda keyframe: keyframe.changes) - 1
        changes, metadata = self._keyframes[at]
        metadata = dict(metadata)
        for setting in self._settings[changes:end]:
            if setting.is_there:
                metadata[setting.key] = setting.value
            else:
                metadata.pop(setting.key, None)
        return metadata

    def _range(self, versions: slice) -> range:
        """The versions that a slice stands for: as of a list whose first item is number 1."""
        last, step = len(self.records), 1 if versions.step is None else versions.step

        def bound(version: int | None, default: int) -> int:
            if version is None:
                return default
            return max(version + last + 1, 0) if version < 0 else min(version, last + 1)

        if step > 0:
            return range(bound(versions.start, 1), bound(versions.stop, last + 1), step)
        return range(min(bound(versions.start, last), last), bound(versions.stop, 0), step)


class States(Sequence[Session]):
    """Some states of a timeline, each made when it is asked for. `versions` are their numbers."""

    def __init__(self, timeline: Timeline, versions: range) -> None:
        self._timeline, self.versions = timeline, versions

    def __len__(self) -> int:
        return len(self.versions)

    @overload
    def __getitem__(self, index: int) -> Session: ...
    @overload
    def __getitem__(self, index: slice) -> "States": ...
    def __getitem__(self, index: int | slice) -> "Session | States":
        """The state at a place in this range, or a part of it."""
        if isinstance(index, slice):
            return States(self._timeline, self.versions[index])
        return self._timeline._state(self.versions[index])
