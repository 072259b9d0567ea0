// EmbeddedSource: everything from the exported file that the page stands in.

import { valueAt, parsePath } from "../path.ts";
import type {
  BlameEntry, Change, Comparison, Diff, Exported, Hits, Json, LiveHandlers, Point, Report, Row, Seek, SessionInfo,
  SessionList, Source, State, Stop, Store, StoredRecord, StripColumn, Verification,
} from "../source.ts";
import { SourceError } from "../source.ts";
import { type Batch, beginning, check, follow } from "./chain.ts";
import { type Chunk, Chunks, type EventJson, eventOf, parsed } from "./chunks.ts";
import { cutTexts } from "./cutting.ts";
import { differences, isSame } from "./differences.ts";
import { compile } from "./expression.ts";
import { type SessionState, apply, begin, copied } from "./fold.ts";
import { prompt } from "./prompt.ts";

const MOST_CHANGES = 500;
const MOST_HITS = 200;
const LAST_MESSAGES = 50;
const AT_ONCE = 256;
// After so many chunks the state is kept: to fold so many takes no time that anybody would notice.
const KEEP_AFTER = 5;

const unavailable = (what: string) =>
  Promise.reject(new SourceError(404, "NotInThisFile", `${what} is not part of an exported file: it holds one session, to read.`));

export class EmbeddedSource implements Source {
  readonly exported: Exported;
  private readonly chunks: Chunks;
  // States to go on from, by the record that they are after: the last one asked for, and some on the way.
  private near: [number, SessionState] = [0, begin(null)];
  private readonly kept = new Map<number, SessionState>();

  constructor(header: string) {
    this.exported = JSON.parse(header) as Exported;
    this.chunks = new Chunks(this.exported.chunks);
  }

  private get info(): SessionInfo {
    return this.exported.session;
  }

  store = async (): Promise<Store> => ({
    name: "exported",
    path: "",
    allow_write: false,
    version: "",
    command: "journal",
  });

  sessions = async (): Promise<SessionList> => ({ sessions: [], unreadable: [], next_page: null, total: 0 });

  async session(id: string): Promise<SessionInfo> {
    if (id !== this.info.session_id)
      throw new SourceError(404, "SessionNotFoundError", `This file holds the session ${this.info.session_id} alone, not ${id}.`);
    return { ...this.info, forks: this.info.forks ?? [], ancestors: this.info.ancestors ?? [], last: this.chunks.last };
  }

  async rows(_id: string, from: number, count: number): Promise<{ last: number; rows: Row[] }> {
    const { last } = this.chunks;
    const rows: Row[] = [];
    for (let seq = Math.max(1, from); seq <= Math.min(last, from + count - 1); ) {
      const chunk = await this.chunks.get(this.chunks.indexOf(seq));
      const part = chunk.rows.slice(seq - chunk.first, Math.min(from + count, last + 1) - chunk.first);
      if (!part.length) break;
      rows.push(...part);
      seq += part.length;
    }
    return { last, rows };
  }

  private async lineAt(seq: number): Promise<string> {
    const chunk = await this.chunks.get(this.chunks.indexOf(seq));
    const line = chunk.lines[seq - chunk.first];
    if (line === undefined) throw new SourceError(422, "Damaged", `This file is not whole: record ${seq} is missing.`);
    return line;
  }

  async record(_id: string, seq: number): Promise<StoredRecord> {
    const line = await this.lineAt(seq);
    const { event, ...header } = parsed(line);
    const text = (name: string) => (typeof header[name] === "string" ? (header[name] as string) : null);
    const first = Number(header.first ?? seq);
    const cut: StoredRecord["cut"] = [];
    let link: StoredRecord["link"] = null;
    if (!this.exported.redacted) {
      const previous = await this.chainBefore(seq);
      const checked = await check(line, seq, previous);
      link = { previous_chain: previous, chain: checked.chain, holds: checked.problem === null };
    }
    return {
      record: {
        seq,
        id: text("id") ?? "",
        at: text("at") ?? "",
        by: text("by"),
        cause: text("cause"),
        key: text("key"),
        digest: text("digest"),
        chain: text("chain"),
        batch: { first, last: seq + Number(header.more ?? 0) },
      },
      event: cutTexts(event ?? {}, cut) as StoredRecord["event"],
      cut,
      link,
    };
  }

