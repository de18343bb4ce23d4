// Paying on a page of the app: the provider's form in a frame, by the sandbox's stand-in of the provider's browser library.
// The page itself never sees a card number: what is typed is posted by the frame to the sandbox.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openPage, photograph, tabTo } from "./browser.mjs";
import { eventually, startProduct } from "./product.mjs";
import { CARDS, WORDS } from "./words.mjs";

let product, chromium;

before(async () => {
  product = await startProduct();
  chromium = await launch();
});

after(async () => {
  await chromium?.close();
  if (product) assert.equal(await product.stop(), 0, `Ctrl-C did not end quittance dev cleanly:\n${product.said()}`);
});

/** Opens the demo's page with the provider's form in it, one for each way to pay. */
async function form(tab, customer, ui, language) {
  const { page } = tab;
  await page.goto(`${product.url}/demo/embedded?customer=${customer}&lang=${language}`);
  if (ui === "embedded") await photograph(tab, "13-embedded-choice", language);
  await page.locator(`form:has(input[value="${ui}"]) button`).click();
  await page.waitForURL(`${product.url}/demo/embedded/chk_**`);
  const frame = page.frameLocator("iframe.payment-frame");
  await frame.getByLabel(WORDS[language].number, { exact: true }).waitFor();
  return frame;
}

async function fill(frame, words, card, customer) {
  const field = (label) => frame.getByLabel(label, { exact: true });
  if (await field(words.email).count()) await field(words.email).fill(`${customer}@example.com`);
  await field(words.number).fill(card);
  await field(words.expiry).fill("12 / 34");
  await field(words.code).fill("123");
  await field(words.name).fill("Hana Sato");
}

const pay = (frame) => frame.locator(".pay form button.main-action").click();
const thanks = (page) => page.waitForURL(`${product.url}/checkout/return**`);
const allowed = (customer, feature) =>
  eventually(`${feature} of ${customer}`, async () => (await product.entitlement(customer, feature)).allowed);

for (const language of ["en", "ja"]) {
  for (const ui of ["embedded", "elements", "payment_intent"]) {
    test(`${ui} in ${language}`, async () => {
      const words = WORDS[language];
      const customer = `framed_${ui}_${language}`;
      const tab = await openPage(chromium.browser, product.origins, language === "ja" ? "ja-JP" : "en-US");
      const { page } = tab;
      // What leaves the browser, and for whom.
      const sent = [];
      page.on("request", (request) => sent.push([request.url(), request.postData() ?? ""]));
      const frame = await form(tab, customer, ui, language);
      if (ui === "embedded") {
        await photograph(tab, "14-embedded", language);
        // Narrow and wide again: the frame is as long as what it shows.
        await eventually("the frame fits", async () => {
          const room = await page.locator("iframe.payment-frame").evaluate((part) => part.clientHeight);
          const shown = await frame.locator("main").evaluate((part) => part.getBoundingClientRect().bottom);
          return Math.abs(room - Math.max(shown, 480)) < 4;
        });
      }
      await fill(frame, words, CARDS.declined, customer);
      await pay(frame);
      await frame.getByRole("alert").first().waitFor();
      if (ui === "embedded") await photograph(tab, "15-embedded-declined", language);
      await fill(frame, words, ui === "elements" ? CARDS.authenticates : CARDS.pays, customer);
      await pay(frame);
      if (ui === "elements") {
        await page.waitForURL(`${product.sandbox}/3ds/**`);
        await page.getByRole("button", { name: words.authenticate }).click();
      }
      await thanks(page);
      await allowed(customer, ui === "payment_intent" ? "course:library" : "article:full");
      const digits = (text) => decodeURIComponent(text).replace(/[\s+]/g, "");
      const carrying = sent.filter(([url, body]) => /\d{16}/.test(digits(body)) || /4242424242424242/.test(digits(url)));
      assert.ok(carrying.length > 0, "the card was sent somewhere");
      for (const [url] of carrying) assert.equal(new URL(url).origin, product.sandbox, "and only to the provider");
      assert.deepEqual(tab.findings, []);
      await tab.close();
    });
  }
}

test("a store takes the money days later", async () => {
  const customer = "framed_store";
  const tab = await openPage(chromium.browser, product.origins, "ja-JP");
  const { page } = tab;
  const frame = await form(tab, customer, "payment_intent", "ja");
  await frame.locator("summary").first().click();
  await frame.locator('button[value="pm_konbini"]').click();
  await page.waitForURL(`${product.sandbox}/pending/**`);
  const payment = page.url().split("/").pop();
  await photograph(tab, "16-store", "ja");
  const checkout = async () => (await product.api("GET", `/v1/checkouts/${payment}`)).status;
  await eventually("it is being paid", async () => (await checkout()) === "processing");
  assert.equal((await product.entitlement(customer, "course:library")).allowed, false);
  await page.goto(`${product.url}/checkout/return?payment_intent=${payment}&lang=ja`);
  await photograph(tab, "17-store-processing", "ja");
  await product.control("POST", `/payment_intents/${payment}/settle`, { outcome: "success" });
  await allowed(customer, "course:library");
  assert.equal(await checkout(), "complete");
  assert.deepEqual(tab.findings, []);
  await tab.close();
});

test("the frame with the keyboard alone", async () => {
  const tab = await openPage(chromium.browser, product.origins, "en-US");
  const { page } = tab;
  const frame = await form(tab, "framed_keys", "payment_intent", "en");
  const number = frame.getByLabel(WORDS.en.number, { exact: true });
  await tabTo(page, number, "the card number in the frame");
  for (const [index, text] of ["4242424242424242", "1234", "123", "Hana Sato"].entries()) {
    if (index > 0) await page.keyboard.press("Tab");
    await page.keyboard.type(text);
  }
  await page.keyboard.press("Enter");
  await thanks(page);
  await allowed("framed_keys", "course:library");
  assert.deepEqual(tab.findings, []);
  await tab.close();
});
