// ANSI colours: a terminal's text as pieces with the classes of their looks. Any other sequence stays text.

export interface Styled {
  text: string;
  /** Names of CSS classes, separated by spaces. */
  look: string;
}

interface Look {
  fore: string;
  back: string;
  flags: Set<string>;
}

// Only sequences that choose looks; what moves a cursor or names a window stays, and is shown as what it is.
const SELECT = /\u001b\[([0-9;:]{0,64})m/g;
const FLAGS: Record<number, string> = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 9: "strike" };

export const hasColours = (text: string): boolean => text.includes("\u001b[");

/** The text without the sequences that choose looks: for places that take no elements. */
export const plain = (text: string): string => (hasColours(text) ? text.replace(SELECT, "") : text);

/** The text in pieces of one look each. */
export function styled(text: string): Styled[] {
  const pieces: Styled[] = [];
  const look: Look = { fore: "", back: "", flags: new Set() };
  let from = 0;
  const add = (to: number) => {
    if (to > from) pieces.push({ text: text.slice(from, to), look: classes(look) });
  };
  for (const found of text.matchAll(SELECT)) {
    add(found.index);
    apply(look, (found[1] ?? "").split(/[;:]/).map(Number));
    from = found.index + found[0].length;
  }
  add(text.length);
  return pieces;
}

const classes = (look: Look): string =>
  [look.fore && `ansi-${look.fore}`, look.back && `ansi-on-${look.back}`, ...[...look.flags].map((f) => `ansi-${f}`)]
    .filter(Boolean)
    .join(" ");

function apply(look: Look, codes: number[]): void {
  for (let n = 0; n < codes.length; n += 1) {
    const code = codes[n] ?? 0;
    if (code === 0) {
      look.fore = look.back = "";
      look.flags.clear();
    } else if (FLAGS[code]) look.flags.add(FLAGS[code]);
    else if (code === 22) {
      look.flags.delete("bold");
      look.flags.delete("dim");
    } else if (code === 23) look.flags.delete("italic");
    else if (code === 24) look.flags.delete("underline");
    else if (code === 29) look.flags.delete("strike");
    else if (code >= 30 && code <= 37) look.fore = String(code - 30);
    else if (code >= 90 && code <= 97) look.fore = String(code - 90 + 8);
    else if (code === 39) look.fore = "";
    else if (code >= 40 && code <= 47) look.back = String(code - 40);
    else if (code >= 100 && code <= 107) look.back = String(code - 100 + 8);
    else if (code === 49) look.back = "";
    else if (code === 38 || code === 48) {
      // The 256 and the true colours: brought down to the sixteen that both themes have.
      const [colour, used] = extended(codes.slice(n + 1));
      if (code === 38) look.fore = colour;
      else look.back = colour;
      n += used;
    }
  }
}

function extended(codes: number[]): [string, number] {
  if (codes[0] === 5) {
    const index = codes[1] ?? 0;
    if (index < 16) return [String(index), 2];
    if (index >= 232) return [index < 244 ? "8" : "7", 2];
    const cube = index - 16;
    return [nearest(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51), 2];
  }
  if (codes[0] === 2) return [nearest(codes[1] ?? 0, codes[2] ?? 0, codes[3] ?? 0), 4];
  return ["", 0];
}

function nearest(red: number, green: number, blue: number): string {
  const bit = (value: number) => (value > 110 ? 1 : 0);
  const base = bit(red) | (bit(green) << 1) | (bit(blue) << 2);
  const isBright = Math.max(red, green, blue) > 210;
  return String(base + (isBright ? 8 : 0));
}
