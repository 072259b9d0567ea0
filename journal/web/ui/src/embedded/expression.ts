// Expressions: conditions on a record and on the state after it, as docs/reference/expressions.md has them.

import type { Json } from "../source.ts";
import { SourceError } from "../source.ts";
import { isSame } from "./differences.ts";

type Fields = { [key: string]: Json };
type Value = Json | undefined;
type Condition = (event: Fields, state: Fields) => boolean;
interface Operand {
  value(event: Fields, state: Fields): Value;
  isTime: boolean;
  /** A value that stands in the expression itself. */
  constant?: Json;
}

const TIMES = new Set(["at", "timestamp", "created_at", "updated_at"]);
const SIGN = /~=|!=|<=|>=|==|[=<>]|(?:not\s+)?in(?![\w-])/y;
const WORD = /[^\W\d][\w-]*/y;
const NUMBER = /-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w:.-])/y;
const STRING = /"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'/sy;
const STEP = /-?\w[\w-]*/y;
const MOST_CHARACTERS = 10_000;
const MOST_DEPTH = 50;

/** A condition that can be asked of each record. Throws a SourceError that shows the place. */
export function compile(text: string): Condition {
  return new Parser(text).whole();
}

class Parser {
  private place = 0;
  private depth = 0;

  constructor(private readonly text: string) {
    if (text.length > MOST_CHARACTERS) this.fail(`an expression has at most ${MOST_CHARACTERS} characters`);
  }

  whole(): Condition {
    const condition = this.anyOf();
    if (this.skip() < this.text.length) this.fail("expected 'and', 'or' or the end");
    return condition;
  }

  private anyOf(): Condition {
    const conditions = [this.allOf()];
    while (this.word("or")) conditions.push(this.allOf());
    return (event, state) => conditions.some((each) => each(event, state));
  }

  private allOf(): Condition {
    const conditions = [this.one()];
    while (this.word("and")) conditions.push(this.one());
    return (event, state) => conditions.every((each) => each(event, state));
  }

  private one(): Condition {
    this.depth += 1;
    if (this.depth > MOST_DEPTH) this.fail(`an expression is nested at most ${MOST_DEPTH} levels deep`);
    const condition = this.single();
    this.depth -= 1;
    return condition;
  }

  private single(): Condition {
    if (this.word("not")) {
      const inner = this.one();
      return (event, state) => !inner(event, state);
    }
    if (this.word("exists")) {
      const isWrapped = this.sign("(");
      const path = this.path();
      if (isWrapped) this.close(")");
      return (event, state) => path.value(event, state) !== undefined;
    }
    if (this.sign("(")) {
      const inner = this.anyOf();
      this.close(")");
      return inner;
    }
    return this.comparison();
  }

  private comparison(): Condition {
    const left = this.operand();
    const sign = this.take(SIGN)?.replace(/\s+/, " ");
    if (!sign) {
      if (left.constant === undefined || typeof left.constant === "boolean")
        return (event, state) => left.value(event, state) === true;
      return this.fail("expected a comparison (= != < <= > >= ~= in)");
    }
    if (sign === "~=") {
      const pattern = this.pattern();
      return (event, state) => {
        const value = left.value(event, state);
        return typeof value === "string" && pattern.test(value.slice(0, 1_000_000));
      };
    }
    const right = this.operand();
    const holds = sign.startsWith("not") ? CONTAINS : COMPARE[sign === "==" ? "=" : sign];
    const isTime = left.isTime || right.isTime;
    const asked = (event: Fields, state: Fields) => {
      const [one, other] = [left.value(event, state), right.value(event, state)];
      if (one === undefined || other === undefined || !holds) return false;
      return isTime ? holds(time(one), time(other)) : holds(one, other);
    };
    return sign.startsWith("not") ? (event, state) => !asked(event, state) : asked;
  }

  private operand(): Operand {
    const start = this.skip();
    const word = this.peek(WORD);
    if (word === "event" || word === "state") return this.path();
    if (word === "count") {
      this.word("count");
      if (!this.sign("(")) this.fail("expected '('");
      const path = this.path();
      this.close(")");
      return { isTime: false, value: (event, state) => count(path.value(event, state)) };
    }
    if (word && !["true", "false", "null"].includes(word)) this.fail(`'${word}' is no value; a text stands in quotes, "${word}"`, start);
    const constant = this.constant();
    return { isTime: false, constant, value: () => constant };
  }

  private path(): Operand {
    const root = this.peek(WORD);
    if (root !== "event" && root !== "state") return this.fail("expected a path, event.… or state.…");
    this.word(root);
    const steps: (string | number)[] = [];
    for (let step = this.step(); step !== undefined; step = this.step()) steps.push(step);
    if (!steps.length) this.fail(`expected a field behind it, ${root}.${root === "event" ? "type" : "metadata"}`);
    const last = String(steps.at(-1));
    return {
      isTime: TIMES.has(last) && (root === "event" ? steps.length === 1 : steps[0] !== "metadata"),
      value: (event, state) => {
        const found = at(root === "event" ? event : state, steps);
        return found === undefined && root === "event" && steps[0] === "is_error" ? false : found;
      },
    };
  }

