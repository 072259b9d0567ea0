// Hidden characters: what a text holds that a reader would not see, or that would turn the text around.

/** A piece of a text; `mark` where it is a hidden character: what stands in its place, and its name. */
export interface Piece {
  text: string;
  mark?: { symbol: string; name: string };
}

const NAMES: Record<number, string> = {
  0x00ad: "soft hyphen",
  0x034f: "combining grapheme joiner",
  0x061c: "Arabic letter mark",
  0x115f: "Hangul filler",
  0x1160: "Hangul filler",
  0x17b4: "Khmer vowel",
  0x17b5: "Khmer vowel",
  0x180e: "Mongolian vowel separator",
  0x200b: "zero width space",
  0x200c: "zero width non-joiner",
  0x200d: "zero width joiner",
  0x200e: "left-to-right mark",
  0x200f: "right-to-left mark",
  0x2028: "line separator",
  0x2029: "paragraph separator",
  0x202a: "left-to-right embedding",
  0x202b: "right-to-left embedding",
  0x202c: "pop directional formatting",
  0x202d: "left-to-right override",
  0x202e: "right-to-left override",
  0x2060: "word joiner",
  0x2061: "function application",
  0x2062: "invisible times",
  0x2063: "invisible separator",
  0x2064: "invisible plus",
  0x2066: "left-to-right isolate",
  0x2067: "right-to-left isolate",
  0x2068: "first strong isolate",
  0x2069: "pop directional isolate",
  0x3164: "Hangul filler",
  0xfeff: "byte order mark",
  0xffa0: "Hangul filler",
};

// The signs for these, as ␛, are in few fonts; their names are in all.
const CONTROLS =
  "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US".split(" ");

// Controls but tab and line feed, what is named above, deprecated format characters, tags, variation
// selectors of the second block (they can carry a text), and halves of surrogate pairs.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{1bca0}-\u{1bca3}\u{e0000}-\u{e007f}\u{e0100}-\u{e01ef}\p{Cs}]/gu;

// A joiner between two pictures makes one picture of them, as the family emoji are made: nothing is hidden.
const PICTURE_BEFORE = /[\p{Extended_Pictographic}\ufe0f\u{1f3fb}-\u{1f3ff}]$/u;
const PICTURE_AFTER = /^\p{Extended_Pictographic}/u;

/** The text in pieces, so that each hidden character is one of its own. */
export function reveal(text: string): Piece[] {
  if (text.search(HIDDEN) < 0) return [{ text }];
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    const at = found.index;
    const character = found[0];
    const after = at + character.length;
    if (character === "\r" && text[after] === "\n") continue; // how some systems end a line
    if (character === "\u200d" && joinsPictures(text, at)) continue;
    if (at > from) pieces.push({ text: text.slice(from, at) });
    pieces.push({ text: character, mark: mark(character.codePointAt(0) ?? 0) });
    from = after;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

/** The text with symbols in place of what is hidden: for places that take no elements. */
export const revealed = (text: string): string =>
  reveal(text).map((piece) => piece.mark?.symbol ?? piece.text).join("");

function joinsPictures(text: string, at: number): boolean {
  return PICTURE_BEFORE.test(text.slice(Math.max(0, at - 2), at)) && PICTURE_AFTER.test(text.slice(at + 1, at + 3));
}

function mark(code: number): { symbol: string; name: string } {
  const place = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  const control = code === 0x7f ? "DEL" : CONTROLS[code];
  if (control) return { symbol: `<${control}>`, name: `control character ${place}` };
  if (code < 0xa0) return { symbol: `<${place}>`, name: `control character ${place}` };
  if (code >= 0xe0020 && code <= 0xe007e)
    return { symbol: `<tag ${String.fromCodePoint(code - 0xe0000)}>`, name: `tag character ${place}` };
  const name = NAMES[code] ?? "hidden character";
  return { symbol: `<${place}>`, name: `${name} ${place}` };
}
