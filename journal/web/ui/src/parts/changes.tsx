// Changes: what is different between two states, value by value, the different part in colour.

import { number } from "../format.ts";
import type { Change, Json } from "../source.ts";
import { revealed } from "../text/hidden.ts";
import { Text } from "./text.tsx";

const LONG = 2000;
const MANY_LINES = 40;
// Of what both have in common at the beginning and the end, so much stays in sight.
const CONTEXT = 60;

interface Props {
  changes: Change[];
  total: number;
  onPath?(path: string): void;
  onVersion?(version: number): void;
}

export function Changes(p: Props) {
  if (p.changes.length === 0) return <p class="empty">No difference.</p>;
  return (
    <>
      <ul class="changes">
        {p.changes.map((change) => (
          <li key={change.path} class={`change is-${change.kind}`}>
            <div class="change-head">
              <span class="change-sign" role="img" aria-label={change.kind}>{{ added: "+", removed: "−", changed: "~" }[change.kind]}</span>
              {p.onPath ? (
                <button type="button" class="linklike mono" title="Blame" onClick={() => p.onPath?.(change.path)}>{revealed(change.path)}</button>
              ) : (
                <span class="mono">{revealed(change.path)}</span>
              )}
              {change.version ? (
                p.onVersion ? (
                  <button type="button" class="linklike change-version" onClick={() => p.onVersion?.(change.version ?? 1)}>record {number(change.version)}</button>
                ) : (
                  <span class="change-version muted">record {number(change.version)}</span>
                )
              ) : null}
            </div>
            <BeforeAfter before={change.kind === "added" ? undefined : change.before} after={change.kind === "removed" ? undefined : change.after} />
          </li>
        ))}
      </ul>
      {p.total > p.changes.length && <p class="muted">The first {number(p.changes.length)} of {number(p.total)} differences.</p>}
    </>
  );
}

/** A value before and after; undefined where there is none. */
export function BeforeAfter({ before, after }: { before: Json | undefined; after: Json | undefined }) {
  const [old, now] = [asText(before), asText(after)];
  if (old === null || now === null) {
    return (
      <div class="values">
        {old !== null && <pre class="value old"><Text text={old} /></pre>}
        {now !== null && <pre class="value new"><Text text={now} /></pre>}
      </div>
    );
  }
  const [start, end] = common(old, now);
  // Where next to nothing is the same, all is different: marks would only be noise.
  if (start + end < Math.min(old.length, now.length) * 0.2 && Math.max(old.length, now.length) > 80) {
    return (
      <div class="values">
        <pre class="value old"><Text text={old} /></pre>
        <pre class="value new"><Text text={now} /></pre>
      </div>
    );
  }
  return (
    <div class="values">
      <pre class="value old"><Part text={old} start={start} end={end} /></pre>
      <pre class="value new"><Part text={now} start={start} end={end} /></pre>
    </div>
  );
}

function Part({ text, start, end }: { text: string; start: number; end: number }) {
  const from = Math.max(0, start - CONTEXT);
  const to = Math.min(text.length, text.length - end + CONTEXT);
  return (
    <>
      <Text text={(from > 0 ? "… " : "") + text.slice(from, start)} />
      {text.length - end > start && <mark><Text text={text.slice(start, text.length - end)} /></mark>}
      <Text text={text.slice(text.length - end, to) + (to < text.length ? " …" : "")} />
    </>
  );
}

/** How many characters two texts have in common at the beginning, and at the end. */
function common(a: string, b: string): [number, number] {
  const most = Math.min(a.length, b.length);
  let start = 0;
  while (start < most && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < most - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  if (!a.includes("\n") && !b.includes("\n")) return [start, end];
  // Of several lines whole ones are marked.
  return [a.lastIndexOf("\n", start - 1) + 1, end ? end - Math.max(0, a.indexOf("\n", a.length - end) - (a.length - end)) : 0];
}

function asText(value: Json | undefined): string | null {
  if (value === undefined) return null;
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const lines = text.slice(0, LONG).split("\n", MANY_LINES).join("\n");
  return lines.length < text.length ? `${lines}…` : text;
}
