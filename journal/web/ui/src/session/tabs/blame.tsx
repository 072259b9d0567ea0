// Blame: the records that made a value what it is, the last one first.

import { source } from "../../context.ts";
import { counted, moment, number } from "../../format.ts";
import { useLoaded } from "../../loaded.ts";
import { CommandLine, Problem, Waiting } from "../../parts/basics.tsx";
import { BeforeAfter } from "../../parts/changes.tsx";
import { parsePath, pathText } from "../../path.ts";
import type { BlameEntry } from "../../source.ts";
import { revealed } from "../../text/hidden.ts";
import { choose, show } from "../navigation.ts";
import { type TabProps, tabCommand } from "../screen.tsx";

export function BlameTab({ model, seq, route }: TabProps) {
  const path = route.path;
  const found = useLoaded(path ? `${model.id}/${seq}/${path}/${model.revision.value}` : null, () =>
    source().blame(model.id, seq, path),
  );
  const isWatched = route.watch.includes(path);
  return (
    <>
      <CommandLine line={tabCommand(route, seq)} />
      <PathForm path={path} label="Blame the value at" button="Blame" onPath={(to) => show({ path: to })} />
      {path && (
        <p class="inline">
          <button
            type="button"
            aria-pressed={isWatched}
            onClick={() => show({ watch: isWatched ? route.watch.filter((each) => each !== path) : [...route.watch, path] })}
          >
            {isWatched ? "Watched: unpin" : "Watch this value"}
          </button>
        </p>
      )}
      {!path && <p class="empty">Choose a value in State, or type its path, such as metadata.plan.</p>}
      {found.error ? <Problem error={found.error} /> : null}
      {path && found.value && <Found found={found.value} path={path} seq={seq} onChoose={(to) => choose(model, to)} />}
      {path && !found.value && !found.error && <Waiting what="the records" />}
    </>
  );
}

function Found(p: { found: BlameEntry[]; path: string; seq: number; onChoose(seq: number): void }) {
  if (!p.found.length) return <p class="empty">No record up to {number(p.seq)} set {revealed(p.path)}.</p>;
  return (
    <>
      <p class="hint">{counted(p.found.length, "record")} made it what it is at record {number(p.seq)}.</p>
      <BlameList found={p.found} seq={p.seq} onChoose={p.onChoose} />
    </>
  );
}

/** Records with what a value was before and after each. */
export function BlameList(p: { found: BlameEntry[]; seq: number; onChoose(seq: number): void }) {
  return (
    <ol class="blame">
      {p.found.map((entry) => (
        <li key={entry.version} class={entry.version === p.seq ? "is-chosen" : ""}>
          <div class="change-head">
            <button type="button" class="linklike" onClick={() => p.onChoose(entry.version)}>record {number(entry.version)}</button>
            <span>{revealed(entry.title)}</span>
            <span class="change-version muted">{entry.by ? `${revealed(entry.by)}, ` : ""}{moment(entry.at)}</span>
          </div>
          <BeforeAfter before={entry.before ?? undefined} after={entry.after} />
        </li>
      ))}
    </ol>
  );
}

/** A box for a path. */
export function PathForm(p: { path: string; label: string; button: string; onPath(path: string): void }) {
  return (
    <form
      class="inline"
      onSubmit={(event) => {
        event.preventDefault();
        const typed = new FormData(event.currentTarget).get("path");
        p.onPath(pathText(parsePath(String(typed).trim())));
      }}
    >
      <label class="grow">
        {p.label} <input name="path" class="mono" defaultValue={p.path} placeholder="metadata.plan" autocomplete="off" spellcheck={false} key={p.path} />
      </label>
      <button type="submit">{p.button}</button>
    </form>
  );
}
