// What every part of the page shares: the source, the store, and what is told to people.

import { signal } from "@preact/signals";
import type { Source, Store } from "./source.ts";
import { SourceError } from "./source.ts";

let current: Source | null = null;

/** Where the page gets everything from. */
export function source(): Source {
  if (!current) throw new Error("the page has no source yet");
  return current;
}

export function useSource(from: Source): void {
  current = from;
}

export const store = signal<Store>({
  name: "",
  path: "",
  allow_write: false,
  version: "",
  command: "journal",
});

export interface Notice {
  id: string;
  tone: "info" | "warning" | "error";
  text: string;
}

/** The banners, the newest last. */
export const notices = signal<Notice[]>([]);

/** Say something; what has the same id takes its place. */
export function notice(id: string, tone: Notice["tone"], text: string): void {
  notices.value = [...notices.value.filter((each) => each.id !== id), { id, tone, text }];
}

export function unnotice(id: string): void {
  if (notices.value.some((each) => each.id === id)) notices.value = notices.value.filter((each) => each.id !== id);
}

/** A short word on what was just done: "Copied". */
export const toast = signal("");
let ending: ReturnType<typeof setTimeout> | undefined;

export function say(text: string): void {
  toast.value = text;
  clearTimeout(ending);
  ending = setTimeout(() => {
    toast.value = "";
  }, 2500);
}

/** Begun with a capital and ended with a stop, unless it has lines of its own or begins with a place. */
export const asSentence = (text: string): string =>
  text === "" || text.includes("\n") ? text : text.replace(/^[a-z](?=[a-z]* )/, (first) => first.toUpperCase()).replace(/([^.!?…])$/, "$1.");

/** An error as a sentence, and what to do about it. */
export const inWords = (error: unknown): string =>
  error instanceof SourceError
    ? [error.message, error.what_to_do ?? ""].map(asSentence).filter(Boolean).join(" ")
    : error instanceof Error
      ? error.message
      : String(error);
