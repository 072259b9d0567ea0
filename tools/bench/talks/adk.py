"""Talks of Google ADK: `SqliteSessionService`, and ours."""

from typing import Any

from google.adk.events.event import Event
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai.types import Content, Part

from journal.adapters.adk import JournalSessionService
from talks.talk import Talk
from talks.unsynced import open_unsynced

_NAMES: dict[str, Any] = {"app_name": "bench", "user_id": "u", "session_id": "talk"}


class AdkTalk(Talk):
    """The runner gets the session, appends the user's event, and appends the agent's."""

    THEIRS = "SqliteSessionService (SQLite, rollback journal)"
    AS_IT_COMES = "disk"

    async def open(self) -> None:
        if not self.is_ours and self.durability == "os":
            open_unsynced(self.folder)
        self._service: Any = (
            JournalSessionService(self.folder, durability=self.durability)
            if self.is_ours
            else SqliteSessionService(str(self.folder / "talk.db"))
        )
        self._config = None if self.recent is None else GetSessionConfig(num_recent_events=self.recent)
        await self.read()
        if self._session is None:
            self._session: Any = await self._service.create_session(**_NAMES)

    def messages(self) -> Any:
        said = ("user", "user", self.question), ("agent", "model", self.answer)
        return [
            Event(
                invocation_id=f"e-{self.turns}",
                author=author,
                content=Content(role=role, parts=[Part(text=text)]),
            )
            for author, role, text in said
        ]

    async def read(self) -> None:
        self._session = await self._service.get_session(**_NAMES, config=self._config)

    async def write(self, messages: Any) -> None:
        for event in messages:
            await self._service.append_event(self._session, event)

    async def texts(self) -> list[str]:
        session = await self._service.get_session(**_NAMES)
        return [event.content.parts[0].text for event in session.events]

    async def close(self) -> None:
        await self._service.close()
