"""A live session: on record when a call returns, at one with what others write, and resumed after a crash."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import StateStore
from journal.errors import (
    InvalidEventError,
    JournalClosedError,
    NondeterminismError,
    OutcomeUnknownError,
    OwnerMismatchError,
    RecordedError,
    SessionNotFoundError,
    VersionConflictError,
)
from projections import (
    AgentResponse,
    Redaction,
    SessionRewound,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from projections.session import Session
from tests.strategies import a_store, json_values, some, texts


@pytest.fixture
def store(tmp_path):
    with StateStore(tmp_path / "state") as store:
        yield store


@pytest.fixture
def live(store):
    with store.open_session("s", user_id="ada") as live:
        yield live


def events(store, kind=object):
    return [record.event for record in store.records("s") if isinstance(record.event, kind)]


def never(*args, **kwargs):
    raise AssertionError("it ran again")


# Opening


def test_opening_creates_the_session_of_a_user(store, live):
    assert (live.state.user_id, live.version, live.user_id) == ("ada", 1, "ada")
    assert store.load_session("s") == live.state


def test_opening_needs_a_session_or_a_user(store):
    with pytest.raises(SessionNotFoundError):
        store.open_session("s")
    store.open_session("s", user_id="ada").close()

    with pytest.raises(OwnerMismatchError):
        store.open_session("s", user_id="eve")


def test_an_unknown_policy_is_refused_before_anything_is_created(store):
    with pytest.raises(ValueError, match="on_unknown"):
        store.open_session("s", user_id="ada", on_unknown="again")

    assert store.session_ids() == []


def test_a_closed_one_takes_no_more(store, live):
    live.close()

    with pytest.raises(JournalClosedError):
        live.add_user_message("late")
    assert len(events(store)) == 1


# Telling


def test_each_call_is_on_record_when_it_returns(store, live):
    with StateStore(store.base_path) as other:
        versions = [
            live.add_user_message("hello"),
            live.add_agent_response("hi"),
            live.add_agent_response(AgentResponse("again", phase_reached="p")),
            live.add_reasoning("hm", "sig"),
            live.set_metadata("k", [1]),
            live.set_active_seed("seed"),
            live.set_active_persona("persona"),
            live.add_event("note", {"a": 1}),
            live.record_usage("m", 3, 4, 0.5),
            live.record_compaction("short", through=3, tokens_before=9, tokens_after=1),
        ]

        assert versions == list(range(2, 12))
        assert len(list(other.records("s"))) == 11
        assert other.load_session("s") == live.state
        assert live.state.metadata == {"k": [1]}


def test_the_state_can_be_read_only(live):
    with pytest.raises(RuntimeError, match="live"):
        live.state.add_user_message("lost?")

    assert live.state.user_messages == []


def test_who_writes_is_who_acts(store, live):
    with store.acting(by="agent:planner", cause="c" * 36):
        live.add_user_message("hello")

    assert [(record.by, record.cause) for record in store.records("s")][1:] == [("agent:planner", "c" * 36)]


def test_a_prompt_is_shortened_up_to_a_record_that_is_there(live):
    for through in (0, 2):
        with pytest.raises(InvalidEventError):
            live.record_compaction("short", through=through)

    assert live.version == 1


@pytest.mark.parametrize("value", [float("nan"), {1: 2}, object()])
def test_what_no_record_can_hold_is_refused(store, live, value):
    with pytest.raises(InvalidEventError):
        live.set_metadata("k", value)

    assert len(events(store)) == 1


# Keys


def test_a_key_makes_a_call_safe_to_repeat(store, live):
    first = live.add_user_message("hello", key="m-1")
    live.add_agent_response(AgentResponse("hi"), key="a-1")
    with store.open_session("s") as again:
        assert again.add_user_message("hello", key="m-1") == first == 2
        assert again.add_agent_response(AgentResponse("hi"), key="a-1") == 3
    assert len(events(store)) == 3


def test_a_key_with_another_content_is_refused(store, live):
    live.add_user_message("hello", key='a "quoted" \\ key')

    with pytest.raises(InvalidEventError, match="another content"):
        live.add_user_message("bye", key='a "quoted" \\ key')
    assert len(events(store)) == 2


def test_an_erased_record_still_answers_to_its_key(store, live):
    live.add_user_message("hello", key="m-1")
    store.erase("s", [2], reason="asked for")

    assert live.add_user_message("hello", key="m-1") == 2


# Others


def test_two_of_them_see_each_other_and_lose_nothing(store, live):
    with StateStore(store.base_path) as elsewhere, elsewhere.open_session("s") as other:
        live.add_user_message("one")
        other.add_user_message("two")
        live.add_agent_response("three")
        other.record_usage("m", 1, 1)

        assert [m.content for m in live.state.user_messages] == ["one", "two"]
        assert live.state == other.state == store.load_session("s")


@pytest.mark.parametrize("setter", ["set_metadata", "set_active_seed", "set_active_persona"])
def test_what_both_set_is_a_conflict_until_it_was_looked_at(store, live, setter):
    with store.open_session("s") as other:
        args = (("k", "mine"), ("k", "theirs")) if setter == "set_metadata" else (("mine",), ("theirs",))
        getattr(other, setter)(*args[1])
        live.add_user_message("this commutes")
        with pytest.raises(VersionConflictError, match="another writer set"):
            getattr(live, setter)(*args[0])
        before = store.load_session("s")
        assert live.state == before
        getattr(live, setter)(*args[0])

        assert live.state != before


def test_another_key_of_the_metadata_is_no_conflict(store, live):
    with store.open_session("s") as other:
        other.set_metadata("theirs", 1)
        live.set_metadata("mine", 2)

        assert live.state.metadata == {"theirs": 1, "mine": 2}


def test_nothing_goes_on_top_of_a_history_that_was_taken_back(store, live):
    live.add_user_message("one")
    store.rewind("s", to=1)
    with pytest.raises(VersionConflictError, match="history"):
        live.add_agent_response("to what?")
    with pytest.raises(VersionConflictError, match="history"):
        live.rewind(2)
    assert live.state.user_messages == []

    assert live.add_agent_response("unasked") == 4


def test_what_happened_is_recorded_whatever_became_of_the_session(store, live):
    live.add_user_message("one")
    with live.tool_call("pay", {}) as call:
        store.rewind("s", to=1)
        call.result = "paid"

    assert events(store, ToolReturned)[0].result == "paid"
    assert live.unfinished() == []


def test_a_session_that_was_deleted_is_not_found(store, live):
    store.delete_session("s")
    for use in (lambda: live.state, lambda: live.add_user_message("hello")):
        with pytest.raises(SessionNotFoundError):
            use()

    assert store.session_ids() == []


def test_another_session_of_the_same_name_is_a_conflict(store, live):
    live.add_user_message("one")
    store.delete_session("s")
    with store.open_session("s", user_id="ada") as new:
        new.add_user_message("two")
        new.add_user_message("three")

        with pytest.raises(VersionConflictError):
            live.add_agent_response("to one")
        assert [m.content for m in new.state.user_messages] == ["two", "three"]


def test_an_erasure_is_no_conflict(store, live):
    live.add_user_message("secret")
    store.erase("s", [2], reason="asked for")

    assert live.add_agent_response("ok") == 4
    assert live.state.user_messages[0].content == ""


def test_a_session_of_another_program_goes_on(tmp_path):
    with StateStore(tmp_path) as store:
        session = Session.with_id("ada", "s")
        session.add_user_message("old")
        store.save_session(session)
    (tmp_path / "sessions/s.jsonl").unlink()
    with StateStore(tmp_path) as store, store.open_session("s") as live:
        live.add_agent_response("new")

        assert [m.content for m in live.state.user_messages] == ["old"]
        assert store.verify("s").ok


def test_threads_share_one(store, live):
    def work(number):
        for each in range(20):
            live.step("work", str, each)
            live.add_user_message(f"{number}.{each}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(live.state.user_messages) == 80
    assert store.verify("s").ok


# Tools


def test_a_call_is_on_record_before_it_runs_and_its_outcome_after(store, live):
    with live.tool_call("search", {"q": "x"}, call_id="c1") as call:
        assert events(store)[-1] == ToolCalled(call_id="c1", name="search", arguments={"q": "x"})
        assert [each.call_id for each in live.unfinished()] == ["c1"]
        call.result = [1, 2]
    called, returned = list(store.records("s"))[-2:]

    assert (returned.event.call_id, returned.event.result, returned.event.is_error) == ("c1", [1, 2], False)
    assert returned.event.duration_ms >= 0
    assert returned.cause == called.id
    assert live.unfinished() == []


def test_an_exception_is_recorded_and_goes_on(store, live):
    with pytest.raises(ZeroDivisionError), live.tool_call("divide", {}):
        1 / 0  # noqa: B018

    assert (events(store)[-1].is_error, events(store)[-1].result) == (
        True,
        "ZeroDivisionError: division by zero",
    )


def test_a_failure_in_words_raises_nothing(store, live):
    with live.tool_call("search", {}) as call:
        call.fail("no such place")

    assert (events(store)[-1].is_error, events(store)[-1].result) == (True, "no such place")


def test_an_end_in_between_leaves_the_outcome_unknown(store, live):
    with pytest.raises(KeyboardInterrupt), live.tool_call("pay", {"n": 1}, call_id="c1"):
        raise KeyboardInterrupt
    with store.open_session("s") as again:
        [open_call] = again.unfinished()

        assert (open_call.call_id, open_call.name, open_call.arguments, open_call.version) == (
            "c1",
            "pay",
            {"n": 1},
            2,
        )


def interrupted(store, policy):
    """A session with a call that was begun, opened again."""
    with store.open_session("s", user_id="ada") as live, pytest.raises(SystemExit):
        live.run_tool("pay", lambda n: exit(), {"n": 1}, call_id="c1")
    return store.open_session("s", on_unknown=policy)


def test_it_asks(store):
    with interrupted(store, "ask") as live:
        with pytest.raises(OutcomeUnknownError, match="settle"):
            live.run_tool("pay", never, {"n": 1}, call_id="c1")
        live.settle("c1", {"paid": True})

        assert live.run_tool("pay", never, {"n": 1}, call_id="c1") == {"paid": True}
        assert live.unfinished() == []


def test_it_runs_again(store):
    with interrupted(store, "retry") as live:
        assert live.run_tool("pay", lambda n: n + 1, {"n": 1}, call_id="c1") == 2
        assert live.unfinished() == []
    assert len(events(store, ToolCalled)) == 1


def test_it_fails(store):
    with interrupted(store, lambda call: "fail" if call.name == "pay" else "retry") as live:
        for _ in range(2):
            with pytest.raises(RecordedError, match="OutcomeUnknown"):
                live.run_tool("pay", never, {"n": 1}, call_id="c1")

        assert live.unfinished() == []
    assert len(events(store, ToolReturned)) == 1


def test_a_call_on_record_does_not_run_again(store, live):
    live.run_tool("add", lambda a, b: a + b, {"a": 1, "b": 2}, call_id="c1")
    with pytest.raises(ValueError, match="bad"):
        live.run_tool("fail", lambda: int("bad"), call_id="c2")
    with store.open_session("s") as again:
        assert again.run_tool("add", never, {"a": 1, "b": 2}, call_id="c1") == 3
        with pytest.raises(ValueError, match="bad"):
            again.run_tool("fail", never, call_id="c2")


def test_a_call_on_record_with_other_arguments_is_told(store, live):
    live.run_tool("add", lambda a: a, {"a": 1}, call_id="c1")
    for name, arguments in (("add", {"a": 2}), ("sub", {"a": 1})):
        with pytest.raises(NondeterminismError):
            live.run_tool(name, never, arguments, call_id="c1")

    with pytest.raises(InvalidEventError, match="run_tool"), live.tool_call("add", {"a": 1}, call_id="c1"):
        never()


def test_only_an_open_call_can_be_settled(live):
    with live.tool_call("search", {}, call_id="c1"):
        pass
    for call_id in ("c1", "c2"):
        with pytest.raises(InvalidEventError):
            live.settle(call_id, 1)


def test_a_decorated_function_records_its_calls(store, live):
    @live.tool
    def greet(name: str, *, loud: bool = False) -> str:
        """Say hello."""
        return f"hello {name}"

    assert (greet("bob", loud=True), greet.__doc__) == ("hello bob", "Say hello.")
    assert events(store, ToolCalled)[0].arguments == {"name": "bob", "loud": True}
    assert events(store, ToolReturned)[0].result == "hello bob"


def test_an_erased_result_is_told_and_its_call_is_not_open(store, live):
    live.run_tool("look", lambda: "secret", call_id="c1")
    store.erase("s", [3], reason="asked for")
    with store.open_session("s") as again:
        assert again.unfinished() == []
        with pytest.raises(RecordedError, match="erased"):
            again.run_tool("look", never, call_id="c1")


def test_a_rewind_takes_calls_back_and_another_one_brings_them_again(store, live):
    live.run_tool("look", lambda: 1, call_id="c1")
    live.rewind(2)
    open_then = [call.call_id for call in live.unfinished()]
    live.rewind(1)
    none_then = live.unfinished()
    live.rewind(3)

    assert (open_then, none_then, live.unfinished()) == (["c1"], [], [])
    assert live.run_tool("look", never, call_id="c1") == 1


# Steps


def test_a_step_runs_once(store, live):
    ran = []
    live.add_user_message("go")
    results = [live.step("plan", lambda n: ran.append(n) or {"n": n}, n) for n in (1, 2, 3)]
    with store.open_session("s") as again:
        assert [again.step("plan", never, n) for n in (1, 2, 3)] == results == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert ran == [1, 2, 3]
    assert [event.name for event in events(store, StepFinished)] == ["plan"] * 3


def test_a_step_after_the_record_runs(store, live):
    live.step("plan", lambda: 1)
    with store.open_session("s") as again:
        assert [again.step("plan", lambda: 2), again.step("plan", lambda: 2)] == [1, 2]


def test_other_arguments_at_the_same_place_are_told_before_anything_runs(store, live):
    live.step("plan", lambda n: n, 1)
    with store.open_session("s") as again, pytest.raises(NondeterminismError) as told:
        again.step("plan", never, 2)

    assert (told.value.recorded, told.value.asked) == ([1], [2])


def test_a_failure_is_recorded_and_raised_again(store, live):
    class Odd(Exception):
        pass

    def odd():
        raise Odd("thing")

    with pytest.raises(Odd):
        live.step("a", odd)
    with pytest.raises(KeyError):
        live.step("b", lambda: {}["x"])
    with store.open_session("s") as again:
        with pytest.raises(RecordedError, match="Odd: thing"):
            again.step("a", never)
        with pytest.raises(KeyError):
            again.step("b", never)


def test_a_step_that_was_cut_short_runs_again(store, live):
    with pytest.raises(SystemExit):
        live.step("a", exit)
    with store.open_session("s") as again:
        assert again.step("a", lambda: 1) == 1


def test_a_message_of_the_user_begins_a_turn(store, live):
    for word in ("one", "two"):
        live.add_user_message(word)

        assert live.step("answer", lambda text: text.upper(), word) == word.upper()
    with store.open_session("s") as again:
        assert again.step("answer", never, "two") == "TWO"


def test_a_keyed_message_goes_back_to_its_turn(store, live):
    for word in ("one", "two"):
        live.add_user_message(word, key=word)
        live.step("answer", lambda text: text.upper(), word)
    with store.open_session("s") as again:
        again.add_user_message("one", key="one")

        assert again.step("answer", never, "one") == "ONE"


def test_scopes_count_by_themselves_and_nest(store, live):
    def work(live, function):
        found = [live.step("a", function, 0)]
        with live.scope("x"):
            found.append(live.step("a", function, 1))
            with live.scope("y"):
                found.append(live.step("a", function, 2))
        with live.scope("y"):
            found.append(live.step("a", function, 3))
        return [*found, live.step("a", function, 4)]

    assert work(live, lambda n: n) == [0, 1, 2, 3, 4]
    with store.open_session("s") as again:
        assert work(again, never) == [0, 1, 2, 3, 4]


def test_the_faster_of_two_processes_holds_for_both(store, live):
    with StateStore(store.base_path) as elsewhere, elsewhere.open_session("s") as other:
        assert live.step("a", lambda: other.step("a", lambda: "first") and "second") == "first"
    assert [event.result for event in events(store, StepFinished)] == ["first"]


def test_a_return_of_another_writer_is_of_the_call_that_waits_again(store, live):
    """It names no record; the call's first return was taken back."""
    returned = ToolReturned(call_id="c1", result=1)
    store.append("s", [ToolCalled(call_id="c1", name="pay", arguments={}), returned], expected_version=1)
    live.rewind(2)
    waiting = [call.call_id for call in live.unfinished()]
    store.append("s", [returned], expected_version=4)

    assert (waiting, live.unfinished()) == (["c1"], [])


