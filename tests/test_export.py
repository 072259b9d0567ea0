"""Export: the journal's lines, the seed's JSON, and the transcript that a person reads."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import CorruptRecordError, Session, SessionNotFoundError, StateStore
from journal.export import export_json, export_lines, export_markdown
from journal.importers import import_path
from projections import (
    AgentResponseAdded,
    Change,
    ContextCompacted,
    CustomEvent,
    ReasoningAdded,
    Record,
    SessionCreated,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)
from projections.events import Event
from projections.projection import fold
from projections.transcript import Entry, Transcript, to_markdown

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def filled(store: StateStore, *events: Event) -> None:
    created = SessionCreated(session_id="s", user_id="u")
    changes = [
        Change(event=each, at=NOON + timedelta(seconds=n)) for n, each in enumerate([created, *events])
    ]
    store.append("s", changes, expected_version=0)


def page(*events: Event) -> str:
    """The transcript of events, without a store."""
    records = [
        Record(seq=n, id="", at=NOON, event=each, digest="", chain="") for n, each in enumerate(events, 1)
    ]
    return to_markdown("s", fold(records, Transcript()))


def headings(markdown: str) -> list[str]:
    """The lines that a reader takes for headings: outside of fences and quotes."""
    found, fence = [], ""
    for line in markdown.split("\n"):
        if fence:
            fence = "" if line == fence else fence
        elif opening := re.match(r"`{3,}", line):
            fence = opening.group()
        elif line.startswith("#"):
            found.append(line.partition(" · ")[0])
    assert not fence
    return found


def test_the_lines_are_the_journals_own_bytes(store: StateStore, folder: Path) -> None:
    """What is exported is the file, to the byte."""
    filled(store, UserMessageAdded(content="Grüße"), AgentResponseAdded(content="Hi"))
    lines: list[bytes] = []
    count = export_lines(store, "s", lines.append)

    assert count == len(lines) == 3
    assert b"".join(lines) == (folder / "sessions" / "s.jsonl").read_bytes()


def test_lines_before_damage_are_written_and_the_damage_is_an_error(store: StateStore, folder: Path) -> None:
    """An altered record never leaves as if it were whole."""
    filled(store)
    store.append("s", [UserMessageAdded(content="true")], expected_version=1)
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(path.read_bytes().replace(b"true", b"lies"))
    lines: list[bytes] = []

    with pytest.raises(CorruptRecordError):
        export_lines(store, "s", lines.append)
    assert len(lines) == 1


def test_a_torn_tail_is_not_exported(store: StateStore, folder: Path) -> None:
    """It was never acknowledged."""
    filled(store)
    with (folder / "sessions" / "s.jsonl").open("ab") as file:
        file.write(b'{"v":1,"se')

    assert export_lines(store, "s", lambda line: None) == 1


@pytest.mark.parametrize("export", [export_json, export_markdown])
def test_a_session_that_is_not_there(store: StateStore, export: object) -> None:
    """It is an error, now and at a time when it did not exist yet."""
    filled(store)
    with pytest.raises(SessionNotFoundError):
        export(store, "another")  # type: ignore[operator]
    with pytest.raises(SessionNotFoundError):
        export(store, "s", at=NOON - timedelta(days=1))  # type: ignore[operator]
    with pytest.raises(SessionNotFoundError):
        export_lines(store, "another", lambda line: None)


def test_json_is_the_seeds_and_of_any_point_in_time(store: StateStore) -> None:
    """Two spaces, the seed's keys; `at` a version or a moment."""
    filled(store, UserMessageAdded(content="one"), UserMessageAdded(content="two"))
    then = [export_json(store, "s", at=at) for at in (2, NOON + timedelta(seconds=1))]
    contents = [[each["content"] for each in json.loads(text)["user_messages"]] for text in then]

    assert contents == [["one"], ["one"]]
    assert export_json(store, "s").startswith(b'{\n  "id": "s",\n  "user_id": "u",\n  "user_messages": [')


