// Commands: each view as a line for the terminal, and such a line back into a view.

import { parsePath, pathText } from "./path.ts";
import { type Route, point, toSession } from "./route.ts";

/** A word as a POSIX shell takes it. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** The words of a command behind how it begins. */
export const commandLine = (begin: string, ...words: string[]): string => [begin, ...words.map(quoted)].join(" ");

/** A line cut into words as a shell does; what is not closed goes to the end. */
export function words(line: string): string[] {
  const found: string[] = [];
  let word = "";
  let isWord = false;
  for (let n = 0; n < line.length; n += 1) {
    const character = line[n] ?? "";
    if (character === "'") {
      const end = line.indexOf("'", n + 1);
      word += line.slice(n + 1, end < 0 ? undefined : end);
      n = end < 0 ? line.length : end;
      isWord = true;
    } else if (character === '"') {
      isWord = true;
      for (n += 1; n < line.length && line[n] !== '"'; n += 1) {
        if (line[n] === "\\" && '"\\$`'.includes(line[n + 1] ?? " ")) n += 1;
        word += line[n] ?? "";
      }
    } else if (character === "\\" && n + 1 < line.length) {
      n += 1;
      word += line[n] ?? "";
      isWord = true;
    } else if (/\s/.test(character)) {
      if (isWord) found.push(word);
      word = "";
      isWord = false;
    } else {
      word += character;
      isWord = true;
    }
  }
  if (isWord) found.push(word);
  return found;
}

/** What was typed: a view; a point that must be looked up first; or a sentence that says what is wrong. */
export type Understood =
  | { route: Route }
  | { id: string; point: string; then: (seq: number) => Route }
  | { problem: string };

/** A number, an address, a command or a link, as the view that it stands for. `here` is the session that is open. */
export function understand(typed: string, here: string | null, parseHash: (hash: string) => Route): Understood {
  const text = typed.trim();
  if (text === "") return { problem: "Type a record's number, an address such as s-42@7, or a journal command." };
  const hash = text.startsWith("#/") ? text : /^https?:\/\/[^#]*(#\/.*)$/s.exec(text)?.[1];
  if (hash) return { route: parseHash(hash) };
  if (/^-?\d+$/.test(text) && here !== null) return at(here, text, (seq) => toSession(here, { seq }));
  const [name = "", ...rest] = words(text);
  if (name !== "journal") return addressed(text, (id, seq) => toSession(id, { seq }));
  return ofCommand(rest);
}

const FLAGS_WITH_VALUE = new Set([
  "--store", "--color", "--path", "--user", "--since", "--until", "-n", "--type", "--by", "--cause", "--where", "--page",
]);

function ofCommand(given: string[]): Understood {
  const plain: string[] = [];
  const options = new Map<string, string>();
  for (let n = 0; n < given.length; n += 1) {
    const word = given[n] ?? "";
    const [flag = "", value] = word.startsWith("--") ? word.split(/=(.*)/s) : [word];
    if (FLAGS_WITH_VALUE.has(flag)) options.set(flag, value ?? given[(n += 1)] ?? "");
    else if (!/^-[a-z-]/i.test(word)) plain.push(word);
  }
  const [command = "", first = "", ...rest] = plain;
  switch (command) {
    case "":
    case "ls":
      return { route: { screen: "sessions", text: "", user: options.get("--user") ?? "", sort: "", isFlat: false } };
    case "show":
    case "log":
    case "play":
    case "info":
    case "view":
    case "rewind":
    case "fork":
      return addressed(first, (id, seq) => toSession(id, { seq, view: command === "log" ? "events" : "chat" }));
    case "state":
      return addressed(first, (id, seq) => toSession(id, { seq, tab: "state", path: options.get("--path") ?? "" }));
    case "blame": {
      const path = pathText(parsePath(rest[0] ?? ""));
      return addressed(first, (id, seq) => toSession(id, { seq, tab: "blame", path }));
    }
    case "first":
      return addressed(first, (id, seq) => toSession(id, { seq, tab: "watch", expr: rest.join(" ") }));
    case "diff": {
      const left = point(first);
      const right = point(rest[0] ?? "");
      if (!left || !right) return { problem: "To compare, both points need a version: journal diff s-42@3 s-42@7." };
      if (left.session_id === right.session_id)
        return { route: toSession(left.session_id, { seq: right.version, cmp: left.version, tab: "diff" }) };
      return { route: { screen: "compare", left, right } };
    }
    case "verify":
    case "doctor":
      return { route: { screen: "integrity", id: first || null } };
    case "search":
    case "grep":
      return {
        route: { screen: "search", query: [first, ...rest].join(" "), user: options.get("--user") ?? "" },
      };
    default:
      return { problem: `This page has no view for \`journal ${command}\`; run it in a terminal.` };
  }
}

function addressed(text: string, to: (id: string, seq: number | null) => Route): Understood {
  if (!text) return { problem: "An address is missing, such as s-42@7." };
  const cut = text.lastIndexOf("@");
  if (cut <= 0) return { route: to(text, null) };
  const id = text.slice(0, cut);
  const [from = "", until] = text.slice(cut + 1).split("..");
  return at(id, until || from, (seq) => to(id, seq), () => to(text, null));
}

function at(id: string, where: string, then: (seq: number) => Route, otherwise?: () => Route): Understood {
  if (/^[1-9]\d*$/.test(where)) return { route: then(Number(where)) };
  if (/^-[1-9]\d*$/.test(where) || /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(where)) return { id, point: where, then };
  return otherwise ? { route: otherwise() } : { problem: `There is no record ${where}.` };
}
