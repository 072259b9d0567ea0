// Mark: the first of two points to compare; the second call compares.

import { signal } from "@preact/signals";
import { notice, unnotice } from "../context.ts";
import { go } from "../place.ts";
import { address } from "../route.ts";
import type { Point } from "../source.ts";

export const marked = signal<Point | null>(null);

export function mark(point: Point): void {
  const other = marked.value;
  if (other === null) {
    marked.value = point;
    notice("mark", "info", `${address(point)} is marked. Go to another record, of this session or another one, and press c again.`);
    return;
  }
  unmark();
  if (address(other) !== address(point)) go({ screen: "compare", left: other, right: point });
}

export function unmark(): void {
  marked.value = null;
  unnotice("mark");
}