def test_exported_json_is_a_session_that_can_be_imported(store: StateStore, tmp_path: Path) -> None:
    """Into another store, where it loads equal."""
    session = Session.new("ann")
    session.add_user_message("Hello")
    session.add_agent_response("Hi")
    session.set_metadata("k", [1, {"a": None}])
    store.save_session(session)
    (tmp_path / f"{session.id}.json").write_bytes(export_json(store, session.id))
    with StateStore(tmp_path / "other", durability="os") as other:
        outcome = import_path(other, tmp_path / f"{session.id}.json")

        assert outcome.problems == []
        assert other.load_session(session.id) == store.load_session(session.id)


def test_the_transcript_reads_in_true_order(store: StateStore) -> None:
    """A turn that failed has no answer, and the next answer stays with its own question."""
    filled(
        store,
        UserMessageAdded(content="unanswered"),
        UserMessageAdded(content="question"),
        ReasoningAdded(content="hm"),
        ToolCalled(call_id="c1", name="search", arguments={"q": "x"}),
        ToolCalled(call_id="c2", name="read", arguments="y"),
        ToolReturned(call_id="c2", result="content"),
        ToolReturned(call_id="c1", result=None, is_error=True),
        ToolReturned(call_id="c9", result=[]),
        AgentResponseAdded(content="answer"),
    )
    text = export_markdown(store, "s")

    assert headings(text) == [
        "# Session `s`",
        "## User",
        "## User",
        "## Reasoning",
        "### Call of `search`",
        "### Call of `read`",
        "### Result of `read`",
        "### Failure of `search`",
        "### Result of call `c9`",
        "## Agent",
    ]
    assert text.index("unanswered") < text.index("question") < text.index("answer\n", text.index("question"))
    assert "## User · 2026-11-22 12:00:01 UTC · record 2\n\n> unanswered\n" in text


def test_the_transcript_of_a_point_in_time(store: StateStore) -> None:
    """`at` ends it."""
    filled(store, UserMessageAdded(content="one"), UserMessageAdded(content="two"))

    assert "one" in export_markdown(store, "s", at=2)
    assert "two" not in export_markdown(store, "s", at=2)


PIECES = [
    *("\n", "\n\n", "\r", "\u2028", " ", "    ", "\t", "text", "a_b", "*"),
    *("#", "# x", "```", "~~~", "`", "``", "````", ">", "- ", "1. ", "---", "===", "|", "|-|-|", "\\"),
    *(
        "<!--",
        "<script>",
        "<b>",
        "</b>",
        "<http://e>",
        "![x](http://e/)",
        "[a](javascript:b)",
        "[a]: http://e",
    ),
    *("[", "]", "(x)", "&lt;", "\x1b]8;;", "\x9b", "\u202e"),
]
wild = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@given(wild)
def test_no_content_can_break_the_page(content: str) -> None:
    """Whatever is said, called and returned, the page has the same headings and ends all its fences."""
    made = headings(
        page(
            UserMessageAdded(content=content),
            ReasoningAdded(content=content),
            ToolCalled(call_id=content, name=content, arguments=content),
            ToolReturned(call_id="other", result=content),
            CustomEvent(name=content, data=content or None),
            AgentResponseAdded(content="end"),
        )
    )

    assert [line.split(" ")[0] for line in made] == ["#", "##", "##", "###", "###", "##"]
    assert made[-2:] == ["### Result of call `other`", "## Agent"]


@given(wild)
def test_another_reader_finds_nothing_alive_in_it(content: str) -> None:
    """An independent Markdown parser sees no tag, link or image, and the page's own headings alone."""
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(
        page(
            UserMessageAdded(content=content),
            CustomEvent(name=content, data=content or None),
            ReasoningAdded(content=content),
            ToolCalled(call_id="c", name=content, arguments=content),
            AgentResponseAdded(content="end"),
        )
    )
    kinds = {each.type for token in tokens for each in (token, *(token.children or ()))}

    assert not kinds & {"html_block", "html_inline", "link_open", "image"}
    assert [token.tag for token in tokens if token.type == "heading_open" and token.level == 0] == [
        *("h1", "h2", "h2", "h3", "h2")
    ]


