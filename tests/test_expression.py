"""Expressions: conditions on records and on the sessions that they leave."""

import json
import operator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import AgentResponse, Record, Session, UserMessage
from journal.objects import event_object
from projections import (
    ActiveSeedSet,
    CustomEvent,
    JournalRepaired,
    MetadataSet,
    SessionForked,
    SessionRewound,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UserMessageAdded,
)
from projections.expression import Expression, ExpressionError, parse_expression
from projections.paths import child, record_part_at
from projections.scanner import MAX_CHARACTERS, MAX_DEPTH
from tests.strategies import START, events, json_values, moments, sessions, texts

SESSION = Session(
    id="s-42",
    user_id="ann",
    user_messages=[UserMessage("Hello", START), UserMessage("Why?", START + timedelta(hours=1))],
    agent_responses=[AgentResponse("Because.", timestamp=START)],
    created_at=START,
    metadata={
        "plan": ["look", "think"],
        "n": 3,
        "odd key": None,
        "a.b": {"0": "zero"},
        "mood": "fine",
        "far off": "0001-01-01T00:00+14:00",
    },
)


def record_of(event: Any, **header: Any) -> Record:
    facts: dict[str, Any] = {"seq": 7, "id": "i", "at": START, "digest": "d", "chain": "c"}
    return Record(**(facts | header), event=event)


RETURNED = record_of(ToolReturned(call_id="c1", result={"rows": [1, 2]}, is_error=True), by="agent:planner")
SAID = record_of(UserMessageAdded(content="Where is my order?"))


def holds(text: str, record: Record | None = RETURNED, state: Session | None = SESSION) -> bool:
    return parse_expression(text).matches(record, state)


def literal(value: Any) -> str:
    """A value as an expression has it."""
    return json.dumps(value)


def plain_values() -> st.SearchStrategy[Any]:
    """JSON values that can stand in an expression."""
    numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | numbers | texts()
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


OPERANDS = st.sampled_from(
    [
        *("event.seq", "event.type", "event.by", "event.at", "event.is_error", "event.result.rows[-1]"),
        *("event.cause", "state.metadata", "state.metadata.plan", "state.metadata.n"),
        *('state.metadata["a.b"].0', "state.metadata['odd key']", "state.user_messages[0].content"),
        *("state.user_messages[-1].timestamp", "state.agent_responses", "state.version", "state.created_at"),
        *("state.active_seed_id", "count(state.user_messages)", "count(event.type)", "count(event.seq)"),
        'event["nothing_known"]',
    ]
)


PYTHON = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """Texts that are expressions."""
    kind = draw(st.sampled_from(["compare", "match", "exists", "true", "not", "and", "or", "group"]))
    if depth == 0 or kind == "compare":
        sign = draw(st.sampled_from(["=", "==", "!=", "<", "<=", ">", ">=", "in", "not in"]))
        left, right = draw(OPERANDS), draw(OPERANDS | plain_values().map(literal))
        is_time = left.endswith((".at", "timestamp", "created_at")) and right.startswith('"')
        return f"{left} {sign} " + ('"2026-11-22t12:00+01:00"' if is_time else right)
    if kind == "match":
        return f"{draw(OPERANDS)} ~= " + draw(st.sampled_from([r'"\d+"', "'a\"|b\\'c'", r'"\\\"x"', "''"]))
    if kind in ("exists", "true"):
        operand = draw(OPERANDS.filter(lambda each: not each.startswith("count")))
        return f"exists {operand}" if kind == "exists" else operand
    inner = draw(expressions(depth=depth - 1))
    match kind:
        case "not":
            return f"not {inner}"
        case "group":
            return f"({inner})"
        case _:
            return f"{inner} {kind} {draw(expressions(depth=depth - 1))}"


# Laws


