// Whether the server answers. While it does not, it is asked again and again.

import { signal } from "@preact/signals";

export const isLost = signal(false);

const AGAIN_MS = 2000;
let asking: ReturnType<typeof setTimeout> | undefined;

/** A request got no answer. */
export function lost(): void {
  isLost.value = true;
  asking ??= setTimeout(ask, AGAIN_MS);
}

/** A request got one, whatever it says. */
export function reached(): void {
  isLost.value = false;
}

/** Something else ended that should not: ask whether the server is still there. */
export function doubt(): void {
  asking ??= setTimeout(ask, 0);
}

async function ask(): Promise<void> {
  asking = undefined;
  try {
    await fetch("/api/store", { credentials: "same-origin" });
    reached();
  } catch {
    lost();
  }
}
