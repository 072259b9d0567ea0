"""Redaction: what is hidden, what is left as it is, and in what time."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from journal.event_json import encode_event
from projections import (
    CustomEvent,
    MetadataSet,
    Record,
    Redaction,
    SessionAdopted,
    SessionCreated,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UserMessageAdded,
)
from tests.strategies import events, json_values, texts

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nabc\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1g"
# A text, and what of it may not be left, with its kind.
SECRETS = [
    ("see sk-proj-abcdefghij0123456789, ok", "sk-proj-abcdefghij0123456789", "api_key"),
    ("sk_live_4eC39HqLyjWDarjtT1", "sk_live_4eC39HqLyjWDarjtT1", "api_key"),
    ("x ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9, "api_key"),
    ("AKIAIOSFODNN7EXAMPLE!", "AKIAIOSFODNN7EXAMPLE", "api_key"),
    ("xoxb-1234567890-abcdef", "xoxb-1234567890-abcdef", "api_key"),
    (r"a text in a text\nsk-abcdefghij0123456789", "sk-abcdefghij0123456789", "api_key"),
    (f"jwt={JWT} ", JWT, "jwt"),
    (f"my key:\n{PEM}\nthanks", PEM, "private_key"),
    ("cut off: " + PEM[:50], "MIIEow", "private_key"),
    ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678", "authorization"),
    ("curl -H 'authorization: Basic dXNlcjpwYXNz'", "dXNlcjpwYXNz", "authorization"),
    ("send Bearer abcdefgh12345678 along", "abcdefgh12345678", "authorization"),
    ("PASSWORD=hunter2 make", "hunter2", "password"),
    ('{"password": "correct \\"horse\\" staple"}', "staple", "password"),
    (r"{\"passwd\": \"correct horse\", \"n\": 1}", "horse", "password"),
    ("passphrase = 'a b'", "a b", "password"),
    ("postgres://ann:hunter2@db/x", "hunter2", "password"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENG", "wJalrXUtnFEMIK7MDENG", "secret"),
    ("?access_token=0123456789abcdef", "0123456789abcdef", "secret"),
    ("write to Ann.Lee+x@mail.example.com.", "Ann.Lee+x@mail.example.com", "email"),
    ("grüße@müller.example", "grüße@müller.example", "email"),
]
# What looks a little like it.
PLAIN = [
    *("react@18.2.0 and @app.get('/')", "a task-force-with-a-long-name", "max_tokens: 4096", "password:"),
    *("the password is secret", 'api_key=""', "sk-SK", "http://example.com:80/a", "eyJ.eyJ", "-----BEGIN"),
    *("", "Bearer of good news", "2026-11-22T12:00:00Z", "8b1d6f3e-4f5a-7c2b-9d8e-1a2b3c4d5e6f"),
]
pieces = st.sampled_from(
    [
        *(text for text, _, _ in SECRETS),
        *(secret for _, secret, _ in SECRETS),
        *(
            "@",
            "a@b.cc",
            "sk-",
            "eyJ",
            "-",
            "_",
            ".",
            "=",
            ": ",
            '"',
            "'",
            "\\",
            "\\n",
            "\n",
            " ",
            "é",
            "://a:",
        ),
        *(
            "password",
            "token=",
            "Bearer ",
            "[redacted:email]",
            "[redacted:",
            "]",
            "AKIA",
            "x" * 20,
            "12345678",
        ),
    ]
)
messy = st.lists(pieces | texts(), max_size=8).map("".join)
redaction = Redaction()


def left(text: str) -> str:
    return redaction.redact_text(text)[0]


@pytest.mark.parametrize(("text", "secret", "kind"), SECRETS)
def test_a_secret_gives_way_to_a_mark_of_its_kind(text: str, secret: str, kind: str) -> None:
    """Its span is told; the mark stands there instead, and what stood around it stays."""
    redacted, found = redaction.redact_text(text)
    (one,) = found

    assert one.kind == kind
    assert secret in text[one.start : one.end]
    assert redacted == f"{text[: one.start]}[redacted:{kind}]{text[one.end :]}"
    assert secret not in redacted


@pytest.mark.parametrize("text", PLAIN)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redaction.redact_text(text) == (text, [])


@given(messy)
@example("Ann.Lee+x@mail.example.com.Ann.Lee+x@mail.example.com")
@example("a@b.cc.@d.ee")
@example("AKIAIOSFODNN7EXAMPLEghp_" + "a1B2" * 9)
@example(f"{PEM}{JWT}")
def test_after_a_redaction_nothing_is_found_any_more(text: str) -> None:
    """However secrets touch, overlap and hide in one another; so it is idempotent."""
    once = left(text)

    assert redaction.redact_text(once) == (once, [])


@given(events())
def test_an_event_with_nothing_to_hide_is_the_same_one(event: Any) -> None:
    """Not a copy: its bytes stay as they are."""
    raw = event.raw if isinstance(event, UnknownEvent) else msgspec.json.encode(event)
    redacted, found = redaction.redact_event_json(raw)

    if not found:
        assert redacted is raw
        assert redaction.redact_event(event) is event


@st.composite
def json_of_secrets(draw: st.DrawFn) -> Any:
    """An object or a list of texts that hold secrets, and of other JSON."""
    values = draw(st.lists(messy | json_values(), max_size=4))
    keys = messy | st.sampled_from(["password", "apiKey", "Authorization", "token"])
    names = draw(st.lists(keys, min_size=len(values), max_size=len(values), unique=True))
    inner = dict(zip(names, values, strict=True))
    return draw(st.sampled_from([inner, [inner, *values], {"x": [inner]}, draw(messy)]))


@given(json_of_secrets(), messy)
def test_of_an_event_every_text_is_redacted_the_keys_too(value: Any, key: str) -> None:
    """The result can be stored; nothing is found in it; no value is lost where two keys come to one mark."""
    for event in (
        ToolCalled(call_id="c", name="n", arguments=value),
        ToolReturned(call_id="c", result=value),
        CustomEvent(name=key, data=value),
        MetadataSet(key=key, value=value),
        UnknownEvent(type="new", raw=msgspec.json.encode({"type": "new", "user_id": "u", "x": value})),
    ):
        redacted = redaction.redact_event(event)

        assert type(redacted) is type(event)
        assert redaction.redact_event(redacted) is redacted
        assert shape_of(msgspec.json.decode(encode_event(redacted))) == shape_of(
            msgspec.json.decode(encode_event(event))
        )


def shape_of(value: Any) -> Any:
    """How much there is in a value, whatever it says."""
    if isinstance(value, dict):
        return sorted((shape_of(each) for each in value.values()), key=repr)
    return [shape_of(each) for each in value] if isinstance(value, list) else type(value)


def test_a_value_is_secret_by_its_name() -> None:
    """In an object, and of a key of the metadata; whatever it looks like, and nothing of it is left."""
    value = {
        "headers": {"Authorization": "Basic my own"},
        "dbPassword": "a b c",
        "token": "the",
        "n": [1, None],
    }
    event = redaction.redact_event(ToolCalled(call_id="c", name="n", arguments=value))
    metadata = redaction.redact_event(MetadataSet(key="api_key", value="plain words"))

    assert isinstance(event, ToolCalled)
    assert event.arguments == {
        "headers": {"Authorization": "[redacted:authorization]"},
        "dbPassword": "[redacted:password]",
        "token": "the",
        "n": [1, None],
    }
    assert metadata == MetadataSet(key="api_key", value="[redacted:secret]")


def test_two_keys_with_one_mark_both_keep_their_values() -> None:
    """Also where a key already reads as the mark of another."""
    value = {"a@a.example": 1, "b@b.example": 2, "[redacted:email]": 3}
    redacted, found = redaction.redact_json(value)

    assert redacted == {"[redacted:email] (2)": 1, "[redacted:email] (3)": 2, "[redacted:email]": 3}
    assert len(found) == 2
    assert redaction.redact_json(redacted) == (redacted, [])


def test_what_names_and_pairs_stays() -> None:
    """A store could not find, own or pair it any more; for other people's eyes, the owner goes too."""
    created = SessionCreated(session_id="ann@a.example", user_id="ann@a.example")
    record = Record(
        seq=1, id="i", at=datetime.now(UTC), event=created, digest="d", chain="c", by="bob@b.example"
    )
    shown, found = redaction.redact_record(record)

    assert redaction.redact_event(created) is created
    assert shown.event == SessionCreated(session_id="ann@a.example", user_id="[redacted:email]")
    assert (shown.by, shown.digest, shown.chain) == ("[redacted:email]", "", "")
    assert [each.kind for each in found] == ["email", "email"]


