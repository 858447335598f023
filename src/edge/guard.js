// The main module of the Worker: keeps a panic or trap in the wasm from hanging what is in flight.
//
// The wasm is built with panic = "abort". After a panic, a trap or a failed allocation the runtime glue replaces the
// whole wasm instance, and every promise that waited on the old one would stay pending for ever. The glue announces
// this by setting `criticalError` on its global state; from that moment every call in flight is answered here: Durable
// Objects abort (uncommitted writes are dropped, the next call loads from storage), clients get a 503.
import { DurableObject } from "cloudflare:workers";
import Inner, { Registry as InnerRegistry, Shard as InnerShard } from "../../build/index.js";

// A request that waits on nothing but a wasm instance that is gone counts as hung, and the runtime answers it 500 before
// the rejection below arrives. A pending timer keeps it waiting.
const DEADLINE_MS = 30_000;
// It begins once a body can have arrived, at the slowest pace that src/edge/http/body.rs allows: 8 KiB a second, for 16 MiB at most.
const BODY_BYTES_MS = 1_000 / 8_192;
const BODY_BYTES_MAX = 16 << 20;
// The status of a shard that is ready to be closed (src/edge/messages/wire.rs).
const READY_TO_CLOSE = 205;
const RESET = new Error("the wasm instance was reset");
const inFlight = new Set();

const glue = globalThis.__worker_init_state;
let criticalError = glue.criticalError;
Object.defineProperty(glue, "criticalError", {
  get: () => criticalError,
  set(value) {
    criticalError = value;
    if (!value) return;
    const rejects = [...inFlight];
    inFlight.clear();
    for (const reject of rejects) reject(RESET);
  },
});
// An exception that a binding threw through wasm frames leaves the instance unusable as well.
addEventListener("error", () => {
  glue.criticalError = true;
});

function guarded(call, deadlineMs) {
  return new Promise((resolve, reject) => {
    inFlight.add(reject);
    const timer = deadlineMs && setTimeout(() => reject(new Error("deadline")), deadlineMs);
    Promise.resolve()
      .then(call)
      .then(resolve, reject)
      .finally(() => {
        inFlight.delete(reject);
        clearTimeout(timer);
      });
  });
}

const guardedObject = (InnerObject) =>
  class extends DurableObject {
    #inner;

    constructor(ctx, env) {
      super(ctx, env);
      this.#inner = new InnerObject(ctx, env);
    }

    async #call(method, ...args) {
      try {
        return await guarded(() => this.#inner[method](...args));
      } catch (error) {
        if (error === RESET || error instanceof WebAssembly.RuntimeError) this.ctx.abort(RESET.message);
        throw error;
      }
    }

    async fetch(request) {
      const response = await this.#call("fetch", request);
      if (response.status !== READY_TO_CLOSE) return response;
      // From a timer, where nothing else is under way: an abort drops what is queued behind it.
      return new Promise(() => setTimeout(() => this.ctx.abort("closed to make room for another object"), 0));
    }

    alarm() {
      return this.#call("alarm");
    }
  };

export const Registry = guardedObject(InnerRegistry);
export const Shard = guardedObject(InnerShard);

// workerd serves a connection whose next request has come before it looks at other connections, so under load a few starve the
// rest for hundreds of milliseconds. A timer that has run out is served behind what the sockets hold: to wait for one lets
// the others in. A request that is alone need not.
let atWork = 0;
const letOthersIn = () => new Promise((resolve) => setTimeout(resolve, 0));

function deadlineMs(request) {
  if (request.body === null) return DEADLINE_MS;
  const announced = Number(request.headers.get("content-length")) || BODY_BYTES_MAX;
  return DEADLINE_MS + Math.min(announced, BODY_BYTES_MAX) * BODY_BYTES_MS;
}

export default class extends Inner {
  async fetch(request) {
    atWork += 1;
    try {
      // Guarded from here on: the wasm may be reset while a request waits.
      const call = async () => {
        if (atWork > 1) await letOthersIn();
        return super.fetch(request);
      };
      return await guarded(call, deadlineMs(request));
    } catch {
      const what = "the service was reset while it worked on this; nothing was acknowledged, sending it again is safe";
      return Response.json(
        { error: { what, code: "worker_reset" } },
        { status: 503, headers: { "retry-after": "1", "cache-control": "no-store" } },
      );
    } finally {
      atWork -= 1;
    }
  }
}
