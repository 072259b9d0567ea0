"""Talks of LangGraph: `SqliteSaver`, and ours."""

import sqlite3
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.base import copy_checkpoint, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.sqlite import SqliteSaver

from journal import StateStore
from journal.adapters.langgraph import JournalSaver
from talks.talk import Talk
from talks.unsynced import open_unsynced

_THREAD: Any = {"configurable": {"thread_id": "talk", "checkpoint_ns": ""}}


class LangGraphTalk(Talk):
    """A graph of one node, `START → agent → END`, whose state is its messages.

    The runner gets the latest checkpoint; puts one for the input, one for the node's turn, one for its end;
    and between them what START and the node wrote. `recent`: the graph keeps no more messages than these.
    """

    THEIRS = "SqliteSaver (SQLite, WAL)"
    AS_IT_COMES = "disk"

    async def open(self) -> None:
        if self.is_ours:
            self._store = StateStore(self.folder, durability=self.durability)
            self._saver: Any = JournalSaver(self._store)
        else:
            if self.durability == "os":
                open_unsynced(self.folder)
            self._connection = sqlite3.connect(self.folder / "talk.db", check_same_thread=False)
            self._saver = SqliteSaver(self._connection)
        self._config, self._checkpoint = _THREAD, empty_checkpoint()
        if self.turns:
            await self.read()

    def messages(self) -> Any:
        return HumanMessage(self.question), AIMessage(self.answer, id=f"answer-{self.turns}")

    async def read(self) -> None:
        found = self._saver.get_tuple(_THREAD)
        self._config, self._checkpoint = found.config, found.checkpoint

    async def write(self, messages: Any) -> None:
        question, answer = messages
        asked, step = {"messages": [question]}, self.turns * 3
        self._put("input", step - 1, {"__start__": asked})
        self._saver.put_writes(
            self._config, [("messages", [question]), ("branch:to:agent", None)], f"start-{self.turns}"
        )
        question.id = f"question-{self.turns}"  # the reducer of messages gives them ids
        self._put("loop", step, {"messages": self._with(question), "branch:to:agent": None}, "__start__")
        self._saver.put_writes(self._config, [("messages", [answer])], f"agent-{self.turns}")
        self._put("loop", step + 1, {"messages": self._with(answer)}, "branch:to:agent")

    async def grow(self, turns: int) -> None:
        """As the others; but with all messages in the state at once.

        SqliteSaver writes them all in each step: 10,000 turns, one by one, would be hundreds of GB.
        """
        earlier: list[BaseMessage] = []
        while self.recent is None and self.turns < turns - 1:
            question, answer = self.messages()
            question.id = f"question-{self.turns}"
            earlier += [question, answer]
            self.turns += 1
        if earlier:
            self._checkpoint["channel_values"]["messages"] = self._with(*earlier)
        await super().grow(turns)

    def _with(self, *messages: BaseMessage) -> list[BaseMessage]:
        known = [*self._checkpoint["channel_values"].get("messages", ()), *messages]
        return known if self.recent is None else known[-self.recent :]

    def _put(self, source: str, step: int, values: dict[str, Any], consumed: str | None = None) -> None:
        """The checkpoint after this one: these channels have new values, and that one is empty again."""
        checkpoint = copy_checkpoint(self._checkpoint)
        versions = checkpoint["channel_versions"]
        new = dict.fromkeys(values, self._saver.get_next_version(max(versions.values(), default=None), None))
        if consumed is not None:
            checkpoint["channel_values"].pop(consumed, None)
            checkpoint["versions_seen"][consumed] = {consumed: versions[consumed]}
            new[consumed] = next(iter(new.values()))
        checkpoint["channel_values"] |= values
        checkpoint["channel_versions"] = {**versions, **new}
        checkpoint["updated_channels"] = sorted(new)
        checkpoint["id"] = str(uuid6(clock_seq=step))
        self._config = self._saver.put(
            self._config, checkpoint, {"source": source, "step": step, "parents": {}}, new
        )
        self._checkpoint = checkpoint

    async def texts(self) -> list[str]:
        found = self._saver.get_tuple(_THREAD)
        return [message.text for message in found.checkpoint["channel_values"]["messages"]]

    async def close(self) -> None:
        if self.is_ours:
            self._saver.close()
            self._store.close()
        else:
            self._connection.close()
