// JSON as a tree that opens, each value of which can be asked about.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { number } from "../format.ts";
import { type Step, pathText } from "../path.ts";
import type { Json } from "../source.ts";
import { revealed } from "../text/hidden.ts";
import { Text } from "./text.tsx";

interface Context {
  /** A value was chosen, by its path. */
  onPath?(path: string): void;
  /** The path that is chosen now. */
  chosen?: string;
  /** Which of two kinds of value the click is for, in words: "Blame". */
  action?: string;
}

const LONG = 300;
const MANY = 100;
// Of messages the last ones are those that people look for.
const FEW = 5;

/** A whole value; its first two levels are open. */
export function JsonTree({ value, ...context }: { value: Json } & Context): JSX.Element {
  return <div class="json"><Node value={value} path={[]} context={context} isOpen /></div>;
}

/** A value in few words, for lists. */
export function jsonLine(value: Json | undefined, most = 200): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

function Node(p: { name?: Step; value: Json; path: Step[]; context: Context; isOpen: boolean }): JSX.Element {
  const cut = asCut(p.path, p.value);
  const isNested = p.value !== null && typeof p.value === "object" && (cut !== null || size(p.value) > 0);
  const [isOpen, setOpen] = useState(p.isOpen);
  const [shown, setShown] = useState(cut ? FEW : MANY);
  const path = pathText(p.path);
  const name = p.name === undefined ? null : <Name name={p.name} path={path} context={p.context} />;
  if (!isNested) {
    return (
      <div class="json-line">
        {name}
        <Leaf value={p.value} path={path} context={p.context} />
      </div>
    );
  }
  const entries: [Step, Json][] = cut
    ? cut.last.map((each, n) => [cut.count - cut.last.length + n, each])
    : Array.isArray(p.value)
      ? p.value.map((each, n) => [n, each])
      : Object.entries(p.value as { [key: string]: Json });
  const count = cut ? cut.count : entries.length;
  const isList = cut !== null || Array.isArray(p.value);
  const opens = p.path.length < 1 || (entries.length <= 3 && p.path.length < 4);
  return (
    <div class="json-node">
      {p.path.length > 0 && <div class="json-line">
          <button type="button" class="json-toggle" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}
            aria-label={`${isOpen ? "Close" : "Open"} ${path}`}>
            {isOpen ? "▾" : "▸"}
          </button>
        {name}
        <span class="json-count">
          {isList ? `[${number(count)}]` : `{${number(count)}}`}
          {!isOpen && <span class="json-hint"> {jsonLine(p.value, 80)}</span>}
        </span>
      </div>}
      {isOpen && (
        <div class={p.path.length ? "json-children" : ""}>
          {cut && entries.length > shown && (
            <button type="button" class="quiet" onClick={() => setShown(entries.length)}>
              {number(entries.length - shown)} before these{cut.count > entries.length ? `, of ${number(cut.count - shown)}` : ""}
            </button>
          )}
          {(cut ? entries.slice(-shown) : entries.slice(0, shown)).map(([step, value]) => (
            <Node key={String(step)} name={step} value={value} path={[...p.path, step]} context={p.context} isOpen={opens && p.path.length < 3} />
          ))}
          {!cut && entries.length > shown && (
            <button type="button" class="quiet" onClick={() => setShown(shown + 500)}>
              {number(entries.length - shown)} more
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function Name(p: { name: Step; path: string; context: Context }) {
  const { onPath, chosen, action } = p.context;
  const label = revealed(String(p.name));
  if (!onPath) return <span class="json-name">{label}</span>;
  return (
    <button
      type="button"
      class="json-name"
      aria-pressed={chosen === p.path}
      title={`${action ?? "Choose"} ${p.path}`}
      onClick={() => onPath(p.path)}
    >
      {label}
    </button>
  );
}

function Leaf(p: { value: Json; path: string; context: Context }) {
  const [isOpen, setOpen] = useState(false);
  const { onPath, action } = p.context;
  if (typeof p.value !== "string") {
    const text = p.value === null ? "null" : typeof p.value === "object" ? (Array.isArray(p.value) ? "[]" : "{}") : String(p.value);
    return onPath ? (
      <button type="button" class={`json-value json-${typeof p.value}`} title={`${action} ${p.path}`} onClick={() => onPath(p.path)}>
        {text}
      </button>
    ) : (
      <span class={`json-value json-${typeof p.value}`}>{text}</span>
    );
  }
  const isLong = p.value.length > LONG;
  const text = isLong && !isOpen ? `${p.value.slice(0, LONG)}…` : p.value;
  return (
    <span class="json-value json-string">
      {onPath ? (
        <button type="button" class="json-text" title={`${action} ${p.path}`} onClick={() => onPath(p.path)}>
          <Text text={text} />
        </button>
      ) : (
        <span class="json-text"><Text text={text} /></span>
      )}
      {isLong && (
        <button type="button" class="quiet" onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Less" : `All ${number(p.value.length)} characters`}
        </button>
      )}
    </span>
  );
}

const size = (value: Json): number =>
  Array.isArray(value) ? value.length : Object.keys(value as { [key: string]: Json }).length;

/** A message list that was cut to its end: `{"count": n, "last": […]}`. */
function asCut(path: Step[], value: Json): { count: number; last: Json[] } | null {
  if (path.length !== 1 || (path[0] !== "user_messages" && path[0] !== "agent_responses")) return null;
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const { count, last } = value;
  const isCut = Object.keys(value).length === 2 && typeof count === "number" && Array.isArray(last);
  return isCut && last.length <= count ? { count, last } : null;
}
