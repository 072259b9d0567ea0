// Play: the records with the pauses that they had, none longer than two seconds.

import { signal } from "@preact/signals";
import { between } from "../format.ts";
import type { SessionModel } from "./model.ts";
import { choose, chosen } from "./navigation.ts";

const LONGEST_MS = 2000;
// Faster than a screen draws makes no sense.
const SHORTEST_MS = 25;
export const SPEEDS = [1, 4, 16, 64] as const;

export const isPlaying = signal(false);
export const speed = signal<number>(1);
let waiting: ReturnType<typeof setTimeout> | undefined;

export function togglePlay(model: SessionModel): void {
  if (isPlaying.value) pause();
  else {
    if (chosen(model) >= model.rows.last.value) choose(model, 1);
    isPlaying.value = true;
    void step(model);
  }
}

export function pause(): void {
  isPlaying.value = false;
  clearTimeout(waiting);
}

async function step(model: SessionModel): Promise<void> {
  const seq = chosen(model);
  if (seq >= model.rows.last.value) return pause();
  let wait = 0;
  try {
    const [now, next] = await Promise.all([model.rows.get(seq), model.rows.get(seq + 1)]);
    if (now && next) wait = Math.max(0, Math.min(LONGEST_MS, between(now.at, next.at)));
  } catch {
    wait = LONGEST_MS; // the banner says that the server does not answer
  }
  if (!isPlaying.value) return;
  waiting = setTimeout(
    () => {
      if (!isPlaying.value) return;
      if (chosen(model) === seq) choose(model, seq + 1); // else somebody moved it: go on from there
      void step(model);
    },
    Math.max(SHORTEST_MS, wait / speed.value),
  );
}
