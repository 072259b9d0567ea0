// Chat: the records as a conversation; what is no part of it is one thin line each.

import { useMemo } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { inWords, say, source } from "../context.ts";
import { clock, duration, number, size } from "../format.ts";
import { MeasuredHeights } from "../heights.ts";
import { Attachments } from "../parts/attachments.tsx";
import { List } from "../parts/list.tsx";
import { Markdown, Terminal, Text } from "../parts/text.tsx";
import type { Json, Row } from "../source.ts";
import { hasColours } from "../text/ansi.ts";
import { revealed } from "../text/hidden.ts";
import type { SessionModel } from "./model.ts";
import { holdsHidden, oneLine } from "./preview.ts";

// What a card is thought to be high until it was drawn.
const USUAL = 76;
// So much of a tool's output and of thoughts is in sight while the card is folded.
const FOLD_LINES = 6;
const FOLD_CHARACTERS = 600;

interface Props {
  model: SessionModel;
  seq: number;
  isAtEnd: boolean;
  marked: Set<number>;
  onChoose(seq: number): void;
  onScroll(isAtEnd: boolean): void;
}

export function Chat(p: Props) {
  const { rows } = p.model;
  const last = rows.last.value;
  const heights = useMemo(() => new MeasuredHeights(last, USUAL), [p.model]);
  heights.resize(last);
  const folds = useSignal(0);
  return (
    <List
      class="chat"
      heights={heights}
      selected={p.seq - 1}
      isAtEnd={p.isAtEnd}
      version={`${rows.version.value}/${last}/${folds.value}`}
      onScroll={p.onScroll}
      onRange={(first, end) => rows.want(first + 1, end + 1)}
      onClick={(event) => {
        const target = event.target as HTMLElement;
        if (target.closest("a, button") || getSelection()?.toString()) return;
        const seq = Number(target.closest<HTMLElement>("[data-seq]")?.dataset.seq);
        if (seq) p.onChoose(seq);
      }}
      attributes={{ role: "feed", "aria-label": "Conversation" }}
      render={(index) => (
        <Card
          key={index}
          seq={index + 1}
          last={last}
          row={rows.at(index + 1)}
          model={p.model}
          isChosen={index + 1 === p.seq}
          isMarked={p.marked.has(index + 1)}
          onFold={() => (folds.value += 1)}
        />
      )}
    />
  );
}

interface CardProps {
  seq: number;
  last: number;
  row: Row | undefined;
  model: SessionModel;
  isChosen: boolean;
  isMarked: boolean;
  onFold(): void;
}

const TALK = new Set(["user", "agent", "reasoning", "tool", "step"]);
const NAMES: Record<string, string> = { user: "User", agent: "Agent", reasoning: "Thought", tool: "Tool", step: "Step" };

function Card(p: CardProps) {
  const { row } = p;
  const place = { "data-seq": p.seq, "aria-posinset": p.seq, "aria-setsize": p.last, "aria-current": p.isChosen };
  const state = `${p.isChosen ? "is-chosen" : ""} ${p.isMarked ? "is-marked" : ""}`;
  if (!row) {
    return (
      <article class={`card ${state} is-waiting`} {...place} aria-label={`Record ${p.seq}`}>
        <header><span class="card-seq">{number(p.seq)}</span></header>
        <div class="ghost" />
      </article>
    );
  }
  if (!TALK.has(row.role) || row.is_erased) {
    return (
      <article class={`aside-card role-${row.role} ${state}`} {...place} aria-label={`Record ${p.seq}, ${row.title}`}>
        <span class="aside-title">{revealed(row.title)}</span>
        <span class="aside-preview">{row.is_erased ? "" : oneLine(row.preview)}</span>
        <span class="card-seq">{number(row.seq)}</span>
      </article>
    );
  }
  return (
    <article class={`card role-${row.role} ${row.is_error ? "is-error" : ""} ${state}`} {...place} aria-label={`Record ${p.seq}, ${row.title}`}>
      <header>
        <span class="card-role">{NAMES[row.role]}</span>
        <span class="card-title">{isPlainTalk(row) ? (row.by ? revealed(row.by) : "") : revealed(row.title)}</span>
        {row.is_error && <span class="badge error">error</span>}
        {holdsHidden(row) && <span class="badge warn" title="Holds hidden characters; they are shown as marks">hidden characters</span>}
        <span class="card-facts">
          {row.duration_ms && !/\d (ms|s|min)\b/.test(row.title) ? <span>{duration(row.duration_ms)}</span> : null}
          <time dateTime={row.at}>{clock(row.at)}</time>
          <span class="card-seq">{number(row.seq)}</span>
        </span>
      </header>
      <Body row={row} model={p.model} onFold={p.onFold} />
      <Attachments items={row.attachments} />
    </article>
  );
}

