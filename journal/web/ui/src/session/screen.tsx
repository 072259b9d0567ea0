// The debugger: a session's records on the left, what one of them did on the right, all of time above.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { say, source, store } from "../context.ts";
import { copy } from "../copy.ts";
import { commandLine } from "../command.ts";
import { counted, moment, number } from "../format.ts";
import { useKeys } from "../keys.ts";
import { useLoaded } from "../loaded.ts";
import { Choice, Empty, Problem, Tabs, Waiting } from "../parts/basics.tsx";
import { go } from "../place.ts";
import { type SessionRoute, TABS, type Tab, formatRoute, toSession } from "../route.ts";
import type { BlameEntry } from "../source.ts";
import { revealed } from "../text/hidden.ts";
import { column } from "./columns.ts";
import { mark } from "./mark.ts";
import { Chat } from "./chat.tsx";
import { Events } from "./events.tsx";
import { Minimap } from "./minimap.tsx";
import { SessionModel } from "./model.ts";
import { choose, chosen, follow, seek, show } from "./navigation.ts";
import { pause, togglePlay } from "./play.ts";
import { Transport } from "./transport.tsx";
import { BlameTab } from "./tabs/blame.tsx";
import { ChartsTab } from "./tabs/charts.tsx";
import { DiffTab } from "./tabs/diff.tsx";
import { EventTab } from "./tabs/event.tsx";
import { RawTab } from "./tabs/raw.tsx";
import { SeenTab } from "./tabs/seen.tsx";
import { StateTab } from "./tabs/state.tsx";
import { WatchTab } from "./tabs/watch.tsx";
import { useSettled } from "./settled.ts";

const LABELS: Record<Tab, [string, string]> = {
  event: ["Event", "The record in full"],
  state: ["State", "The session as this record left it"],
  diff: ["Diff", "What this record changed"],
  blame: ["Blame", "Which records made a value what it is"],
  raw: ["Raw", "The record's line, byte for byte"],
  seen: ["Seen", "What exactly the model saw at this record"],
  watch: ["Watch", "When something became true; the changes of a value"],
  charts: ["Charts", "Activity, latency, tokens and cost, errors"],
};

/** What each tab is given. */
export interface TabProps {
  model: SessionModel;
  route: SessionRoute;
  seq: number;
  /** The changes of each watched path. */
  watched: { path: string; found: BlameEntry[] }[];
  /** The chosen watchpoint, through whose changes j and k move; null: none. */
  walked: string | null;
  onWalk(path: string | null): void;
}

/** What the command line of a tab is. */
export function tabCommand(route: SessionRoute, seq: number): string {
  const begin = store.value.command;
  const here = `${route.id}@${seq}`;
  switch (route.tab) {
    case "state":
      return commandLine(begin, "state", here, ...(route.path ? ["--path", route.path] : []));
    case "diff":
      return commandLine(begin, "diff", `${route.id}@${route.cmp ?? Math.max(1, seq - 1)}`, here);
    case "blame":
      return commandLine(begin, "blame", here, route.path || "metadata");
    case "watch":
      return route.expr
        ? commandLine(begin, "first", route.id, route.expr)
        : commandLine(begin, "log", `${route.id}@..${seq}`);
    case "charts":
      return commandLine(begin, "info", route.id);
    case "raw":
      return commandLine(begin, "log", `${route.id}@${seq}..${seq}`, "--json");
    default:
      return commandLine(begin, "show", here);
  }
}

export function SessionScreen({ route }: { route: SessionRoute }) {
  const model = useMemo(() => new SessionModel(route.id), [route.id]);
  useEffect(
    () => () => {
      pause();
      model.close();
    },
    [model],
  );
  const error = model.error.value;
  if (error) {
    return (
      <main class="page">
        <h1>{revealed(route.id)}</h1>
        <Problem error={error} />
        <p>
          <a href="#/">All sessions</a> · <a href={formatRoute({ screen: "integrity", id: route.id })}>Its integrity</a>
        </p>
      </main>
    );
  }
  if (!model.info.value && !model.rows.last.value) return <main class="page"><h1 class="sr">{revealed(route.id)}</h1><Waiting what="the session" /></main>;
  return <Debugger model={model} route={route} />;
}

