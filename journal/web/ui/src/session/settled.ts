// A number that moves is taken over once it rests: who scrubs asks for nothing on the way.

import { useEffect, useState } from "preact/hooks";

const REST_MS = 70;

export function useSettled(value: number): number {
  const [settled, settle] = useState(value);
  useEffect(() => {
    if (value === settled) return;
    const timer = setTimeout(() => settle(value), REST_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