const isPlainTalk = (row: Row): boolean => row.role === "user" || row.role === "agent" || row.role === "reasoning";

function Body({ row, model, onFold }: { row: Row; model: SessionModel; onFold(): void }) {
  const whole = model.texts.get(row.seq);
  const text = whole ?? row.preview;
  const folds = row.role === "tool" || row.role === "step" || row.role === "reasoning";
  const isOpen = model.opened.has(row.seq);
  const shown = folds && !isOpen ? folded(text) : text;
  const isFolded = shown.length < text.length;
  const missing = whole && row.cut && row.cut > whole.length ? row.cut : 0;
  const toggle = () => {
    if (isOpen) model.opened.delete(row.seq);
    else model.opened.add(row.seq);
    onFold();
  };
  const load = async () => {
    try {
      const text = textOf((await source().record(model.id, row.seq)).event);
      if (model.texts.size >= 20) model.texts.delete(model.texts.keys().next().value ?? 0);
      model.texts.set(row.seq, text);
      model.opened.add(row.seq);
      onFold();
    } catch (error) {
      say(inWords(error));
    }
  };
  // What stands in the place of a result that is an attachment, which is shown below.
  const isAttached = row.attachments.length > 0 && /^\[attachment of [^\]]*\]$/.test(text);
  if ((text === "" && !row.cut) || isAttached) return null;
  return (
    <div class="card-body">
      {row.role === "user" || row.role === "agent" ? (
        hasColours(shown) ? <pre tabIndex={0}><Terminal text={shown} /></pre> : <Markdown text={shown} />
      ) : row.role === "reasoning" ? (
        <p class="thought"><Text text={shown} /></p>
      ) : (
        <pre class="output" tabIndex={0}><Terminal text={pretty(shown, isFolded)} /></pre>
      )}
      {(isFolded || (folds && isOpen && folded(text).length < text.length) || (row.cut && !whole)) && (
        <div class="card-more">
          {isFolded && <button type="button" class="quiet" onClick={toggle}>Unfold {size(text.length)}</button>}
          {folds && isOpen && !isFolded && <button type="button" class="quiet" onClick={toggle}>Fold</button>}
          {row.cut && !whole && !isFolded ? (
            <button type="button" class="quiet" onClick={() => void load()}>Show all {number(row.cut)} characters</button>
          ) : null}
        </div>
      )}
      {missing > 0 && !isFolded && (
        <p class="muted small">These are the first {number(text.length)} of {number(missing)} characters. The whole is in the record's line: Raw.</p>
      )}
    </div>
  );
}

function folded(text: string): string {
  let at = -1;
  for (let line = 0; line < FOLD_LINES; line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at < 0) break;
  }
  return text.slice(0, Math.min(at < 0 ? text.length : at, FOLD_CHARACTERS));
}

/** A JSON text of some size on several lines. */
function pretty(text: string, isPart: boolean): string {
  if (isPart || !/^[[{]/.test(text) || text.length > 20_000) return text;
  try {
    const value = JSON.parse(text) as Json;
    return text.length > 100 ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text; // it only looks like JSON, or was cut
  }
}

/** What an event says, as its row's preview has it. */
function textOf(event: { [key: string]: Json }): string {
  for (const name of ["content", "result", "arguments", "error", "data", "summary", "value"]) {
    const value = event[name];
    if (value !== undefined && value !== null) return typeof value === "string" ? value : JSON.stringify(value, null, 2);
  }
  return JSON.stringify(event, null, 2);
}
