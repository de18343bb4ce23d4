// The walk: from the pricing page through a declined card and 3-D Secure to an entitlement, then the portal.
// Once in English and once in Japanese, with pictures of every page; once more with the keyboard alone.
// Pages are found by role and name, as a person or a screen reader finds them.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, openPage, photograph, tabTo } from "./browser.mjs";
import { eventually, startProduct } from "./product.mjs";
import { CARDS, PLANS, WORDS } from "./words.mjs";

const FEATURE = "article:full";
let product, chromium;

before(async () => {
  product = await startProduct();
  chromium = await launch();
});

after(async () => {
  await chromium?.close();
  if (product) assert.equal(await product.stop(), 0, `Ctrl-C did not end quittance dev cleanly:\n${product.said()}`);
});

/** Opens a page that must be there. */
async function visit(page, address) {
  const answer = await page.goto(address);
  assert.equal(answer.status(), 200, address);
}

/** Opens the pricing page as this customer and finds the button of Pro. */
async function pricing(page, customer) {
  await visit(page, `${product.url}/pricing?customer=${customer}`);
  return page.getByRole("article", { name: PLANS.pro }).getByRole("button");
}

/** The return page while it waits, and when it has what it waited for. */
const processing = (page) => page.getByRole("main").getByRole("status").waitFor();
const active = (page) => page.getByRole("heading", { level: 1, name: PLANS.pro }).waitFor();

/** The form that the card number stands in; a page may have others. */
const cardForm = (page, words) =>
  page.locator("form").filter({ has: page.getByLabel(words.number, { exact: true }) });

async function fillCard(page, words, card, email) {
  const field = (label) => cardForm(page, words).getByLabel(label, { exact: true });
  if (await field(words.email).count()) await field(words.email).fill(email);
  await field(words.number).fill(card);
  await field(words.expiry).fill("12 / 34");
  await field(words.code).fill("123");
  await field(words.name).fill("Hana Sato");
}

/** Its one button. */
const payButton = (page, words) => cardForm(page, words).getByRole("button");

const inMain = (page) => page.getByRole("main");
const says = (page, words) => inMain(page).getByText(words).first().waitFor();

/** The API says so too, at most a moment later. */
const allowed = (customer, feature, expected) =>
  eventually(`${feature} of ${customer} is ${expected ? "allowed" : "refused"}`, async () => {
    const answer = await product.entitlement(customer, feature);
    return answer.allowed === expected && answer;
  });

/** Holds the provider's answers back while `work` runs, so that "processing" can be seen for as long as it takes. */
async function whileProviderFails(work) {
  await product.control("PUT", "/faults", { faults: [{ path: "/v1/*", status: 500 }] });
  try {
    return await work();
  } finally {
    await product.control("PUT", "/faults", { faults: [] });
  }
}

