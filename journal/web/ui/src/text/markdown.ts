// Markdown: a small subset, as a tree of plain values. What it does not know stays text.

export type Inline =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "emphasis"; inner: Inline[] }
  | { kind: "link"; address: string; inner: Inline[] };

export type Block =
  | { kind: "paragraph"; inner: Inline[] }
  | { kind: "heading"; level: number; inner: Inline[] }
  | { kind: "code"; language: string; text: string }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "list"; isOrdered: boolean; start: number; items: Block[][] }
  | { kind: "rule" };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])([ \t]+)(?=\S)/;

// Deeper than anybody writes; past it the rest is text.
const MAX_DEPTH = 8;
// A longer paragraph is no prose: it is shown as it is.
const MAX_INLINE = 20_000;

/** The blocks of a text. */
export function parse(text: string): Block[] {
  return blocks(text.replaceAll("\r\n", "\n").split("\n"), 0);
}

function blocks(lines: string[], depth: number): Block[] {
  const found: Block[] = [];
  let n = 0;
  const line = () => lines[n] ?? "";
  while (n < lines.length) {
    if (line().trim() === "") {
      n += 1;
      continue;
    }
    const fence = FENCE.exec(line());
    if (fence) {
      const end = fence[1] ?? "```";
      const from = (n += 1);
      while (n < lines.length && !isFenceEnd(line(), end)) n += 1;
      found.push({ kind: "code", language: fence[2] ?? "", text: lines.slice(from, n).join("\n") });
      n += 1;
      continue;
    }
    const heading = HEADING.exec(line());
    if (heading) {
      const title = (heading[2] ?? "").replace(/[ \t]+#+[ \t]*$/, "");
      found.push({ kind: "heading", level: heading[1]?.length ?? 1, inner: inlines(title) });
      n += 1;
      continue;
    }
    if (RULE.test(line())) {
      found.push({ kind: "rule" });
      n += 1;
      continue;
    }
    if (depth < MAX_DEPTH && QUOTE.test(line())) {
      const quoted: string[] = [];
      while (n < lines.length && QUOTE.test(line())) {
        quoted.push(line().replace(QUOTE, ""));
        n += 1;
      }
      found.push({ kind: "quote", blocks: blocks(quoted, depth + 1) });
      continue;
    }
    if (depth < MAX_DEPTH && ITEM.test(line())) {
      const [list, used] = listAt(lines, n, depth);
      found.push(list);
      n += used;
      continue;
    }
    const from = n;
    n += 1;
    while (n < lines.length && line().trim() !== "" && !beginsBlock(line())) n += 1;
    found.push({ kind: "paragraph", inner: inlines(lines.slice(from, n).join("\n")) });
  }
  return found;
}

const beginsBlock = (line: string): boolean =>
  FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);

function isFenceEnd(line: string, fence: string): boolean {
  const trimmed = line.trim();
  return trimmed.length >= fence.length && trimmed === (fence[0] ?? "`").repeat(trimmed.length);
}

function listAt(lines: string[], from: number, depth: number): [Block, number] {
  const first = ITEM.exec(lines[from] ?? "");
  const marker = first?.[2] ?? "-";
  const isOrdered = /\d/.test(marker);
  const items: Block[][] = [];
  let n = from;
  while (n < lines.length) {
    const item = ITEM.exec(lines[n] ?? "");
    if (!item || /\d/.test(item[2] ?? "") !== isOrdered) break;
    const indent = item[0].length;
    const inner = [(lines[n] ?? "").slice(indent)];
    n += 1;
    while (n < lines.length) {
      const line = lines[n] ?? "";
      const isBlank = line.trim() === "";
      const own = /^\s*/.exec(line)?.[0].length ?? 0;
      if (isBlank) {
        const after = lines[n + 1];
        if (after === undefined || (/^\s*/.exec(after)?.[0].length ?? 0) < Math.min(indent, 2)) break;
        inner.push("");
      } else if (own >= Math.min(indent, 2)) inner.push(line.slice(Math.min(own, indent)));
      else if (ITEM.test(line) || beginsBlock(line)) break;
      else inner.push(line);
      n += 1;
    }
    items.push(blocks(inner, depth + 1));
    // Between items a blank line may stand.
    if ((lines[n] ?? "x").trim() === "" && ITEM.test(lines[n + 1] ?? "")) n += 1;
  }
  return [{ kind: "list", isOrdered, start: isOrdered ? Number.parseInt(marker, 10) : 1, items }, n - from];
}

