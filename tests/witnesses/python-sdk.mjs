// Stripe's library for Python, unchanged, against the sandbox: the scenario is in scenario.py.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "../browser/product.mjs";
import { KEY, startSandbox } from "./sandbox.mjs";

const SECRET = "whsec_of_the_scenario";

const python = process.env.QUITTANCE_PYTHON;
const skip = python ? false : "QUITTANCE_PYTHON names no interpreter; `cargo xtask test` sets it";

test("the library for Python", { skip }, async () => {
  // The scenario listens there.
  const port = await freePort();
  const hook = `http://127.0.0.1:${port}/hook`;
  const sandbox = await startSandbox("--webhook-url", hook, "--webhook-secret", SECRET);
  const script = join(import.meta.dirname, "scenario.py");
  const done = spawnSync(python, ["-B", script, sandbox.url, KEY, `${port}`, SECRET], { encoding: "utf8", timeout: 60_000 });
  const code = await sandbox.stop();
  assert.equal(done.status, 0, done.stdout + done.stderr);
  assert.equal(code, 0);
});