def test_a_return_of_another_writer_is_of_a_call_that_stands(store, live):
    """Not of a later one that was taken back."""
    called, returned = (
        ToolCalled(call_id="c1", name="pay", arguments={}),
        ToolReturned(call_id="c1", result=1),
    )
    store.append("s", [called, called], expected_version=1)
    live.rewind(2)
    store.append("s", [returned], expected_version=4)

    assert live.unfinished() == []


@pytest.mark.parametrize("to", [3, 99])
def test_a_rewind_to_what_was_not_reached_yet_takes_nothing_back(store, live, to):
    """Its number may be another one since a repair, or have been written by somebody else."""
    called = ToolCalled(call_id="c1", name="pay", arguments={})
    rewound = SessionRewound(
        to=to,
        user_id="ada",
        created_at=live.state.created_at,
        updated_at=live.state.updated_at,
        user_messages_kept=0,
        agent_responses_kept=0,
    )
    store.append("s", [called, rewound], expected_version=1)

    assert [call.call_id for call in live.unfinished()] == ["c1"]


def test_a_rewind_lets_steps_run_again(store, live):
    live.step("a", lambda: 1)
    version = live.version
    live.step("b", lambda: 2)
    live.rewind(version)

    assert (live.step("a", never), live.step("b", lambda: 3)) == (1, 3)


