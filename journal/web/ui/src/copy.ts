// Copying a text, and saying so.

import { say } from "./context.ts";

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied ${what}`);
  } catch {
    say(`The browser did not let the page copy; it is: ${text}`);
  }
}
