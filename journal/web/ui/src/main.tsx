// Where the page begins: from a server, or from the data in the file that it stands in.

import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app.tsx";
import { inWords, notice, source, store, useSource } from "./context.ts";
import { isLost } from "./connection.ts";
import { EmbeddedSource } from "./embedded/source.ts";
import { HttpSource } from "./http.ts";
import { route } from "./place.ts";
import { toSession } from "./route.ts";
import "./style/page.css";

function start(): void {
  const data = document.getElementById("journal");
  useSource(data ? new EmbeddedSource(data.textContent ?? "") : new HttpSource());
  const exported = source().exported;
  if (exported && route.value.screen === "sessions") route.value = toSession(exported.session.session_id, { seq: 1 });
  void knowStore();
  const place = document.getElementById("app");
  if (!place) return;
  place.replaceChildren();
  render(<App />, place);
}

async function knowStore(): Promise<void> {
  try {
    store.value = await source().store();
  } catch (error) {
    if (isLost.value) {
      // Once the server is back.
      const stop = effect(() => {
        if (!isLost.value)
          queueMicrotask(() => {
            stop();
            void knowStore();
          });
      });
    } else notice("store", "error", inWords(error));
  }
}

if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
else start();
