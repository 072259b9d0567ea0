// Keys: which key does what, on the screen that is open.

import { useEffect } from "preact/hooks";

export type Keys = Record<string, () => void>;

const layers: Keys[] = [];

const TYPING = new Set(["INPUT", "TEXTAREA", "SELECT"]);
// Keys by which people work a button or a link: on one of those they keep their meaning.
const OF_CONTROLS = new Set([" ", "Enter"]);

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target instanceof HTMLElement ? event.target : null;
  if (document.querySelector("dialog[open]")) return;
  if (target && (TYPING.has(target.tagName) || target.isContentEditable)) {
    // The scrubber is an input, but one that nobody writes into; only what moves it is its own.
    const isScrubber = target instanceof HTMLInputElement && target.type === "range";
    if (!isScrubber || /^(Arrow|Page|Home|End)/.test(event.key)) return;
  }
  if (OF_CONTROLS.has(event.key) && target?.closest("button, a, summary, [role=tab]")) return;
  for (const layer of layers.toReversed()) {
    const does = layer[event.key];
    if (does) {
      event.preventDefault();
      does();
      return;
    }
  }
});

/** While this part of the page is there, its keys work; the last part that has a key gets it. */
export function useKeys(keys: Keys): void {
  useEffect(() => {
    layers.push(keys);
    return () => void layers.splice(layers.indexOf(keys), 1);
  }, [keys]);
}

/** What the help dialog lists. */
export const HELP: [string, [keys: string, what: string][]][] = [
  [
    "Move",
    [
      ["j  k", "next, previous record"],
      ["[  ]", "previous, next turn"],
      ["J  K", "next, previous record of the same type"],
      ["e  E", "next, previous error"],
      ["Home  End", "first, last record"],
      ["g", "go to a record, an address, a command"],
      ["Space", "play, pause"],
    ],
  ],
  [
    "Look",
    [
      ["1 … 8", "the tabs: Event, State, Diff, Blame, Raw, Seen, Watch, Charts"],
      ["v", "chat or events"],
      ["c", "compare: mark this record, then again at another one"],
      ["f", "follow what comes"],
      ["/", "search"],
      ["y", "copy a link to what you see"],
      ["Y", "copy it as a command"],
      ["?", "this help"],
    ],
  ],
];
