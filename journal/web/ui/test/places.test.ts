import assert from "node:assert/strict";
import { test } from "node:test";
import { commandLine, quoted, understand, words } from "../src/command.ts";
import { FixedHeights, MeasuredHeights } from "../src/heights.ts";
import { parsePath, pathText, valueAt } from "../src/path.ts";
import { type Route, formatRoute, parseRoute, toSession } from "../src/route.ts";
import { ordered } from "../src/tree.ts";
import type { SessionSummary } from "../src/source.ts";

test("a view is a link, and a link that view", () => {
  const views: Route[] = [
    { screen: "sessions", text: "a b", user: "ada", sort: "-id", isFlat: true },
    toSession("s/4 2", { seq: 120, tab: "diff", cmp: 80, view: "events", watch: ["metadata.plan", "/metadata/a.b"] }),
    { screen: "compare", left: { session_id: "a@b", version: 3 }, right: { session_id: "c", version: 1 } },
    { screen: "integrity", id: "s-42" },
    { screen: "search", query: '"a phrase" -x', user: "" },
  ];
  for (const view of views) assert.deepEqual(parseRoute(formatRoute(view)), view);
});

test("a path is written as the journal writes it", () => {
  for (const text of ["metadata.plan.0", "/metadata/a.b/c~1d", "user_messages.-1"])
    assert.equal(pathText(parsePath(text)), text);
  assert.equal(valueAt({ a: [{ b: null }] }, ["a", 0, "b"]), null);
  assert.equal(valueAt({ a: [] }, ["a", 0]), undefined);
});

test("a command leads back to its view", () => {
  const route = (typed: string, here: string | null = null) => {
    const meant = understand(typed, here, parseRoute);
    return "route" in meant ? formatRoute(meant.route) : "problem" in meant ? "problem" : `${meant.id} ${meant.point}`;
  };
  assert.equal(route("12", "s"), "#/s/s?seq=12");
  assert.equal(route("-1", "s"), "s -1");
  assert.equal(route("s-42@7"), "#/s/s-42?seq=7");
  assert.equal(route("s-42@2026-11-22T12:00Z"), "s-42 2026-11-22T12:00Z");
  assert.equal(route("journal --store 'my store' show s@12"), "#/s/s?seq=12");
  assert.equal(route("journal state s@12 --path metadata.plan"), "#/s/s?seq=12&tab=state&path=metadata.plan");
  assert.equal(route("journal diff s@3 s@7"), "#/s/s?seq=7&tab=diff&cmp=3");
  assert.equal(route("journal diff a@3 b@7"), "#/compare?left=a%403&right=b%407");
  assert.equal(route("journal blame s@4 /metadata/plan"), "#/s/s?seq=4&tab=blame&path=metadata.plan");
  assert.equal(route("journal verify --all"), "#/integrity");
  assert.equal(route("http://127.0.0.1:7171/#/s/x?seq=2"), "#/s/x?seq=2");
  assert.equal(route("journal frobnicate"), "problem");
});

test("words are cut as a shell cuts them", () => {
  for (const word of ["plain", "it's", 'a "b"', "x;y", "", "a\\b"]) assert.deepEqual(words(`j ${quoted(word)}`), ["j", word]);
  assert.equal(commandLine("journal", "first", "s", 'event.name = "x"'), "journal first s 'event.name = \"x\"'");
});

test("measured heights add up as if they had been added one by one", () => {
  const heights = new MeasuredHeights(1000, 50);
  const plain = Array.from({ length: 1000 }, () => 50);
  for (let n = 0; n < 3000; n += 1) {
    const index = (n * 7919) % 1000;
    plain[index] = 20 + ((n * 31) % 300);
    heights.set(index, plain[index] ?? 0);
  }
  heights.resize(1500);
  while (plain.length < 1500) plain.push(50);
  let top = 0;
  plain.forEach((height, index) => {
    assert.equal(Math.round(heights.top(index)), top);
    assert.equal(heights.at(top + 1), index);
    top += height;
  });
  assert.equal(heights.total(), top);
  assert.equal(new FixedHeights(10, 28).at(29), 1);
});

test("forks stand below their origins, and none is lost", () => {
  const session = (id: string, origin: string | null, updated_at: string): SessionSummary => ({
    id, origin, updated_at, user_id: "u", version: 1, message_count: 0, response_count: 0, created_at: "", size_bytes: 0,
    origin_version: null,
  });
  const all = [session("a", null, "1"), session("b", null, "2"), session("a1", "a", "3"), session("a2", "a1", "4"), session("x", "y", "0"), session("y", "x", "0")];
  assert.deepEqual(ordered(all, "", true).slice(0, 4).map((each) => [each.session.id, each.depth]), [["b", 0], ["a", 0], ["a1", 1], ["a2", 2]]);
  assert.equal(ordered(all, "", true).length, 6);
  assert.equal(ordered(all, "id", false)[0]?.session.id, "a");
});
