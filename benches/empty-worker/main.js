// The main module of the empty Worker: lets other connections in as src/edge/guard.js of the product does, so that they are
// treated alike, and nothing else.
import Inner, { Rows } from "build/index.js";

export { Rows };

let atWork = 0;
const letOthersIn = () => new Promise((resolve) => setTimeout(resolve, 0));

export default class extends Inner {
  async fetch(request) {
    atWork += 1;
    try {
      if (atWork > 1) await letOthersIn();
      return await super.fetch(request);
    } finally {
      atWork -= 1;
    }
  }
}