  private async chainBefore(seq: number): Promise<string> {
    if (seq === 1) return beginning(this.info.session_id);
    return String(parsed(await this.lineAt(seq - 1)).chain ?? "");
  }

  async line(_id: string, seq: number): Promise<string> {
    return this.lineAt(seq);
  }

  lineAddress = () => null;

  private async stateAt(seq: number): Promise<SessionState> {
    if (seq <= 0) return begin(null);
    let [from, state] = this.near[0] <= seq ? this.near : [0, begin(null)];
    for (const [after, known] of this.kept) if (after > from && after <= seq) [from, state] = [after, known];
    // The file holds the state before a part, where that is short.
    for (let index = this.chunks.indexOf(seq); index > 0; index -= 1) {
      const chunk = await this.chunks.get(index);
      if (chunk.first - 1 <= from) break;
      if (chunk.state !== null) {
        [from, state] = [chunk.first - 1, begin(chunk.state)];
        break;
      }
    }
    state = copied(state);
    await this.foldOn(state, from + 1, seq);
    this.near = [seq, state];
    return copied(state);
  }

  /** Change a state by these records; stop at the first one that `isEnough` says yes to. */
  private async foldOn(
    state: SessionState,
    from: number,
    to: number,
    isEnough: (seq: number, chunk: Chunk) => boolean = () => false,
  ): Promise<void> {
    for (let seq = from; seq <= to; ) {
      const chunk = await this.chunks.get(this.chunks.indexOf(seq));
      const end = Math.min(to, chunk.first + chunk.lines.length - 1);
      if (end < seq) throw new SourceError(422, "Damaged", `This file is not whole: record ${seq} is missing.`);
      for (; seq <= end; seq += 1) {
        applyLine(state, chunk, seq);
        if (isEnough(seq, chunk)) return;
      }
      const isWhole = end === chunk.first + chunk.lines.length - 1;
      if (isWhole && this.chunks.indexOf(end) % KEEP_AFTER === KEEP_AFTER - 1) this.kept.set(end, copied(state));
    }
  }

  async state(_id: string, seq: number, path?: string): Promise<State> {
    const state = await this.stateAt(seq);
    const at = String(parsed(await this.lineAt(seq)).at ?? "");
    if (path) {
      const value = valueAt(asJson(state), parsePath(path));
      if (value === undefined) throw new SourceError(404, "PathNotFound", `There is no ${path} at record ${seq}.`);
      return { version: seq, at, state: value };
    }
    const cut = (messages: Json[]): Json => ({ count: messages.length, last: messages.slice(-LAST_MESSAGES) });
    return {
      version: seq,
      at,
      state: { ...asObject(state), user_messages: cut(state.user_messages), agent_responses: cut(state.agent_responses) },
    };
  }

  async diff(_id: string, from: number, to: number): Promise<Diff> {
    const before = asJson(await this.stateAt(from));
    const changes = differences(before, asJson(await this.stateAt(to)));
    const told: Change[] = changes.slice(0, MOST_CHANGES);
    if (to === from + 1) for (const change of told) change.version = to;
    return { from, to, changes: told, total: changes.length };
  }

  async blame(_id: string, seq: number, path: string): Promise<BlameEntry[]> {
    const steps = parsePath(path);
    const found: BlameEntry[] = [];
    let before: Json | undefined;
    const state = begin(null);
    await this.foldOn(state, 1, seq, (at, chunk) => {
      // What a state shares with the one before is the same object: most comparisons end at once.
      const value = steps.length ? valueAt(asJson(state), steps) : asJson(copied(state));
      if (isSame(before, value)) return false;
      const row = chunk.rows[at - chunk.first];
      const kept = Array.isArray(value) ? [...value] : value !== null && typeof value === "object" ? { ...value } : value;
      if (row)
        found.push({ version: at, at: row.at, by: row.by, type: row.type, title: row.title, ...has("before", before), ...has("after", kept) });
      before = kept;
      return false;
    });
    return found.reverse().slice(0, MOST_CHANGES);
  }

