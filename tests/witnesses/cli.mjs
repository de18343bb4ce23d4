// Stripe's command-line program against the sandbox: every `stripe trigger NAME` makes the event of that name.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { program, skip } from "./program.mjs";
import { startReceiver } from "./receiver.mjs";
import { get, post, set, startSandbox } from "./sandbox.mjs";
import {
  AFTER_CLOCK_DAYS,
  AFTER_DAYS,
  ALIASES,
  OF_CONNECTED,
  OF_VERSION,
  OTHER_EVENT,
  OTHER_PRODUCTS,
  THIN,
  UNPUBLISHED,
  WITH_SETTINGS,
} from "./triggers.mjs";

let sandbox;
let receiver;
let cli;

before(async () => {
  sandbox = await startSandbox();
  receiver = await startReceiver();
  const connected = { url: receiver.url, "enabled_events[]": "*", connect: "true" };
  await post(sandbox.url, "/v1/webhook_endpoints", connected);
  if (!skip) cli = await program(sandbox);
});

after(async () => {
  await cli?.leave();
  receiver.stop();
  assert.equal(await sandbox.stop(), 0);
});

/** The newest event of a type, if there is one. */
async function newest(type) {
  const list = THIN.includes(type) ? "/v2/core/events?limit=1&types[0]=" : "/v1/events?limit=1&type=";
  const found = await get(sandbox.url, list + encodeURIComponent(type)).catch(() => ({ data: [] }));
  return found.data[0]?.id;
}

/** Runs a trigger, and lets the time pass that its event needs; what it said, and whether the event came. */
async function pull(name) {
  const event = OTHER_EVENT[name] ?? name;
  const earlier = await newest(event);
  const version = OF_VERSION[name] ? ["--api-version", OF_VERSION[name]] : [];
  const before = await set(sandbox.url, WITH_SETTINGS[name] ?? {});
  const { fine, said } = await cli.run("trigger", name, ...version, ...cli.against);
  if (OF_CONNECTED.includes(name)) {
    const heard = fine && (await receiver.find(name).catch(() => undefined));
    return { fine, said, made: heard !== undefined && heard !== false };
  }
  if (THIN.includes(name)) await post(sandbox.url, "/_sandbox/time/advance", { seconds: 5 });
  if (AFTER_DAYS[name]) await post(sandbox.url, "/_sandbox/time/advance", { seconds: AFTER_DAYS[name] * 86_400 });
  if (AFTER_CLOCK_DAYS[name]) {
    const { data } = await get(sandbox.url, "/v1/test_helpers/test_clocks?limit=1");
    const seconds = AFTER_CLOCK_DAYS[name] * 86_400;
    await post(sandbox.url, `/_sandbox/test_clocks/${data[0].id}/advance`, { seconds });
  }
  const made = await newest(event);
  await set(sandbox.url, before);
  return { fine, said, made: made !== undefined && made !== earlier };
}

/** The names of all triggers that the program knows. */
async function triggers() {
  const { said } = await cli.run("trigger", "--help");
  return said.split("\n").map((line) => line.trim()).filter((line) => /^[a-z0-9_]+(\.[a-z0-9_]+)+$/.test(line));
}

/** What the sandbox says when it does not play something: never a fault of its own, never in silence. */
const REFUSAL = /"code":"call_not_in_sandbox"/;
const FAULT = /status=5\d\d|api_error/;

const isOther = (name) => OTHER_PRODUCTS.some((part) => name.startsWith(part));

test("every trigger that the program knows", { skip }, async () => {
  const names = await triggers();
  assert.ok(names.length > 100, `the program knows ${names.length} triggers`);
  const known = new Set(names);
  const told = [OF_VERSION, AFTER_DAYS, WITH_SETTINGS, AFTER_CLOCK_DAYS].flatMap(Object.keys);
  for (const name of [...told, ...OF_CONNECTED, ...THIN, ...UNPUBLISHED]) {
    assert.ok(known.has(name), `${name} is no trigger`);
  }
  const wrong = [];
  for (const name of names) {
    const { fine, said, made } = await pull(name);
    if (FAULT.test(said)) wrong.push(`${name}: the sandbox failed: ${said.slice(-600)}`);
    if (isOther(name)) {
      if (fine || !REFUSAL.test(said)) wrong.push(`${name} is not refused as a call that is not played: ${said.slice(-600)}`);
    } else if (!fine || !made) {
      wrong.push(`${name}: ${fine ? "no such event" : said.slice(-600)}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("the published triggers are those of the program", async (t) => {
  if (skip) return t.skip(skip);
  const schema = process.env.QUITTANCE_STRIPE_SCHEMA;
  const folder = schema ? dirname(schema) : join(import.meta.dirname, "../../../shared/specs/stripe");
  const text = await readFile(join(folder, "cli-triggers.json"), "utf8").catch(() => undefined);
  if (text === undefined) return t.skip(`no cli-triggers.json in ${folder}, so the names were not compared`);
  const concerns = (name) => !isOther(name) && !UNPUBLISHED.includes(name);
  const names = (await triggers()).filter(concerns).toSorted();
  // The program has some names for the scripts of others.
  const published = [...Object.keys(JSON.parse(text)), ...Object.keys(ALIASES)];
  assert.deepEqual(names, [...new Set(published)].toSorted());
});

test("a fixture file of one's own", { skip }, async () => {
  const file = join(cli.home, "fixture.json");
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
  const { fine, said } = await cli.run("fixtures", file, ...cli.against);
  assert.ok(fine, said);
  const { data } = await get(sandbox.url, "/v1/customers?email=buyer%40example.com");
  assert.match(data[0].metadata.price, /^price_/);
});

test("the program's own commands", { skip }, async () => {
  const made = await cli.run("customers", "create", "--email", "cli@example.com", ...cli.against);
  assert.ok(made.fine, made.said);
  const { id } = JSON.parse(made.said.slice(made.said.indexOf("{")));
  const shown = await cli.run("customers", "retrieve", id, ...cli.against);
  assert.match(shown.said, /cli@example\.com/);
  const missing = await cli.run("customers", "retrieve", "cus_none", ...cli.against);
  assert.match(missing.said, /No such customer: 'cus_none'/);
});
