// Differences: what leads from one JSON value to another, value by value.

import { type Step, pathText } from "../path.ts";
import type { Change, Json } from "../source.ts";

export function differences(before: Json, after: Json): Change[] {
  const found: Change[] = [];
  between([], before, after, found);
  return found;
}

function between(path: Step[], before: Json, after: Json, found: Change[]): void {
  if (before === after) return;
  if (isObject(before) && isObject(after)) {
    for (const [key, value] of Object.entries(before)) {
      if (Object.hasOwn(after, key)) between([...path, key], value, after[key] as Json, found);
      else found.push({ path: pathText([...path, key]), kind: "removed", before: value });
    }
    for (const [key, value] of Object.entries(after))
      if (!Object.hasOwn(before, key)) found.push({ path: pathText([...path, key]), kind: "added", after: value });
  } else if (Array.isArray(before) && Array.isArray(after)) {
    const common = Math.min(before.length, after.length);
    for (let n = 0; n < common; n += 1) between([...path, n], before[n] as Json, after[n] as Json, found);
    for (let n = before.length - 1; n >= common; n -= 1)
      found.push({ path: pathText([...path, n]), kind: "removed", before: before[n] as Json });
    for (let n = common; n < after.length; n += 1)
      found.push({ path: pathText([...path, n]), kind: "added", after: after[n] as Json });
  } else if (!isSame(before, after)) {
    found.push({ path: pathText(path), kind: "changed", before, after });
  }
}

/** Whether two values are the same JSON, whatever the order of their keys. */
export function isSame(one: Json | undefined, other: Json | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  if (Array.isArray(one))
    return Array.isArray(other) && one.length === other.length && one.every((each, n) => isSame(each, other[n]));
  if (!isObject(one) || !isObject(other)) return false;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && isSame(one[key], other[key]))
  );
}

const isObject = (value: Json): value is { [key: string]: Json } =>
  value !== null && typeof value === "object" && !Array.isArray(value);
