// Chunks: the exported file's records, a thousand at a time, unpacked when somebody looks at them.

import type { Json, Row } from "../source.ts";
import { SourceError } from "../source.ts";

/** An event as its line has it. */
export type EventJson = { [key: string]: Json };

export interface Chunk {
  first: number;
  rows: Row[];
  /** Their lines as they stand in the journal; in a redacted file what is left of them, without hashes. */
  lines: string[];
  /** The session before the chunk's first record; null before the first of all, and where it would be long. */
  state: Json;
}

// Unpacked chunks are large; so many stay.
const KEPT = 6;

export class Chunks {
  private kept = new Map<number, Promise<Chunk>>();

  constructor(private readonly places: { first: number; last: number }[]) {}

  get count(): number {
    return this.places.length;
  }

  get last(): number {
    return this.places.at(-1)?.last ?? 0;
  }

  /** In which chunk a record is. */
  indexOf(seq: number): number {
    const index = this.places.findIndex((place) => place.first <= seq && seq <= place.last);
    if (index < 0) throw new SourceError(404, "RecordNotFound", `There is no record ${seq}: the file holds 1 to ${this.last}.`);
    return index;
  }

  get(index: number): Promise<Chunk> {
    let chunk = this.kept.get(index);
    if (chunk) this.kept.delete(index);
    else chunk = this.unpack(index);
    this.kept.set(index, chunk);
    for (const old of this.kept.keys()) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(old);
    }
    return chunk;
  }

  private async unpack(index: number): Promise<Chunk> {
    const text = document.getElementById(`chunk-${index}`)?.textContent;
    if (!text) throw new SourceError(422, "Damaged", `This file is not whole: its part ${index + 1} is missing.`);
    try {
      const stream = new Blob([unbased(text.trim())]).stream().pipeThrough(new DecompressionStream("gzip"));
      const told = (await new Response(stream).json()) as Omit<Chunk, "first">;
      return { ...told, first: this.places[index]?.first ?? 1 };
    } catch {
      throw new SourceError(422, "Damaged", `This file is not whole: its part ${index + 1} cannot be unpacked.`);
    }
  }
}

/** The bytes of a base64 text. A plain loop: it is many times as fast as `Uint8Array.from`. */
function unbased(text: string): Uint8Array<ArrayBuffer> {
  const decoded = atob(text);
  const bytes = new Uint8Array(decoded.length);
  for (let n = 0; n < decoded.length; n += 1) bytes[n] = decoded.charCodeAt(n);
  return bytes;
}

/** What a line says; the header's keys, and `event`. */
export const parsed = (line: string): { [key: string]: Json } => JSON.parse(line) as { [key: string]: Json };

export const eventOf = (line: string): EventJson => (parsed(line).event ?? {}) as EventJson;
