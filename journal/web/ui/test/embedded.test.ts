import assert from "node:assert/strict";
import { test } from "node:test";
import { beginning, check } from "../src/embedded/chain.ts";
import { differences, isSame } from "../src/embedded/differences.ts";
import { compile } from "../src/embedded/expression.ts";
import { apply, begin } from "../src/embedded/fold.ts";
import { prompt } from "../src/embedded/prompt.ts";

// The worked example of docs/reference/format.md.
const LINES = [
  '{"v":1,"seq":1,"id":"019ff000-0000-7000-8000-000000000001","at":"2026-11-22T15:00:00.000000Z","more":1,"digest":"yMgNmYULETpilRHXK68xOksrA3OK6oMlWGxK18hwl90","chain":"2mUj9LU5Rk6TO6_L3ul8trZ0sHeQf0NTNwUkLR_EGh8","salt":"AAECAwQFBgcICQoLDA0ODw","event":{"type":"session_created","session_id":"demo","user_id":"ada"}}',
  '{"v":1,"seq":2,"id":"019ff000-0000-7000-8000-000000000002","at":"2026-11-22T15:00:00.250000Z","first":1,"digest":"rwbEv6NtFvwfKYl5TpIVZ3dwSgHTOCdU2YzqPOmCZyU","chain":"AfZc0Dw9yNxJ-A1Cgx21V6RoYAoRG_cA25YXPFWtaa4","salt":"EBESExQVFhcYGRobHB0eHw","event":{"type":"user_message_added","content":"Hello"}}',
];

test("the worked example of the format checks, and an altered letter does not", async () => {
  let previous = await beginning("demo");
  assert.equal(previous, "iYXDHPRSdqtNoixZC4T9UoxB-ZinW-yIa36vG1zGK78");
  for (const [n, line] of LINES.entries()) {
    assert.equal((await check(line.replace("Hello", "Hullo").replace("ada", "bob"), n + 1, previous)).problem, "its content does not fit its digest: it was altered");
    assert.equal((await check(line.replace("2026", "2025"), n + 1, previous)).problem, "the chain does not fit: it, or a record before it, was altered");
    const { problem, chain } = await check(line, n + 1, previous);
    assert.equal(problem, null);
    previous = chain;
  }
});

test("the fold makes the document that the library makes", () => {
  const state = begin(null);
  for (const line of LINES) {
    const { event, at } = JSON.parse(line);
    apply(state, event, at);
  }
  assert.deepEqual(state, {
    id: "demo",
    user_id: "ada",
    user_messages: [{ content: "Hello", timestamp: "2026-11-22T15:00:00.250000Z" }],
    agent_responses: [],
    created_at: "2026-11-22T15:00:00Z",
    updated_at: "2026-11-22T15:00:00.250000Z",
    metadata: {},
  });
});

test("differences name each value once", () => {
  assert.deepEqual(differences({ a: 1, b: [1, 2], c: 0 }, { a: 1, b: [1, 3, 4], d: null }), [
    { path: "b.1", kind: "changed", before: 2, after: 3 },
    { path: "b.2", kind: "added", after: 4 },
    { path: "c", kind: "removed", before: 0 },
    { path: "d", kind: "added", after: null },
  ]);
  assert(isSame({ a: 1, b: [null] }, { b: [null], a: 1 }));
  assert(!isSame({ a: undefined as never }, {}));
});

test("expressions mean what the reference says", () => {
  const event = { type: "tool_returned", seq: 7, at: "2026-11-22T12:00:00.000000Z", content: "it's", result: { code: 404 } };
  const state = { metadata: { plan: ["look", "think"] }, user_messages: [1, 2, 3], version: 7 };
  const holds = (text: string) => compile(text)(event, state);
  for (const text of [
    'event.type = "tool_returned" and not event.is_error',
    "event.result.code >= 404 or event.seq = 1",
    '"think" in state.metadata.plan',
    "count(state.user_messages) = 3 and state.metadata.plan[-1] ~= '^th'",
    'event.at < "2026-11-22T13:30+01:00"',
    "exists state.metadata.plan and not exists state.metadata.mood",
    `event.content = "it's" and event.content ~= "(?i)IT'S"`,
    'not "x" in state.metadata.plan and "x" not in state.metadata.plan',
    'state["metadata"].plan.0 = "look"',
  ])
    assert(holds(text));
  for (const text of ['"a" < 3', "state.metadata.mood != 'fine'", "event.content", "event.seq = true"]) assert(!holds(text));
  assert.throws(() => compile("event.type = tool_returned"), /is no value; a text stands in quotes/);
  assert.throws(() => compile("event.type = "), /expected a path or a value/);
  assert.throws(() => compile('event.seq = 1 event.seq'), /'and', 'or' or the end/);
});

test("the prompt pairs calls with results, and follows rewinds and summaries", () => {
  const said = (...events: Record<string, unknown>[]) => prompt(events.map((event, n) => ({ seq: n + 1, event: event as never })));
  assert.deepEqual(
    said(
      { type: "user_message_added", content: "q" },
      { type: "tool_called", call_id: "1", name: "f", arguments: {} },
      { type: "tool_returned", call_id: "1", result: "r" },
      { type: "agent_response_added", content: "a" },
    ),
    [
      { role: "user", content: "q" },
      { role: "assistant", content: null, tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }] },
      { role: "tool", tool_call_id: "1", content: "r" },
      { role: "assistant", content: "a" },
    ],
  );
  assert.deepEqual(
    said(
      { type: "user_message_added", content: "one" },
      { type: "user_message_added", content: "two" },
      { type: "session_rewound", to: 1 },
      { type: "user_message_added", content: "three" },
    ),
    [{ role: "user", content: "one" }, { role: "user", content: "three" }],
  );
  assert.deepEqual(
    said({ type: "user_message_added", content: "one" }, { type: "context_compacted", summary: "s", through: 1 }, { type: "user_message_added", content: "two" }),
    [{ role: "user", content: "Summary of the conversation so far:\n\ns" }, { role: "user", content: "two" }],
  );
});
