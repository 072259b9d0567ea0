// How numbers, times and sizes are written for people.

const NUMBER = new Intl.NumberFormat("en-US");

export const number = (n: number): string => NUMBER.format(n);

/** `one record`, `1,204 records`. */
export const counted = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${n === 1 ? one : many}`;

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function duration(ms: number): string {
  if (ms < 1) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 120) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} d`;
}

/** `2026-11-22 15:00:00`: what is stored is UTC, and stays UTC here, so that it can be compared with `journal log`. */
export const moment = (at: string): string => at.slice(0, 19).replace("T", " ");

export const day = (at: string): string => at.slice(0, 10);

export const clock = (at: string): string => at.slice(11, 19);

export const exactClock = (at: string): string => at.slice(11, 23).replace(/Z$/, "");

/** What lies between two texts of times, in milliseconds; clocks go backwards, so it may be negative. */
export const between = (one: string, other: string): number => Date.parse(other) - Date.parse(one);

/** A short hash: enough to see a difference, too little to rely on. */
export const short = (hash: string): string => `${hash.slice(0, 10)}…`;