function Debugger({ model, route }: { model: SessionModel; route: SessionRoute }) {
  const last = model.rows.last.value;
  const seq = chosen(model);
  const isFollowing = route.seq === null;
  const settled = useSettled(seq);
  const pane = useSignal<"records" | "details">(route.tab === "event" ? "records" : "details");
  const walked = useSignal<string | null>(null);
  const survey = model.info.value && `${route.id}/${model.revision.value}/${model.surveyed.value}`;
  const watches = useLoaded(survey && `${survey}/${JSON.stringify(route.watch)}`, () =>
    Promise.all(
      route.watch.map(async (path) => ({
        path,
        found: await source().blame(route.id, Math.max(1, model.rows.last.value), path).catch(() => []),
      })),
    ),
  );
  const watched = watches.value ?? [];
  const marks = useMemo(() => watched.map((each) => each.found.map((entry) => entry.version)), [watches.value]);
  // Two find room beside the records.
  const columns = useMemo(() => watched.slice(0, 2).map((each) => column(each.path, each.found)), [watches.value]);
  const marked = useMemo(() => new Set(marks.flat()), [marks]);

  const onScroll = (isAtEnd: boolean) => {
    if (isFollowing && !isAtEnd) {
      model.unseen.value = 0;
      show({ seq: last });
    }
  };
  const step = (direction: 1 | -1) => {
    const walk = walked.value === null ? null : watched.find((each) => each.path === walked.value);
    if (!walk) return choose(model, chosen(model) + direction);
    const versions = walk.found.map((entry) => entry.version).sort((a, b) => a - b);
    const from = chosen(model);
    const to = direction > 0 ? versions.find((each) => each > from) : versions.findLast((each) => each < from);
    if (to === undefined) say(`No change of ${walk.path} ${direction > 0 ? "after" : "before"} this one`);
    else choose(model, to);
  };
  useKeys(
    useMemo(() => {
      const tabs = Object.fromEntries(TABS.map((tab, n) => [String(n + 1), () => show({ tab })]));
      return {
        ...tabs,
        j: () => step(1),
        k: () => step(-1),
        "[": () => void seek(model, -1, "turn"),
        "]": () => void seek(model, 1, "turn"),
        J: () => void seek(model, 1, "same"),
        K: () => void seek(model, -1, "same"),
        e: () => void seek(model, 1, "error"),
        E: () => void seek(model, -1, "error"),
        Home: () => choose(model, 1),
        End: () => follow(model),
        " ": () => togglePlay(model),
        f: () => (isFollowing ? show({ seq: chosen(model) }) : follow(model)),
        c: () => mark({ session_id: route.id, version: chosen(model) }),
        v: () => show({ view: route.view === "chat" ? "events" : "chat" }),
        y: () => void copy(linkHere(route, chosen(model)), "a link to this record"),
      };
    }, [model, route, watches.value, walked.value]),
  );

  const list = { model, seq, isAtEnd: isFollowing, marked, onChoose: (to: number) => choose(model, to), onScroll };
  const props: TabProps = {
    model,
    route,
    seq: settled,
    watched,
    walked: walked.value,
    onWalk: (path) => (walked.value = path),
  };
  return (
    <main class={`debugger pane-${pane.value}`}>
      <Title model={model} route={route} seq={seq} />
      <section class="timeline" aria-label="Timeline">
        <Minimap
          columns={model.strip.value}
          charts={model.charts.value}
          last={last}
          seq={seq}
          marks={marks}
          onChoose={(to) => choose(model, to)}
        />
        <Transport model={model} />
      </section>
      <div class="panes">
        <Choice
          class="pane-switch"
          label="What to show"
          items={[{ id: "records", label: "Records" }, { id: "details", label: "Details" }]}
          chosen={pane.value}
          onChoose={(id) => (pane.value = id)}
        />
        <section class="records" aria-label="Records">
          <div class="records-head">
            <Choice
              label="How to show the records"
              items={[{ id: "chat", label: "Chat" }, { id: "events", label: "Events" }]}
              chosen={route.view}
              onChoose={(view) => show({ view })}
            />
            <Follow model={model} isFollowing={isFollowing} />
          </div>
          {last === 0 ? <Empty>No record can be shown.</Empty> : route.view === "chat" ? <Chat {...list} /> : <Events {...list} columns={columns} />}
          {!isFollowing && model.unseen.value > 0 && (
            <button type="button" class="pill" onClick={() => follow(model)}>
              {number(model.unseen.value)} new ↓
            </button>
          )}
        </section>
        <section class="details" aria-label="Details">
          <Tabs
            label="Details of the record"
            items={TABS.map((id) => ({ id, label: LABELS[id][0], hint: LABELS[id][1] }))}
            chosen={route.tab}
            panel="details-panel"
            onChoose={(tab) => show({ tab })}
          />
          <div class="panel" id="details-panel" role="tabpanel" aria-labelledby={`tab-${route.tab}`} tabIndex={0}>
            {last > 0 && <Panel {...props} />}
          </div>
        </section>
      </div>
    </main>
  );
}

