// Loading: what a part of the page shows while its answer is on the way, and when none comes.

import { useEffect, useState } from "preact/hooks";
import { isLost } from "./connection.ts";

export interface Loaded<T> {
  /** The newest answer; while another is on the way, the one before: nothing jumps. */
  value: T | null;
  /** The question that `value` answers. */
  key: string | null;
  error: unknown;
  isLoading: boolean;
}

/** The answer to a question that `key` names; asked again when that changes, `wait` milliseconds later. */
export function useLoaded<T>(key: string | null, load: () => Promise<T>, wait = 0): Loaded<T> {
  const [state, setState] = useState<Loaded<T>>({ value: null, key: null, error: null, isLoading: true });
  const lost = isLost.value; // when the server is back, what failed is asked again
  const isRetry = lost && state.error !== null;
  useEffect(() => {
    if (key === null || isRetry) return;
    let isOld = false;
    const ask = () => {
      setState((before) => (before.isLoading ? before : { ...before, isLoading: true }));
      load().then(
        (value) => isOld || setState({ value, key, error: null, isLoading: false }),
        (error: unknown) => isOld || setState({ value: null, key, error, isLoading: false }),
      );
    };
    const timer = wait ? setTimeout(ask, wait) : (ask(), undefined);
    return () => {
      isOld = true;
      clearTimeout(timer);
    };
  }, [key, isRetry]);
  return state;
}
