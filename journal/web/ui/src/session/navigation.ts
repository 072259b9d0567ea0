// Moving through a session's records.

import { inWords, say, source } from "../context.ts";
import { replace, route } from "../place.ts";
import { type SessionRoute } from "../route.ts";
import type { Seek } from "../source.ts";
import type { SessionModel } from "./model.ts";

/** The view of the open session. */
export function here(): SessionRoute | null {
  return route.value.screen === "session" ? route.value : null;
}

/** Change a part of the view of the open session. */
export function show(changes: Partial<SessionRoute>): void {
  const now = here();
  if (now) replace({ ...now, ...changes });
}

/** The record that is chosen. */
export function chosen(model: SessionModel): number {
  const last = model.rows.last.value;
  return Math.max(Math.min(1, last), Math.min(here()?.seq ?? last, last));
}

export function choose(model: SessionModel, seq: number): void {
  show({ seq: Math.max(1, Math.min(seq, model.rows.last.value)) });
}

/** Keep the newest record in sight. */
export function follow(model: SessionModel): void {
  model.unseen.value = 0;
  show({ seq: null });
}

const NONE: Record<string, string> = { turn: "turn", error: "error", same: "record of this type" };

export async function seek(model: SessionModel, direction: 1 | -1, by: Seek): Promise<void> {
  const from = chosen(model);
  try {
    const seq = await source().next(model.id, from, direction, by);
    if (seq !== null) choose(model, seq);
    else say(`No ${NONE[by] ?? "record"} ${direction > 0 ? "after" : "before"} this one`);
  } catch (error) {
    say(inWords(error));
  }
}

/** The record that a point such as -1 or 2026-11-22T12:00Z stands for. */
export async function resolve(id: string, point: string): Promise<number | null> {
  const { last } = await source().rows(id, 1, 1);
  if (last === 0) return null;
  if (point.startsWith("-")) return Math.max(1, last + 1 + Number(point));
  const moment = Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(point) ? point : `${point}Z`);
  if (Number.isNaN(moment)) return null;
  // The last that is not later; where clocks went back, one such.
  let [low, high] = [0, last];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const row = (await source().rows(id, middle, 1)).rows[0];
    if (row && Date.parse(row.at) <= moment) low = middle;
    else high = middle - 1;
  }
  return low || null;
}