def test_a_fork_goes_on_from_its_point(store, live):
    live.step("a", lambda: 1)
    live.step("b", lambda: 2)
    fork = store.fork("s", at=2)
    with store.open_session(fork.id) as other:
        assert (other.step("a", never), other.step("b", lambda: 3)) == (1, 3)


def test_an_erased_step_neither_runs_nor_answers(store, live):
    live.step("a", lambda: "secret")
    store.erase("s", [2], reason="asked for")
    with store.open_session("s") as again, pytest.raises(RecordedError, match="erased"):
        again.step("a", never)


def test_what_is_no_json_takes_an_encoder(store, live):
    with pytest.raises(InvalidEventError, match="encode"):
        live.step("a", object)
    with pytest.raises(InvalidEventError):
        live.step("b", lambda x: x, object())
    found = live.step("c", lambda: 1 + 2j, encode=lambda z: [z.real, z.imag], decode=lambda v: complex(*v))
    with store.open_session("s") as again, again.scope("skip"):
        pass
    with store.open_session("s") as again:
        assert again.step("c", never, decode=lambda v: complex(*v)) == found == 1 + 2j


def test_secrets_are_hidden_on_record_and_a_step_is_known_all_the_same(tmp_path):
    key = "sk-ant-api03-" + "a1B2" * 12
    with StateStore(tmp_path, redact=Redaction()) as store:
        with store.open_session("s", user_id="u") as live:
            first = live.step("ask", lambda text: text.upper(), f"my key is {key}")
            live.run_tool("use", lambda text: "ok", {"text": key}, call_id="c1")
        with store.open_session("s") as again:
            second = again.step("ask", never, f"my key is {key}")

            assert again.run_tool("use", never, {"text": key}, call_id="c1") == "ok"
        assert key not in str(list(store.records("s")))
    assert first == f"MY KEY IS {key.upper()}"
    assert isinstance(second, str)