const linkHere = (route: SessionRoute, seq: number): string =>
  location.href.split("#")[0] + formatRoute({ ...route, seq });

function Panel(p: TabProps) {
  switch (p.route.tab) {
    case "event":
      return <EventTab {...p} />;
    case "state":
      return <StateTab {...p} />;
    case "diff":
      return <DiffTab {...p} />;
    case "blame":
      return <BlameTab {...p} />;
    case "raw":
      return <RawTab {...p} />;
    case "seen":
      return <SeenTab {...p} />;
    case "watch":
      return <WatchTab {...p} />;
    case "charts":
      return <ChartsTab {...p} />;
  }
}

function Title({ model, route, seq }: { model: SessionModel; route: SessionRoute; seq: number }) {
  const info = model.info.value;
  const origin = info?.origin;
  return (
    <div class="title">
      <h1 title={route.id}>{revealed(route.id)}</h1>
      <p class="title-facts">
        {info && <span>{revealed(info.user_id)}</span>}
        <span>{counted(model.rows.last.value, "record")}</span>
        {info && <span class="wide">changed {moment(info.updated_at)}</span>}
        {origin && (
          <span>
            fork of{" "}
            <Relative id={origin.session_id} seq={origin.version} name={`${origin.session_id}@${origin.version}`} />
          </span>
        )}
        {info && info.forks.length > 0 && (
          <span>
            {counted(info.forks.length, "fork")}:{" "}
            {info.forks.slice(0, 3).map((fork, n) => (
              <>
                {n > 0 && ", "}
                <Relative id={fork.id} seq={null} name={fork.id} />
              </>
            ))}
            {info.forks.length > 3 && " …"}
          </span>
        )}
      </p>
      <div class="title-actions">
        <button type="button" class="quiet" title="Copy a link to this view (y)" onClick={() => void copy(linkHere(route, seq), "a link to this record")}>Link</button>
        <button type="button" class="quiet" title="Mark this record to compare it with another one (c)" onClick={() => mark({ session_id: route.id, version: seq })}>Compare</button>
        <a class="button quiet" href={formatRoute({ screen: "integrity", id: route.id })}>Verify</a>
        {origin && !source().exported && (
          <button
            type="button"
            class="quiet"
            title="This fork beside its origin"
            onClick={() =>
              go({
                screen: "compare",
                left: { session_id: origin.session_id, version: origin.version },
                right: { session_id: route.id, version: seq },
              })
            }
          >
            With origin
          </button>
        )}
      </div>
    </div>
  );
}

/** A session of the same family; an exported file holds none of them. */
function Relative({ id, seq, name }: { id: string; seq: number | null; name: string }) {
  if (source().exported) return <>{revealed(name)}</>;
  return <a href={formatRoute(toSession(id, { seq }))}>{revealed(name)}</a>;
}

function Follow({ model, isFollowing }: { model: SessionModel; isFollowing: boolean }) {
  const live = model.live.value;
  if (live === "off") return null;
  const words = { connecting: "connecting", live: isFollowing ? "following" : "live", lost: "reconnecting", gone: "ended" }[live];
  return (
    <button
      type="button"
      class={`follow is-${live} ${isFollowing ? "is-following" : ""}`}
      aria-pressed={isFollowing}
      title="Follow what comes (f)"
      disabled={live === "gone"}
      onClick={() => (isFollowing ? show({ seq: chosen(model) }) : follow(model))}
    >
      <span class="dot" aria-hidden="true" /> {words}
    </button>
  );
}