@given(expressions(), events(), sessions())
def test_what_is_printed_means_the_same(text: str, event: Any, session: Session) -> None:
    expression = parse_expression(text)
    again = parse_expression(str(expression))
    record = record_of(event)

    assert str(again) == str(expression)
    assert (again.uses_event, again.uses_state) == (expression.uses_event, expression.uses_state)
    for one, state in ((record, session), (RETURNED, SESSION)):
        assert again.matches(one, state) is expression.matches(one, state)


def structures() -> st.SearchStrategy[str]:
    """What is held together by not, and, or and parentheses alone."""

    def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map("".join)
        return pairs | inner.map("not {}".format) | inner.map("({})".format)

    return st.recursive(st.sampled_from(["true", "false"]), joined, max_leaves=12)


@given(structures())
def test_not_and_or_and_parentheses_hold_together_as_pythons_do(text: str) -> None:
    """However deep, as they were written and as they are printed."""
    python = eval(text.replace("true", "True").replace("false", "False"))

    assert holds(text) is python
    assert holds(str(parse_expression(text))) is python


@given(expressions(), expressions(), expressions(), events(), sessions())
def test_not_and_or_obey_their_tables(a: str, b: str, c: str, event: Any, session: Session) -> None:
    """Where only parentheses hold them together."""
    for record, state in ((record_of(event), session), (RETURNED, SESSION)):
        x, y, z = (parse_expression(text).matches(record, state) for text in (a, b, c))

        assert holds(f"not ({a})", record, state) is (not x)
        assert holds(f"({a}) and ({b})", record, state) is (x and y)
        assert holds(f"({a}) or ({b})", record, state) is (x or y)
        assert holds(f"not ({a}) and ({b}) or ({c})", record, state) is (((not x) and y) or z)
        assert holds(f"({a}) or ({b}) and not ({c})", record, state) is (x or (y and (not z)))


@given(
    st.tuples(st.integers(-3, 3) | st.floats(-3, 3), st.integers(-3, 3) | st.floats(-3, 3))
    | st.tuples(texts(), texts())
    | st.tuples(moments(), moments())
)
def test_comparisons_agree_with_pythons(pair: tuple[Any, Any]) -> None:
    """Of numbers, of texts, and of moments whatever their offsets."""
    left, right = pair
    if isinstance(left, datetime):
        record = record_of(CustomEvent(name="x"), at=left)
        one, other = "event.at", literal(right.isoformat())
    else:
        record = record_of(CustomEvent(name="x", data=left))
        one, other = "event.data", literal(right)
    for sign, python in PYTHON.items():
        assert holds(f"{one} {sign} {other}", record) is python(left, right)
        assert holds(f"{other} {sign} {one}", record) is python(right, left)


@given(json_values(), json_values())
def test_any_two_values_compare_without_an_error(left: Any, right: Any) -> None:
    """What does not compare is in no order; everything is equal to itself alone."""
    record = record_of(ToolCalled(call_id="c", name="t", arguments=[left, right, left]))
    one, other, twin = (f"event.arguments.{index}" for index in range(3))
    is_ordered = holds(f"{one} < {other} or {one} >= {other}", record)

    assert holds(f"{one} = {twin} and not {one} != {twin} and {one} in event.arguments", record)
    assert holds(f"{one} = {other}", record) is not holds(f"{one} != {other}", record)
    assert is_ordered is (kind_of(left) is not None and kind_of(left) == kind_of(right))


def kind_of(value: Any) -> str | None:
    """Of what has an order."""
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else None


@given(events(), texts())
def test_every_field_of_an_event_is_there_as_its_json_has_it(event: Any, extra: str) -> None:
    record = record_of(event)
    stored = event_object(event)
    for name, value in stored.items():
        part = record_part_at(record, (name,))
        if isinstance(part, datetime):
            assert part == datetime.fromisoformat(value)
        else:
            assert part == value
            assert child(part, extra) == child(value, extra)
        assert holds(f"exists event[{literal(name)}]", record)


