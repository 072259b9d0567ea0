// Place: the route that is shown now, and going to another one.

import { signal } from "@preact/signals";
import { type Route, formatRoute, parseRoute } from "./route.ts";

export const route = signal<Route>(parseRoute(location.hash));

/** Show something else; Back leads to what was shown before. */
export function go(to: Route): void {
  writeNow();
  const hash = formatRoute(to);
  if (hash !== location.hash) location.hash = hash; // the listener below does the rest
  else route.value = to;
}

// Browsers refuse more than some hundred changes of the address in a short time.
const WRITE_MS = 200;
let writing: ReturnType<typeof setTimeout> | undefined;

/** Change what is shown on the way, as scrubbing does: Back leads to before all that. */
export function replace(to: Route): void {
  route.value = to;
  writing ??= setTimeout(writeNow, WRITE_MS);
}

function writeNow(): void {
  if (writing === undefined) return;
  clearTimeout(writing);
  writing = undefined;
  history.replaceState(null, "", formatRoute(route.value));
}

addEventListener("hashchange", () => {
  clearTimeout(writing);
  writing = undefined;
  route.value = parseRoute(location.hash);
});
