// Stripe's command-line program, which can reach nothing but the sandbox.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KEY } from "./sandbox.mjs";
import { startStreams } from "./streams.mjs";

/** The program itself; its package is there for Linux on x86-64 alone. */
const CLI = join(import.meta.dirname, "node_modules/@stripe/cli-linux-x64/bin/stripe");
const HERE = `${process.platform}-${process.arch}`;
export const skip = HERE === "linux-x64" ? false : `no such program for ${HERE}: only Linux on x86-64 has it here`;

/** The program with a home of its own, against one sandbox. */
export async function program(sandbox) {
  // npm leaves an optional package out in silence when it cannot be had.
  assert.ok(existsSync(CLI), "npm left the command-line program out: `npm ci` in tests/witnesses says why");
  const home = await mkdtemp(join(tmpdir(), "quittance-witness-"));
  const nowhere = "http://127.0.0.1:9";
  const streams = await startStreams(sandbox, home);
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CONFIG_HOME: home,
    STRIPE_CLI_TELEMETRY_OPTOUT: "1",
    HTTP_PROXY: nowhere,
    // The program sends streamed usage to a host that no option changes; the proxy is the sandbox in its place.
    HTTPS_PROXY: streams.url,
    SSL_CERT_FILE: streams.certificate,
    NO_PROXY: "127.0.0.1",
  };
  const against = ["--api-base", sandbox.url, "--api-key", KEY];
  const started = [];
  return {
    home,
    /** Runs it to its end. */
    run(...words) {
      return new Promise((resolve) => {
        execFile(CLI, words, { env, timeout: 60_000 }, (error, out, err) =>
          resolve({ fine: error === null, said: out + err }),
        );
      });
    },
    against,
    /** Starts `stripe listen`, and waits until it is connected. */
    async listen(...words) {
      const child = spawn(CLI, ["listen", "--skip-update", "--no-wss", ...words, ...against], { env });
      started.push(child);
      let said = "";
      const hear = (stream) => stream.setEncoding("utf8").on("data", (text) => (said += text));
      hear(child.stdout);
      hear(child.stderr);
      const end = Date.now() + 20_000;
      while (!said.includes("Ready!")) {
        if (child.exitCode !== null || Date.now() > end) throw new Error(`stripe listen did not start: ${said}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return { said: () => said, stop: () => child.kill("SIGKILL") };
    },
    async leave() {
      for (const child of started) child.kill("SIGKILL");
      streams.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
}