def test_escaped_letters_hide_nothing() -> None:
    r"""Another writer may write `@` as `\u0040`; another program's file is JSON in a text."""
    raw = b'{"type":"new","said":"ann\\u0040a.example"}'
    text = '{"id":"s","user_id":"u\\u0040b.example","user_messages":[{"content":"ann\\u0040a.example"}]}'
    adopted = redaction.redact_event(SessionAdopted(document=text))

    assert redaction.redact_event(UnknownEvent(type="new", raw=raw)) == UnknownEvent(
        type="new", raw=b'{"type":"new","said":"[redacted:email]"}'
    )
    assert isinstance(adopted, SessionAdopted)
    assert json.loads(adopted.document) == {
        "id": "s",
        "user_id": "u@b.example",
        "user_messages": [{"content": "[redacted:email]"}],
    }


def test_your_own_expressions_come_on_top() -> None:
    """By kind, or as a list; of one with a group `hide`, only that is hidden."""
    own = Redaction({"ticket": r"TICKET-\d+", "name": r"Mr (?P<hide>\w+)"})

    assert own.redact_text("Mr Lee: TICKET-12, a@b.example")[0] == (
        "Mr [redacted:name]: [redacted:ticket], [redacted:email]"
    )
    assert Redaction([r"TICKET-\d+"], builtin=False).redact_text("TICKET-1 a@b.example")[0] == (
        "[redacted:pattern] a@b.example"
    )
    assert own.redact_event(UserMessageAdded(content="ticket TICKET-1")) == UserMessageAdded(
        content="ticket [redacted:ticket]"
    )


