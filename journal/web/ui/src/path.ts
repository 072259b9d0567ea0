// Paths: the steps that lead to a value in a session's JSON, as the journal writes them.

import type { Json } from "./source.ts";

export type Step = string | number;

const NUMBER = /^(?:0|-?[1-9][0-9]{0,17})$/;

/** The steps of `metadata.plan.0`, or of the JSON pointer `/metadata/plan/0`. */
export function parsePath(text: string): Step[] {
  const steps = text.startsWith("/")
    ? text.slice(1).split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"))
    : text === ""
      ? []
      : text.split(".");
  return steps.map((step) => (NUMBER.test(step) ? Number(step) : step));
}

/** The text that `parsePath` reads as these steps: with dots where they will do, else a JSON pointer. */
export function pathText(path: readonly Step[]): string {
  const steps = path.map(String);
  if (steps.every((step) => step !== "" && !step.includes(".")) && !steps[0]?.startsWith("/")) return steps.join(".");
  return steps.map((step) => `/${step.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** What a path leads to; undefined where there is nothing, for null is a value. */
export function valueAt(root: Json, path: readonly Step[]): Json | undefined {
  let value: Json | undefined = root;
  for (const step of path) {
    if (Array.isArray(value)) value = typeof step === "number" ? value.at(step) : undefined;
    else if (value !== null && typeof value === "object")
      value = Object.hasOwn(value, step) ? value[String(step)] : undefined;
    else return undefined;
  }
  return value;
}