@given(wild)
def test_no_content_can_steer_the_terminal(content: str) -> None:
    """Control characters and turns of the text's direction are shown, not sent."""
    text = page(UserMessageAdded(content=content), ToolReturned(call_id=content, result=content))

    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a <b> c", r"> a \<b> c"),
        ("![x](http://e)", r"> !\[x](http://e)"),
        (r"\<b>", r"> \<b>"),
        (r"\\<b>", r"> \\\<b>"),
        ("`a[0] <b>` <c>", r"> `a[0] <b>` \<c>"),
        ("lone ` tick\n`<b>` x", "> lone ` tick\n> `\\<b>` x"),
        ("| `a | <b>` |", r"> | `a | \<b>` |"),
        ("```html\n<b>\n```\n<b>", "> ```html\n> <b>\n> ```\n> \\<b>"),
        ("- x\n  ```\n<b>", "> - x\n>   ```\n> \\<b>"),
        ("# Head\n\n- item", "> # Head\n>\n> - item"),
        ("a\rb\x1b[0m", "> a\n> b␛\\[0m"),
    ],
)
def test_markdown_stays_readable_and_opens_nothing(said: str, shown: str) -> None:
    """Tags, links and images are shown as they were written; code stays code."""
    assert f"\n\n{shown}\n" in page(UserMessageAdded(content=said))


@pytest.mark.parametrize(
    ("event", "title", "text"),
    [
        (StepFinished(name="pay", result={"a": 1}), "Step pay finished", '{\n  "a": 1\n}'),
        (StepFinished(name="wait"), "Step wait finished", ""),
        (StepFinished(name="pay", error="no", error_type="E"), "Step pay failed", "E: no"),
        (UsageRecorded(model="m", input_tokens=1200, output_tokens=3), "m used: 1,200 tokens in, 3 out", ""),
        (
            UsageRecorded(model="m", input_tokens=1, output_tokens=0, cost=0.25),
            "m used: 1 tokens in, 0 out, cost 0.25",
            "",
        ),
        (
            ContextCompacted(summary="in short", through=7),
            "The prompt was shortened: this stands for the records up to 7",
            "in short",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_loop_records_beside_is_a_note(event: Event, title: str, text: str) -> None:
    """In the transcript, and on its page."""
    (entry,) = fold([Record(seq=1, id="", at=NOON, event=event, digest="", chain="")], Transcript())

    assert (entry.role, entry.title, entry.text) == ("note", title, text)
    assert f"*Note* · `{title}`" in page(event)


def test_a_long_note_is_cut_and_says_so() -> None:
    """What is no conversation must not bury it; the record number tells where all of it is."""
    text = page(CustomEvent(name="n", data="x" * 5000), ToolReturned(call_id="c", result="y" * 5000))

    assert "… 4,400 characters more are in record 1" in text
    assert "y" * 5000 in text


def test_an_adopted_session_reads_by_time(store: StateStore, seed_files: Path) -> None:
    """A document has two lists; their times are the best order there is."""
    import_path(store, seed_files)

    assert headings(export_markdown(store, "rich")) == [
        "# Session `rich`",
        "## User",
        "## Agent",
        "## User",
        "## Agent",
        "## User",
    ]


def test_every_real_transcript_is_a_page(store: StateStore, data: Path) -> None:
    """Each message, call and result of 224 sessions has its heading."""
    outcome = import_path(store, data)
    counted = ("user", "agent", "reasoning", "tool_call", "tool_result")
    for each in outcome.session_ids:
        entries: list[Entry] | None = store.project(Transcript(), each)
        assert entries is not None
        expected = 1 + sum(entry.role in counted for entry in entries)

        assert len(headings(export_markdown(store, each))) == expected