for (const language of ["en", "ja"]) {
  describe(`a purchase in ${language}`, () => {
    const words = WORDS[language];
    const customer = `walker_${language}`;
    const email = `${customer}@example.com`;
    let tab, page;

    before(async () => {
      tab = await openPage(chromium.browser, product.origins, language === "ja" ? "ja-JP" : "en-US");
      page = tab.page;
    });
    after(() => tab?.close());
    const picture = (name) => photograph(tab, name, language);

    // Each step stands on the one before: after a failure the rest fail at once, and the picture shows where.
    let broken;
    const step = (name, work) =>
      test(name, async () => {
        assert.equal(broken, undefined, "an earlier step failed");
        try {
          await work();
        } catch (error) {
          broken = name;
          await picture("failed").catch(() => {});
          error.message += `\nat ${page.url()}\nfindings: ${tab.findings.join("\n")}\n${product.said()}`;
          throw error;
        }
      });

    step("nothing is allowed before", async () => {
      assert.equal((await product.entitlement(customer, FEATURE)).allowed, false);
    });

    step("the pricing page leads to the checkout", async () => {
      const choose = await pricing(page, customer);
      await picture("1-pricing");
      await choose.click();
      await page.waitForURL(`${product.sandbox}/**`);
      await page.getByRole("heading", { level: 1, name: /Atelier/ }).waitFor();
      await picture("2-checkout");
    });

    step("a declined card stays on the page and says that nothing was charged", async () => {
      await fillCard(page, words, CARDS.declined, email);
      await payButton(page, words).click();
      const alert = page.getByRole("alert").first();
      await alert.waitFor();
      assert.match(await alert.innerText(), words.declined);
      await picture("3-declined");
      assert.equal((await product.entitlement(customer, FEATURE)).allowed, false);
    });

    step("3-D Secure, then processing, then active by itself", async () => {
      await fillCard(page, words, CARDS.authenticates, email);
      await payButton(page, words).click();
      const confirm = page.getByRole("button", { name: words.authenticate });
      await confirm.waitFor();
      await picture("4-3d-secure");
      await whileProviderFails(async () => {
        await confirm.click();
        await page.waitForURL(`${product.url}/checkout/return**`);
        await processing(page);
        await picture("5-processing");
        assert.equal((await product.entitlement(customer, FEATURE)).allowed, false);
      });
      await active(page);
      await picture("6-active");
      const answer = await allowed(customer, FEATURE, true);
      assert.equal(answer.plan, "pro");
      assert.equal(answer.access, "granted");
    });

    step("the billing page leads to the portal", async () => {
      await page.getByRole("link", { name: words.seePlan }).click();
      await page.waitForURL(`${product.url}/billing**`);
      await says(page, customer);
      // What renews does not end: no feature carries a date.
      assert.equal(await inMain(page).getByText(words.until).count(), 0);
      await picture("7-billing");
      const billing = page.url();
      await inMain(page).getByRole("button", { name: words.changeMethod }).click();
      await page.waitForURL(`${product.sandbox}/**/card`);
      await page.goto(billing);
      await inMain(page).getByRole("button", { name: words.manage }).click();
      await page.waitForURL(`${product.sandbox}/**`);
      await says(page, email);
      await picture("8-portal");
    });

    step("another card", async () => {
      await page.getByText(words.changeCard, { exact: true }).click();
      await fillCard(page, words, CARDS.pays, email);
      await payButton(page, words).click();
      await says(page, words.cardChanged);
      assert.match(await inMain(page).innerText(), /4242/);
    });

    step("another plan reaches Quittance", async () => {
      await page.getByText(words.changePlan, { exact: true }).click();
      await page.getByRole("radio", { name: PLANS.studio }).first().check();
      await picture("9-change-plan");
      await page.getByRole("button", { name: words.changeButton }).click();
      await says(page, words.onStudio);
      await allowed(customer, "review:request", true);
      await eventually("the subscription is Studio", async () => (await product.subscription(customer)).plan === "studio");
    });

    step("a cancellation at the end of the period reaches Quittance, and access stays", async () => {
      await page.getByRole("link", { name: words.cancelPlan }).click();
      await says(page, words.cancelEffect);
      await picture("10-cancel");
      await page.getByRole("button", { name: words.cancelConfirm }).click();
      await says(page, words.cancelled);
      await picture("11-cancelled");
      await eventually(
        "the subscription ends with its period",
        async () => (await product.subscription(customer)).cancel_at_period_end === true,
      );
      assert.equal((await product.entitlement(customer, FEATURE)).allowed, true);
    });

    step("a change of mind reaches Quittance too", async () => {
      await page.getByRole("button", { name: words.keepPlan }).click();
      await says(page, words.resumed);
      await eventually(
        "the subscription goes on",
        async () => (await product.subscription(customer)).cancel_at_period_end === false,
      );
    });

    step("no page did anything that it must not do", () => {
      assert.deepEqual(tab.findings, []);
    });
  });
}

test("a purchase with the keyboard alone", async () => {
  const words = WORDS.en;
  const customer = "walker_keyboard";
  const tab = await openPage(chromium.browser, product.origins, "en-US");
  const { page } = tab;
  const type = async (label, text) => {
    const field = page.getByLabel(label, { exact: true });
    if (label === words.email && !(await field.count())) return;
    await tabTo(page, field, label);
    await page.keyboard.type(text);
  };
  await tabTo(page, await pricing(page, customer), "the Pro button");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${product.sandbox}/**`);
  await type(words.email, `${customer}@example.com`);
  await type(words.number, CARDS.pays);
  await type(words.expiry, "1234");
  await type(words.code, "123");
  await type(words.name, "Hana Sato");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${product.url}/checkout/return**`);
  await active(page);
  await allowed(customer, FEATURE, true);
  assert.deepEqual(tab.findings, []);
  await tab.close();
});

test("the developer's pages", async () => {
  const tab = await openPage(chromium.browser, product.origins, "en-US");
  const pages = {
    admin: `${product.url}/admin`,
    docs: `${product.url}/docs`,
    sandbox: `${product.sandbox}/`,
    control: `${product.sandbox}/_sandbox`,
  };
  for (const [name, address] of Object.entries(pages)) {
    await visit(tab.page, address);
    await photograph(tab, `12-${name}`, "en");
  }
  assert.deepEqual(tab.findings, []);
  await tab.close();
});
