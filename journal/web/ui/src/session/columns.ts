// Columns: what a watched value was at each record, made of the records that changed it.

import { jsonLine } from "../parts/json.tsx";
import type { BlameEntry } from "../source.ts";

export interface Column {
  path: string;
  /** The value after a record, in one line; nothing where there was none yet. */
  at(seq: number): string;
}

export function column(path: string, found: BlameEntry[]): Column {
  const changes = [...found].sort((a, b) => a.version - b.version);
  const lines = changes.map((each) => jsonLine(each.after, 60));
  return {
    path,
    at(seq) {
      // The last change that is not later.
      let [low, high] = [0, changes.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((changes[middle]?.version ?? 0) <= seq) low = middle + 1;
        else high = middle;
      }
      return lines[low - 1] ?? "";
    },
  };
}
