// The small parts that every screen uses.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { inWords } from "../context.ts";
import { copy } from "../copy.ts";
import { useKeys } from "../keys.ts";
import { revealed } from "../text/hidden.ts";

/** The view as a command for the terminal, to copy. */
export function CommandLine({ line }: { line: string }) {
  useKeys(useMemo(() => ({ Y: () => void copy(line, "the command") }), [line]));
  return (
    <div class="command">
      <span class="command-sign" aria-hidden="true">$</span>
      <code tabIndex={0}>{revealed(line)}</code>
      <button type="button" class="quiet" onClick={() => void copy(line, "the command")} title="Copy this command (Y)">
        Copy<span class="sr"> as command</span>
      </button>
    </div>
  );
}

export function Problem({ error }: { error: unknown }) {
  return <p class="problem" role="alert">{revealed(inWords(error))}</p>;
}

export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>;

/** What is on its way; said only when it takes long enough to be noticed. */
export function Waiting({ what }: { what: string }) {
  const [isLong, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), 400);
    return () => clearTimeout(timer);
  }, []);
  return <p class="empty" aria-live="polite">{isLong ? `Loading ${what} …` : "\u00a0"}</p>;
}

/** A dialog: the browser keeps the focus in it, and gives it back. */
export function Dialog(p: { title: string; onClose(): void; children: ComponentChildren; class?: string }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={p.class}
      aria-label={p.title}
      onClose={p.onClose}
      onClick={(event: MouseEvent) => event.target === box.current && p.onClose()}
    >
      <div class="dialog-body">
        <header>
          <h2>{p.title}</h2>
          <button type="button" class="quiet" onClick={p.onClose} aria-label="Close">✕</button>
        </header>
        {p.children}
      </div>
    </dialog>
  );
}

export interface TabItem<T extends string> {
  id: T;
  label: string;
  hint?: string;
}

/** Tabs as the ARIA practices have them: arrows move, one is in the tab order. */
export function Tabs<T extends string>(p: {
  label: string;
  items: TabItem<T>[];
  chosen: T;
  panel: string;
  onChoose(id: T): void;
}) {
  const list = useRef<HTMLDivElement>(null);
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    const at = p.items.findIndex((item) => item.id === p.chosen);
    const to = p.items[(at + step + p.items.length) % p.items.length];
    if (!to) return;
    p.onChoose(to.id);
    list.current?.querySelector<HTMLElement>(`#tab-${to.id}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={p.label} ref={list} onKeyDown={onKey}>
      {p.items.map((item) => (
        <button
          type="button"
          role="tab"
          id={`tab-${item.id}`}
          aria-selected={item.id === p.chosen}
          aria-controls={p.panel}
          tabIndex={item.id === p.chosen ? 0 : -1}
          title={item.hint}
          onClick={() => p.onChoose(item.id)}
        >
          {item.label}
        </button>
      ))}
    </div>
  );
}

/** A choice of few, as buttons side by side. */
export function Choice<T extends string>(p: {
  label: string;
  items: { id: T; label: string }[];
  chosen: T;
  class?: string;
  onChoose(id: T): void;
}) {
  return (
    <div class={`choice ${p.class ?? ""}`} role="group" aria-label={p.label}>
      {p.items.map((item) => (
        <button type="button" aria-pressed={item.id === p.chosen} onClick={() => p.onChoose(item.id)}>
          {item.label}
        </button>
      ))}
    </div>
  );
}
