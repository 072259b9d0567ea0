// What the tests use of node.

declare module "node:test" {
  export function test(name: string, body: () => void | Promise<void>): void;
}
declare module "node:assert/strict" {
  const assert: {
    (value: unknown): void;
    equal(one: unknown, other: unknown): void;
    deepEqual(one: unknown, other: unknown): void;
    throws(body: () => unknown, expected: RegExp): void;
  };
  export default assert;
}
