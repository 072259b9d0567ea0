import assert from "node:assert/strict";
import { test } from "node:test";
import { styled } from "../src/text/ansi.ts";
import { reveal, revealed } from "../src/text/hidden.ts";
import { inlines, parse, safeAddress } from "../src/text/markdown.ts";

test("hidden characters become marks, everything else stays", () => {
  assert.equal(revealed("plain\n\ttext"), "plain\n\ttext");
  assert.equal(revealed("a\u202eb\u200bc\u001b[0m"), "a<U+202E>b<U+200B>c<ESC>[0m");
  assert.equal(revealed("x\u{e0041}"), "x<tag A>");
  assert.equal(revealed("one\r\ntwo"), "one\r\ntwo");
  assert.equal(revealed("👩\u200d💻"), "👩\u200d💻");
  assert.equal(revealed("a\u200db"), "a<U+200D>b");
  assert.equal(reveal("half \ud800!")[1]?.mark?.name, "hidden character U+D800");
});

test("colours become classes, other sequences stay text", () => {
  assert.deepEqual(styled("a\u001b[1;31mb\u001b[0mc"), [
    { text: "a", look: "" },
    { text: "b", look: "ansi-1 ansi-bold" },
    { text: "c", look: "" },
  ]);
  assert.deepEqual(styled("\u001b]8;;x\u0007"), [{ text: "\u001b]8;;x\u0007", look: "" }]);
  assert.equal(styled("\u001b[38;2;255;0;0mred")[0]?.look, "ansi-9");
});

test("only addresses of the web are links", () => {
  assert.equal(safeAddress("javascript:alert(1)"), null);
  assert.equal(safeAddress("data:text/html,x"), null);
  assert.equal(safeAddress("https://example.com/a"), "https://example.com/a");
  assert.deepEqual(inlines("[a](javascript:alert(1))"), [{ kind: "text", text: "[a](javascript:alert(1))" }]);
});

test("a subset of Markdown is read, the rest is text", () => {
  assert.deepEqual(parse("# Title\n\nSome **bold** and `code`."), [
    { kind: "heading", level: 1, inner: [{ kind: "text", text: "Title" }] },
    {
      kind: "paragraph",
      inner: [
        { kind: "text", text: "Some " },
        { kind: "strong", inner: [{ kind: "text", text: "bold" }] },
        { kind: "text", text: " and " },
        { kind: "code", text: "code" },
        { kind: "text", text: "." },
      ],
    },
  ]);
  assert.equal(parse("```sh\nls\n```\nafter")[0]?.kind, "code");
  assert.equal(parse("1. one\n2. two\n   more").length, 1);
  assert.deepEqual(inlines("snake_case_name"), [{ kind: "text", text: "snake_case_name" }]);
  assert.deepEqual(inlines("<script>x</script>"), [{ kind: "text", text: "<script>x</script>" }]);
});

test("texts made to be slow are not", () => {
  const start = performance.now();
  for (const each of ["*", "_", "`", "[", "[](", "> ", "- ", "**a ", "](", "```"]) parse(each.repeat(20_000));
  parse(`${"> ".repeat(5000)}x`);
  assert(performance.now() - start < 5000);
});
