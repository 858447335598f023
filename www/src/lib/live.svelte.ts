// Data that keeps up: loaded when what it depends on changes, and again at every tick while the page is looked at.
import { untrack } from 'svelte';

import { Problem } from './api';
import { session } from './session.svelte';

/** Choices of how often to load again, in seconds; 0 for never. Every time costs the server a read of all shards. */
export const INTERVALS_S = [0, 10, 30, 60, 300] as const;

const KEY = 'kimball-refresh-s';
const DEFAULT_S = 30;

function kept(): number {
  try {
    const seconds = Number(localStorage.getItem(KEY) ?? DEFAULT_S);
    return INTERVALS_S.find((known) => known === seconds) ?? DEFAULT_S;
  } catch {
    return DEFAULT_S;
  }
}

class Refresh {
  /** Seconds between two loads; 0 for never. */
  every = $state<number>(kept());
  /** Counts up whenever everything is to be loaded again. */
  tick = $state(0);
  /** When data last came, in Unix milliseconds. */
  at = $state<number>();
  #loading = 0;

  now(): void {
    this.tick += 1;
  }

  choose(seconds: number): void {
    this.every = seconds;
    try {
      localStorage.setItem(KEY, String(seconds));
    } catch {
      // The choice then holds until a reload.
    }
  }

  /** Counts a load while it goes on. */
  async while<T>(load: Promise<T>): Promise<T> {
    this.#loading += 1;
    try {
      return await load;
    } finally {
      this.#loading -= 1;
    }
  }

  /** Ticks while the page is visible and nothing is being loaded; to be called once, from a component. */
  run(): void {
    $effect(() => {
      if (this.every === 0) return;
      const timer = setInterval(() => {
        if (document.visibilityState === 'visible' && this.#loading === 0) this.now();
      }, this.every * 1000);
      return () => clearInterval(timer);
    });
  }
}

export const refresh = new Refresh();

export interface Live<T> {
  readonly value: T | undefined;
  readonly problem: Problem | undefined;
}

/** Loads for a key. What was loaded stays while it is loaded again; another key drops it. To be called from a component. */
export function live<T>(key: () => string, load: (signal: AbortSignal) => Promise<T>): Live<T> {
  let state = $state.raw<{ key?: string; value?: T; problem?: Problem }>({});
  // An address that changes in other parts loads nothing again.
  const current = $derived(key());
  $effect(() => {
    const wanted = current;
    void refresh.tick;
    void session.token;
    const abort = new AbortController();
    untrack(() => {
      if (state.key !== wanted) state = { key: wanted };
      refresh.while(load(abort.signal)).then(
        (value) => {
          if (abort.signal.aborted) return;
          state = { key: wanted, value };
          refresh.at = Date.now();
        },
        (cause: unknown) => {
          if (!abort.signal.aborted) state = { ...state, problem: Problem.of(cause) };
        },
      );
    });
    return () => abort.abort();
  });
  return {
    get value() {
      return state.value;
    },
    get problem() {
      return state.problem;
    },
  };
}
