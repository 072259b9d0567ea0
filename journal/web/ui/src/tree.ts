// Tree: sessions in an order, each fork below its origin.

import type { SessionSummary } from "./source.ts";

export type SortKey = keyof Pick<
  SessionSummary,
  "id" | "user_id" | "version" | "message_count" | "response_count" | "size_bytes" | "created_at" | "updated_at"
>;

export interface Placed {
  session: SessionSummary;
  /** How many origins stand above it. */
  depth: number;
}

/** `sort` is a key, with a minus for the other way round; empty: the latest change first. */
export function ordered(sessions: SessionSummary[], sort: string, isTree: boolean): Placed[] {
  const sorted = sessions.toSorted(comparison(sort));
  if (!isTree) return sorted.map((session) => ({ session, depth: 0 }));
  const here = new Set(sorted.map((each) => each.id));
  const forks = new Map<string, SessionSummary[]>();
  const roots: SessionSummary[] = [];
  for (const session of sorted) {
    const origin = session.origin;
    if (origin === null || origin === session.id || !here.has(origin)) roots.push(session);
    else forks.set(origin, [...(forks.get(origin) ?? []), session]);
  }
  const placed: Placed[] = [];
  const seen = new Set<string>();
  const add = (first: SessionSummary[]) => {
    // Not by recursion: a fork of a fork of a fork may be deep.
    const waiting = first.toReversed().map((session) => ({ session, depth: 0 }));
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      if (seen.has(next.session.id)) continue;
      seen.add(next.session.id);
      placed.push(next);
      const below = next.depth + 1;
      for (const session of (forks.get(next.session.id) ?? []).toReversed()) waiting.push({ session, depth: below });
    }
  };
  add(roots);
  // Names that were used again after a deletion can make a ring: what no root leads to is not lost.
  if (placed.length < sorted.length) add(sorted.filter((each) => !seen.has(each.id)));
  return placed;
}

function comparison(sort: string): (a: SessionSummary, b: SessionSummary) => number {
  const isDown = sort === "" || sort.startsWith("-");
  const key = (sort.replace(/^-/, "") || "updated_at") as SortKey;
  const sign = isDown ? -1 : 1;
  return (a, b) => {
    const [one, other] = [a[key], b[key]];
    if (one === other) return a.id < b.id ? -1 : 1;
    return one < other ? -sign : sign;
  };
}
