// Chain: checks lines byte for byte, as docs/reference/format.md describes it.

const encoder = new TextEncoder();
const CHAIN = ',"chain":"';
const ERASED = /^","salt":null,"event":\{"type":"erased","was":"(?:[^"\\]|\\.)*"\}\}$/;

export async function hash(...texts: string[]): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(texts.join("")));
  const base64 = btoa(String.fromCharCode(...new Uint8Array(digest)));
  return base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The chain before a session's first record. */
export const beginning = (id: string): Promise<string> => hash("journal/session/1", id);

interface Checked {
  /** What is wrong with the line, or null. */
  problem: string | null;
  /** The chain that the line claims. */
  chain: string;
}

/** Check one line; `previous` is the chain before it. */
export async function check(line: string, seq: number, previous: string): Promise<Checked> {
  const at = line.indexOf(CHAIN);
  if (at < 0) return { problem: "it is no record of format version 1", chain: "" };
  const header = line.slice(0, at);
  const rest = line.slice(at + CHAIN.length);
  const claimed = rest.slice(0, 43);
  if (!header.startsWith(`{"v":1,"seq":${seq},`)) return { problem: `it is not record ${seq}`, chain: claimed };
  const isErased = rest.slice(43).startsWith('","salt":null,');
  const salt = rest.slice(53, 75);
  const event = rest.slice(85, -1);
  const [chain, digest] = await Promise.all([
    hash("journal/record/1", previous, header),
    isErased ? null : hash("journal/event/1", salt, event),
  ]);
  if (chain !== claimed) return { problem: "the chain does not fit: it, or a record before it, was altered", chain: claimed };
  if (isErased) {
    if (!ERASED.test(rest.slice(43))) return { problem: "it has no salt, and is not erased", chain: claimed };
  } else if (rest.slice(43, 53) !== '","salt":"' || rest.slice(75, 85) !== '","event":' || !rest.endsWith("}")) {
    return { problem: "it is not written as records are", chain: claimed };
  } else if (!header.endsWith(`,"digest":"${digest}"`)) {
    return { problem: "its content does not fit its digest: it was altered", chain: claimed };
  }
  return { problem: null, chain: claimed };
}

export interface Batch {
  more: number;
  first: number;
}

/** Whether a record's place in its batch follows from the one before; returns what the next has to follow. */
export function follow(batch: Batch | null, seq: number, header: { more?: number; first?: number }): [boolean, Batch | null] {
  const { more = 0, first = seq } = header;
  const fits = batch ? more === batch.more - 1 && first === batch.first : first === seq;
  return [fits, more ? { more, first } : null];
}
