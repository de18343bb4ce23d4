// `stripe listen` against the sandbox: events reach a developer's server, and Stripe's library believes them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Stripe from "stripe";
import { program, skip } from "./program.mjs";
import { startReceiver } from "./receiver.mjs";
import { KEY, get, startSandbox } from "./sandbox.mjs";

let sandbox;
let receiver;
let cli;
let stripe;
let secret;

before(async () => {
  if (skip) return;
  [sandbox, receiver] = [await startSandbox(), await startReceiver()];
  cli = await program(sandbox);
  stripe = new Stripe(KEY, { host: "127.0.0.1", port: sandbox.port, protocol: "http", maxNetworkRetries: 0, telemetry: false });
  const { fine, said } = await cli.run("listen", "--print-secret", "--skip-update", ...cli.against);
  assert.ok(fine, said);
  secret = said.trim();
  assert.match(secret, /^whsec_[0-9a-z]+$/i);
});

after(async () => {
  if (skip) return;
  await cli.leave();
  receiver.stop();
  assert.equal(await sandbox.stop(), 0);
});

/** Everything that was to be delivered was, and the answers came back to the sandbox. */
async function delivered() {
  const end = Date.now() + 10_000;
  for (;;) {
    const { waiting } = await get(sandbox.url, "/_sandbox/webhooks");
    if (waiting === 0) return;
    assert.ok(Date.now() < end, `${waiting} deliveries are still under way`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("a snapshot is forwarded, signed with the secret that the program shows", { skip }, async () => {
  const listening = await cli.listen("--all-snapshot", "--forward-to", receiver.url);
  assert.ok(listening.said().includes(secret), listening.said());
  const customer = await stripe.customers.create({ email: "heard@example.com" });
  const { body, signature } = await receiver.find(customer.id);
  const event = stripe.webhooks.constructEvent(body, signature, secret);
  assert.deepEqual([event.type, event.data.object.id], ["customer.created", customer.id]);
  const forged = body.toString().replace("heard@", "seen@");
  assert.throws(
    () => stripe.webhooks.constructEvent(forged, signature, secret),
    Stripe.errors.StripeSignatureVerificationError,
  );
  await delivered();
  assert.match(listening.said(), /\[200\] POST/);
  listening.stop();
});

test("a trigger's events are forwarded, those that were asked for", { skip }, async () => {
  const listening = await cli.listen("--events", "invoice.paid", "--latest", "--forward-to", receiver.url);
  const before = receiver.received.length;
  const { fine, said } = await cli.run("trigger", "invoice.paid", ...cli.against);
  assert.ok(fine, said);
  const { body, signature } = await receiver.find('"invoice.paid"');
  assert.equal(stripe.webhooks.constructEvent(body, signature, secret).data.object.status, "paid");
  assert.deepEqual(
    new Set(receiver.received.slice(before).map(({ body }) => JSON.parse(body).type)),
    new Set(["invoice.paid"]),
  );
  listening.stop();
});

test("a thin event is forwarded, and the library fetches what it is about", { skip }, async () => {
  const listening = await cli.listen("--all-thin", "--forward-to", receiver.url);
  const product = await stripe.products.create({ name: "Thin" });
  const { body, signature } = await receiver.find(`/v1/products/${product.id}`);
  const notification = stripe.parseEventNotification(body, signature, secret);
  assert.equal(notification.type, "v1.product.created");
  assert.equal((await notification.fetchEvent()).related_object.id, product.id);
  assert.equal((await notification.fetchRelatedObject()).name, "Thin");
  listening.stop();
});

test("a reset ends the session, and the program opens another", { skip }, async () => {
  const listening = await cli.listen("--all-snapshot", "--forward-to", receiver.url);
  const reset = await fetch(`${sandbox.url}/_sandbox/reset`, { method: "POST" });
  assert.equal(reset.status, 200);
  const end = Date.now() + 20_000;
  let found;
  for (let n = 0; !found && Date.now() < end; n += 1) {
    const customer = await stripe.customers.create({ name: `After ${n}` });
    await new Promise((resolve) => setTimeout(resolve, 500));
    found = receiver.received.find(({ body }) => body.includes(customer.id));
  }
  assert.ok(found, listening.said());
  assert.ok(stripe.webhooks.constructEvent(found.body, found.signature, secret));
  listening.stop();
});
