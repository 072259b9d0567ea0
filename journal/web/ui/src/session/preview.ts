// Preview: what a record says, in one line.

import type { Row } from "../source.ts";
import { plain } from "../text/ansi.ts";
import { reveal, revealed } from "../text/hidden.ts";

const MOST = 240;

/** The beginning of a text, in one line, with nothing hidden in it. */
export const oneLine = (text: string): string => revealed(plain(text.slice(0, 2 * MOST)).slice(0, MOST).replace(/\s+/g, " "));

/** Whether a record holds hidden characters; colours of a terminal, which are shown as colours, are none. */
export function holdsHidden(row: Row): boolean {
  if (!row.is_hidden) return false;
  return Boolean(row.cut) || !row.preview.includes("\u001b") || reveal(plain(row.preview)).some((piece) => piece.mark);
}
