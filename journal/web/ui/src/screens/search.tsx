// Search: records by their words, in all sessions.

import { useEffect, useRef } from "preact/hooks";
import { commandLine } from "../command.ts";
import { source, store } from "../context.ts";
import { counted, moment } from "../format.ts";
import { useLoaded } from "../loaded.ts";
import { CommandLine, Problem, Waiting } from "../parts/basics.tsx";
import { Text } from "../parts/text.tsx";
import { replace } from "../place.ts";
import { type Route, formatRoute, toSession } from "../route.ts";
import type { Hit } from "../source.ts";
import { revealed } from "../text/hidden.ts";

const WAIT_MS = 250;

export function SearchScreen({ route }: { route: Extract<Route, { screen: "search" }> }) {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => box.current?.focus(), []);
  const query = route.query.trim();
  const found = useLoaded(query ? `${query}\n${route.user}` : null, () => source().search(query, route.user.trim()), WAIT_MS);
  const hits = query ? found.value?.hits : undefined;
  return (
    <main class="page">
      <div class="page-head">
        <h1>Search</h1>
        <input
          id="query"
          ref={box}
          type="search"
          class="filter grow"
          aria-label="Words to search for"
          placeholder={'words, "a phrase", word*, -word'}
          value={route.query}
          onInput={(event) => replace({ ...route, query: event.currentTarget.value })}
        />
        {!source().exported && (
          <input
            class="filter user-filter"
            aria-label="Only sessions of this user"
            placeholder="User"
            value={route.user}
            onInput={(event) => replace({ ...route, user: event.currentTarget.value })}
          />
        )}
      </div>
      {query && <CommandLine line={commandLine(store.value.command, "search", query, ...(route.user ? ["--user", route.user] : []))} />}
      {!query && <p class="empty">Type words: records that hold all of them are found, in every session, the best first.</p>}
      {query && found.error ? <Problem error={found.error} /> : null}
      {hits && <p class="hint" role="status">{hits.length ? counted(hits.length, "record") : "No record holds all of these words."}</p>}
      {hits && <ol class="hits">{hits.map((hit) => <OneHit key={hit.address} hit={hit} />)}</ol>}
      {query && !hits && !found.error && <Waiting what="what was found" />}
    </main>
  );
}

function OneHit({ hit }: { hit: Hit }) {
  return (
    <li class={`hit role-${hit.role.replace(/^tool_.*/, "tool")}`}>
      <div class="hit-head">
        <a href={formatRoute(toSession(hit.session_id, { seq: hit.seq }))}>{revealed(hit.address)}</a>
        <span class="badge">{revealed(hit.role.replaceAll("_", " "))}</span>
        <span class="muted">{revealed(hit.user_id)}</span>
        <span class="muted hit-time">{moment(hit.at)}</span>
      </div>
      <p class="snippet">{spans(hit.snippet, hit.spans).map(([text, isMatch]) => (isMatch ? <mark><Text text={text} /></mark> : <Text text={text} />))}</p>
    </li>
  );
}

/** The text in pieces: what matched, and what stands between. The spans count code points, as Python does. */
function spans(text: string, found: [number, number][]): [string, boolean][] {
  const characters = Array.from(text);
  const pieces: [string, boolean][] = [];
  let from = 0;
  for (const [start, end] of found) {
    if (start > from) pieces.push([characters.slice(from, start).join(""), false]);
    pieces.push([characters.slice(Math.max(from, start), end).join(""), true]);
    from = Math.max(from, end);
  }
  pieces.push([characters.slice(from).join(""), false]);
  return pieces.filter(([piece]) => piece);
}
