"""What a session was at each version, kept so that states share what they have in common."""

from bisect import bisect_right
from datetime import datetime
from functools import cached_property
from typing import Final, NamedTuple

from projections.document import Json
from projections.events import MetadataSet, Record, SessionRewound
from projections.messages import AgentResponse, UserMessage
from projections.paths import ABSENT, FIELDS, Absent, Part
from projections.session import MessageList, Session, apply_event
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


class StateHistory:
    """The states of a session, by version; 0 is the one before the first record.

    Memory is in proportion to the history; a state, or a part of one, is made when it is asked for.
    """

    def __init__(self, initial: Session) -> None:
        """`initial`: the session before its first record; it is folded on, and must be nobody else's."""
        self._latest = initial
        self.user_messages: Spans[UserMessage] = Spans()
        self.agent_responses: Spans[AgentResponse] = Spans()
        # Where each of these changed: the versions, and what it was from there on.
        self.header_versions: list[int] = []
        self._headers: list[_Header] = []
        self._setting_versions: list[int] = []
        self._settings: list[_Setting] = []
        self._keyframes: list[_Keyframe] = [_Keyframe(0, {})]
        self._updated_at: list[datetime] = []
        self._note_header(initial, 0)

    def apply(self, record: Record) -> None:
        """Go on by one record."""
        state = self._latest
        before = state._user_messages, state.metadata
        apply_event(state, record.event, record.at)
        self._note_messages(state, record, before[0])
        self._note_settings(state, record, before[1])
        self._note_header(state, record.seq)

    def state(self, version: int) -> Session:
        """The session as it was; the caller's own."""
        header = self._header(version)
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

    @property
    def version(self) -> int:
        """The last version."""
        return len(self._updated_at) - 1

    def part(self, name: str, version: int) -> Part | Absent:
        """A field of the session as it was, ABSENT where it has none; its content is the timeline's own."""
        part: Part | None
        match name:
            case "user_messages":
                return MessageList(self.user_messages.at(version))
            case "agent_responses":
                return MessageList(self.agent_responses.at(version))
            case "metadata":
                return self._metadata(version)
            case "updated_at":
                return self._updated_at[version]
            case "version":
                return version
            case _:
                part = getattr(self._header(version), name, None) if name in FIELDS else None
                return ABSENT if part is None else part

    def setting(self, key: str, version: int) -> Json | Absent:
        """The value of a key of the metadata as it was."""
        versions, values = self._of_key.get(key, ([], []))
        at = bisect_right(versions, version) - 1
        return values[at] if at >= 0 else ABSENT

    def setting_versions(self, key: str | None = None) -> list[int]:
        """The versions that set or removed a key of the metadata, or any key."""
        return sorted({*(self._setting_versions if key is None else self._of_key.get(key, ([], []))[0])})

    def settings_at(self, version: int) -> set[str]:
        """The keys of the metadata that a version set or removed."""
        start = bisect_right(self._setting_versions, version - 1)
        end = bisect_right(self._setting_versions, version)
        return {setting.key for setting in self._settings[start:end]}

    @cached_property
    def _of_key(self) -> dict[str, tuple[list[int], list[Json | Absent]]]:
        found: dict[str, tuple[list[int], list[Json | Absent]]] = {}
        for version, setting in zip(self._setting_versions, self._settings, strict=True):
            versions, values = found.setdefault(setting.key, ([], []))
            versions.append(version)
            values.append(setting.value if setting.is_there else ABSENT)
        return found

    def _header(self, version: int) -> _Header:
        return self._headers[bisect_right(self.header_versions, version) - 1]

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

    def _note_messages(self, state: Session, record: Record, before: object) -> None:
        event, version = record.event, record.seq
        if isinstance(event, SessionRewound):
            self.user_messages.restart(event.user_messages_kept, event.user_messages, version)
            self.agent_responses.restart(event.agent_responses_kept, event.agent_responses, version)
            return
        if state._user_messages is not before:
            self.user_messages.restart(0, state._user_messages, version)
            self.agent_responses.restart(0, state._agent_responses, version)
            return
        if len(state._user_messages) > self.user_messages.length(version):
            self.user_messages.append(state._user_messages[-1], version)
        if len(state._agent_responses) > self.agent_responses.length(version):
            self.agent_responses.append(state._agent_responses[-1], version)

    def _note_settings(self, state: Session, record: Record, before: dict[str, Json]) -> None:
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
        self.__dict__.pop("_of_key", None)
        self._setting_versions += [record.seq] * len(settings)
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
            self.header_versions.append(version)
            self._headers.append(header)
