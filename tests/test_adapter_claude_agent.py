"""Transcripts of Claude agents in journals: what the SDK's contracts say, and what a journal adds."""

import asyncio
import tempfile
import threading
import uuid
from datetime import UTC, datetime

import pytest

pytest.importorskip("claude_agent_sdk", reason="needs claude-agent-sdk")

from claude_agent_sdk import fold_session_summary, fork_session_via_store, project_key_for_directory
from claude_agent_sdk.testing import run_session_store_conformance
from hypothesis import example, given
from hypothesis import strategies as st

from journal import AsyncStateStore, InvalidEventError, JournalWarning, StateStore, kept
from journal.adapters.claude_agent import JournalSessionStore
from journal.adapters.ids import joined
from tests.strategies import a_store, some

KEY = {"project_key": "proj", "session_id": "sess"}
AGENT = {**KEY, "subpath": "subagents/agent-1"}
LONG = {"project_key": "p" * 180, "session_id": "s" * 36, "subpath": "subagents/deep/agent-1"}


def said(text, **keys):
    return {"type": "user", "message": {"role": "user", "content": text}, **keys}


def store_in(folder, **options):
    return JournalSessionStore(AsyncStateStore(folder, durability="os"), **options)


def run(main, folder):
    """What `main(sessions)` returns, in an event loop of its own."""

    async def all_of_it():
        async with AsyncStateStore(folder, durability="os") as store:
            return await main(JournalSessionStore(store))

    return asyncio.run(all_of_it())


def test_the_sdks_own_contracts_hold(tmp_path):
    opened = []

    def fresh():
        opened.append(AsyncStateStore(tempfile.mkdtemp(dir=tmp_path), durability="os"))
        return JournalSessionStore(opened[-1])

    async def main():
        await run_session_store_conformance(fresh)
        for store in opened:
            await store.close()

    asyncio.run(main())

    assert len(opened) > 14


batches = st.lists(
    st.tuples(st.sampled_from("abcdef") | st.none(), st.text(max_size=2)), min_size=1, max_size=3
)
DEEDS = st.one_of(
    st.tuples(st.just("append"), batches),
    st.tuples(st.just("rewind"), st.integers(0, 30)),
    st.tuples(st.just("reopen"), st.none()),
)


@some
@given(st.lists(DEEDS, max_size=12))
@example([("append", [("a", ""), ("b", "")]), ("rewind", 2), ("append", [("b", ""), ("a", "")])])
def test_it_says_what_a_list_would_say(deeds):
    """Each `uuid` once; what a rewind took away may come again."""

    async def main(folder, other):
        sessions, there, then = store_in(folder), [], {0: [], 1: [], 2: []}
        journal_id = sessions.journal_id(KEY)
        for deed, about in deeds:
            version = max(then)
            match deed:
                case "append":
                    batch = [said(text, uuid=id) if id else said(text) for id, text in about]
                    for entry in batch:
                        if "uuid" not in entry or entry["uuid"] not in [each.get("uuid") for each in there]:
                            there.append(entry)
                            then[max(then) + 1] = list(there)
                    await sessions.append(KEY, batch)
                case "rewind" if version > 2:
                    to = 1 + about % version
                    there = list(then[to])
                    then[version + 1] = list(there)
                    other.rewind(journal_id, to)
                case "reopen":
                    await sessions._store.close()
                    sessions = store_in(folder)
            assert await sessions.load(KEY) == (there if max(then) > 2 else None)
        await sessions._store.close()
        if max(then) > 2:
            assert (other.verify(journal_id).ok, other.verify(journal_id).version) == (True, max(then))

    with a_store(durability="os") as other:
        asyncio.run(main(other.base_path, other))


def test_appends_of_one_loop_stay_in_the_order_of_their_calls(folder):
    async def main(sessions):
        await asyncio.gather(*(sessions.append(KEY, [said(str(number))]) for number in range(40)))
        return [entry["message"]["content"] for entry in await sessions.load(KEY)]

    assert run(main, folder) == [str(number) for number in range(40)]


