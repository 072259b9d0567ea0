// Sessions: all that are in the store, forks below their origins.

import { useMemo } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { commandLine } from "../command.ts";
import { source, store } from "../context.ts";
import { counted, moment, number, size } from "../format.ts";
import { FixedHeights } from "../heights.ts";
import { useLoaded } from "../loaded.ts";
import { CommandLine, Problem, Waiting } from "../parts/basics.tsx";
import { List } from "../parts/list.tsx";
import { go, replace } from "../place.ts";
import { type Route, formatRoute, toSession } from "../route.ts";
import type { SessionList, SessionSummary } from "../source.ts";
import { type Placed, type SortKey, ordered } from "../tree.ts";
import { revealed } from "../text/hidden.ts";
import { verified } from "../verified.ts";

type SessionsRoute = Extract<Route, { screen: "sessions" }>;

const HEIGHT = 36;
const LIMIT = 10_000;
// Whoever else has sessions is found by the filter.
const MOST_USERS = 200;

const COLUMNS: [SortKey, string, string][] = [
  ["id", "Session", ""],
  ["user_id", "User", ""],
  ["version", "Records", "right"],
  ["message_count", "Messages", "right"],
  ["response_count", "Replies", "right"],
  ["size_bytes", "Size", "right"],
  ["created_at", "Created", "right"],
  ["updated_at", "Changed", "right"],
];

export function SessionsScreen({ route }: { route: SessionsRoute }) {
  const more = useSignal<SessionList[]>([]);
  const found = useLoaded("sessions", () => source().sessions({ limit: LIMIT }));
  const pages = found.value ? [found.value, ...more.value] : [];
  const all = useMemo(() => pages.flatMap((page) => page.sessions), [found.value, more.value]);
  const unreadable = pages.flatMap((page) => page.unreadable);
  const next = pages.at(-1)?.next_page ?? null;
  const text = route.text.trim().toLowerCase();
  const shown = useMemo(
    () =>
      all.filter(
        (each) =>
          (!text || each.id.toLowerCase().includes(text) || each.user_id.toLowerCase().includes(text)) &&
          (!route.user || each.user_id === route.user),
      ),
    [all, text, route.user],
  );
  const rows = useMemo(() => ordered(shown, route.sort, !route.isFlat), [shown, route.sort, route.isFlat]);
  const users = useMemo(() => counts(all), [all]);
  const hasForks = useMemo(() => all.some((each) => each.origin), [all]);
  const set = (changes: Partial<SessionsRoute>) => replace({ ...route, ...changes });
  return (
    <main class="page wide-page">
      <div class="page-head">
        <h1>Sessions</h1>
        <input
          type="search"
          class="filter"
          aria-label="Filter by id or user"
          placeholder="Filter by id or user"
          value={route.text}
          onInput={(event) => set({ text: event.currentTarget.value })}
        />
        {users.length > 1 && (
          <select class="filter" aria-label="User" value={route.user} onChange={(event) => set({ user: event.currentTarget.value })}>
            <option value="">All {number(users.length)} users</option>
            {users.slice(0, MOST_USERS).map(([user, count]) => (
              <option key={user} value={user}>{revealed(user)} ({number(count)})</option>
            ))}
          </select>
        )}
        {hasForks && (
          <label class="check">
            <input type="checkbox" checked={!route.isFlat} onChange={(event) => set({ isFlat: !event.currentTarget.checked })} />
            Forks below their origins
          </label>
        )}
        <a href="#/integrity" class="button quiet">Verify all</a>
        <span class="muted count" role="status">
          {found.value ? (shown.length === all.length ? counted(all.length, "session") : `${number(shown.length)} of ${counted(all.length, "session")}`) : ""}
        </span>
      </div>
      <CommandLine line={commandLine(store.value.command, "ls", ...(route.user ? ["--user", route.user] : []))} />
      {found.error ? <Problem error={found.error} /> : null}
      <Unreadable sessions={unreadable} />
      {found.value ? (
        all.length ? <Table rows={rows} route={route} onSort={(sort) => set({ sort })} onUser={(user) => set({ user })} /> : <Nothing />
      ) : found.error ? null : (
        <Waiting what="the sessions" />
      )}
      {next !== null && (
        <p>
          <button
            type="button"
            onClick={() => void source().sessions({ limit: LIMIT, page: String(next) }).then((page) => (more.value = [...more.value, page]))}
          >
            Load more: {number((pages[0]?.total ?? 0) - all.length)} are not here yet
          </button>
        </p>
      )}
    </main>
  );
}

