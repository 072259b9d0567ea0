// App: what stands around every screen, and which screen is open.

import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { understand } from "./command.ts";
import { isLost } from "./connection.ts";
import { inWords, notices, say, source, store, toast, unnotice } from "./context.ts";
import { HELP, useKeys } from "./keys.ts";
import { Dialog } from "./parts/basics.tsx";
import { go, route } from "./place.ts";
import { type Route, formatRoute, parseRoute } from "./route.ts";
import { CompareScreen } from "./screens/compare.tsx";
import { IntegrityScreen } from "./screens/integrity.tsx";
import { SearchScreen } from "./screens/search.tsx";
import { SessionsScreen } from "./screens/sessions.tsx";
import { marked, unmark } from "./session/mark.ts";
import { resolve } from "./session/navigation.ts";
import { SessionScreen } from "./session/screen.tsx";
import { nextTheme, theme } from "./theme.ts";
import { revealed } from "./text/hidden.ts";

const isHelpOpen = signal(false);

const NAV: [Route, string][] = [
  [{ screen: "sessions", text: "", user: "", sort: "", isFlat: false }, "Sessions"],
  [{ screen: "search", query: "", user: "" }, "Search"],
  [{ screen: "compare", left: null, right: null }, "Compare"],
  [{ screen: "integrity", id: null }, "Integrity"],
];

export function App() {
  const now = route.value;
  useKeys(
    useMemo(
      () => ({
        "?": () => (isHelpOpen.value = true),
        g: () => document.getElementById("go")?.focus(),
        "/": () => {
          if (route.value.screen === "search") document.getElementById("query")?.focus();
          else go({ screen: "search", query: "", user: "" });
        },
        y: () => void navigator.clipboard?.writeText(location.href).then(() => say("Copied a link to this view")),
      }),
      [],
    ),
  );
  useEffect(() => {
    const what = now.screen === "session" ? now.id : now.screen;
    document.title = `${revealed(what)} · ${store.value.name || "Session journal"}`;
  }, [now, store.value]);
  return (
    <>
      <Head now={now} />
      <Notices />
      <Screen now={now} />
      <div class="toast" role="status">{toast.value && <span>{toast.value}</span>}</div>
      {isHelpOpen.value && <Help />}
    </>
  );
}

// No link: the hash is the route.
function skip(): void {
  const main = document.querySelector("main");
  main?.setAttribute("tabindex", "-1");
  main?.focus();
}

function Screen({ now }: { now: Route }) {
  switch (now.screen) {
    case "sessions":
      return <SessionsScreen route={now} />;
    case "session":
      return <SessionScreen key={now.id} route={now} />;
    case "compare":
      return <CompareScreen route={now} />;
    case "integrity":
      return <IntegrityScreen key={now.id} id={now.id} />;
    case "search":
      return <SearchScreen route={now} />;
  }
}

function Head({ now }: { now: Route }) {
  const { exported } = source();
  const chosen = now.screen === "session" || (now.screen === "integrity" && now.id !== null) ? null : now.screen;
  const nav = exported ? [] : NAV;
  return (
    <header class="head">
      <button type="button" class="skip" onClick={skip}>Skip to the content</button>
      <a class="brand" href={exported ? formatRoute({ ...parseRoute(`#/s/${encodeURIComponent(exported.session.session_id)}`) }) : "#/"}>
        <span class="brand-mark" aria-hidden="true" />
        <span class="brand-name">Journal</span>
        <span class="brand-store" title={store.value.path}>{revealed(store.value.name)}</span>
      </a>
      <nav aria-label="Screens">
        {nav.map(([to, name]) => (
          <a href={formatRoute(to)} aria-current={to.screen === chosen ? "page" : undefined}>{name}</a>
        ))}
        {exported && <ExportedNav id={exported.session.session_id} now={now} />}
      </nav>
      <GoBox now={now} />
      <div class="head-tools">
        {store.value.allow_write && <span class="badge warn" title="The server was started with --allow-write">may write</span>}
        <button type="button" class="quiet" onClick={nextTheme} title="Light, dark, or as the system says" aria-label={`Theme: ${theme.value}`}>
          {{ system: "◐", light: "☀", dark: "☾" }[theme.value]}
        </button>
        <button type="button" class="quiet" onClick={() => (isHelpOpen.value = true)} title="Keys (?)" aria-label="Help">?</button>
      </div>
    </header>
  );
}

