"""What the fuzz campaign feeds in: files as programs write them, and what chance may make of them."""

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from crash.forging import CREATED, HEAD, SAID, forged, head

DOCUMENT: Final = (
    b'{"id":"s","user_id":"u","user_messages":[{"content":"hello","timestamp":"2026-01-01T00:00:00Z"}],'
    b'"agent_responses":[{"content":"yes","session_id":null,"seed_id":"x","phase_reached":null,'
    b'"evaluation_passed":true,"timestamp":"2026-01-01T00:00:01.5+02:00"}],"active_seed_id":"x",'
    b'"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-02T00:00:00Z","metadata":{"k":[1,{"a":-2.5e3}]}}'
)
EVENTS: Final = (
    SAID,
    b'{"type":"agent_response_added","content":"yes","seed_id":"x","evaluation_passed":true}',
    b'{"type":"user_message_added","content":"","timestamp":"2026-01-01T00:00:00+02:00"}',
    b'{"type":"active_seed_set","seed_id":null}',
    b'{"type":"active_persona_set","persona_id":"p"}',
    b'{"type":"metadata_set","key":"k","value":{"a":[1,2.5,null,true,"x"],"b":{}}}',
    b'{"type":"tool_called","call_id":"c","name":"n","arguments":{"a":"b"}}',
    b'{"type":"tool_returned","call_id":"c","result":[1],"is_error":true,"duration_ms":1.5}',
    b'{"type":"reasoning_added","content":"hm","signature":"s"}',
    b'{"type":"step_finished","name":"n","arguments":[1],"error":"no","error_type":"E","duration_ms":1.5}',
    b'{"type":"usage_recorded","model":"m","input_tokens":1,"output_tokens":2,"cost":0.5,"extra":{"a":1}}',
    b'{"type":"context_compacted","summary":"s","through":2,"tokens_before":9,"tokens_after":1}',
    b'{"type":"custom_event","name":"n","data":{"a":1}}',
    b'{"type":"session_replaced","session":%b}' % DOCUMENT,
    b'{"type":"session_adopted","document":%b}' % json.dumps(DOCUMENT.decode()).encode(),
    b'{"type":"journal_repaired","offset":9,"size_bytes":1,"reason":"r","quarantine":"q"}',
    b'{"type":"dreamed","of":[1,{"a":"b"}]}',
    CREATED,
)
HEADS: Final = (
    HEAD,
    head(more=b',"by":"ada","cause":"c","key":"k"'),
    head(at=b"2026-11-22T12:00:00.000000+02:00"),
    head(more=b',"more":1'),
    head(more=b',"first":1'),
)
JOURNALS: Final = (
    forged([CREATED, SAID], [SAID]),
    forged([CREATED], [SAID, EVENTS[5], EVENTS[1]], [(HEADS[1], SAID)]),
    forged([CREATED], *([event] for event in EVENTS[5:10])),
    forged([EVENTS[10]], [EVENTS[13], SAID]),
    forged([EVENTS[11]], [SAID], [EVENTS[12]]),
)
_FIRST = forged([CREATED])
SNAPSHOTS: Final = (
    DOCUMENT,
    json.dumps(json.loads(DOCUMENT), indent=2).encode(),
    DOCUMENT[:-1]
    + b',"journal":{"version":1,"offset":%d,"chain":"%b","fold":"session/1"}}'
    % (len(_FIRST), _FIRST[_FIRST.index(b'"chain":"') + 9 :][:43]),
)
# Of each format that can be imported, and of each kind of file.
IMPORTS: Final = {
    "seed": SNAPSHOTS[:2],
    "claude-code": (
        b'{"type":"user","uuid":"1","sessionId":"s","timestamp":"2026-01-01T00:00:00Z","message":{"role":'
        b'"user","content":"hi"}}\n{"type":"assistant","uuid":"2","parentUuid":"1","sessionId":"s","message":'
        b'{"content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"yes"},'
        b'{"type":"tool_use","id":"c","name":"n","input":{"a":1}}]}}\n{"type":"user","uuid":"3","sessionId":'
        b'"s","message":{"content":[{"type":"tool_result","tool_use_id":"c","content":"1","is_error":true}]}}\n'
        b'{"type":"summary","leafUuid":"3","summary":"x"}\n',
    ),
    "openai": (
        b'[{"task":1,"traj":[{"role":"system","content":"be"},{"role":"user","content":"hi"},{"role":'
        b'"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"n",'
        b'"arguments":"{\\"a\\":1}"}}]},{"role":"tool","tool_call_id":"c","content":"1"}]},'
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image","url":"u"}]}]}]',
        b'[{"role":"user","content":"hi","timestamp":1767225600.5},{"role":"assistant","content":"yes"}]',
    ),
    "jsonl": (
        b'{"role":"user","content":"hi","timestamp":"2026-01-01T00:00:00Z"}\n{"role":"agent","content":"yes"}\n'
        b'{"role":"tool","tool_call_id":"c","content":{"a":[1]}}\n{"role":"critic","content":1,"x":null}\n',
    ),
}
AROUND: Final = {
    ".journal/changed": b"+\ns\nother\n",
    ".journal/changed.0123": b"-\ns\n",
    ".journal/tombstones.jsonl": b'{"id":"gone","version":3,"chain":"x","at":"2026-01-01T00:00:00Z"}\n',
    "notes/a.json": b'{"a":[1,2.5,null]}',
    "notes/a.md": "# Ünïcode\n".encode(),
}

