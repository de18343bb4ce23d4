// Stripe's library for Node.js, unchanged, against the sandbox.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import Stripe from "stripe";
import { startReceiver } from "./receiver.mjs";
import { KEY, startSandbox } from "./sandbox.mjs";

const SECRET = "whsec_witness";
let sandbox;
let stripe;
let receiver;

before(async () => {
  receiver = await startReceiver();
  sandbox = await startSandbox("--webhook-url", receiver.url, "--webhook-secret", SECRET);
  stripe = new Stripe(KEY, {
    host: "127.0.0.1",
    port: sandbox.port,
    protocol: "http",
    maxNetworkRetries: 0,
    telemetry: false,
  });
});

after(async () => {
  receiver.stop();
  assert.equal(await sandbox.stop(), 0);
});

async function price(amount = 1980) {
  const product = await stripe.products.create({ name: "Pro" });
  return stripe.prices.create({
    product: product.id,
    unit_amount: amount,
    currency: "jpy",
    recurring: { interval: "month" },
  });
}

test("a customer is made, read, changed, listed and deleted", async () => {
  const made = await stripe.customers.create({ email: "ada@example.com", metadata: { user: "u_1" } });
  assert.match(made.lastResponse.requestId, /^req_/);
  assert.equal(made.lastResponse.apiVersion, stripe.getApiField("version"));
  const changed = await stripe.customers.update(made.id, { name: "Ada", metadata: { user: "" } });
  assert.deepEqual(changed.metadata, {});
  assert.equal((await stripe.customers.retrieve(made.id)).name, "Ada");
  assert.equal((await stripe.customers.list({ email: "ada@example.com" })).data[0].id, made.id);
  assert.deepEqual(await stripe.customers.del(made.id).then(({ id, deleted }) => ({ id, deleted })), {
    id: made.id,
    deleted: true,
  });
  assert.equal((await stripe.customers.retrieve(made.id)).deleted, true);
});

test("pages follow one another without a gap", async () => {
  const made = [];
  for (let n = 0; n < 7; n += 1) made.push((await stripe.products.create({ name: `Page ${n}` })).id);
  const found = [];
  for await (const product of stripe.products.list({ limit: 2 })) found.push(product.id);
  assert.deepEqual(
    found.filter((id) => made.includes(id)),
    made.toReversed(),
  );
  assert.equal(new Set(found).size, found.length);
});

test("the same key answers the same, and refuses another request", async () => {
  const idempotencyKey = randomUUID();
  const one = await stripe.customers.create({ name: "Once" }, { idempotencyKey });
  const two = await stripe.customers.create({ name: "Once" }, { idempotencyKey });
  assert.equal(two.id, one.id);
  assert.equal(two.lastResponse.headers["idempotent-replayed"], "true");
  await assert.rejects(
    stripe.customers.create({ name: "Another" }, { idempotencyKey }),
    (error) => error instanceof Stripe.errors.StripeIdempotencyError && error.statusCode === 400,
  );
});

test("errors are those of the library", async () => {
  await assert.rejects(stripe.customers.retrieve("cus_none"), (error) => {
    assert.ok(error instanceof Stripe.errors.StripeInvalidRequestError);
    assert.deepEqual([error.code, error.param, error.statusCode], ["resource_missing", "id", 404]);
    return true;
  });
  await assert.rejects(stripe.customers.create({ no_such_field: "x" }), (error) => {
    assert.deepEqual([error.code, error.param], ["parameter_unknown", "no_such_field"]);
    return error instanceof Stripe.errors.StripeInvalidRequestError;
  });
  const stranger = new Stripe("pk_live_1", { host: "127.0.0.1", port: sandbox.port, protocol: "http" });
  await assert.rejects(stranger.customers.list(), Stripe.errors.StripeAuthenticationError);
  const declined = stripe.paymentIntents.create({
    amount: 1980,
    currency: "jpy",
    payment_method: "pm_card_chargeDeclinedInsufficientFunds",
    automatic_payment_methods: { enabled: true, allow_redirects: "never" },
    confirm: true,
  });
  await assert.rejects(declined, (error) => {
    assert.ok(error instanceof Stripe.errors.StripeCardError);
    assert.deepEqual([error.code, error.decline_code], ["card_declined", "insufficient_funds"]);
    assert.equal(error.payment_intent.status, "requires_payment_method");
    return true;
  });
});

test("a subscription lives, and its answers carry what was asked to be expanded", async () => {
  const customer = await stripe.customers.create({
    payment_method: "pm_card_visa",
    invoice_settings: { default_payment_method: "pm_card_visa" },
  });
  const made = await stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price: (await price()).id, quantity: 2 }],
    expand: ["latest_invoice.payments", "customer"],
  });
  assert.equal(made.status, "active");
  assert.equal(made.customer.id, customer.id);
  assert.deepEqual([made.latest_invoice.status, made.latest_invoice.amount_paid], ["paid", 3960]);
  assert.equal(made.latest_invoice.payments.data.length, 1);
  const ends = await stripe.subscriptions.update(made.id, { cancel_at_period_end: true });
  assert.equal(ends.cancel_at_period_end, true);
  const over = await stripe.subscriptions.cancel(made.id);
  assert.equal(over.status, "canceled");
  const preview = stripe.invoices.createPreview({ customer: customer.id, subscription: made.id });
  await assert.rejects(preview, Stripe.errors.StripeInvalidRequestError);
});

test("a checkout opens and expires", async () => {
  const session = await stripe.checkout.sessions.create({
    mode: "subscription",
    line_items: [{ price: (await price()).id, quantity: 1 }],
    success_url: "https://example.com/return?session_id={CHECKOUT_SESSION_ID}",
  });
  assert.equal(session.status, "open");
  assert.equal((await fetch(session.url)).status, 200);
  const lines = await stripe.checkout.sessions.listLineItems(session.id);
  assert.equal(lines.data[0].amount_total, 1980);
  assert.equal((await stripe.checkout.sessions.expire(session.id)).status, "expired");
});

test("webhooks are believed by the library, and no others", async () => {
  const customer = await stripe.customers.create({ email: "told@example.com" });
  const found = await receiver.find(customer.id);
  const event = stripe.webhooks.constructEvent(found.body, found.signature, SECRET);
  assert.equal(event.type, "customer.created");
  assert.equal(event.data.object.id, customer.id);
  assert.throws(
    () => stripe.webhooks.constructEvent(found.body.toString().replace("told@", "sold@"), found.signature, SECRET),
    Stripe.errors.StripeSignatureVerificationError,
  );
  const listed = await stripe.events.retrieve(event.id);
  assert.equal(listed.type, "customer.created");
});

test("a refund gives back once, and never more than is left", async () => {
  const paid = await stripe.paymentIntents.create({
    amount: 1980,
    currency: "jpy",
    payment_method: "pm_card_visa",
    automatic_payment_methods: { enabled: true, allow_redirects: "never" },
    confirm: true,
  });
  assert.equal(paid.status, "succeeded");
  const part = await stripe.refunds.create({ payment_intent: paid.id, amount: 980 });
  assert.deepEqual([part.amount, part.status], [980, "succeeded"]);
  await assert.rejects(
    stripe.refunds.create({ payment_intent: paid.id, amount: 1980 }),
    Stripe.errors.StripeInvalidRequestError,
  );
  const rest = await stripe.refunds.create({ payment_intent: paid.id });
  assert.equal(rest.amount, 1000);
  await assert.rejects(
    stripe.refunds.create({ payment_intent: paid.id }),
    (error) => error.code === "charge_already_refunded",
  );
});
