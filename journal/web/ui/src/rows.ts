// Rows: a session's records as the lists need them, loaded in pages where somebody looks.

import { signal } from "@preact/signals";
import { inWords, notice, source, unnotice } from "./context.ts";
import { type Row, SourceError } from "./source.ts";

const PAGE = 200;
// A page may hold 200 long previews; so many are kept, those least looked at go.
const MAX_PAGES = 40;
const MAX_ASKED = 2;
const AGAIN_MS = 2000;

export class Rows {
  /** How many records there are. */
  readonly last = signal(0);
  /** Changes when rows came or went: what draws them reads it. */
  readonly version = signal(0);
  private pages = new Map<number, Row[]>();
  private asked = new Set<number>();
  private wanted: [number, number] = [1, 1];
  private isOver = false;

  constructor(
    readonly id: string,
    last: number,
  ) {
    this.last.value = last;
  }

  /** The row of a record, if it is here already. */
  at(seq: number): Row | undefined {
    return this.pages.get(pageOf(seq))?.[(seq - 1) % PAGE];
  }

  /** Somebody looks at these records: load what is missing. */
  want(first: number, last: number): void {
    this.wanted = [Math.max(1, first), Math.min(last, this.last.value)];
    this.pump();
  }

  /** One row, loaded if need be. */
  async get(seq: number): Promise<Row | undefined> {
    const row = this.at(seq);
    if (row) return row;
    const told = await source().rows(this.id, seq, 1);
    return told.rows[0];
  }

  /** Load the rows around a record, and with them how many there are. */
  async begin(seq: number): Promise<void> {
    const told = await source().rows(this.id, pageOf(seq) * PAGE + 1, PAGE);
    if (!this.isOver) this.add(Math.max(told.last, this.last.value), told.rows);
  }

  /** New records came. */
  add(last: number, rows: Row[]): void {
    for (const row of rows) this.put(row);
    this.last.value = last;
    this.drop();
    this.version.value += 1;
  }

  /** What was loaded may be gone: forget it, and load again what is looked at. */
  forget(last: number): void {
    this.pages.clear();
    this.last.value = last;
    this.version.value += 1;
    this.pump();
  }

  close(): void {
    this.isOver = true;
  }

  private put(row: Row): void {
    const page = pageOf(row.seq);
    const rows = this.pages.get(page) ?? [];
    rows[(row.seq - 1) % PAGE] = row;
    this.pages.set(page, rows);
  }

  private pump(): void {
    const [first, last] = this.wanted;
    for (let page = pageOf(first); page <= pageOf(last) && this.asked.size < MAX_ASKED; page += 1) {
      const rows = this.pages.get(page);
      if (rows) this.touch(page, rows);
      if (!this.asked.has(page) && this.isMissing(page, first, last)) void this.load(page);
    }
  }

  private isMissing(page: number, first: number, last: number): boolean {
    const rows = this.pages.get(page);
    if (!rows) return true;
    const from = Math.max(first, page * PAGE + 1);
    const to = Math.min(last, (page + 1) * PAGE);
    for (let seq = from; seq <= to; seq += 1) if (!rows[(seq - 1) % PAGE]) return true;
    return false;
  }

  private async load(page: number): Promise<void> {
    this.asked.add(page);
    try {
      const told = await source().rows(this.id, page * PAGE + 1, PAGE);
      if (this.isOver) return;
      for (const row of told.rows) this.put(row);
      if (told.last > this.last.value) this.last.value = told.last;
      this.drop();
      this.version.value += 1;
      unnotice("rows");
      const end = Math.min((page + 1) * PAGE, this.last.value);
      if (page * PAGE + told.rows.length >= end) this.asked.delete(page);
      // Less came than there should be: it is asked for again, but not at once.
      else setTimeout(() => this.asked.delete(page), AGAIN_MS);
      this.pump();
    } catch (error) {
      if (this.isOver) return;
      if (!(error instanceof SourceError && error.status === 0)) notice("rows", "error", inWords(error));
      setTimeout(() => {
        this.asked.delete(page);
        if (!this.isOver) this.pump();
      }, AGAIN_MS);
    }
  }

  private touch(page: number, rows: Row[]): void {
    this.pages.delete(page);
    this.pages.set(page, rows);
  }

  private drop(): void {
    const [first, last] = [pageOf(this.wanted[0]), pageOf(this.wanted[1])];
    for (const page of this.pages.keys()) {
      if (this.pages.size <= MAX_PAGES) return;
      if (page < first || page > last) this.pages.delete(page);
    }
  }
}

const pageOf = (seq: number): number => Math.floor((Math.max(1, seq) - 1) / PAGE);
