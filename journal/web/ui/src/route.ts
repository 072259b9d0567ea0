// Routes: what is shown, as the part of the address behind `#`, so that every view is a link.

import type { Point } from "./source.ts";

export const TABS = ["event", "state", "diff", "blame", "raw", "seen", "watch", "charts"] as const;
export type Tab = (typeof TABS)[number];
export type View = "chat" | "events";

export type Route =
  | {
      screen: "sessions";
      text: string;
      user: string;
      sort: string;
      /** Forks in the order of all, not below their origins. */
      isFlat: boolean;
    }
  | {
      screen: "session";
      id: string;
      /** The record; null: the last one, whatever comes. */
      seq: number | null;
      tab: Tab;
      view: View;
      /** What the diff compares with; null: the record before. */
      cmp: number | null;
      /** The path that Blame asks about, and State leads to. */
      path: string;
      watch: string[];
      expr: string;
    }
  | { screen: "compare"; left: Point | null; right: Point | null }
  | { screen: "integrity"; id: string | null }
  | { screen: "search"; query: string; user: string };

export type SessionRoute = Extract<Route, { screen: "session" }>;

const whole = (text: string | null): number | null =>
  text !== null && /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : null;

/** `ID@7` as a point; the id may hold an `@` itself. */
export function point(text: string | null): Point | null {
  const found = /^(.+)@([1-9][0-9]{0,14})$/s.exec(text ?? "");
  return found ? { session_id: found[1] ?? "", version: Number(found[2]) } : null;
}

export const address = (at: Point): string => `${at.session_id}@${at.version}`;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % that somebody typed
  }
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const asked = new URLSearchParams(query);
  const [screen = "", id = "", more = ""] = path.split("/").map(decoded);
  if (screen === "s" && id && more === "integrity") return { screen: "integrity", id };
  if (screen === "s" && id) {
    const tab = asked.get("tab") as Tab;
    return {
      screen: "session",
      id,
      seq: whole(asked.get("seq")),
      tab: TABS.includes(tab) ? tab : "event",
      view: asked.get("view") === "events" ? "events" : "chat",
      cmp: whole(asked.get("cmp")),
      path: asked.get("path") ?? "",
      watch: [...new Set(asked.getAll("watch"))].filter(Boolean).slice(0, 8),
      expr: asked.get("expr") ?? "",
    };
  }
  if (screen === "compare")
    return { screen: "compare", left: point(asked.get("left")), right: point(asked.get("right")) };
  if (screen === "integrity") return { screen: "integrity", id: null };
  if (screen === "search") return { screen: "search", query: asked.get("q") ?? "", user: asked.get("user") ?? "" };
  return {
    screen: "sessions",
    text: asked.get("text") ?? "",
    user: asked.get("user") ?? "",
    sort: asked.get("sort") ?? "",
    isFlat: asked.get("flat") === "yes",
  };
}

export function formatRoute(to: Route): string {
  const query = new URLSearchParams();
  const set = (name: string, value: string | number | null, usual: string | null = null) => {
    if (value !== null && value !== "" && value !== usual) query.set(name, String(value));
  };
  let path = "#/";
  switch (to.screen) {
    case "sessions":
      set("text", to.text);
      set("user", to.user);
      set("sort", to.sort);
      set("flat", to.isFlat ? "yes" : "");
      break;
    case "session":
      path = `#/s/${encodeURIComponent(to.id)}`;
      set("seq", to.seq);
      set("tab", to.tab, "event");
      set("view", to.view, "chat");
      set("cmp", to.cmp);
      set("path", to.path);
      for (const each of to.watch) query.append("watch", each);
      set("expr", to.expr);
      break;
    case "compare":
      path = "#/compare";
      set("left", to.left && address(to.left));
      set("right", to.right && address(to.right));
      break;
    case "integrity":
      path = to.id === null ? "#/integrity" : `#/s/${encodeURIComponent(to.id)}/integrity`;
      break;
    case "search":
      path = "#/search";
      set("q", to.query);
      set("user", to.user);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** A link to a record of a session. */
export const toSession = (id: string, changes: Partial<SessionRoute> = {}): SessionRoute => ({
  screen: "session",
  id,
  seq: null,
  tab: "event",
  view: "chat",
  cmp: null,
  path: "",
  watch: [],
  expr: "",
  ...changes,
});