/** The pieces of a line of prose. */
export function inlines(text: string, depth = 0): Inline[] {
  if (text.length > MAX_INLINE || depth > MAX_DEPTH) return [{ kind: "text", text }];
  const found: Inline[] = [];
  let from = 0;
  let n = 0;
  // Where a closing mark was looked for in vain, so that a text full of opening ones takes no square of its length.
  const none = new Set<string>();
  const closing = (mark: string, start: number): number => {
    if (none.has(mark)) return -1;
    const at = text.indexOf(mark, start);
    if (at < 0) none.add(mark);
    return at;
  };
  const push = (piece: Inline, to: number) => {
    if (n > from) found.push({ kind: "text", text: text.slice(from, n) });
    found.push(piece);
    from = n = to;
  };
  while (n < text.length) {
    const character = text[n];
    if (character === "\\" && /[\\`*_[\]#>-]/.test(text[n + 1] ?? "")) {
      push({ kind: "text", text: text[n + 1] ?? "" }, n + 2);
    } else if (character === "`") {
      const mark = /^`+/.exec(text.slice(n, n + 16))?.[0] ?? "`";
      const end = closing(mark, n + mark.length);
      if (end < 0) n += mark.length;
      else push({ kind: "code", text: text.slice(n + mark.length, end).trim() }, end + mark.length);
    } else if (character === "*" || character === "_") {
      const mark = text[n + 1] === character ? character + character : character;
      const end = closing(mark, n + mark.length + 1);
      const isWord = character === "_" && /\w/.test(text[n - 1] ?? " ");
      const inside = end < 0 ? "" : text.slice(n + mark.length, end);
      const ends = character === "_" && /\w/.test(text[end + mark.length] ?? " ");
      if (end < 0 || isWord || ends || /^\s|\s$|^[*_]/.test(inside)) n += mark.length;
      else
        push(
          { kind: mark.length === 2 ? "strong" : "emphasis", inner: inlines(inside, depth + 1) },
          end + mark.length,
        );
    } else if (character === "[") {
      const middle = closing("](", n + 1);
      const end = middle < 0 ? -1 : closing(")", middle + 2);
      const address = end < 0 ? null : safeAddress(text.slice(middle + 2, end).trim());
      const label = middle < 0 ? "" : text.slice(n + 1, middle);
      if (address && !label.includes("[") && !label.includes("\n\n"))
        push({ kind: "link", address, inner: inlines(label, depth + 1) }, end + 1);
      else n += 1;
    } else if (character === "h" && /^https?:\/\/[^\s<>"'`]+/.test(text.slice(n, n + 2048)) && !/\w/.test(text[n - 1] ?? " ")) {
      const raw = (/^https?:\/\/[^\s<>"'`]+/.exec(text.slice(n, n + 2048))?.[0] ?? "").replace(/[.,;:!?)\]}*_]+$/, "");
      const address = safeAddress(raw);
      if (address) push({ kind: "link", address, inner: [{ kind: "text", text: raw }] }, n + raw.length);
      else n += 1;
    } else n += 1;
  }
  if (from < text.length) found.push({ kind: "text", text: text.slice(from) });
  return found;
}

/** The address of a link, if it is one of the web's; anything else is no link. */
export function safeAddress(text: string): string | null {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
