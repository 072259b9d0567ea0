"""Embedding: a session and the page in one HTML file, which needs no server and checks itself.

The page's script and style stand in it, allowed by their hashes and nothing else; the records come in pieces,
each packed, and unpacked in the browser when somebody looks at them.
"""

import gzip
import html
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import resources
from typing import Any, Final

import msgspec
from msgspec import structs

from journal.chain import first_chain
from journal.errors import AttachmentError, CorruptRecordError
from journal.export import redacted_line
from journal.objects import moment_text
from journal.store import StateStore
from journal.web.answers import Problem
from journal.web.attached_files import OTHER, attachment
from journal.web.charts import charts, minimap
from journal.web.glances import glance
from journal.web.past import Past
from journal.web.rows import Row, row_of
from journal.web.sessions import Sessions
from projections.messages import utc_now
from projections.redaction import Redaction

PIECE: Final = 1000
"""So many records are packed together."""
_COLUMNS: Final = 480
# A piece begins with the state before it where that is short: then no earlier one has to be folded.
_MOST_STATE_BYTES: Final = 64 * 1024
_MOST_PICTURE_BYTES: Final = 1024 * 1024
_MOST_PICTURES_BYTES: Final = 8 * 1024 * 1024
_STYLE: Final = '<link rel="stylesheet" href="/app.css">'
_SCRIPT: Final = '<script src="/app.js"></script>'
_CHARSET: Final = '<meta charset="utf-8">'
# What the server says in a header; who may frame a file cannot be said in one.
_POLICY: Final = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass
class Embedded:
    """What was written: how many records, what was hidden in them, and where the journal is damaged."""

    records: int
    hidden: Counter[str] = field(default_factory=Counter)
    damage: CorruptRecordError | None = None