@given(texts(60) | expressions().flatmap(lambda text: st.sampled_from(mangled(text))))
def test_any_text_is_an_expression_or_an_error_with_its_place(text: str) -> None:
    error = None
    try:
        assert parse_expression(text).matches(RETURNED, SESSION) in (True, False)
    except ExpressionError as raised:
        error = raised
    if error is not None:
        reason, shown, caret = str(error).rsplit("\n", 2)
        assert reason == error.reason
        assert 0 <= error.position <= len(text)
        assert caret.strip() == "^"
        assert shown.startswith("  ")


def mangled(text: str) -> list[str]:
    """The text with something missing, doubled or put in."""
    found = []
    for index in range(len(text)):
        found += [text[:index], text[:index] + text[index + 1 :], text[:index] + '"(' + text[index:]]
    return found


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("event.seq==1", "event.seq = 1"),
        ("(event.is_error)and((true)or false)", "event.is_error and (true or false)"),
        ("not (true and false) or not(not true)", "not (true and false) or not not true"),
        ("1 not  in [1,'a' , null]", 'not 1 in [1, "a", null]'),
        ("exists(event.arguments.0['a b'][\"x\"]['7'])", 'exists event.arguments[0]["a b"].x["7"]'),
        ("event['contents'] = event['content']", 'event["contents"] = event.content'),
        ("event.at>'2026-11-22t13:00+01:00'", 'event.at > "2026-11-22T12:00:00Z"'),
        ("event.name ~= 'a\"b'", "event.name ~= 'a\"b'"),
        ("event.name ~= 'a\\\\\"b'", "event.name ~= 'a\\\\\"b'"),
        ('event.name ~= "it\'s"', 'event.name ~= "it\'s"'),
        ('event.name ~= "it\'s \\""', 'event.name ~= "it\'s \\""'),
        ("count ( event.type ) = 1e2", "count(event.type) = 100.0"),
    ],
)
def test_an_expression_is_printed_in_one_way(text: str, printed: str) -> None:
    assert str(parse_expression(text)) == printed
    assert str(parse_expression(printed)) == printed


# What it means


@pytest.mark.parametrize(
    "text",
    [
        'event.type = "tool_returned" and event.is_error',
        "event.seq = 7 and event.by = 'agent:planner' and event.id = \"i\"",
        "event.result.rows.-1 = 2 and event.result.rows[0] = 1.0 and count(event.result.rows) = 2",
        "not exists event.cause and not exists event.key and exists event.by",
        'event.at > "2026-11-22T11:59Z" and event.at < "2026-11-22T13:00:00.5+00:59"',
        '"2026-11-22T13:00+01:00" = event.at',
        'event.at in ["2026-11-22T13:00+01:00"]',
        'event.at ~= "^2026-11-22T12:00:00Z$"',
        "state.created_at <= state.user_messages.1.timestamp",
        'state.metadata.plan = ["look", "think"] and "think" in state.metadata.plan',
        'state.metadata["a.b"]["0"] = "zero" and state.metadata["a.b"].0 = "zero"',
        'exists state.metadata["odd key"] and state.metadata["odd key"] = null',
        '"n" in state.metadata and "x" not in state.metadata and "in" in state.metadata.mood',
        "3 in [1, 3.0] and true not in [1] and 1 not in [true] and [1] in [[1.0]]",
        'state.user_messages.-1.content ~= "^Why\\?$"',
        "count(state.user_messages) = 2 and count(state.metadata.mood) = 4 and count(state.metadata) = 6",
        "state.version = 0 and state.id = 's-42'",
        "true and not false and (true)",
        '"\\u00e9\\ud83d\\ude00\\n" = "é😀\n"',
        "'it\\'s' = \"it's\"",
        "not event.seq = 8",
        "event.seq>=7 and(true)",
        'event.content ~= "[[a]" or true',
        "[1] != [1, 2] and [1, 2] != [1]",
        "state.metadata.timestamp = 'noon' or true",
        " and ".join(["(1 in [1])"] * 60),
    ],
)
def test_these_are_true(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "event.content = 'x'",
        "event.content != 'x'",
        "event.content = null",
        "state.active_seed_id = null",
        '"a" < 3',
        '3 < "a"',
        "false < true",
        "[1] < [2]",
        "null <= null",
        "true = 1",
        "1 in true",
        "1 in '1'",
        "event.seq",
        "event.at > 5",
        "event.at = state.metadata.mood",
        "state.metadata.mood > event.at",
        "count(event.seq) >= 0",
        "event.seq ~= '7'",
        "state.metadata.mood > state.created_at or state.metadata['far off'] > state.created_at",
        "false or true and false",
        "not true or false",
    ],
)
def test_these_are_false(text: str) -> None:
    assert not holds(text)


