// Watch: the record at which something first became true, and the changes of the values that are pinned.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { inWords, source } from "../../context.ts";
import { counted, number } from "../../format.ts";
import { CommandLine } from "../../parts/basics.tsx";
import { revealed } from "../../text/hidden.ts";
import { choose, show } from "../navigation.ts";
import { type TabProps, tabCommand } from "../screen.tsx";
import { BlameList, PathForm } from "./blame.tsx";

export function WatchTab(p: TabProps) {
  return (
    <>
      <CommandLine line={tabCommand(p.route, p.seq)} />
      <FirstTrue {...p} />
      <Watchpoints {...p} />
    </>
  );
}

function FirstTrue({ model, route }: TabProps) {
  const answer = useSignal<{ text: string; isBad: boolean; seq: number | null } | null>(null);
  const ask = async (expr: string) => {
    show({ expr });
    if (!expr) {
      answer.value = null;
      return;
    }
    answer.value = { text: "Looking …", isBad: false, seq: null };
    try {
      const seq = await source().first(model.id, expr);
      answer.value =
        seq === null
          ? { text: "It is true of no record.", isBad: false, seq: null }
          : { text: `First true at record ${number(seq)}.`, isBad: false, seq };
      if (seq !== null) choose(model, seq);
    } catch (error) {
      answer.value = { text: inWords(error), isBad: true, seq: null };
    }
  };
  useEffect(() => {
    if (route.expr && route.seq === null) void ask(route.expr); // a command that was pasted
  }, []);
  return (
    <section class="block" aria-labelledby="first-true">
      <h2 id="first-true">When did it first become true?</h2>
      <form
        class="inline"
        onSubmit={(event) => {
          event.preventDefault();
          void ask(String(new FormData(event.currentTarget).get("expr")).trim());
        }}
      >
        <label class="grow">
          <span class="sr">Expression</span>
          <input key={route.expr} name="expr" class="mono" defaultValue={route.expr} placeholder="count(state.user_messages) >= 3" autocomplete="off" spellcheck={false} />
        </label>
        <button type="submit">Jump there</button>
      </form>
      {answer.value ? (
        <p class={answer.value.isBad ? "problem pre" : "hint"} role="status">
          {answer.value.text}{" "}
          {answer.value.seq && <button type="button" class="linklike" onClick={() => choose(model, answer.value?.seq ?? 1)}>Go there</button>}
        </p>
      ) : (
        <p class="hint">
          For example <code>event.is_error</code>, <code>event.name = "search"</code>, <code>state.metadata.plan[0] ~= "think"</code>.
        </p>
      )}
    </section>
  );
}

function Watchpoints(p: TabProps) {
  const { route, model } = p;
  const drop = (path: string) => {
    if (p.walked === path) p.onWalk(null);
    show({ watch: route.watch.filter((each) => each !== path) });
  };
  return (
    <section class="block" aria-labelledby="watchpoints">
      <h2 id="watchpoints">Watched values</h2>
      <PathForm path="" label="Watch" button="Pin" onPath={(path) => path && show({ watch: [...new Set([...route.watch, path])] })} />
      {route.watch.length === 0 && (
        <p class="hint">Pin a value: its changes are listed here and marked below the minimap, and j and k can walk through them.</p>
      )}
      {route.watch.map((path, n) => {
        const found = p.watched.find((each) => each.path === path)?.found;
        return (
          <div class="watch" key={path}>
            <div class="watch-head">
              <span class={`swatch mark-${n % 4}`} aria-hidden="true" />
              <strong class="mono">{revealed(path)}</strong>
              <span class="muted">{found ? counted(found.length, "change") : "…"}</span>
              <button type="button" aria-pressed={p.walked === path} onClick={() => p.onWalk(p.walked === path ? null : path)}>j/k walk these</button>
              <button type="button" class="quiet" onClick={() => drop(path)} aria-label={`Unpin ${path}`}>✕</button>
            </div>
            {found && <BlameList found={found.slice(0, 100)} seq={p.seq} onChoose={(seq) => choose(model, seq)} />}
          </div>
        );
      })}
    </section>
  );
}