def export_page(
    store: StateStore,
    session_id: str,
    write: Callable[[bytes], object],
    *,
    redaction: Redaction | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Embedded:
    """Write a session as one HTML file; `write` gets it in pieces.

    Of a damaged journal what stands before the damage, and the page says so. Redacted it proves nothing: it
    has no hashes. `progress` is called with the session's id, the records done and all of them.

    Raises SessionNotFoundError, and CorruptRecordError where nothing can be read.
    """
    sessions = Sessions(store)
    return sessions.ask(session_id, lambda past: _write_page(store, past, write, redaction, progress))


def _write_page(
    store: StateStore,
    past: Past,
    write: Callable[[bytes], object],
    redaction: Redaction | None,
    progress: Callable[[str, int, int], None] | None,
) -> Embedded:
    done = Embedded(past.version, damage=past.damage)
    pieces = []
    for first, last in _bounds(past):
        if progress is not None:
            progress(past.session_id, first - 1, past.version)
        pieces.append(_piece(past, first, last, redaction, done.hidden))
    before, between, behind = _around()
    write(before + b'\n<script type="application/json" id="journal">')
    write(_in_script(_header(store, past, redaction, done.hidden)) + b"</script>\n")
    for number, piece in enumerate(pieces):
        write(b'<script type="application/octet-stream" id="chunk-%d">%b</script>\n' % (number, piece))
    for digest, kind, data in _pictures(store, past) if redaction is None else ():
        write(
            b'<script type="application/octet-stream" id="attachment-%b" data-type="%b">%b</script>\n'
            % (digest.encode(), kind.encode(), b64encode(data))
        )
    write(between + behind)
    return done


def _header(
    store: StateStore, past: Past, redaction: Redaction | None, hidden: Counter[str]
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "session": glance(store, past),
        "strip": minimap(past, _COLUMNS)["columns"],
        "charts": charts(past),
    }
    if redaction is not None:
        said, _ = redaction.redact_json(msgspec.to_builtins(said))
        said["session"] |= {"session_id": past.session_id, "head": None}
    return said | {
        "format": 1,
        "store": None,
        "redacted": redaction is not None,
        "hidden": dict(hidden),
        "head": past.head if redaction is None else None,
        "first_chain": first_chain(past.session_id).decode() if redaction is None else None,
        "chunks": [{"first": first, "last": last} for first, last in _bounds(past)],
        "generated_at": moment_text(utc_now()),
    }


def _bounds(past: Past) -> list[tuple[int, int]]:
    """The first and the last record of each piece."""
    return [(first, min(first + PIECE - 1, past.version)) for first in range(1, past.version + 1, PIECE)]


def _piece(past: Past, first: int, last: int, redaction: Redaction | None, hidden: Counter[str]) -> bytes:
    """Some records, packed: their rows, their lines, and the state before them."""
    rows: list[Row] = []
    lines: list[str] = []
    for seq, line in enumerate(past.lines(first, last), first):
        record = past.decoded(seq, line)
        if redaction is None:
            rows.append(row_of(past, record, line))
            lines.append(line.decode())
            continue
        shown, found = redaction.redact_record(record)
        hidden.update(each.kind for each in found)
        line = redacted_line(past.session_id, line, redaction)
        row = row_of(past, shown, line)
        # Attachments are not redacted: they are left out.
        key, title = row.key and redaction.redact_text(row.key)[0], redaction.redact_text(row.title)[0]
        rows.append(structs.replace(row, attachments=[], key=key, title=title))
        lines.append(line.decode())
    packed = gzip.compress(
        msgspec.json.encode({"rows": rows, "lines": lines, "state": _state_before(past, first, redaction)}),
        compresslevel=6,
        mtime=0,
    )
    return b64encode(packed)


def _state_before(past: Past, first: int, redaction: Redaction | None) -> Any:
    """The session's document, or None: before the first record, and where it is too long to be kept often."""
    history, version = past.history, first - 1
    messages = history.user_messages.length(version) + history.agent_responses.length(version)
    if not version or messages > _MOST_STATE_BYTES // 64:
        return None
    document = history.state(version).to_document()
    encoded = msgspec.json.encode(document)
    if len(encoded) > _MOST_STATE_BYTES:
        return None
    plain = msgspec.json.decode(encoded)
    return plain if redaction is None else redaction.redact_document(plain)[0]


def _pictures(store: StateStore, past: Past) -> Iterator[tuple[str, str, bytes]]:
    """The attachments that are pictures: their hashes, kinds and bytes; not those that are large, or many."""
    left = _MOST_PICTURES_BYTES
    for digest in sorted(past.attached):
        (size,) = store._attachments.sizes_of([digest]) or (left + 1,)
        if size > min(_MOST_PICTURE_BYTES, left):
            continue
        try:
            data, kind = attachment(store, digest)
        except (Problem, AttachmentError):
            continue  # it was altered: the page says that it is not part of the file
        if kind != OTHER:
            left -= size
            yield digest, kind, data


def _around() -> tuple[bytes, bytes, bytes]:
    """The page's own parts: its beginning with the style and the policy, its script, its end."""
    page = resources.files("journal.web") / "page"
    document = (page / "index.html").read_text()
    script, style = (page / "app.js").read_bytes(), (page / "app.css").read_bytes()
    policy = _POLICY.format(script=_hash_of(script), style=_hash_of(style))
    meta = f'{_CHARSET}\n<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
    begin, _, end = document.replace(_CHARSET, meta).partition(_SCRIPT)
    top, _, body = begin.partition(_STYLE)
    return (
        top.encode() + b"<style>" + style + b"</style>" + body.encode(),
        b"<script>" + script + b"</script>",
        end.encode(),
    )


def _hash_of(content: bytes) -> str:
    return f"sha256-{b64encode(sha256(content).digest()).decode()}"


def _in_script(value: Any) -> bytes:
    """JSON that ends no script element and begins no comment."""
    return msgspec.json.encode(value).replace(b"<", b"\\u003c")