  private step(): string | number | undefined {
    if (this.text[this.place] === ".") {
      this.place += 1;
      const step = this.take(STEP, false);
      if (step === undefined) return this.fail('expected a name or a number; any other key stands in brackets, ["a key"]');
      return /^(?:0|-?[1-9]\d*)$/.test(step) ? Number(step) : step;
    }
    if (this.text[this.place] !== "[") return undefined;
    this.place += 1;
    const step = this.constant();
    if (typeof step !== "string" && typeof step !== "number") return this.fail("in brackets stands a number or a key in quotes");
    this.close("]");
    return step;
  }

  private constant(): Json {
    const number = this.take(NUMBER);
    if (number !== undefined) return Number(number);
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) if (this.word(word)) return value;
    if (this.sign("[")) {
      const values: Json[] = [];
      while (!this.sign("]")) {
        if (values.length && !this.sign(",")) this.fail("expected ',' or ']'");
        values.push(this.constant());
      }
      return values;
    }
    const quoted = this.quoted("a path or a value");
    try {
      return JSON.parse(`"${quoted.replace(/\\'/g, "'").replace(/(^|[^\\])((?:\\\\)*)"/g, '$1$2\\"').replace(/\n/g, "\\n")}"`) as string;
    } catch {
      return this.fail("there is no such escape; a backslash is written \\\\");
    }
  }

  private pattern(): RegExp {
    const quoted = this.quoted("a pattern in quotes");
    // Python's way to begin with flags.
    const flags = /^\(\?([ims]+)\)/.exec(quoted);
    try {
      return new RegExp(quoted.slice(flags?.[0].length ?? 0).replaceAll("(?P<", "(?<"), `${flags?.[1] ?? ""}u`);
    } catch (error) {
      return this.fail(`the pattern does not compile: ${error instanceof Error ? error.message : ""}`);
    }
  }

  private quoted(expected: string): string {
    const found = this.take(STRING);
    if (found === undefined) return this.fail(`expected ${expected}`);
    return found.slice(1, -1);
  }

  private skip(): number {
    while (/\s/.test(this.text[this.place] ?? "")) this.place += 1;
    return this.place;
  }

  private peek(piece: RegExp): string | undefined {
    piece.lastIndex = this.skip();
    return piece.exec(this.text)?.[0];
  }

  private take(piece: RegExp, skips = true): string | undefined {
    piece.lastIndex = skips ? this.skip() : this.place;
    const found = piece.exec(this.text)?.[0];
    this.place += found?.length ?? 0;
    return found;
  }

  private word(expected: string): boolean {
    if (this.peek(WORD) !== expected) return false;
    this.place += expected.length;
    return true;
  }

  private sign(expected: string): boolean {
    if (!this.text.startsWith(expected, this.skip())) return false;
    this.place += expected.length;
    return true;
  }

  private close(sign: string): void {
    if (!this.sign(sign)) this.fail(`expected '${sign}'`);
  }

  private fail(reason: string, place = this.skip()): never {
    throw new SourceError(400, "ExpressionError", `${reason}\n  ${this.text.replace(/\s/g, " ")}\n  ${" ".repeat(place)}^`);
  }
}

function at(root: Fields, steps: (string | number)[]): Value {
  let value: Value = root;
  for (const step of steps) {
    if (Array.isArray(value)) value = typeof step === "number" ? value.at(step) : undefined;
    else if (value !== null && typeof value === "object") value = Object.hasOwn(value, step) ? value[String(step)] : undefined;
    else return undefined;
  }
  return value;
}

/** How many items, keys or characters; the characters as code points, as Python counts them. */
function count(value: Value): Value {
  if (Array.isArray(value)) return value.length;
  if (typeof value === "string") return Array.from(value).length;
  return value !== null && typeof value === "object" ? Object.keys(value).length : undefined;
}

/** A moment as a number; what is none compares with nothing. */
const time = (value: Json): Json => (typeof value === "string" ? Date.parse(value) : null);

const order =
  (holds: (one: number | string, other: number | string) => boolean) =>
  (one: Json, other: Json): boolean =>
    (typeof one === "number" || typeof one === "string") && typeof one === typeof other && holds(one, other as typeof one);

const CONTAINS = (one: Json, other: Json): boolean => {
  if (Array.isArray(other)) return other.some((each) => isSame(one, each));
  if (typeof one !== "string") return false;
  return typeof other === "string" ? other.includes(one) : other !== null && typeof other === "object" && Object.hasOwn(other, one);
};

const COMPARE: Record<string, (one: Json, other: Json) => boolean> = {
  "=": isSame,
  "!=": (one, other) => !isSame(one, other),
  "<": order((one, other) => one < other),
  "<=": order((one, other) => one <= other),
  ">": order((one, other) => one > other),
  ">=": order((one, other) => one >= other),
  in: CONTAINS,
};