  async first(_id: string, expression: string): Promise<number | null> {
    const matches = compile(expression);
    let found: number | null = null;
    const state = begin(null);
    await this.foldOn(state, 1, this.chunks.last, (at, chunk) => {
      const { event, ...header } = parsed(chunk.lines[at - chunk.first] ?? "{}");
      if (!matches({ ...header, ...((event ?? {}) as { [key: string]: Json }) }, { ...asObject(state), version: at })) return false;
      found = at;
      return true;
    });
    return found;
  }

  async next(_id: string, from: number, direction: 1 | -1, by: Seek): Promise<number | null> {
    const type = by === "same" ? (await this.rows("", from, 1)).rows[0]?.type : by.slice(5);
    for (let seq = from + direction; seq >= 1 && seq <= this.chunks.last; ) {
      const chunk = await this.chunks.get(this.chunks.indexOf(seq));
      for (let row = chunk.rows[seq - chunk.first]; row; row = chunk.rows[seq - chunk.first]) {
        if (by === "error" && row.is_error) return seq;
        if (by !== "error" && by !== "turn" && row.type === type) return seq;
        if (by === "turn" && row.turn > (await this.turnBefore(seq, chunk))) return seq;
        seq += direction;
      }
    }
    return null;
  }

  private async turnBefore(seq: number, chunk: Chunk): Promise<number> {
    if (seq === 1) return 0;
    const row = chunk.rows[seq - 1 - chunk.first] ?? (await this.rows("", seq - 1, 1)).rows[0];
    return row?.turn ?? 0;
  }

  strip = async (): Promise<StripColumn[]> => this.exported.strip;

  charts = async () => this.exported.charts;

  async seen(_id: string, seq: number): Promise<{ messages: Json[]; shape: string }> {
    const events: { seq: number; event: EventJson }[] = [];
    for (let index = 0; index < this.chunks.count; index += 1) {
      const chunk = await this.chunks.get(index);
      if (chunk.first > seq) break;
      chunk.lines.slice(0, seq - chunk.first + 1).forEach((line, n) => events.push({ seq: chunk.first + n, event: eventOf(line) }));
    }
    return { messages: prompt(events), shape: "openai" };
  }

  async verify(): Promise<Verification> {
    const { last } = this.chunks;
    const told: Verification = { ok: true, version: last, head: this.exported.head, trusted_to: 0, findings: [], notes: [], links: { checked: 0 } };
    if (this.exported.redacted) {
      told.notes.push("What was hidden changed the records: their hashes were left out, and nothing can be checked.");
      return told;
    }
    const { findings } = told;
    let previous = await beginning(this.info.session_id);
    let batch: Batch | null = null;
    for (let index = 0; index < this.chunks.count && !findings.length; index += 1) {
      const chunk = await this.chunks.get(index);
      const lines = chunk.lines.map((line) => line.replace(/\n$/, ""));
      // The chain that each line claims is that before the next: so all of a part are checked at once.
      for (let from = 0; from < lines.length && !findings.length; from += AT_ONCE) {
        const part = lines.slice(from, from + AT_ONCE);
        const results = await Promise.all(
          part.map((line, n) => check(line, chunk.first + from + n, n === 0 ? previous : claimed(part[n - 1] ?? ""))),
        );
        for (const [n, result] of results.entries()) {
          const seq = chunk.first + from + n;
          const [fits, next] = follow(batch, seq, header(part[n] ?? ""));
          const problem = result.problem ?? (fits ? null : "its batch does not add up");
          told.links.checked += 1;
          if (problem) {
            findings.push({ kind: "damage", seq, offset: null, sentence: `Record ${seq}: ${problem}.` });
            break;
          }
          batch = next;
          previous = result.chain;
          told.trusted_to = seq;
        }
      }
    }
    if (!findings.length && this.exported.head && previous !== this.exported.head)
      findings.push({ kind: "head", seq: last, offset: null, sentence: "The last record's chain is not the head that the file names." });
    told.head = findings.length ? this.exported.head : previous;
    told.ok = findings.length === 0;
    return told;
  }