@some
@given(
    plan=st.lists(st.tuples(st.sampled_from("ab"), json_values()), max_size=8),
    cuts=st.lists(st.integers(0, 8), max_size=3),
)
def test_however_often_it_is_cut_short_each_step_runs_once_and_gives_the_same(plan, cuts):
    """The program is stopped before its n-th step, again and again, and then runs to its end."""
    ran = []

    def program(live, until):
        found = []
        for place, (name, value) in enumerate(plan):
            if place == until:
                return None
            found.append(live.step(name, lambda v, place=place: ran.append(place) or [v], value))
        return found

    with a_store() as store:
        for until in (*cuts, None):
            with store.open_session("s", user_id="u") as live:
                found = program(live, until)

        assert found == [[value] for _, value in plan]
        assert ran == list(range(len(plan)))
        assert store.verify("s").ok


@some
@given(
    acts=st.lists(
        st.tuples(st.booleans(), st.sampled_from(["say", "answer", "use", "tool"]), texts()), max_size=12
    )
)
def test_two_of_them_leave_what_each_wrote_in_its_own_order(acts):
    with (
        a_store() as store,
        StateStore(store.base_path, durability="os") as elsewhere,
        store.open_session("s", user_id="u") as one,
        elsewhere.open_session("s") as other,
    ):
        for is_other, what, text in acts:
            live = other if is_other else one
            if what == "say":
                live.add_user_message(text)
            elif what == "answer":
                live.add_agent_response(text)
            elif what == "use":
                live.record_usage(text, 1, 2)
            else:
                with live.tool_call(text, [text]) as call:
                    call.result = text

        assert one.state == other.state == store.load_session("s")
        said = [text for _, what, text in acts if what == "say"]
        assert [event.content for event in events(store, UserMessageAdded)] == said
        assert store.verify("s").ok


