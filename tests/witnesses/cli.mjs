// Stripe's command-line program against the sandbox: every `stripe trigger NAME` makes the event of that name.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { NOT_YET, OF_NO_CONCERN, OTHER_EVENT } from "./triggers.mjs";
import { KEY, get, startSandbox } from "./sandbox.mjs";

/** The program itself; its package is there for Linux on x86-64 alone. */
const CLI = join(import.meta.dirname, "node_modules/@stripe/cli-linux-x64/bin/stripe");
const HERE = `${process.platform}-${process.arch}`;
const skip = HERE === "linux-x64" ? false : `no such program for ${HERE}: only Linux on x86-64 has it here`;
let sandbox;
let home;

/** Runs the program, which can reach nothing but the sandbox. */
function stripe(...words) {
  const nowhere = "http://127.0.0.1:9";
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CONFIG_HOME: home,
    STRIPE_CLI_TELEMETRY_OPTOUT: "1",
    HTTP_PROXY: nowhere,
    HTTPS_PROXY: nowhere,
    NO_PROXY: "127.0.0.1",
  };
  const options = { env, timeout: 60_000 };
  return new Promise((resolve) => {
    execFile(CLI, words, options, (error, out, err) => resolve({ fine: error === null, said: out + err }));
  });
}

const against = () => ["--api-base", sandbox.url, "--api-key", KEY];

before(async () => {
  // npm leaves an optional package out in silence when it cannot be had.
  if (!skip) assert.ok(existsSync(CLI), "npm left the command-line program out: `npm ci` in tests/witnesses says why");
  home = await mkdtemp(join(tmpdir(), "quittance-witness-"));
  sandbox = await startSandbox();
});

after(async () => {
  assert.equal(await sandbox.stop(), 0);
  await rm(home, { recursive: true, force: true });
});

/** The newest event of a type, if there is one. */
async function newest(type) {
  const found = await get(sandbox.url, `/v1/events?limit=1&type=${encodeURIComponent(type)}`).catch(() => ({ data: [] }));
  return found.data[0]?.id;
}

test("every trigger that the program knows", { skip }, async () => {
  const { said } = await stripe("trigger", "--help");
  const names = said.split("\n").map((line) => line.trim()).filter((line) => /^[a-z0-9_]+(\.[a-z0-9_]+)+$/.test(line));
  assert.ok(names.length > 100, `the program knows ${names.length} triggers`);
  const known = new Set(names);
  for (const name of Object.keys(NOT_YET)) assert.ok(known.has(name), `${name} is no trigger`);
  const wrong = [];
  for (const name of names.filter((name) => !OF_NO_CONCERN.some((part) => name.startsWith(part)))) {
    const event = OTHER_EVENT[name] ?? name;
    const earlier = await newest(event);
    const { fine, said } = await stripe("trigger", name, ...against());
    const made = await newest(event);
    const works = fine && made !== undefined && made !== earlier;
    if (works && name in NOT_YET) wrong.push(`${name} works now: take it off the list`);
    if (!works && !(name in NOT_YET)) wrong.push(`${name}: ${fine ? "no such event" : said.slice(-600)}`);
  }
  assert.deepEqual(wrong, []);
});

test("a fixture file of one's own", { skip }, async () => {
  const file = join(home, "fixture.json");
  const fixture = {
    _meta: { template_version: 0 },
    fixtures: [
      { name: "buyer", path: "/v1/customers", method: "post", params: { email: "buyer@example.com" } },
      { name: "product", path: "/v1/products", method: "post", params: { name: "Pro" } },
      {
        name: "price",
        path: "/v1/prices",
        method: "post",
        params: { product: "${product:id}", unit_amount: 1980, currency: "jpy", recurring: { interval: "month" } },
      },
      {
        name: "again",
        path: "/v1/customers/${buyer:id}",
        method: "post",
        params: { metadata: { price: "${price:id}" } },
      },
    ],
  };
  await writeFile(file, JSON.stringify(fixture));
  const { fine, said } = await stripe("fixtures", file, ...against());
  assert.ok(fine, said);
  const { data } = await get(sandbox.url, "/v1/customers?email=buyer%40example.com");
  assert.match(data[0].metadata.price, /^price_/);
});

test("the program's own commands", { skip }, async () => {
  const made = await stripe("customers", "create", "--email", "cli@example.com", ...against());
  assert.ok(made.fine, made.said);
  const { id } = JSON.parse(made.said.slice(made.said.indexOf("{")));
  const shown = await stripe("customers", "retrieve", id, ...against());
  assert.match(shown.said, /cli@example\.com/);
  const missing = await stripe("customers", "retrieve", "cus_none", ...against());
  assert.match(missing.said, /No such customer: 'cus_none'/);
});
