"""Strands' sessions in journals: what Strands sees, what the journal has, and that the two agree."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("strands")

from strands.session.repository_session_manager import RepositorySessionManager
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from journal import StateStore
from journal.adapters.patches import patch, patched
from journal.adapters.strands import JournalSessionRepository, journal_id
from journal.questions import Questions
from projections import (
    AgentResponseAdded,
    CustomEvent,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from tests.strategies import a_store, json_values, some, texts

ID = journal_id("s")


@pytest.fixture
def repository(store):
    """A repository with a session "s" and an agent "a" in it."""
    made = JournalSessionRepository(store)
    begin(made)
    return made


def begin(repository: JournalSessionRepository) -> None:
    repository.create_session(Session("s", SessionType.AGENT))
    repository.create_agent("s", SessionAgent("a", {"k": 1}, {}))


def add(
    repository: JournalSessionRepository, number: int, *blocks: Any, role: str = "user"
) -> SessionMessage:
    """Store a message of these blocks."""
    message = SessionMessage.from_message({"role": role, "content": list(blocks)}, number)
    repository.create_message("s", "a", message)
    return message


def texts_of(repository: JournalSessionRepository, session_id: str = "s", **page: Any) -> list[str]:
    """The first texts of the messages that Strands sees."""
    return [
        each.to_message()["content"][0]["text"] for each in repository.list_messages(session_id, "a", **page)
    ]


def files(store: StateStore) -> list[Path]:
    """Everything that the store keeps."""
    return [path for path in Path(store.base_path).rglob("*") if path.is_file()]


def blocks() -> st.SearchStrategy[dict[str, Any]]:
    """Blocks of all kinds, with and without what a journal has no place of its own for."""
    other = st.dictionaries(st.sampled_from(["more", "text2"]), json_values(), max_size=1)
    return st.one_of(
        st.builds(lambda words, more: {"text": words, **more}, texts(), other),
        st.builds(
            lambda words, signed, more: {
                "reasoningContent": {"reasoningText": {"text": words, **signed}, **more}
            },
            texts(),
            st.fixed_dictionaries({}, optional={"signature": st.none() | texts()}),
            other,
        ),
        st.builds(
            lambda given, more: {"toolUse": {"toolUseId": "t", "name": "f", "input": given, **more}},
            json_values(),
            other,
        ),
        st.builds(
            lambda found, status: {"toolResult": {"toolUseId": "t", "content": found, **status}},
            st.lists(st.fixed_dictionaries({"json": json_values()}), max_size=2),
            st.fixed_dictionaries({}, optional={"status": st.sampled_from(["success", "error"])}),
        ),
        st.builds(
            lambda data: {"image": {"format": "png", "source": {"bytes": data}}}, st.binary(max_size=9)
        ),
        st.dictionaries(texts(), json_values(), max_size=2),
    )


@some
@given(
    contents=st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), st.lists(blocks(), max_size=3)), max_size=4
    )
)
def test_each_message_comes_back_as_it_was(contents):
    """Whatever its blocks are, and from another process as well."""
    with a_store() as store:
        repository = JournalSessionRepository(store)
        begin(repository)
        made = [add(repository, number, *said, role=role) for number, (role, said) in enumerate(contents)]

        assert repository.list_messages("s", "a") == made
        with JournalSessionRepository(store.base_path, durability="os") as again:
            assert again.list_messages("s", "a") == made


def test_what_json_has_no_place_for_comes_back_too(repository):
    """Integers past 64 bits, and JSON nested deeper than a record may be."""
    deep: Any = 2**70
    for _ in range(120):
        deep = [deep]
    message = add(repository, 0, {"toolUse": {"toolUseId": "t", "name": "f", "input": {"deep": deep}}})
    repository.update_agent("s", SessionAgent("a", {"big": 2**70}, {}))

    assert repository.read_message("s", "a", 0) == message
    assert repository.read_agent("s", "a").state == {"big": 2**70}


def test_blocks_are_records_of_their_kinds(repository, store):
    add(repository, 0, {"text": "Weather in Lima?"})
    add(
        repository,
        1,
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "signed"}}},
        {"text": "Let me look."},
        {"toolUse": {"toolUseId": "t", "name": "look", "input": {"city": "Lima"}}},
        role="assistant",
    )
    add(repository, 2, {"toolResult": {"toolUseId": "t", "status": "error", "content": [{"text": "no"}]}})
    typed = [
        record.event
        for record in store.records(ID)
        if not isinstance(record.event, CustomEvent) and record.seq > 1
    ]

    assert [type(event) for event in typed] == [
        UserMessageAdded,
        ReasoningAdded,
        AgentResponseAdded,
        ToolCalled,
        ToolReturned,
    ]
    assert isinstance(typed[-1], ToolReturned)
    assert typed[-1].is_error
    session = store.load_session(ID)
    assert session is not None
    assert [message.content for message in session.user_messages] == ["Weather in Lima?"]
    assert [message.content for message in session.agent_responses] == ["Let me look."]
    assert session.user_id == "user"
    assert [hit.session_id for hit in store.search("weather")] == [ID]
    assert store.verify(ID).ok


def test_what_is_not_there_is_none_or_told(store):
    repository = JournalSessionRepository(store)
    message = SessionMessage.from_message({"role": "user", "content": []}, 0)
    agent = SessionAgent("a", {}, {})
    group: Any = SimpleNamespace(id="g", serialize_state=dict)

    assert repository.read_session("s") is None
    for _ in range(2):
        assert repository.read_agent("s", "a") is None
        assert repository.read_message("s", "a", 0) is None
        assert repository.read_multi_agent("s", "g") is None
        for refused in (
            lambda: repository.update_agent("s", agent),
            lambda: repository.update_message("s", "a", message),
            lambda: repository.create_message("s", "a", message),
            lambda: repository.list_messages("s", "a"),
            lambda: repository.update_multi_agent("s", group),
        ):
            with pytest.raises(SessionException, match="does not exist"):
                refused()
        if repository.read_session("s") is None:
            repository.create_session(Session("s", SessionType.AGENT))


def test_nothing_is_stored_twice_and_nothing_overwritten(repository, store):
    """The same message again is a retry; another one of its number is refused."""
    message = add(repository, 0, {"text": "one"})
    version = store.append(ID, [], expected_version=-1)
    repository.create_message("s", "a", message)

    assert store.append(ID, [], expected_version=-1) == version
    with pytest.raises(SessionException, match="already exists"):
        add(repository, 0, {"text": "two"})
    with pytest.raises(SessionException, match="already exists"):
        begin(repository)
    with pytest.raises(SessionException, match="already exists"):
        repository.create_agent("s", SessionAgent("a", {"k": 2}, {}))
    with pytest.raises(ValueError, match="must be an integer"):
        repository.create_message("s", "a", SessionMessage.from_message({"role": "user", "content": []}, "0"))
    assert texts_of(repository) == ["one"]


@some
@given(numbers=st.permutations(range(6)), offset=st.integers(0, 7), limit=st.none() | st.integers(0, 7))
def test_messages_are_listed_by_their_numbers(numbers, offset, limit):
    with a_store() as store:
        repository = JournalSessionRepository(store)
        begin(repository)
        for number in numbers:
            add(repository, number, {"text": str(number)})
        expected = list("012345")[offset : None if limit is None else offset + limit]

        assert texts_of(repository, offset=offset, limit=limit) == expected


def test_an_agent_costs_what_changed_of_it(repository, journal_file):
    created = repository.read_agent("s", "a").created_at
    repository.update_agent("s", SessionAgent("a", {"k": 1, "long": "x" * 10_000}, {}))
    before = journal_file(ID).stat().st_size
    repository.update_agent("s", SessionAgent("a", {"long": "x" * 10_000, "m": 2}, {"n": 0}))

    assert journal_file(ID).stat().st_size - before < 1000
    agent = repository.read_agent("s", "a")
    assert (agent.state, agent.conversation_manager_state) == ({"long": "x" * 10_000, "m": 2}, {"n": 0})
    assert agent.created_at == created


@given(
    before=st.dictionaries(texts(), json_values(), max_size=4),
    after=st.dictionaries(texts(), json_values(), max_size=4),
)
def test_a_patch_leads_to_what_it_was_made_for(before, after):
    assert patched(before, patch(before, after)) == after
    assert patch(after, after) == {}


def test_a_group_of_agents_keeps_its_state(repository):
    group: Any = SimpleNamespace(id="g", serialize_state=lambda: {"step": 1, "done": ["x"], "old": 1})
    repository.create_multi_agent("s", group)
    group.serialize_state = lambda: {"step": 2, "done": ["x"]}
    repository.update_multi_agent("s", group)
    repository.read_multi_agent("s", "g")["done"].append("mine")

    assert repository.read_multi_agent("s", "g") == {"step": 2, "done": ["x"]}


def test_a_redacted_message_says_something_else_and_its_history_stays(repository, store):
    """Until the record is erased; then what is said instead remains."""
    message = add(repository, 0, {"text": "secret"})
    created = message.created_at
    message.redact_message = {"role": "user", "content": [{"text": "[hidden]"}]}
    message.created_at = "now"
    repository.update_message("s", "a", message)
    redacted = repository.read_message("s", "a", 0)

    assert (redacted.created_at, redacted.message["content"]) == (created, [{"text": "secret"}])
    assert texts_of(repository) == ["[hidden]"]

    store.erase(ID, [4], reason="asked for")

    assert texts_of(repository) == ["[hidden]"]
    assert all(b"secret" not in file.read_bytes() for file in files(store))


def test_a_changed_message_is_what_it_became(repository):
    message = add(repository, 0, {"text": "one"})
    message.message["content"] = [{"text": "two"}]
    repository.update_message("s", "a", message)

    assert repository.read_message("s", "a", 0) == message
    assert texts_of(repository) == ["two"]


def test_a_rewind_shows_what_was_there(repository, store):
    for number in range(3):
        add(repository, number, {"text": str(number)})
    repository.update_agent("s", SessionAgent("a", {"k": 2}, {}))
    store.rewind(ID, to=5)

    assert (texts_of(repository), repository.read_agent("s", "a").state) == (["0", "1"], {"k": 1})
    add(repository, 2, {"text": "else"})
    assert texts_of(repository) == ["0", "1", "else"]
    store.rewind(ID, to=7)
    assert (texts_of(repository), repository.read_agent("s", "a").state) == (["0", "1", "2"], {"k": 2})


def test_what_was_erased_is_gone(repository, store):
    """A block of a message, or all of it; the session's and the agent's own records, too."""
    add(repository, 0, {"text": "secret one"})
    add(repository, 1, {"text": "kept"}, {"text": "secret two"}, role="assistant")
    store.erase(ID, [2, 3, 4, 7], reason="asked for")

    assert [each.message["content"] for each in repository.list_messages("s", "a")] == [[{"text": "kept"}]]
    assert repository.read_agent("s", "a") is None
    assert repository.read_session("s").session_id == "s"
    repository.create_agent("s", SessionAgent("a", {"k": 3}, {}))
    assert repository.read_agent("s", "a").state == {"k": 3}
    assert all(b"secret" not in file.read_bytes() for file in files(store))
    assert store.verify(ID).ok


def test_a_fork_is_a_session_of_its_own(repository, store):
    for number in range(2):
        add(repository, number, {"text": str(number)})
    store.fork(ID, at=4, new_id=journal_id("fork"))
    manager = RepositorySessionManager("fork", repository)
    message = SessionMessage.from_message({"role": "user", "content": [{"text": "else"}]}, 1)
    repository.create_message("fork", "a", message)

    assert manager.session.session_id == "fork"
    assert (texts_of(repository, "fork"), texts_of(repository)) == (["0", "else"], ["0", "1"])


def test_a_deleted_session_leaves_a_tombstone(repository, store):
    repository.delete_session("s")

    assert repository.read_session("s") is None
    assert [each.id for each in store.tombstones()] == [ID]
    with pytest.raises(SessionException, match="does not exist"):
        repository.delete_session("s")


def test_any_text_may_be_an_id(store):
    repository = JournalSessionRepository(store, user_id="ada")
    repository.create_session(Session("../s", SessionType.AGENT))

    assert repository.read_session("../s").session_id == "../s"
    assert [each.user_id for each in store.list_sessions()] == ["ada"]


def test_nothing_is_lost_among_many_writers(folder, store, repository):
    """Several agents of one session, each in a thread of its own and with a store of its own."""

    def write(agent_id: str) -> None:
        with JournalSessionRepository(folder, durability="os") as own:
            own.create_agent("s", SessionAgent(agent_id, {}, {}))
            for number in range(10):
                message = {"role": "user", "content": [{"text": f"{agent_id}{number}"}]}
                own.create_message("s", agent_id, SessionMessage.from_message(message, number))
                repository.read_agent("s", agent_id)

    threads = [threading.Thread(target=write, args=[name]) for name in "bcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for name in "bcd":
        found = [each.message["content"][0]["text"] for each in repository.list_messages("s", name)]
        assert found == [f"{name}{number}" for number in range(10)]
    assert store.verify(ID).ok


def test_two_that_write_one_number_are_told(folder, repository):
    """Files would be overwritten."""
    with JournalSessionRepository(folder, durability="os") as other:
        other.read_agent("s", "a")
        add(repository, 0, {"text": "mine"})

        with pytest.raises(SessionException, match="already exists"):
            add(other, 0, {"text": "theirs"})
        assert texts_of(other) == ["mine"]


def test_who_is_overtaken_in_the_last_moment_is_told_too(folder, repository, store, monkeypatch):
    append = store.append

    def overtaken(*arguments, **options):
        monkeypatch.setattr(store, "append", append)
        with JournalSessionRepository(folder, durability="os") as other:
            add(other, 0, {"text": "theirs"})
        return append(*arguments, **options)

    monkeypatch.setattr(store, "append", overtaken)

    with pytest.raises(SessionException, match="already exists"):
        add(repository, 0, {"text": "mine"})
    assert texts_of(repository) == ["theirs"]


def test_a_turn_reads_only_what_is_new(repository, monkeypatch):
    add(repository, 0, {"text": "0"})
    monkeypatch.setattr(Questions, "_records", None)  # a whole pass would fail
    monkeypatch.setattr(repository._store, "records", None)
    for number in range(1, 10):
        add(repository, number, {"text": str(number)})
        repository.update_agent("s", SessionAgent("a", {"k": number}, {}))

        assert texts_of(repository, offset=number) == [str(number)]