def test_nothing_compares_with_what_is_not_there() -> None:
    """Not even by !=; that something is not so is said by not."""
    for sign in ("=", "!=", "<", "<=", ">", ">=", "in"):
        assert not holds(f"state.metadata.nothing {sign} [1]")
        assert not holds(f"1 {sign} state.metadata.nothing")
    assert holds("not state.metadata.nothing = 1")


def test_a_field_that_an_event_shares_with_the_header_is_the_events_own() -> None:
    record = record_of(MetadataSet(key="plan", value=1), key="retry-1")

    assert holds('event.key = "plan"', record)
    assert holds('event.key = "retry-1"', record_of(CustomEvent(name="x"), key="retry-1"))


def test_what_an_event_leaves_out_is_absent_but_for_what_stands_for_a_value() -> None:
    """Null is there where it says something."""
    assert holds("not exists event.timestamp", SAID)
    assert holds("event.is_error = false", record_of(ToolReturned(call_id="c", result=None)))
    assert holds("event.result = null", record_of(ToolReturned(call_id="c", result=None)))
    assert holds("exists event.seed_id and event.seed_id = null", record_of(ActiveSeedSet(seed_id=None)))


def test_an_event_of_a_newer_version_has_its_fields() -> None:
    record = record_of(UnknownEvent(type="dreamed", raw=b'{"type":"dreamed", "of":{"n": 3}, "name":"x"}'))

    assert holds('event.type = "dreamed" and event.name = "x" and event["of"].n = 3', record)


def test_messages_and_documents_within_events_are_json() -> None:
    """Their times are texts, and compare as times with times."""
    forked = SessionForked(
        session_id="t", user_id="u", created_at=START, origin="s", version=3, chain="", first_chain="",
        document=SESSION.to_document(),
    )  # fmt: skip
    rewound = SessionRewound(
        to=1, user_id="u", created_at=START, updated_at=START, user_messages_kept=0, agent_responses_kept=0,
        user_messages=SESSION.user_messages,
    )  # fmt: skip

    assert holds('event.document.user_messages[1].content = "Why?" and event.origin = "s"', record_of(forked))
    assert holds("not exists event.document.active_seed_id", record_of(forked))
    assert holds("event.user_messages[0] != event.user_messages[1] and event.to = 1", record_of(rewound))
    assert holds("event.user_messages[0].timestamp = event.created_at", record_of(rewound))
    repaired = JournalRepaired(offset=1, size_bytes=1, reason="r", quarantine="q", erased=("a", "b"))
    assert holds('event.erased = ["a", "b"] and count(event.erased) = 2', record_of(repaired))


