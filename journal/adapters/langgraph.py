"""A checkpointer for LangGraph: a thread is a session, its checkpoints, values and writes are events."""

import asyncio
import heapq
import os
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from types import TracebackType
from typing import Any, Final, Self

from journal.errors import MissingExtraError

try:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        WRITES_IDX_MAP,
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        DeltaChannelHistory,
        get_checkpoint_id,
        get_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol
except ImportError as error:
    raise MissingExtraError("checkpoints of LangGraph", "langgraph-checkpoint", "langgraph") from error

from journal.adapters.langgraph_aio import InWorkers
from journal.adapters.langgraph_noting import Noting, Reading
from journal.adapters.langgraph_thread import (
    CheckpointSaved,
    CheckpointsDeleted,
    Namespace,
    Small,
    Thread,
    Write,
    WritesSaved,
)
from journal.adapters.langgraph_threads import Threads, session_id
from journal.store import StateStore
from projections.events import Change

# A value that is no more than this stands in its checkpoint.
_SMALL: Final = (type(None), bool, int, float)


class JournalSaver(InWorkers):
    """Keeps the checkpoints of LangGraph's threads in a StateStore, for `compile(checkpointer=…)`.

    store    a StateStore, which stays the caller's to close, or the folder or URL of one
    user_id  whose a new session is, where the config says no "user_id"
    serde    what of a value JSON cannot hold goes through it. Any but LangGraph's own JsonPlusSerializer gets
             every value whole, because it may encrypt; then no message is on record as a text

    The session of a thread is `session_id(thread_id)`. Its messages are UserMessageAdded, AgentResponseAdded,
    ToolCalled and ToolReturned, each once, as soon as they are in a value; checkpoints and values refer to
    them. Each call is one batch, as durable as the store when it returns. Threads, tasks and processes may
    share a thread. An async call that is cancelled may still land.
    """

    def __init__(
        self,
        store: StateStore | str | os.PathLike[str],
        *,
        user_id: str = "langgraph",
        serde: SerializerProtocol | None = None,
    ) -> None:
        super().__init__(serde=serde)
        self._is_ours = not isinstance(store, StateStore)
        self.store = store if isinstance(store, StateStore) else StateStore.connect(store)
        self.user_id = user_id
        self._threads = Threads(self.store)

    @staticmethod
    def session_id(thread_id: str) -> str:
        """The id of a thread's session: to look at it, to rewind it, to fork it into another thread's."""
        return session_id(thread_id)

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint, the latest where none is named; None if there is none. Raises CorruptRecordError."""
        thread_id, ns, id = _place(config)
        with self._threads.reading(thread_id) as thread:
            space = thread.namespace(ns)
            return self._tuple(thread, thread_id, ns, id or space.latest)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints of a thread, or of all, the newest first; `filter`: what the metadata must say.

        Makes no more than are taken. Raises CorruptRecordError.
        """
        thread_ids = self._threads.ids() if config is None else [_place(config)[0]]
        places = [each for thread_id in thread_ids for each in self._listed(thread_id, config, before)]
        left = limit
        for id, ns, thread_id in heapq.merge(*places, reverse=True):
            if left is not None and left <= 0:
                return
            with self._threads.reading(thread_id) as thread:
                found = self._tuple(thread, thread_id, ns, id, filter)
            if found is not None:
                left = None if left is None else left - 1
                yield found

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What the checkpoints before this one wrote to each channel since it was last kept whole.

        Those that were deleted or pruned count, too: the journal still has them.
        """
        thread_id, ns, id = _place(config)
        with self._threads.reading(thread_id) as thread:
            space, read = thread.namespace(ns), Reading(thread, self.serde)
            histories = {channel: DeltaChannelHistory(writes=[]) for channel in channels}
            open_ones, id = set(channels), id or space.latest
            while open_ones and id in space.saved and (id := space.saved[id].parent or "") in space.saved:
                for write in reversed(read.writes(space, id, open_ones)):
                    histories[write[1]]["writes"].append(write)
                versions = read.of_bytes(space.saved[id].checkpoint)["channel_versions"]
                for channel, value in read.values(space, versions, open_ones).items():
                    histories[channel]["seed"] = value
                    open_ones.discard(channel)
        for history in histories.values():
            history["writes"].reverse()
        return histories

    def _tuple(
        self, thread: Thread, thread_id: str, ns: str, id: str, filter: dict[str, Any] | None = None
    ) -> CheckpointTuple | None:
        space, read = thread.namespace(ns), Reading(thread, self.serde)
        if not space.is_listed(id):
            return None
        saved = space.saved[id]
        metadata = read.of_bytes(saved.metadata)
        if filter and any(metadata.get(key) != value for key, value in filter.items()):
            return None
        checkpoint = read.of_bytes(saved.checkpoint)
        checkpoint["channel_values"] = read.values(space, checkpoint["channel_versions"])
        return CheckpointTuple(
            config=_config(thread_id, ns, id),
            checkpoint=checkpoint,
            metadata=metadata,
            parent_config=None if saved.parent is None else _config(thread_id, ns, saved.parent),
            pending_writes=read.writes(space, id),
        )

    def _listed(
        self, thread_id: str, config: RunnableConfig | None, before: RunnableConfig | None
    ) -> Iterator[Iterator[tuple[str, str, str]]]:
        """Of each namespace that is asked for: its checkpoints, the newest first."""
        wanted = {} if config is None else config["configurable"]
        only, end = wanted.get("checkpoint_id"), get_checkpoint_id(before) if before else None
        with self._threads.reading(thread_id) as thread:
            for ns, space in thread.namespaces.items():
                if wanted.get("checkpoint_ns", ns) == ns:
                    ids = space.listed[: bisect_left(space.listed, end) if end else None]
                    ids = [id for id in ids if id == only] if only else ids
                    yield zip(reversed(ids), repeat(ns), repeat(thread_id))

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint and those of its values that are new; return where it is.

        Raises as StateStore.append: DurabilityError, InvalidEventError for a value of over 16 MiB.
        """
        thread_id, ns, parent = _place(config)
        rest = {key: value for key, value in checkpoint.items() if key != "channel_values"}
        values = checkpoint["channel_values"]

        def changes(thread: Thread) -> list[Change]:
            noting, space = self._noting(thread), thread.namespace(ns)
            small: dict[str, Small] = {}
            for channel, version in new_versions.items():
                if channel not in values:
                    continue  # it is empty
                value = noting.to_json(values[channel])
                if isinstance(value, _SMALL):
                    small[channel] = Small(version, value)
                else:
                    noting.add(space.next_value(ns, channel, version, value).event())
            saved = CheckpointSaved(
                ns=ns,
                id=checkpoint["id"],
                parent=parent,
                checkpoint=noting.to_json(rest),
                metadata=noting.to_json(get_checkpoint_metadata(config, metadata)),
                small=small,
            )
            noting.add(saved.event())
            return noting.changes

        self._threads.change(thread_id, self._user_of(config), changes)
        return _config(thread_id, ns, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote; what of it is there already stays as it is. Raises as `put`."""
        thread_id, ns, id = _place(config)

        def changes(thread: Thread) -> list[Change]:
            space = thread.namespace(ns)
            # Graphs do not wait for the checkpoint before they go on.
            noting = self._noting(thread, is_early=id not in space.saved)
            new = []
            for at, (channel, value) in enumerate(writes):
                index = WRITES_IDX_MAP.get(channel, at)
                if index < 0 or not space.has_write(id or "", task_id, index):
                    new.append(Write(index, channel, noting.to_json(value)))
            if new:
                written = WritesSaved(
                    ns=ns, checkpoint_id=id or "", task_id=task_id, task_path=task_path, writes=new
                )
                noting.add(written.event())
            return noting.changes

        self._threads.change(thread_id, self._user_of(config), changes)

    def delete_thread(self, thread_id: str) -> None:
        """Delete the thread's session; a tombstone stays. Raises DurabilityError."""
        self.store.delete_session(session_id(thread_id), why="delete_thread")

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs, in all threads: the journal keeps them. Raises as `put`."""
        runs = set(run_ids)
        for thread_id in list(self._threads.ids()) if runs else ():
            self._delete(
                thread_id,
                lambda read, space: [
                    id for id in space.listed if read.of_bytes(space.saved[id].metadata).get("run_id") in runs
                ],
            )

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all but the latest checkpoint of each namespace, or with "delete" the threads.

        The journal keeps the checkpoints: delta channels can still be made from them. Raises as `put`.
        """
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy is 'keep_latest' or 'delete', not {strategy!r}")
        for thread_id in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread_id)
            else:
                self._delete(thread_id, lambda read, space: space.listed[:-1])

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Make a new thread with the history of another one: see StateStore.fork.

        Raises SessionNotFoundError, VersionConflictError where the target is there already.
        """
        self._threads.fork(source_thread_id, target_thread_id)

    def get_next_version(self, current: str | int | None, channel: None) -> str:
        """A version after `current` that no other branch of the thread makes, too."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{random.random():016}"

    def _delete(self, thread_id: str, chosen: Callable[[Reading, Namespace], Sequence[str]]) -> None:
        def changes(thread: Thread) -> list[Change]:
            noting, read = self._noting(thread), Reading(thread, self.serde)
            for ns, space in thread.namespaces.items():
                if ids := chosen(read, space):
                    noting.add(CheckpointsDeleted(ns=ns, ids=[*ids]).event())
            return noting.changes

        self._threads.change(thread_id, self.user_id, changes)

    def _noting(self, thread: Thread, *, is_early: bool = False) -> Noting:
        return Noting(thread, self.serde, self.store._setting.redact, is_early=is_early)

    def _user_of(self, config: RunnableConfig) -> str:
        return str(config["configurable"].get("user_id") or self.user_id)

    # Closing

    def close(self) -> None:
        """Finish what is under way; close the store if it was opened here."""
        self.end_workers()
        if self._is_ours:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def _place(config: RunnableConfig) -> tuple[str, str, str | None]:
    """The thread, the namespace and the checkpoint that a config names."""
    wanted = config["configurable"]
    return str(wanted["thread_id"]), wanted.get("checkpoint_ns", ""), wanted.get("checkpoint_id") or None


def _config(thread_id: str, ns: str, id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": id}}
