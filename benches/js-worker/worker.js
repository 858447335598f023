// What benches/empty-worker does, in plain JavaScript: body → Worker → Durable Object → one row → 204.
import { DurableObject } from "cloudflare:workers";

let next = 0;

// As src/edge/guard.js of the product does, so that connections are treated alike.
let atWork = 0;
const letOthersIn = () => new Promise((resolve) => setTimeout(resolve, 0));

export default {
  async fetch(request, env) {
    if (request.method !== "POST") return new Response("ok");
    atWork += 1;
    try {
      if (atWork > 1) await letOthersIn();
      const body = await request.arrayBuffer();
      const object = env.ROWS.getByName(String(next % Number(env.SHARDS)));
      next += 1;
      return await object.fetch("http://object/", { method: "POST", body });
    } finally {
      atWork -= 1;
    }
  },
};

/** Stores every body as a row of its own. */
export class Rows extends DurableObject {
  #sql = this.ctx.storage.sql;
  #isReady = false;

  async fetch(request) {
    const body = await request.arrayBuffer();
    if (!this.#isReady) {
      this.#sql.exec("CREATE TABLE IF NOT EXISTS rows(seq INTEGER PRIMARY KEY, body BLOB NOT NULL)");
      this.#isReady = true;
    }
    this.#sql.exec("INSERT INTO rows(body) VALUES(?)", body);
    return new Response(null, { status: 204 });
  }
}