@pytest.mark.parametrize(
    ("patterns", "reason"),
    [
        ([r"("], "is no regular expression"),
        ([r"a*"], "matches the empty text"),
        ({"My kind": "a"}, "the kind 'My kind'"),
    ],
)
def test_an_expression_that_cannot_work_is_refused(patterns: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("(", r"\(")):
        Redaction(patterns)


def test_an_excerpt_tells_secrets_apart_and_gives_none_away() -> None:
    for text, _, _ in SECRETS:
        for found in redaction.redact_text(text)[1]:
            assert len(found.excerpt.replace("…", "")) * 3 <= found.end - found.start


HOSTILE = [
    *(
        "a" * 16,
        "a@",
        "eyJ-",
        "-----BEGIN PRIVATE KEY-----",
        "password=",
        'password="',
        r"password=\"",
        "://a:",
    ),
    *("sk-", "a.b@a.a.", "[redacted:a]@", "AKIA" + "A" * 16, "-----BEGIN A ", "authorization:", "bearer "),
    *(
        "SG.a",
        "token:",
        "secret",
        "\\",
        "password" + "\\" * 4,
        "eyJaaaaaaaaaaa.",
        "é@",
        "-",
        "xox",
        "a@b.",
        ":",
    ),
    *("%", "\\neyJaaaaaaaa", '"', "passphrase:`", " \t", "api_key=>", "npm_", "://:"),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_time_is_in_proportion_to_the_text(unit: str) -> None:
    """Much of what begins like a secret many times: what goes back and forth never ends."""
    body = unit * (300_000 // len(unit))
    for text in (
        body,
        "x@" + body,
        body + "@b.example",
        "password: " + body,
        "-----BEGIN PRIVATE KEY-----" + body,
    ):
        once = left(text)

        assert left(once) == once