/** Whose the sessions are, and how many each has; who has most comes first. */
function counts(sessions: SessionSummary[]): [string, number][] {
  const found = new Map<string, number>();
  for (const each of sessions) found.set(each.user_id, (found.get(each.user_id) ?? 0) + 1);
  return [...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

function Nothing() {
  return (
    <div class="empty">
      <p>No session is in this store yet. Begin one in a terminal:</p>
      <CommandLine line={commandLine(store.value.command, "say", "s-42", "Where is my order?")} />
      <p>or import conversations:</p>
      <CommandLine line={commandLine(store.value.command, "import", "FOLDER")} />
    </div>
  );
}

function Unreadable({ sessions }: { sessions: { id: string; reason: string }[] }) {
  if (!sessions.length) return null;
  return (
    <details class="unreadable" open={sessions.length <= 3}>
      <summary>{counted(sessions.length, "session")} cannot be read</summary>
      <ul>
        {sessions.map((each) => (
          <li>
            <a href={formatRoute({ screen: "integrity", id: each.id })}>{revealed(each.id)}</a>{" "}
            <span>{revealed(each.reason)}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Table(p: { rows: Placed[]; route: SessionsRoute; onSort(sort: string): void; onUser(user: string): void }) {
  const heights = useMemo(() => new FixedHeights(p.rows.length, HEIGHT), [p.rows]);
  const [key, isDown] = sortOf(p.route.sort);
  const header = (
    <div role="rowgroup" class="table-head">
      <div role="row" class="session-row">
        {COLUMNS.map(([column, name, side]) => (
          <div role="columnheader" class={`cell-${column} ${side}`} aria-sort={key === column ? (isDown ? "descending" : "ascending") : "none"}>
            <button type="button" class="sort" onClick={() => p.onSort(nextSort(p.route.sort, column))}>
              {name}
              <span class="sort-sign" aria-hidden="true">{key === column ? (isDown ? "↓" : "↑") : ""}</span>
            </button>
          </div>
        ))}
      </div>
    </div>
  );
  return (
    <List
      class="sessions"
      heights={heights}
      header={header}
      version={p.rows}
      onClick={(event) => {
        const target = event.target as HTMLElement;
        if (target.closest("a, button") || getSelection()?.toString()) return;
        const id = target.closest<HTMLElement>("[data-id]")?.dataset.id;
        if (id) go(toSession(id));
      }}
      attributes={{ role: "table", "aria-label": "Sessions", "aria-rowcount": p.rows.length + 1 }}
      render={(index) => <SessionRow key={p.rows[index]?.session.id} index={index} placed={p.rows[index]} onUser={p.onUser} />}
    />
  );
}

function SessionRow(p: { index: number; placed: Placed | undefined; onUser(user: string): void }) {
  const { placed } = p;
  if (!placed) return <div role="row" class="session-row" />;
  const each: SessionSummary = placed.session;
  return (
    <div role="row" class="session-row" aria-rowindex={p.index + 2} data-id={each.id}>
      <div role="cell" class="cell-id" style={{ paddingLeft: `${Math.min(placed.depth, 8) * 18}px` }}>
        {placed.depth > 0 && <span class="branch" aria-hidden="true">└</span>}
        <a href={formatRoute(toSession(each.id))} title={each.id}>{revealed(each.id)}</a>
        <Integrity id={each.id} />
        {each.origin && <span class="fork-of muted">fork of {placed.depth > 0 ? "it" : revealed(each.origin)} at {each.origin_version}</span>}
      </div>
      <div role="cell" class="cell-user_id">
        <button type="button" class="linklike" title="Only this user" onClick={() => p.onUser(each.user_id)}>{revealed(each.user_id)}</button>
      </div>
      <div role="cell" class="cell-version right">{number(each.version)}</div>
      <div role="cell" class="cell-message_count right">{number(each.message_count)}</div>
      <div role="cell" class="cell-response_count right">{number(each.response_count)}</div>
      <div role="cell" class="cell-size_bytes right">{size(each.size_bytes)}</div>
      <div role="cell" class="cell-created_at right muted">{moment(each.created_at).slice(0, 16)}</div>
      <div role="cell" class="cell-updated_at right">{moment(each.updated_at).slice(0, 16)}</div>
    </div>
  );
}

/** What was found when it was last verified. */
function Integrity({ id }: { id: string }) {
  const isWhole = verified.value.get(id);
  if (isWhole === undefined) return null;
  return (
    <a class={`verdict ${isWhole ? "good" : "bad"}`} href={formatRoute({ screen: "integrity", id })} title={isWhole ? "Verified: as it was written" : "Not as it was written"}>
      {isWhole ? "✓ whole" : "✗ damaged"}
    </a>
  );
}

/** A sort as the link has it: `id`, or `-id` for the other way round; nothing: the latest change first. */
function sortOf(sort: string): [string, boolean] {
  if (!sort) return ["updated_at", true];
  return sort.startsWith("-") ? [sort.slice(1), true] : [sort, false];
}

function nextSort(sort: string, column: SortKey): string {
  const [key, isDown] = sortOf(sort);
  if (key === column) return isDown ? column : `-${column}`;
  return column === "id" || column === "user_id" ? column : `-${column}`;
}
