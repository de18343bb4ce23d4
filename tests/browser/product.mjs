// Quittance as a user meets it: `quittance dev` in a process of its own, and its HTTP API.
// Knows the command line and the HTTP contract, nothing of what is inside.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const API_KEY = "qk_browser_walk";

/** A loopback port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Asks again until `look` answers something, or fails with `what` and the last answer or error. */
export async function eventually(what, look, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  let last;
  while (Date.now() < end) {
    try {
      const found = await look();
      if (found) return found;
      last = `the answer was ${JSON.stringify(found)}`;
    } catch (error) {
      last = error.message;
    }
    await pause(100);
  }
  throw new Error(`not within ${seconds} s: ${what} (${last})`);
}

/** Starts the product; `stop` ends it as Ctrl-C does and answers its exit code. */
export async function startProduct() {
  const binary = process.env.QUITTANCE_BIN;
  if (!binary) throw new Error("QUITTANCE_BIN names no binary: run `cargo xtask test --only browser`");
  const data = await mkdtemp(join(tmpdir(), "quittance-browser-"));
  const [port, sandboxPort] = [await freePort(), await freePort()];
  const child = spawn(
    binary,
    ["dev", "--port", `${port}`, "--sandbox-port", `${sandboxPort}`, "--data", data, "--json"],
    { env: { ...process.env, QUITTANCE_API_KEY: API_KEY }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let said = "";
  const listen = (stream) => stream.setEncoding("utf8").on("data", (text) => (said = (said + text).slice(-20_000)));
  listen(child.stdout);
  listen(child.stderr);
  let gone = false;
  const ended = new Promise((resolve) => {
    child.on("exit", (code, signal) => resolve(signal ?? code));
    child.on("error", (error) => resolve(error.message));
  }).finally(() => (gone = true));
  // Whatever happens to us, the child does not outlive this process.
  process.on("exit", () => child.kill("SIGKILL"));

  const product = new Product(`http://127.0.0.1:${port}`, `http://127.0.0.1:${sandboxPort}`);
  product.said = () => said;
  product.stop = async () => {
    child.kill("SIGINT");
    const code = await Promise.race([ended, pause(15_000, "still running 15 s after SIGINT", { ref: false })]);
    child.kill("SIGKILL");
    await rm(data, { recursive: true, force: true });
    return code;
  };
  try {
    const outcome = await eventually(
      "quittance dev is ready",
      async () => (gone ? "gone" : (await fetch(`${product.url}/readyz`)).ok),
      60,
    );
    if (outcome === "gone") throw new Error(`quittance dev ended (${await ended}) before it was ready`);
  } catch (error) {
    await product.stop();
    throw new Error(`${error.message}\n${said}`);
  }
  return product;
}

class Product {
  constructor(url, sandbox) {
    this.url = url;
    this.sandbox = sandbox;
  }

  /** The two origins that a page may ask anything of. */
  get origins() {
    return [this.url, this.sandbox];
  }

  /** One call of the HTTP API; fails with the problem document unless it answers 2xx. */
  async api(method, path, body) {
    const headers = { authorization: `Bearer ${API_KEY}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    const response = await fetch(`${this.url}${path}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return JSON.parse(text);
  }

  /** One call of the sandbox's control API. */
  async control(method, path, body) {
    const response = await fetch(`${this.sandbox}/_sandbox${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} /_sandbox${path} answered ${response.status}: ${text}`);
    return text && JSON.parse(text);
  }

  entitlement(customer, feature) {
    return this.api("GET", `/v1/customers/${customer}/entitlements/${feature}`);
  }

  /** The customer's only live subscription. */
  async subscription(customer) {
    const { subscriptions } = await this.api("GET", `/v1/customers/${customer}`);
    const live = subscriptions.filter((one) => !["canceled", "incomplete_expired"].includes(one.status));
    if (live.length !== 1) throw new Error(`${live.length} live subscriptions: ${JSON.stringify(subscriptions)}`);
    return live[0];
  }
}
