// SessionModel: one open session: what is known of it, its rows, and what comes while it is open.

import { effect, signal } from "@preact/signals";
import { asSentence, inWords, notice, source, unnotice } from "../context.ts";
import { Rows } from "../rows.ts";
import { route } from "../place.ts";
import type { Charts, SessionInfo, Stop, StripColumn } from "../source.ts";
import { SourceError } from "../source.ts";
import { isLost } from "../connection.ts";

export type Live = "off" | "connecting" | "live" | "lost" | "gone";

// A live session's minimap and charts are drawn anew this often at most.
const SURVEY_MS = 5000;

export class SessionModel {
  readonly info = signal<SessionInfo | null>(null);
  readonly error = signal<unknown>(null);
  readonly live = signal<Live>("off");
  /** How many records came since the view was last at the end. */
  readonly unseen = signal(0);
  /** Changes when what was loaded is no longer so. */
  readonly revision = signal(0);
  /** Up to which record the minimap, the charts and the watchpoints tell; the first two. */
  readonly surveyed = signal(0);
  readonly strip = signal<StripColumn[]>([]);
  readonly charts = signal<Charts | null>(null);
  readonly chartsError = signal<unknown>(null);
  readonly rows: Rows;
  /** The cards that were opened, and the whole texts of those that were cut. */
  readonly opened = new Set<number>();
  readonly texts = new Map<number, string>();
  private stops: Stop[] = [];
  private surveying: ReturnType<typeof setTimeout> | undefined;
  private isClosed = false;

  constructor(readonly id: string) {
    this.rows = new Rows(id, 0);
    void this.open();
  }

  close(): void {
    this.isClosed = true;
    this.rows.close();
    clearTimeout(this.surveying);
    for (const stop of this.stops) stop();
    for (const each of ["damage", "changed", "gone", "rows"]) unnotice(each);
  }

  /** Read again what the session is. */
  async refresh(): Promise<void> {
    const info = await source().session(this.id);
    if (this.isClosed) return;
    // First how many there are: who draws the session asks for no record that is not there.
    if (this.info.value === null) this.rows.last.value = Math.max(info.last, this.rows.last.value);
    this.info.value = info;
    if (info.damage) notice("damage", "error", `${asSentence(info.damage.sentence)} What is shown ends before it.`);
    else unnotice("damage");
  }

  /** What was loaded may be gone: forget it, and load again what is in sight. */
  async readAgain(): Promise<void> {
    this.texts.clear();
    await this.refresh();
    this.rows.forget(this.info.value?.last ?? this.rows.last.value);
    this.revision.value += 1;
    await this.survey();
  }

  private async open(): Promise<void> {
    try {
      // The rows are there before all of a long session is read: they need not wait for it.
      const rows = this.rows.begin(seqOfRoute()).catch(() => undefined);
      await Promise.all([this.refresh(), rows]);
    } catch (error) {
      if (this.isClosed) return;
      this.error.value = error;
      if (error instanceof SourceError && error.status === 0) this.retry();
      return;
    }
    this.error.value = null;
    // The rows may have come with what the file's end says, which the session's damage hides.
    const last = this.info.value?.last ?? 0;
    this.rows.last.value = last;
    void this.survey();
    if (this.isClosed || source().exported) return;
    this.live.value = "connecting";
    this.stops.push(
      source().live(this.id, last, {
        rows: (to, rows) => {
          const from = this.rows.last.value;
          this.rows.add(Math.max(to, from), rows);
          if (to > from && isPinned()) this.unseen.value += to - from;
          this.surveySoon();
        },
        changed: (_reason, message) => {
          void this.readAgain().then(
            () => notice("changed", "warning", asSentence(message)),
            (error: unknown) => notice("changed", "error", `${asSentence(message)} ${inWords(error)}`),
          );
        },
        gone: (message) => {
          this.live.value = "gone";
          clearTimeout(this.surveying);
          notice("gone", "error", `${asSentence(message)} What was loaded stays in sight until you leave.`);
        },
        connection: (isOpen) => {
          this.live.value = isOpen ? "live" : "lost";
          if (isOpen) isLost.value = false;
        },
      }),
    );
  }

  /** The server went before the session was there: once it is back, begin again. */
  private retry(): void {
    const stop = effect(() => {
      if (isLost.value || this.isClosed) return;
      queueMicrotask(() => {
        stop();
        if (!this.isClosed) void this.open();
      });
    });
    this.stops.push(stop);
  }

  private async survey(): Promise<void> {
    this.surveyed.value = this.rows.last.value;
    try {
      const [strip, charts] = await Promise.all([source().strip(this.id), source().charts(this.id)]);
      this.strip.value = strip;
      this.charts.value = charts;
      this.chartsError.value = null;
    } catch (error) {
      this.chartsError.value = error;
    }
  }

  private surveySoon(): void {
    this.surveying ??= setTimeout(() => {
      this.surveying = undefined;
      void this.refresh().then(
        () => this.survey(),
        () => undefined, // the banner says why, and the next records ask again
      );
    }, SURVEY_MS);
  }
}

const seqOfRoute = (): number => (route.value.screen === "session" ? (route.value.seq ?? 1) : 1);

const isPinned = (): boolean => route.value.screen === "session" && route.value.seq !== null;
