"""A replay: the record answers, nothing runs, and the first difference is told."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import AsyncStateStore, StateStore
from journal.errors import InvalidEventError, SessionNotFoundError
from projections import Redaction, UserMessageAdded
from tests.strategies import a_store, some, texts


@pytest.fixture
def store(tmp_path):
    with StateStore(tmp_path / "state") as store:
        yield store


class Agent:
    """A program that asks a model, uses a tool, and answers; it counts what really runs."""

    def __init__(self, tool="add", answer="It is {}.", extra=()):
        self.tool, self.answer, self.extra = tool, answer, extra
        self.ran = []

    def model(self, text):
        self.ran.append("model")
        return {"a": len(text), "b": 2}

    def add(self, a, b):
        self.ran.append("tool")
        return a + b

    def turn(self, live):
        text = live.state.user_messages[-1].content
        plan = live.step("model", self.model, text)
        total = live.run_tool(self.tool, self.add, plan)
        for name in self.extra:
            live.run_tool(name, self.add, plan)
        live.set_metadata("total", total)
        live.add_agent_response(self.answer.format(total))
        return total


def recorded(store, *texts):
    agent = Agent()
    with store.open_session("s", user_id="ada") as live:
        for text in texts:
            live.add_user_message(text)
            agent.turn(live)
    return len(list(store.records("s")))


def test_the_same_program_does_the_same_and_nothing_runs(store):
    size = recorded(store, "one", "three")
    agent = Agent()
    replayed = store.replay("s", agent.turn)

    assert (replayed.divergence, agent.ran, replayed.result) == (None, [], 7)
    assert replayed.served == 2 * 5
    assert len(list(store.records("s"))) == size
    assert store.session_ids() == ["s"]


def test_a_program_that_adds_the_messages_itself_is_called_once(store):
    recorded(store, "one", "three")
    agent = Agent()
    calls = []

    def program(live):
        calls.append(1)
        for text in ("one", "three"):
            live.add_user_message(text)
            agent.turn(live)

    assert store.replay("s", program).divergence is None
    assert (len(calls), agent.ran) == (1, [])


@pytest.mark.parametrize(
    ("agent", "version", "recorded_as", "asked_as"),
    [
        (Agent(tool="sum"), 4, '"name":"add"', '"name":"sum"'),
        (Agent(answer="{}!"), 7, "It is 5.", "5!"),
        (Agent(extra=["more"]), 6, "metadata_set", '"name":"more"'),
    ],
)
def test_the_first_difference_is_told_side_by_side(store, agent, version, recorded_as, asked_as):
    recorded(store, "one")
    replayed = store.replay("s", agent.turn)
    said = str(replayed.divergence).splitlines()

    assert replayed.divergence.version == version
    assert said[0] == f"the replay differs at record {version}"
    assert recorded_as in said[1]
    assert asked_as in said[2]
    assert agent.ran == []


def test_another_prompt_is_a_difference(store):
    recorded(store, "one")
    replayed = store.replay("s", lambda live: live.step("model", lambda text: text, "ONE"))

    assert (replayed.divergence.recorded["arguments"], replayed.divergence.asked["arguments"]) == (
        ["one"],
        ["ONE"],
    )


def test_what_is_asked_beyond_the_record_and_what_is_left_of_it_are_told(store):
    recorded(store, "one")
    agent = Agent()

    def more(live):
        agent.turn(live)
        live.add_agent_response("and more")

    beyond = store.replay("s", more).divergence
    short = store.replay("s", lambda live: live.step("model", agent.model, "one")).divergence

    assert (beyond.version, beyond.recorded, beyond.asked["content"]) == (0, None, "and more")
    assert (short.version, short.asked) == (4, None)


def test_a_step_that_nobody_asks_for_is_told(store):
    with store.open_session("s", user_id="ada") as live:
        live.step("a", lambda: 1)
        live.add_agent_response("done")
    divergence = store.replay("s", lambda live: live.add_agent_response("done")).divergence

    assert "turn:0/a#1" in str(divergence)


def test_a_program_cannot_swallow_the_end(store):
    recorded(store, "one")

    def stubborn(live):
        while True:
            try:
                live.add_agent_response("wrong")
            except Exception:
                continue

    assert store.replay("s", stubborn).divergence.version == 4


def test_errors_of_tools_and_steps_come_from_the_record(store):
    def bad(*args):
        raise ValueError("no")

    def program(function):
        def turn(live):
            seen = []
            for call in (lambda: live.run_tool("t", function), lambda: live.step("s", function)):
                try:
                    call()
                except ValueError as error:
                    seen.append(str(error))
            live.add_agent_response(" ".join(seen))

        return turn

    with store.open_session("s", user_id="ada") as live:
        program(bad)(live)

    assert store.replay("s", program(None)).divergence is None


def test_a_block_that_nothing_could_keep_from_running_is_refused(store):
    with store.open_session("s", user_id="ada") as live, live.tool_call("pay", {}) as call:
        call.result = 1
    ran = []

    def program(live):
        with live.tool_call("pay", {}):
            ran.append(1)

    with pytest.raises(InvalidEventError, match="run_tool"):
        store.replay("s", program)
    assert ran == []


def test_the_state_is_what_it_was_then(store):
    recorded(store, "one", "three")
    seen = []

    def program(live):
        seen.append((len(live.state.user_messages), live.state.metadata.get("total")))
        Agent().turn(live)

    store.replay("s", program)

    assert seen == [(1, None), (2, 5)]


def test_the_prompt_is_what_it_was_then(store):
    with store.open_session("s", user_id="ada") as live:
        for word in ("one", "two"):
            live.add_user_message(word)
            live.step("model", len, live.messages())
            live.add_agent_response(word)

    def program(live):
        live.step("model", len, live.messages())
        live.add_agent_response(live.state.user_messages[-1].content)

    assert store.replay("s", program).divergence is None


def test_what_was_rewound_is_not_asked_for(store):
    recorded(store, "one")
    store.rewind("s", to=2)
    with store.open_session("s") as live:
        live.add_agent_response("never mind")

    assert store.replay("s", lambda live: live.add_agent_response("never mind")).divergence is None


def test_what_was_erased_answers_for_its_kind(store):
    recorded(store, "one")
    store.erase("s", [7], reason="asked for")

    assert store.replay("s", Agent().turn).divergence is None


def test_another_message_in_between_disturbs_no_step(store):
    with store.open_session("s", user_id="ada") as live:
        live.add_user_message("one")
        live.step("a", lambda: 1)
        with store.open_session("s") as other:
            other.add_user_message("hurry")
        live.step("a", lambda: 2)
    seen = []

    def program(live):
        seen.extend(live.step("a", None) for _ in range(2))

    assert store.replay("s", program).divergence is None
    assert seen == [1, 2]


def test_secrets_are_compared_as_they_are_stored(tmp_path):
    key = "sk-ant-api03-" + "a1B2" * 12

    def program(live):
        live.step("ask", len, key)
        live.run_tool("use", lambda text: 1, {"text": key})
        live.add_agent_response(f"I used {key}")

    with StateStore(tmp_path, redact=Redaction()) as store:
        with store.open_session("s", user_id="u") as live:
            program(live)

        assert store.replay("s", program).divergence is None


def test_there_must_be_such_a_session_and_such_a_record(store):
    with pytest.raises(SessionNotFoundError):
        store.replay("nobody", print)
    recorded(store, "one")

    with pytest.raises(InvalidEventError, match="99"):
        store.replay("s", print, until=99)


# Going on for real


@pytest.mark.parametrize("until", range(1, 8))
def test_from_a_version_on_it_goes_live_in_a_fork(store, until):
    """Whatever is on record up to there answers; the rest runs, and ends up the same."""
    size = recorded(store, "one")
    agent = Agent()

    def program(live):
        if not live.state.user_messages:
            live.add_user_message("one")
        agent.turn(live)

    replayed = store.replay("s", program, until=until, new_id="f")

    assert replayed.divergence is None
    assert agent.ran == ["model"] * (until < 3) + ["tool"] * (until < 5)
    if until < size:
        assert replayed.fork == "f"
        assert [type(r.event) for r in store.records("f")][1:] == [type(r.event) for r in store.records("s")][
            1:
        ]
        assert store.load_session("f").agent_responses[0].content == "It is 5."
    assert store.verify().ok
    assert len(list(store.records("s"))) == size


def test_a_counterfactual_differs_from_there_on(store):
    recorded(store, "one", "three")
    agent = Agent(answer="{}?")
    replayed = store.replay("s", agent.turn, until=6)
    there = store.load_session(replayed.fork)

    assert [response.content for response in there.agent_responses] == ["5?"]
    assert agent.ran == []


def test_another_course_before_it_is_a_difference_and_no_fork(store):
    recorded(store, "one")
    replayed = store.replay("s", Agent(tool="sum").turn, until=6)

    assert (replayed.fork, replayed.divergence.version) == (None, 4)
    assert store.session_ids() == ["s"]


def test_steps_of_the_fork_keep_their_places(store):
    with store.open_session("s", user_id="ada") as live:
        live.add_user_message("go")
        for n in range(3):
            live.step("a", str, n)

    def program(live):
        for n in range(3):
            live.step("a", str, n)

    fork = store.replay("s", program, until=3).fork

    assert [record.key for record in store.records(fork)][2:] == [f"turn:2/a#{n}" for n in (1, 2, 3)]


# Coroutines


def test_a_coroutine_function_is_replayed(tmp_path):
    ran = []

    async def work(n):
        ran.append(n)
        await asyncio.sleep((3 - n) / 100)
        return n * n

    async def agent(live):
        squares = await asyncio.gather(*(live.step("square", work, n) for n in range(3)))
        await live.add_agent_response(str(squares))

    async def main():
        async with AsyncStateStore(tmp_path) as store:
            async with store.open_session("s", user_id="ada") as live:
                await agent(live)
            return await store.replay("s", agent)

    assert asyncio.run(main()).divergence is None
    assert ran == [0, 1, 2]
    with StateStore(tmp_path) as store:
        assert store.replay("s", agent).divergence is None


_DEEDS = st.sampled_from(["say", "step", "tool", "set", "use"])


@some
@given(
    turns=st.lists(st.lists(st.tuples(_DEEDS, texts()), max_size=5), max_size=3),
    cut=st.integers(0, 30),
)
def test_whatever_a_program_does_it_replays_and_goes_on_from_any_point(turns, cut):
    """The fork that a replay makes at any version ends where the session did."""

    def program(live):
        turn = len(live.state.user_messages)
        for what, text in turns[turn - 1] if turn else ():
            if what == "say":
                live.add_agent_response(text)
            elif what == "step":
                live.step(text[:3], str.upper, text)
            elif what == "tool":
                live.run_tool("swap", lambda text: text.swapcase(), {"text": text})
            elif what == "set":
                live.set_metadata("k", text)
            else:
                live.record_usage(text, 1, 2)

    with a_store() as store:
        with store.open_session("s", user_id="u") as live:
            for _ in turns:
                live.add_user_message("go")
                program(live)

        assert store.replay("s", program).divergence is None

        records = list(store.records("s"))
        last_message = max((r.seq for r in records if isinstance(r.event, UserMessageAdded)), default=1)
        until = last_message + cut % (len(records) - last_message + 1)
        replayed = store.replay("s", program, until=until)

        assert replayed.divergence is None
        if replayed.fork is not None:
            one, other = (
                [(type(r.event), r.key, getattr(r.event, "content", None)) for r in store.records(each)][1:]
                for each in ("s", replayed.fork)
            )
            assert one == other


def test_a_session_that_is_not_there_was_not_deleted(tmp_path):
    with StateStore(tmp_path) as store, pytest.raises(SessionNotFoundError) as caught:
        store.replay("nobody", lambda live: None)
    assert "create it first" in str(caught.value)
