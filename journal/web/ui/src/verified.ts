// Which sessions were found whole, or not, since the page was opened.

import { signal } from "@preact/signals";

export const verified = signal<ReadonlyMap<string, boolean>>(new Map());

export function noteVerified(found: readonly { id: string; ok: boolean }[]): void {
  verified.value = new Map([...verified.value, ...found.map((each): [string, boolean] => [each.id, each.ok])]);
}
