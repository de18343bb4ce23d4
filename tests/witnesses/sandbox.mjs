// The sandbox as its users start it: `quittance sandbox` in a process of its own, with a seed.
// Knows the command line and the Stripe API, nothing of what is inside.

import { spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "../browser/product.mjs";

export const KEY = "sk_test_1234567890abcdef";

/** Starts the sandbox; `stop` ends it as Ctrl-C does and answers its exit code. */
export async function startSandbox(...options) {
  const binary = process.env.QUITTANCE_BIN;
  if (!binary) throw new Error("QUITTANCE_BIN names no binary: run `cargo xtask test --only witnesses`");
  const port = await freePort();
  const child = spawn(binary, ["sandbox", "--port", `${port}`, "--seed", "1", ...options], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (said = (said + text).slice(-20_000)));
  const ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal ?? code)));
  // Whatever happens to us, the child does not outlive this process, and does not keep it.
  child.unref();
  child.stderr.unref();
  process.on("exit", () => child.kill("SIGKILL"));
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries += 1) {
    const up = await get(url, "/v1/account").then(
      () => true,
      () => false,
    );
    if (up) break;
    if (tries === 200 || child.exitCode !== null) throw new Error(`quittance sandbox did not start: ${said}`);
    await pause(50);
  }
  const stop = () => {
    child.ref();
    child.kill("SIGINT");
    return ended;
  };
  return { url, port, stop };
}

/** Asks the sandbox; any other status than 200 is an error. */
export async function get(url, path) {
  const answer = await fetch(url + path, { headers: { authorization: `Bearer ${KEY}` } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${path}: ${JSON.stringify(body)}`);
  return body;
}

/** Changes settings that the provider keeps in its dashboard; answers what the settings were. */
export async function set(url, settings) {
  const before = await get(url, "/_sandbox/settings");
  const body = JSON.stringify({ ...before, ...settings });
  const answer = await fetch(`${url}/_sandbox/settings`, { method: "PUT", body });
  if (!answer.ok) throw new Error(`/_sandbox/settings: ${await answer.text()}`);
  return before;
}

/** Posts fields to the sandbox, to its API or as a control call; any other status than 200 is an error. */
export async function post(url, path, fields) {
  const control = path.startsWith("/_sandbox/");
  const body = control ? JSON.stringify(fields) : new URLSearchParams(fields);
  const answer = await fetch(url + path, { method: "POST", headers: { authorization: `Bearer ${KEY}` }, body });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${path}: ${JSON.stringify(said)}`);
  return said;
}
