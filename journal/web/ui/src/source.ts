// Where the page gets everything from: a server, or the exported file that it stands in.

export interface Store {
  name: string;
  path: string;
  allow_write: boolean;
  version: string;
  /** How a command line for this store begins: `journal --store state`. */
  command: string;
}

export interface SessionSummary {
  id: string;
  user_id: string;
  version: number;
  message_count: number;
  response_count: number;
  created_at: string;
  updated_at: string;
  size_bytes: number;
  origin: string | null;
  origin_version: number | null;
}

export interface SessionQuery {
  user?: string;
  text?: string;
  limit?: number;
  page?: string;
}

export interface SessionList {
  sessions: SessionSummary[];
  unreadable: { id: string; reason: string }[];
  next_page: string | number | null;
  total: number;
}

export interface Damage {
  reason: string;
  offset: number | null;
  seq: number | null;
  sentence: string;
}

export interface SessionInfo {
  session_id: string;
  user_id: string;
  version: number;
  last: number;
  created_at: string;
  updated_at: string;
  size_bytes: number;
  head: string | null;
  origin: { session_id: string; version: number } | null;
  forks: { id: string; version: number }[];
  ancestors: { id: string; version: number }[];
  damage: Damage | null;
  usage?: { calls: number; input_tokens: number; output_tokens: number; cost: number | null };
}

export type Role = "user" | "agent" | "reasoning" | "tool" | "step" | "usage" | "setting" | "note" | "journal";

export interface Attachment {
  digest: string;
  media_type: string | null;
  size_bytes: number;
}

export interface Row {
  seq: number;
  at: string;
  by: string | null;
  key: string | null;
  type: string;
  role: Role;
  title: string;
  preview: string;
  cut?: number | null;
  size_bytes: number;
  is_error: boolean;
  duration_ms: number | null;
  call_id: string | null;
  turn: number;
  is_hidden: boolean;
  is_erased: boolean;
  attachments: Attachment[];
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface StoredRecord {
  record: {
    seq: number;
    id: string;
    at: string;
    by: string | null;
    cause: string | null;
    key: string | null;
    digest: string | null;
    chain: string | null;
    batch: { first: number; last: number } | null;
  };
  event: { [key: string]: Json };
  cut: { path: string; characters: number }[];
  link: { previous_chain: string | null; chain: string | null; holds: boolean } | null;
}

export interface State {
  version: number;
  at: string | null;
  state: Json;
  cut?: { path: string; characters: number }[];
}

export interface Change {
  path: string;
  kind: "added" | "removed" | "changed";
  before?: Json;
  after?: Json;
  version?: number | null;
}

export interface Diff {
  from: number;
  to: number;
  changes: Change[];
  total: number;
}

export interface BlameEntry {
  version: number;
  at: string;
  by: string | null;
  type: string;
  title: string;
  before?: Json;
  after?: Json;
}

export interface StripColumn {
  first: number;
  last: number;
  records: number;
  errors: number;
  slowest_ms: number | null;
}

export interface Charts {
  activity: { at: string; seconds: number; records: number; errors: number }[];
  latency: { seq: number; at: string; ms: number }[];
  usage: {
    seq: number;
    at: string;
    model: string;
    input_tokens: number;
    output_tokens: number;
    cost: number | null;
  }[];
  errors: { seq: number; at: string; title: string }[];
  sampled: boolean;
}

export interface Verification {
  ok: boolean;
  version: number;
  head: string | null;
  trusted_to: number;
  findings: { kind: string; seq: number | null; offset: number | null; sentence: string }[];
  notes: string[];
  links: { checked: number };
}

export interface Report {
  id: string;
  ok: boolean;
  version: number;
  sentence: string;
}

export interface Point {
  session_id: string;
  version: number;
}

export interface Comparison {
  ancestor: Point | null;
  left: Point;
  right: Point;
  changes: Change[];
  total?: number;
}

export interface Hit {
  session_id: string;
  seq: number;
  address: string;
  at: string;
  user_id: string;
  type: string;
  /** As the search index names it: of tools `tool_call` and `tool_result`. */
  role: string;
  snippet: string;
  spans: [number, number][];
}

export interface Hits {
  hits: Hit[];
  unreadable: unknown;
}

export type Seek = "turn" | "error" | "same" | `type:${string}`;

export interface LiveHandlers {
  rows(last: number, rows: Row[], skipped: number): void;
  changed(reason: string, message: string): void;
  gone(message: string): void;
  connection(is_open: boolean): void;
}

/** What went wrong, in words for people, and what to do about it. */
export class SourceError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    readonly what_to_do: string | null = null,
  ) {
    super(message);
  }
}

/** Ends what was begun. */
export type Stop = () => void;

export interface Source {
  /** The exported file's header, where the page stands in one. */
  readonly exported: Exported | null;
  store(): Promise<Store>;
  sessions(query: SessionQuery): Promise<SessionList>;
  session(id: string): Promise<SessionInfo>;
  rows(id: string, from: number, count: number): Promise<{ last: number; rows: Row[] }>;
  record(id: string, seq: number): Promise<StoredRecord>;
  /** The record's line as text; bytes that are no UTF-8 come as U+FFFD. */
  line(id: string, seq: number): Promise<string>;
  /** Where the line's bytes can be had, or null. */
  lineAddress(id: string, seq: number): string | null;
  state(id: string, seq: number, path?: string): Promise<State>;
  diff(id: string, from: number, to: number): Promise<Diff>;
  blame(id: string, seq: number, path: string): Promise<BlameEntry[]>;
  first(id: string, expression: string): Promise<number | null>;
  next(id: string, from: number, direction: 1 | -1, by: Seek): Promise<number | null>;
  strip(id: string): Promise<StripColumn[]>;
  charts(id: string): Promise<Charts>;
  seen(id: string, seq: number): Promise<{ messages: Json[]; shape: string }>;
  verify(id: string): Promise<Verification>;
  verifyAll(report: (one: Report) => void, done: (sessions: number, failed: number) => void, failed: () => void): Stop;
  compare(left: Point, right: Point): Promise<Comparison>;
  search(query: string, user: string): Promise<Hits>;
  live(id: string, after: number, handlers: LiveHandlers): Stop;
  attachmentAddress(digest: string): string | null;
  fork(id: string, at: number, new_id: string | null): Promise<string>;
  rewind(id: string, to: number, expected_version: number): Promise<number>;
  erase(id: string, versions: number[], reason: string, dry_run: boolean): Promise<Record<string, number[]>>;
}

/** What an exported file says of itself. */
export interface Exported {
  format: number;
  session: SessionInfo;
  redacted: boolean;
  hidden: Record<string, number>;
  head: string | null;
  first_chain: string | null;
  chunks: { first: number; last: number }[];
  strip: StripColumn[];
  charts: Charts;
  generated_at: string;
}