_ODD: Final = (
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r\n", b"\0", b"\\", b"\xff", b"\xef\xbb\xbf"),
    *(
        b"\\ud800",
        b"\\u0000",
        b"\xe2\x80\xa8",
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e400",
        b"-0",
        b"{}",
    ),
    *(b"9" * 25, b"1" * 5000, b"[" * 120, b"[" * 1500, b'{"a":' * 300, b"\0" * 600, b'"a":1,' * 50),
    *(b',"more":1', b',"more":999999999', b',"first":1', b'{"v":1,"seq":', b'{"v":2,"seq":', b',"chain":"'),
    *(b'","salt":null', b'"type":"erased","was":"x"', b'"type":', b'"metadata_set"', b'"../../x"', b'"t"'),
    *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59.999999-14:00", b"2026-01-01T00:00:00"),
)
_NUMBERS: Final = (
    *(b"0", b"-1", b"1", b"2", b"9", b"1e400", b"1e-400", b"-0.0", b"1.5", b"007", b"1e3"),
    *(b"9223372036854775808", b"18446744073709551616", b"9" * 40, b"3" * 4400, b'"1"', b"null", b"[]"),
)
_NUMBER: Final = re.compile(rb"-?\d+")
_TEXT: Final = re.compile(rb'"[^"\\\n]{0,40}"')


def journal(random: Random) -> bytes:
    """A journal: one of ours, changed; or one whose hashes fit, whatever its events and headers say."""
    if random.random() < 0.5:
        return mutated(random, random.choice(JOURNALS), JOURNALS)
    batches = []
    for number in range(random.randint(1, 4)):
        batch: list[tuple[bytes, bytes]] = []
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            event = random.choice(EVENTS) if number or random.random() < 0.2 else CREATED
            middle = random.choice(HEADS) if random.random() < 0.1 else HEAD
            if random.random() < 0.4:
                event = mutated(random, event, EVENTS)
            if random.random() < 0.1:
                middle = mutated(random, middle, HEADS)
            batch.append((middle, event))
        batches.append(batch)
    data = forged(*batches)
    return mutated(random, data, JOURNALS) if random.random() < 0.1 else data


def mutated(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Changed in one place or a few. `others` are what a piece may come from."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        data = random.choice(_MUTATIONS)(random, data, others)
    return data


def _flip(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    return (
        data[:at] + bytes([(data[at] if at < len(data) else 0) ^ 1 << random.randrange(8)]) + data[at + 1 :]
    )


def _noise(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    noise = random.randbytes(random.randint(1, 12))
    return data[:at] + noise + data[at + random.choice((0, len(noise))) :]


def _odd(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    odd = random.choice(_ODD)
    return data[:at] + odd + data[at + random.choice((0, 1, len(odd))) :]


def _delete(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    return data[:at] + data[at + random.choice((1, 1, 2, 8, 50, 512)) :]


def _double(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = sorted((_place(random, data), _place(random, data)))
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 9)) + data[end:]


def _truncate(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: _place(random, data)]


def _splice(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    return data[: _place(random, data)] + other[_place(random, other) :]


def _nul(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A sector, or what is left of one, was lost."""
    start = _place(random, data) & ~511 if random.random() < 0.5 else _place(random, data)
    lost = data[start : start + 512]
    return data[:start] + bytes(len(lost)) + data[start + len(lost) :]


def _lines(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A line goes, comes twice, changes its place, or runs into the next."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at, to = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            lines[at], lines[to] = lines[to], lines[at]
        case 3:
            lines[at] = lines[at].rstrip(b"\n")
        case _:
            lines.insert(at, random.choice((b"\n", b"{}\n", b"\r\n", b"x\n", random.choice(others))))
    return b"".join(lines)


def _number(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return _replaced(random, data, _NUMBER, random.choice(_NUMBERS))


def _text(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A text or a key becomes another one, or something else."""
    found = _TEXT.findall(data)
    other = random.choice(found) if found and random.random() < 0.5 else random.choice(_ODD)
    return _replaced(random, data, _TEXT, other)


_MUTATIONS: Final[tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...]] = (
    *(_flip, _noise, _odd, _delete, _double, _truncate, _splice, _nul, _lines, _number, _text),
)


def _replaced(random: Random, data: bytes, pattern: re.Pattern[bytes], by: bytes) -> bytes:
    found = pattern.search(data, _place(random, data)) or pattern.search(data)
    return data if found is None else data[: found.start()] + by + data[found.end() :]


def _place(random: Random, data: bytes) -> int:
    return int(random.random() * (len(data) + 1))