function ExportedNav({ id, now }: { id: string; now: Route }) {
  const at = `#/s/${encodeURIComponent(id)}`;
  return (
    <>
      <a href={`${at}?seq=1`} aria-current={now.screen === "session" ? "page" : undefined}>Session</a>
      <a href="#/search" aria-current={now.screen === "search" ? "page" : undefined}>Search</a>
      <a href={`${at}/integrity`} aria-current={now.screen === "integrity" ? "page" : undefined}>Integrity</a>
    </>
  );
}

/** A number, an address, a command or a link, typed or pasted. */
function GoBox({ now }: { now: Route }) {
  const box = useRef<HTMLInputElement>(null);
  const submit = async () => {
    const typed = box.current?.value ?? "";
    const meant = understand(typed, now.screen === "session" ? now.id : null, parseRoute);
    if ("problem" in meant) return say(meant.problem);
    if ("route" in meant) done(meant.route);
    else {
      try {
        const seq = await resolve(meant.id, meant.point);
        if (seq === null) say(`${meant.id} has no record at ${meant.point}`);
        else done(meant.then(seq));
      } catch (error) {
        say(inWords(error));
      }
    }
  };
  const done = (to: Route) => {
    if (box.current) box.current.value = "";
    box.current?.blur();
    // Within a session the tab and the watchpoints stay.
    if (to.screen === "session" && now.screen === "session" && to.id === now.id && to.tab === "event")
      go({ ...now, seq: to.seq });
    else go(to);
  };
  return (
    <form
      class="go"
      role="search"
      aria-label="Go to"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <input
        id="go"
        ref={box}
        aria-label="Go to a record, an address or a command"
        placeholder="Go to 42, s-42@7, journal diff …"
        autocomplete="off"
        spellcheck={false}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
      <kbd aria-hidden="true">g</kbd>
    </form>
  );
}

function Notices() {
  const { exported } = source();
  return (
    <div class="notices" role="region" aria-label="Notices" aria-live="polite">
      {isLost.value && (
        <div class="notice error"><p>The server does not answer. The page tries again every two seconds; what was loaded stays.</p></div>
      )}
      {exported && <ExportedNotice />}
      {notices.value.map((each) => (
        <div key={each.id} class={`notice ${each.tone}`}>
          <p>{revealed(each.text)}</p>
          <button
            type="button"
            class="quiet"
            aria-label="Dismiss"
            onClick={() => (each.id === "mark" && marked.value ? unmark() : unnotice(each.id))}
          >
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}

const isExportedNoticeOpen = signal(true);

function ExportedNotice() {
  const { exported } = source();
  if (!exported || !isExportedNoticeOpen.value) return null;
  const hidden = Object.entries(exported.hidden ?? {}).filter(([, count]) => count > 0);
  return (
    <div class="notice info">
      <p>
        Exported {exported.generated_at.slice(0, 16).replace("T", " ")} UTC.{" "}
        {exported.redacted
          ? hidden.length
            ? `Redacted: hidden behind marks are ${hidden.map(([kind, count]) => `${count} × ${kind.replaceAll("_", " ")}`).join(", ")}.`
            : "Redacted: nothing had to be hidden."
          : "Not redacted: it holds everything that was said, and can prove itself."}{" "}
        <a href={`#/s/${encodeURIComponent(exported.session.session_id)}/integrity`}>What it can prove</a>
      </p>
      <button type="button" class="quiet" aria-label="Dismiss" onClick={() => (isExportedNoticeOpen.value = false)}>✕</button>
    </div>
  );
}

function Help() {
  return (
    <Dialog title="Keys" onClose={() => (isHelpOpen.value = false)} class="help">
      <div class="help-columns">
        {HELP.map(([title, keys]) => (
          <section>
            <h3>{title}</h3>
            <dl>
              {keys.map(([key, what]) => (
                <>
                  <dt>{key.split("  ").map((each) => <kbd>{each}</kbd>)}</dt>
                  <dd>{what}</dd>
                </>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <p class="hint">
        Every view is a link: copy the address. Every view is a command, too: the line above it does the same in a
        terminal, and what you paste into the box at the top, a command or an address, opens here.
      </p>
    </Dialog>
  );
}
