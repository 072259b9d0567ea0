"""Talks of Strands: `FileSessionManager`, and its `RepositorySessionManager` on our repository."""

import os
from pathlib import Path
from typing import Any

from strands import Agent
from strands.models import Model
from strands.session import FileSessionManager, RepositorySessionManager

from journal.adapters.strands import JournalSessionRepository
from talks.talk import Talk


class _Silent(Model):
    """A model that nobody asks."""

    def get_config(self) -> Any:
        return {}

    def update_config(self, **config: Any) -> None:
        return

    async def structured_output(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError

    async def stream(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError


class _Synced(FileSessionManager):
    """Each file, and its name, on the disk when a call returns."""

    def _write_file(self, path: str, data: dict[str, Any]) -> None:
        super()._write_file(path, data)
        for each in (path, Path(path).parent):
            fd = os.open(each, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)


class StrandsTalk(Talk):
    """An agent's hooks append and sync each message, and sync once more when the turn is over.

    The agent has the messages in memory; it reads them only when it is made. In each turn its conversation
    manager takes the oldest two of them away, which is a change of its state.
    """

    THEIRS = "FileSessionManager (a file for each message)"
    AS_IT_COMES = "os"

    async def open(self) -> None:
        if self.is_ours:
            repository = JournalSessionRepository(self.folder, durability=self.durability)
            self._manager: Any = RepositorySessionManager("talk", repository)
        else:
            kind = FileSessionManager if self.durability == "os" else _Synced
            self._manager = kind("talk", storage_dir=str(self.folder))
        self._agent = Agent(
            agent_id="agent", model=_Silent(), session_manager=self._manager, callback_handler=None
        )

    def messages(self) -> Any:
        said = ("user", self.question), ("assistant", self.answer)
        return [{"role": role, "content": [{"text": text}]} for role, text in said]

    async def write(self, messages: Any) -> None:
        for message in messages:
            self._agent.messages.append(message)
            self._manager.append_message(message, self._agent)
            self._manager.sync_agent(self._agent)
        self._agent.conversation_manager.apply_management(self._agent)
        self._manager.sync_agent(self._agent)

    async def texts(self) -> list[str]:
        stored = self._manager.session_repository.list_messages("talk", "agent")
        return [each.message["content"][0]["text"] for each in stored]

    async def close(self) -> None:
        if self.is_ours:
            self._manager.session_repository.close()
