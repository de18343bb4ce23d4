// A small server of a developer's: it takes webhooks and keeps them as they came.

import { once } from "node:events";
import { createServer } from "node:http";

/** Starts it on any free port. */
export async function startReceiver() {
  const received = [];
  const server = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      received.push({ body: Buffer.concat(parts), signature: request.headers["stripe-signature"] });
      response.end("ok");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    received,
    /** The first webhook that contains a text. */
    async find(text) {
      const end = Date.now() + 15_000;
      while (Date.now() < end) {
        const found = received.find(({ body }) => body.includes(text));
        if (found) return found;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error(`no webhook with ${text} within 15 s; ${received.length} came`);
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
