// Cutting: a value with its long texts shortened, and the places where that was done.

import { type Step, pathText } from "../path.ts";
import type { Json } from "../source.ts";

// As the server cuts them.
const MOST = 65_536;

export interface Cut {
  path: string;
  characters: number;
}

export function cutTexts(value: Json, places: Cut[], path: Step[] = []): Json {
  if (typeof value === "string") {
    if (value.length <= MOST) return value;
    places.push({ path: pathText(path), characters: value.length });
    return value.slice(0, MOST);
  }
  if (Array.isArray(value)) return value.map((each, n) => cutTexts(each, places, [...path, n]));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cutTexts(each, places, [...path, key])]));
}