# The next prompt


def test_the_next_prompt_is_the_conversation_with_others_records_and_mended(store, live):
    live.add_user_message("hello")
    with store.open_session("s") as other:
        other.add_agent_response("hi")
    with pytest.raises(KeyboardInterrupt), live.tool_call("look", {"at": 1}, call_id="c1"):
        raise KeyboardInterrupt
    mended = live.messages()
    live.rewind(2)

    assert (mended[0], mended[-1]["role"], mended[-1]["tool_call_id"]) == (
        {"role": "user", "content": "hello"},
        "tool",
        "c1",
    )
    assert live.messages() == [{"role": "user", "content": "hello"}]
    assert live.messages("anthropic")[0]["role"] == "user"


def test_a_step_of_its_own_is_found_where_it_stands(live):
    """It was taken in when it was written: nothing was read since."""
    live.add_user_message("plan it")
    live.step("plan", lambda: "first")
    done = live.version
    live.step("go", lambda: "there")
    live.rewind(to=done - 1)
    live.rewind(to=done)

    assert live.step("plan", never) == "first"
    assert live.step("go", lambda: "again") == "again"


def test_a_tool_takes_its_arguments_by_name(live):
    with pytest.raises(InvalidEventError, match="must be a dict, by their names, and are a list"):
        live.run_tool("pay", never, [1])
    assert live.version == 1