def test_it_says_what_it_uses() -> None:
    """So that nobody folds a history for it in vain."""

    def uses(text: str) -> tuple[bool, bool]:
        expression = parse_expression(text)
        return expression.uses_event, expression.uses_state

    assert uses("event.seq = 1") == (True, False)
    assert uses("exists state.metadata or count(state.user_messages) > 1") == (False, True)
    assert uses("event.seq = state.version") == (True, True)
    assert uses("true") == (False, False)
    assert parse_expression("event.seq = 7").matches(RETURNED, None)
    assert parse_expression("state.version = 0").matches(None, SESSION)
    with pytest.raises(TypeError, match=r"state\.version is of a session"):
        parse_expression("state.version = 0").matches(RETURNED, None)


def test_a_text_is_searched_up_to_a_limit() -> None:
    long = "a" * 1_000_000

    assert holds("event.content ~= 'a$'", record_of(UserMessageAdded(content=long)))
    assert not holds("event.content ~= 'b'", record_of(UserMessageAdded(content=long + "b")))


def test_a_value_nested_deeper_than_any_store_takes_is_no_error() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    session = Session(id="s", user_id="u", metadata={"a": deep, "b": [deep]})

    assert not holds("state.metadata.a = state.metadata.b", state=session)


def test_counting_does_not_look_at_the_messages() -> None:
    class Unseen(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError("somebody looked")

    session = Session(id="s", user_id="u")
    session._user_messages = Unseen([1, 2, 3])  # type: ignore[assignment]

    assert holds("count(state.user_messages) = 3 and exists state.user_messages", state=session)


# Errors


@pytest.mark.parametrize(
    ("text", "reason", "at"),
    [
        ("", "expected a path or a value, found the end", 0),
        ("event.seq = ", "expected a path or a value, found the end", 12),
        ("event.seq 3", "expected 'and', 'or' or the end, found '3'", 10),
        ("3", "expected a comparison (= != < <= > >= ~= in), found the end", 1),
        ("count(event.type)", "expected a comparison (= != < <= > >= ~= in), found the end", 17),
        ("(event.seq = 3", "expected ')', found the end", 14),
        ("event.seq = 3)", "expected 'and', 'or' or the end, found ')'", 13),
        ("event.is_error and", "expected a path or a value, found the end", 18),
        ("event.is_error or or true", "expected a path or a value, found 'or'", 18),
        ("(event.seq) = 3", "what stands in parentheses is true or false; it does not compare", 12),
        ("1 < event.seq < 3", "comparisons do not chain; join two of them with 'and'", 14),
        ("exists 3", "expected a path, event.… or state.…, found '3'", 7),
        ("event.seq in [1 2]", "expected ',' or ']', found '2'", 16),
        ("event.seq in [1, ", "expected a path or a value, found the end", 17),
        ("event", "expected a field behind it, event.type, found the end", 5),
        (
            "state.",
            'expected a name or a number; any other key stands in brackets, ["a key"], found the end',
            6,
        ),
        ("state.metadata[1.5] = 1", "in brackets stands a number or a key in quotes", 15),
        ("state.metadata[1 = 1", "expected ']', found '='", 17),
        ("evnt.type = 'x'", "there is no 'evnt'; did you mean 'event'?", 0),
        ("exists stat.id", "there is no 'stat'; did you mean 'state'?", 7),
        ("foo.bar = 1", "there is no 'foo'; a path begins with 'event' or 'state'", 0),
        ("event.typ = 'x'", "there is no event.typ; did you mean event.type?", 6),
        ("event.0 = 'x'", "there is no event.0; its fields are type, seq, at, by, content, name …", 6),
        ("exists state.mesages", "there is no state.mesages; did you mean state.user_messages?", 13),
        ("state['plan'] = 1", "there is no state.plan; its fields are id, user_id, user_messages, ", 6),
        ("type = 'x'", "'type' is no value; did you mean event.type?", 0),
        ("metadata = 1", "'metadata' is no value; did you mean state.metadata?", 0),
        ("event.type = tool", "'tool' is no value; a text stands in quotes, \"tool\"", 13),
        ("event.type = “tool”", "a text stands in plain quotes, \"…\" or '…'", 13),
        ('event.type = "tool', "the text that begins here has no closing quote", 13),
        (r'event.name = "a\d"', r"there is no escape \d; a backslash is written \\", 15),
        (r'event.name = "\ud800"', "the text holds half of a surrogate pair", 14),
        ("event.seq = -1e400", "the number is out of range", 12),
        ("state.metadata[true] = 1", "in brackets stands a number or a key in quotes", 15),
        ("event.seq = 1e400", "the number is out of range", 12),
        ("event.seq = " + "9" * 5000, "the number is out of range", 12),
        ("event.at > 2026-11-22", "this is no number; a text or a time stands in quotes", 11),
        ("event.at > '2026-11-22'", 'event.at is a time; write one with its offset, "2026-11-22T12:00Z"', 11),
        ("'noon' = state.created_at", "state.created_at is a time; write one with its offset", 0),
        ("event.name ~= 'a(b'", "the pattern does not compile: missing ), unterminated subpattern", 16),
        ("event.name ~= '" + "(" * 3000 + "'", "the pattern does not compile: ", None),
        ("event.name ~= 'a{9999999999}'", "the pattern does not compile: ", 15),
        ("event.name ~= foo", "expected a pattern in quotes, found 'foo'", 14),
        ("event.seq && true", "write 'and' for '&&'", 10),
        ("!event.is_error", "write 'not' for '!'", 0),
        ("event.name =~ 'x'", "write '~=' for '=~'", 11),
        ("event.seq <> 3", "write '!=' for '<>'", 10),
        ("event.seq = None", "write 'null' for 'None'", 12),
        ("NOT event.is_error", "write 'not' for 'NOT'", 0),
        ("len(event.type) = 3", "write 'count(…)' for 'len'", 0),
        ("(" * 100_000, "an expression has at most 10,000 characters", MAX_CHARACTERS),
        ("(" * 5000, "an expression is nested at most 50 levels deep", MAX_DEPTH + 1),
        ("not " * 2000, "an expression is nested at most 50 levels deep", (MAX_DEPTH + 1) * 4),
        ("1 in " + "[" * 5000, "an expression is nested at most 50 levels deep", 5 + MAX_DEPTH + 1),
        ("event.seq = 1\nand event.seqq = 2", "there is no event.seqq; did you mean", 24),
    ],
)
def test_an_error_says_what_was_expected_and_where(text: str, reason: str, at: int | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)

    assert caught.value.reason.startswith(reason)
    assert at in (caught.value.position, None)
    assert caught.value.text == text
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("event.typ = 1", ["  event.typ = 1", "        ^"]),
        ("event.seq = ", ["  event.seq = ", "              ^"]),
        ("true and\n\tevent.typ = 1\nor false", ["  \tevent.typ = 1", "  \t      ^"]),
        ("'多' = 多", ["  '多' = 多", "         ^"]),
        (
            "true and " * 10 + "x or " * 10,
            [f"  …{('true and ' * 10)[-50:]}{('x or ' * 10)[:30]}…", " " * 53 + "^"],
        ),
    ],
)
def test_a_caret_stands_below_the_place(text: str, shown: list[str]) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)

    assert str(caught.value).split("\n")[1:] == shown


def test_the_deepest_nesting_is_read_asked_and_printed() -> None:
    text = "(" * MAX_DEPTH + "true" + ")" * MAX_DEPTH
    doubted = "not " * MAX_DEPTH + "true"

    assert holds(text)
    assert holds(doubted)
    assert str(parse_expression(doubted)) == doubted


def test_a_long_expression_is_as_deep_as_a_short_one() -> None:
    text = " or ".join(["event.seq = 1"] * 500)

    assert not holds(text)
    assert str(parse_expression(text)) == text


def test_it_shows_itself() -> None:
    assert repr(parse_expression("event.seq==1")) == "<Expression event.seq = 1>"
    assert isinstance(parse_expression("true"), Expression)
