// HttpSource: everything from the server of `journal view`.

import { doubt, lost, reached } from "./connection.ts";
import type {
  BlameEntry, Charts, Comparison, Diff, Hits, LiveHandlers, Point, Report, Row, Seek, SessionInfo, SessionList,
  SessionQuery, Source, State, Stop, Store, StoredRecord, StripColumn, Verification, Json,
} from "./source.ts";
import { SourceError } from "./source.ts";

type Parameters = Record<string, string | number | undefined | null>;

function address(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return `/api/${path}${text ? `?${text}` : ""}`;
}

// Sessions that were deleted while they were open, and what was said of it: they are asked for no more.
const gone = new Map<string, string>();

function ofSession(id: string, rest: string): string {
  const message = gone.get(id);
  if (message !== undefined) throw new SourceError(410, "SessionDeleted", message);
  return pathOf(id, rest);
}

const pathOf = (id: string, rest: string): string => `s/${encodeURIComponent(id)}${rest}`;

async function answer(url: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch {
    lost();
    throw new SourceError(0, "Unreachable", "The server does not answer.", "Is `journal view` still running?");
  }
  reached();
  if (response.ok) return response;
  let told: { kind?: string; message?: string; what_to_do?: string | null } = {};
  try {
    told = ((await response.json()) as { error?: typeof told }).error ?? {};
  } catch {
    // Not the server's own words; the status says enough.
  }
  throw new SourceError(
    response.status,
    told.kind ?? "Error",
    told.message ?? `The server answered ${response.status}.`,
    told.what_to_do ?? (response.status === 403 ? "Run `journal view` again and open the link it prints." : null),
  );
}

const get = async <T>(path: string, parameters?: Parameters): Promise<T> =>
  (await (await answer(address(path, parameters))).json()) as T;

const post = async <T>(path: string, body: Json): Promise<T> =>
  (await (
    await answer(address(path), {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Journal-Write": "yes" },
      body: JSON.stringify(body),
    })
  ).json()) as T;

// A stream that ended for good is asked for again, this much later.
const AGAIN_MS = 2000;

export class HttpSource implements Source {
  readonly exported = null;

  store = () => get<Store>("store");

  sessions = (query: SessionQuery) => get<SessionList>("sessions", { ...query });

  session = async (id: string) => {
    gone.delete(id); // the name may have been used again
    return get<SessionInfo>(ofSession(id, ""));
  };

  rows = async (id: string, from: number, count: number) =>
    get<{ last: number; rows: Row[] }>(ofSession(id, "/rows"), { from, count });

  record = async (id: string, seq: number) => get<StoredRecord>(ofSession(id, `/records/${seq}`));

  lineAddress = (id: string, seq: number) => address(pathOf(id, `/raw/${seq}`));

  line = async (id: string, seq: number) => {
    const bytes = await (await answer(address(ofSession(id, `/raw/${seq}`)))).arrayBuffer();
    return new TextDecoder().decode(bytes);
  };

  state = async (id: string, seq: number, path?: string) => get<State>(ofSession(id, `/state/${seq}`), { path });

  diff = async (id: string, from: number, to: number) => get<Diff>(ofSession(id, "/diff"), { from, to });

  blame = async (id: string, seq: number, path: string) =>
    (await get<{ found: BlameEntry[] }>(ofSession(id, `/blame/${seq}`), { path })).found;

  first = async (id: string, expr: string) =>
    (await get<{ version: number | null }>(ofSession(id, "/first"), { expr })).version;

  next = async (id: string, from: number, dir: 1 | -1, by: Seek) =>
    (await get<{ seq: number | null }>(ofSession(id, "/next"), { from, dir, by })).seq;

  strip = async (id: string) =>
    (await get<{ columns: StripColumn[] }>(ofSession(id, "/strip"), { columns: 240 })).columns;

  charts = async (id: string) => get<Charts>(ofSession(id, "/charts"));

  seen = async (id: string, seq: number) => get<{ messages: Json[]; shape: string }>(ofSession(id, `/seen/${seq}`));

  verify = async (id: string) => get<Verification>(ofSession(id, "/verify"));

  verifyAll(report: (one: Report) => void, done: (sessions: number, failed: number) => void, failed: () => void): Stop {
    const stream = new EventSource(address("verify"));
    stream.addEventListener("report", (event) => report(JSON.parse(event.data) as Report));
    stream.addEventListener("done", (event) => {
      stream.close(); // else the browser would begin the whole check again
      const { sessions, failed } = JSON.parse(event.data) as { sessions: number; failed: number };
      done(sessions, failed);
    });
    stream.onerror = () => {
      stream.close();
      failed();
    };
    return () => stream.close();
  }

  compare = (left: Point, right: Point) =>
    get<Comparison>("compare", {
      left: `${left.session_id}@${left.version}`,
      right: `${right.session_id}@${right.version}`,
    });

  search = (q: string, user: string) => get<Hits>("search", { q, user, limit: 200 });

  live(id: string, after: number, handlers: LiveHandlers): Stop {
    let stream: EventSource;
    let again: ReturnType<typeof setTimeout> | undefined;
    let last = after;
    let isOver = false;
    const open = () => {
      stream = new EventSource(address(pathOf(id, "/live"), { after: last }));
      stream.onopen = () => handlers.connection(true);
      stream.onerror = () => {
        if (isOver) return;
        handlers.connection(false);
        doubt();
        // While CONNECTING the browser tries again by itself.
        if (stream.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
      };
      stream.addEventListener("rows", (event) => {
        const told = JSON.parse(event.data) as { last: number; rows: Row[]; skipped?: number };
        last = told.last;
        handlers.rows(told.last, told.rows, told.skipped ?? 0);
      });
      stream.addEventListener("changed", (event) => {
        const told = JSON.parse(event.data) as { reason: string; message: string };
        handlers.changed(told.reason, told.message);
      });
      stream.addEventListener("gone", (event) => {
        isOver = true;
        stream.close();
        const { message } = JSON.parse(event.data) as { message: string };
        gone.set(id, message);
        handlers.gone(message);
      });
    };
    open();
    return () => {
      isOver = true;
      clearTimeout(again);
      stream.close();
    };
  }

  attachmentAddress = (digest: string) => address(`attachments/${encodeURIComponent(digest)}`);

  fork = async (id: string, at: number, new_id: string | null) =>
    (await post<{ id: string }>(ofSession(id, "/fork"), new_id ? { at, new_id } : { at })).id;

  rewind = async (id: string, to: number, expected_version: number) =>
    (await post<{ version: number }>(ofSession(id, "/rewind"), { to, expected_version })).version;

  erase = async (id: string, versions: number[], reason: string, dry_run: boolean) =>
    (await post<{ erased: Record<string, number[]> }>(ofSession(id, "/erase"), { versions, reason, dry_run })).erased;
}
