// What the runtime makes instances of, over a wasm that may break: after a panic, a trap or a failed allocation the next call begins it anew,
// and every object in it with it. scripts/build/worker.mjs bundles this with the JavaScript of wasm-bindgen into build/index.js; guard.js is in front.
import { WorkerEntrypoint } from "cloudflare:workers";

/** `wasm` is the module that wasm-bindgen has written. */
export function over(wasm) {
  /** Shared with the wasm: whether it has broken, and how often it was begun anew. */
  const state = wasm.__worker_init_state();

  /** Calls into a wasm that is whole. */
  function enter(call) {
    if (state.criticalError) {
      wasm.__wbg_reset_state();
      state.criticalError = false;
      state.instanceId += 1;
    }
    try {
      return call();
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) state.criticalError = true;
      throw error;
    }
  }

  // What happens between calls, when something that was awaited has come, ends here.
  addEventListener("error", ({ error }) => {
    if (error instanceof WebAssembly.RuntimeError) state.criticalError = true;
  });

  /** A Durable Object of a class that the wasm exports. */
  const object = (Exported) =>
    class {
      #given;
      #inner;
      #instanceId;

      constructor(...given) {
        this.#given = given;
        this.#enter(() => {});
      }

      /** Calls the object in the wasm, which is made where it is not yet, or gone with an earlier wasm. */
      #enter(call) {
        return enter(() => {
          if (this.#instanceId !== state.instanceId) {
            this.#inner = new Exported(...this.#given);
            this.#instanceId = state.instanceId;
          }
          return call(this.#inner);
        });
      }

      fetch(request) {
        return this.#enter((inner) => inner.fetch(request));
      }

      alarm() {
        return this.#enter((inner) => inner.alarm());
      }
    };

  class Entrypoint extends WorkerEntrypoint {
    fetch(request) {
      return enter(() => wasm.fetch(request, this.env, this.ctx));
    }
  }

  return { Entrypoint, object };
}