def test_many_writers_lose_nothing_and_double_nothing(folder):
    """Threads with loops and stores of their own; each batch is written by two of them, as a retry would."""

    def work(name):
        async def main(sessions):
            for number in range(10):
                await sessions.append(
                    KEY, [said(f"{name} {number}", uuid=f"{name}{n}{number}") for n in "ab"]
                )

        run(main, folder)

    threads = [threading.Thread(target=work, args=(name,)) for name in "xyxy"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [entry["uuid"] for entry in run(lambda sessions: sessions.load(KEY), folder)]

    assert sorted(found) == sorted(
        f"{name}{n}{number}" for name in "xy" for n in "ab" for number in range(10)
    )


@pytest.mark.parametrize("key", [AGENT, LONG], ids=["short", "long"])
def test_keys_of_any_length_are_listed_and_deleted(folder, key):
    """An id that is too long to hold its key is known by what is on record."""
    main_key = {name: key[name] for name in KEY}

    async def main(sessions):
        await sessions.append(key, [said("agent")])
        await sessions.append(main_key, [said("main")])
        await sessions.append({**main_key, "session_id": "other"}, [said("other")])
        listed = sorted(each["session_id"] for each in await sessions.list_sessions(key["project_key"]))
        subkeys = await sessions.list_subkeys(main_key)
        await sessions.delete(main_key)
        left = [await sessions.load(each) for each in (key, main_key)]
        return listed, subkeys, left, await sessions.list_subkeys(main_key)

    listed, subkeys, left, none = run(main, folder)

    assert listed == sorted([key["session_id"], "other"])
    assert (subkeys, left, none) == ([key["subpath"]], [None, None], [])
    with StateStore(folder) as store:
        assert len(store.tombstones()) == 2


def test_other_sessions_of_the_store_are_none_of_the_sdks(folder):
    with StateStore(folder, durability="os") as store:
        for session_id in ("plain", joined("adk", "proj", "user", "s")):
            store.get_or_create_session("u", session_id)

    assert run(lambda sessions: sessions.list_sessions("proj"), folder) == []


def test_when_a_session_was_written_last_is_the_time_of_its_last_record(folder):
    async def main(sessions):
        before = datetime.now(UTC).timestamp() * 1000
        await sessions.append(KEY, [said("hello", timestamp="2020-01-01T00:00:00Z")])
        (listed,) = await sessions.list_sessions("proj")
        (summary,) = await sessions.list_session_summaries("proj")
        return before, listed["mtime"], datetime.now(UTC).timestamp() * 1000, summary["mtime"]

    before, listed, after, summary = run(main, folder)

    assert int(before) <= listed <= after
    assert summary == listed


def test_summaries_are_the_sdks_fold_and_only_what_changed_is_read(folder, monkeypatch):
    entries = [said("first", timestamp="2026-01-01T00:00:00Z"), {"type": "custom-title", "customTitle": "T"}]

    async def main(sessions):
        for session_id in "abc":
            await sessions.append({**KEY, "session_id": session_id}, entries)
        await sessions.list_session_summaries("proj")
        await sessions.append({**KEY, "session_id": "b"}, [said("more", gitBranch="main")])
        read, project = [], sessions._store.project
        monkeypatch.setattr(sessions._store, "project", lambda fold, id: read.append(id) or project(fold, id))
        return read, {
            each["session_id"]: each["data"] for each in await sessions.list_session_summaries("proj")
        }

    read, found = run(main, folder)
    expected = fold_session_summary(None, KEY, entries)["data"]

    assert found == {"a": expected, "b": {**expected, "git_branch": "main"}, "c": expected}
    assert read == ["claude-agent+proj+b"]


def test_a_session_that_cannot_be_read_is_told(folder):
    async def main(sessions):
        for session_id in "ab":
            await sessions.append({**KEY, "session_id": session_id}, [said("hello")])

    run(main, folder)
    path = folder / "sessions/claude-agent+proj+a.jsonl"
    path.write_bytes(path.read_bytes().replace(b"hello", b"hallo"))
    (folder / "sessions/claude-agent+proj+a.json").unlink()
    with pytest.warns(JournalWarning, match=r"'claude-agent\+proj\+a' is not listed"):
        listed = run(lambda sessions: sessions.list_sessions("proj"), folder)

    assert [each["session_id"] for each in listed] == ["b"]


def test_nothing_is_written_where_one_entry_cannot_be(folder):
    async def main(sessions):
        await sessions.append(KEY, [said("first")])
        with pytest.raises(InvalidEventError):
            await sessions.append(KEY, [said("before"), said("x", bad=float("inf"))])
        return await sessions.load(KEY)

    assert run(main, folder) == [said("first")]


def test_the_sdk_forks_and_so_does_the_store(folder, tmp_path):
    """The SDK's fork gives entries new ids, and Claude Code goes on with it; the store's is a copy."""
    key = {"project_key": project_key_for_directory(str(tmp_path)), "session_id": str(uuid.uuid4())}
    ids = [str(uuid.uuid4()) for _ in range(3)]
    entries = [
        {**said(text), "uuid": id, "parentUuid": parent, "sessionId": key["session_id"]}
        for text, id, parent in zip("abc", ids, [None, *ids], strict=False)
    ]

    async def main(sessions):
        await sessions.append(key, entries)
        forked = await fork_session_via_store(
            sessions, key["session_id"], str(tmp_path), up_to_message_id=ids[1]
        )
        theirs = await sessions.load({**key, "session_id": forked.session_id})
        copy = {**key, "session_id": "copy"}
        await sessions._store.fork(sessions.journal_id(key), at=4, new_id=sessions.journal_id(copy))
        return theirs, await sessions.load(copy), (await sessions._store.verify()).ok

    theirs, ours, is_ok = run(main, folder)

    assert [entry["message"]["content"] for entry in theirs if entry["type"] == "user"] == ["a", "b"]
    assert ours == entries[:2]
    assert is_ok


def test_what_is_erased_is_gone_for_the_sdk_and_on_disk(folder):
    async def main(sessions):
        await sessions.append(
            KEY, [said("hello", uuid="1"), said("the secret plan", uuid="2"), said("thanks")]
        )
        journal_id = sessions.journal_id(KEY)
        await sessions._store.erase(journal_id, [4], reason="asked for")
        return await sessions.load(KEY), (await sessions._store.verify(journal_id)).ok

    assert run(main, folder) == ([said("hello", uuid="1"), said("thanks")], True)
    assert not [path for path in folder.rglob("*") if path.is_file() and b"secret plan" in path.read_bytes()]


def test_what_was_said_is_in_the_session_of_its_owner_and_can_be_found(folder):
    async def main(sessions):
        await sessions.append(KEY, [said("Where is the bug?")])
        await JournalSessionStore(sessions._store, user_id="ann").append(AGENT, [said("Look for it.")])
        store = sessions._store
        session, agents = [await store.load_session(sessions.journal_id(key)) for key in (KEY, AGENT)]
        hits = await store.search("bug")
        return (
            session.user_id,
            agents.user_id,
            session.user_messages[0].content,
            [hit.address for hit in hits],
        )

    assert run(main, folder) == ("proj", "ann", "Where is the bug?", ["claude-agent+proj+sess@3"])


def test_an_append_reads_only_what_is_new(folder, monkeypatch):
    async def main(sessions):
        await sessions.append(KEY, [said(str(number), uuid=str(number)) for number in range(50)])
        await sessions.append(KEY, [said("50")])
        read, decode = [], kept.decode_record
        monkeypatch.setattr(kept.Kept, "_begin", None)  # a whole pass would fail
        monkeypatch.setattr(kept, "decode_record", lambda line: read.append("one") or decode(line))
        for number in range(51, 56):
            await sessions.append(KEY, [said(str(number))])
        return len(read), len(await sessions.load(KEY))

    assert run(main, folder) == (5, 56)