  verifyAll(report: (one: Report) => void, done: (sessions: number, failed: number) => void, failed: () => void): Stop {
    this.verify().then(
      (found) => {
        const { session_id } = this.info;
        report({ id: session_id, ok: found.ok, version: found.version, sentence: found.findings[0]?.sentence ?? "Every link fits." });
        done(1, found.ok ? 0 : 1);
      },
      () => failed(),
    );
    return () => undefined;
  }

  async compare(left: Point, right: Point): Promise<Comparison> {
    await this.session(left.session_id);
    await this.session(right.session_id);
    const { changes, total } = await this.diff("", left.version, right.version);
    const ancestor = { session_id: left.session_id, version: Math.min(left.version, right.version) };
    return { ancestor, left, right, changes, total };
  }

  async search(query: string): Promise<Hits> {
    const words = query.toLowerCase().split(/\s+/).map((word) => word.replace(/^"|"$|\*$/g, "")).filter(Boolean);
    const hits: Hits["hits"] = [];
    const { session_id, user_id } = this.info;
    for (let index = 0; index < this.chunks.count && hits.length < MOST_HITS; index += 1) {
      const chunk = await this.chunks.get(index);
      for (const row of chunk.rows) {
        const text = `${row.title} ${row.preview}`;
        const lower = text.toLowerCase();
        if (!words.length || !words.every((word) => lower.includes(word))) continue;
        const [snippet, spans] = excerpt(text, lower, words);
        hits.push({ session_id, seq: row.seq, address: `${session_id}@${row.seq}`, at: row.at, user_id, type: row.type, role: row.role, snippet, spans });
        if (hits.length >= MOST_HITS) break;
      }
    }
    return { hits, unreadable: [] };
  }

  live = (_id: string, _after: number, _handlers: LiveHandlers): Stop => () => undefined;

  /** Pictures that are not too large stand in the file. */
  attachmentAddress(digest: string): string | null {
    const held = document.getElementById(`attachment-${digest}`);
    return held ? `data:${held.dataset.type};base64,${held.textContent}` : null;
  }

  fork = () => unavailable("Forking");
  rewind = () => unavailable("Rewinding");
  erase = () => unavailable("Erasing");
}

function applyLine(state: SessionState, chunk: Chunk, seq: number): void {
  const line = chunk.lines[seq - chunk.first];
  if (line === undefined) return;
  const { event, at } = parsed(line);
  apply(state, (event ?? {}) as { [key: string]: Json }, String(at ?? ""));
}

const asJson = (state: SessionState): Json => state as unknown as Json;
const asObject = (state: SessionState) => state as unknown as { [key: string]: Json };

const has = (name: "before" | "after", value: Json | undefined) => (value === undefined ? {} : { [name]: value });

const claimed = (line: string): string => /,"chain":"([^"]{43})"/.exec(line)?.[1] ?? "";

function header(line: string): { more?: number; first?: number } {
  const before = line.slice(0, Math.max(0, line.indexOf(',"chain":"')));
  try {
    return JSON.parse(`${before}}`) as { more?: number; first?: number };
  } catch {
    return {};
  }
}

const AROUND = 80;

/** A piece of the text with the words in it; the spans count code points. */
function excerpt(text: string, lower: string, words: string[]): [string, [number, number][]] {
  const first = Math.min(...words.map((word) => lower.indexOf(word)));
  const from = Math.max(0, first - AROUND);
  const snippet = text.slice(from, first + 2 * AROUND).replace(/\s/g, " ");
  const low = snippet.toLowerCase();
  const spans: [number, number][] = [];
  for (const word of words)
    for (let at = low.indexOf(word); at >= 0; at = low.indexOf(word, at + word.length))
      spans.push([Array.from(snippet.slice(0, at)).length, Array.from(snippet.slice(0, at + word.length)).length]);
  return [snippet, spans.sort((a, b) => a[0] - b[0])];
}
