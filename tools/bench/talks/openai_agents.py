"""Talks of OpenAI's Agents SDK: `SQLiteSession`, and ours."""

from typing import Any

from agents import SQLiteSession

from journal import AsyncStateStore
from journal.adapters.openai_agents import JournalSession
from talks.talk import Talk
from talks.unsynced import open_unsynced


class OpenAITalk(Talk):
    """The runner gets the items, adds the user's message, and adds the agent's."""

    THEIRS = "SQLiteSession (SQLite, WAL)"
    AS_IT_COMES = "disk"

    async def open(self) -> None:
        if self.is_ours:
            self._store = AsyncStateStore(self.folder, durability=self.durability)
            self._session: Any = JournalSession("talk", self._store)
            return
        if self.durability == "os":
            open_unsynced(self.folder)
        self._session = SQLiteSession("talk", self.folder / "talk.db")

    def messages(self) -> Any:
        said = {"type": "output_text", "text": self.answer, "annotations": [], "logprobs": []}
        reply = {"id": f"msg_{self.turns}", "type": "message", "role": "assistant", "status": "completed"}
        return {"role": "user", "content": self.question}, {**reply, "content": [said]}

    async def read(self) -> None:
        await self._session.get_items(self.recent)

    async def write(self, messages: Any) -> None:
        for item in messages:
            await self._session.add_items([item])

    async def texts(self) -> list[str]:
        contents = [item["content"] for item in await self._session.get_items()]
        return [each if isinstance(each, str) else each[0]["text"] for each in contents]

    async def close(self) -> None:
        if self.is_ours:
            await self._store.close()
        else:
            self._session.close()
