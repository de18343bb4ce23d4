// Mails as operators preview them: whole, in both languages, on a telephone and on a desk, light and dark.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openPage, photograph } from "./browser.mjs";
import { startProduct } from "./product.mjs";

let product, chromium;

before(async () => {
  product = await startProduct();
  chromium = await launch();
});

after(async () => {
  await chromium?.close();
  if (product) assert.equal(await product.stop(), 0, `Ctrl-C did not end quittance dev cleanly:\n${product.said()}`);
});

test("every mail is shown to its last line", async () => {
  const tab = await openPage(chromium.browser, product.origins, "en-US");
  const { page } = tab;
  await page.goto(`${product.url}/admin/mail`);
  const links = await page.locator('td a[href^="/admin/mail/"]').evaluateAll((all) => all.map((a) => a.href));
  const previews = links.filter((href) => /\/(en|ja)$/.test(href));
  assert.ok(previews.length >= 28, `${previews.length} previews`);
  for (const address of previews) {
    const [kind, language] = address.split("/").slice(-2);
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      await page.goto(address);
      const letter = page.frames().find((frame) => frame.url().endsWith("/html"));
      await letter.waitForLoadState();
      const cut = await page.locator("iframe.mail-frame").evaluate(async (frame) => {
        for (let look = 0; look < 50; look += 1) {
          const whole = frame.contentDocument.documentElement.scrollHeight;
          if (frame.clientHeight >= whole) return 0;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return frame.contentDocument.documentElement.scrollHeight - frame.clientHeight;
      });
      assert.equal(cut, 0, `${kind} in ${language} at ${width} px is cut`);
      const sideways = await letter.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(sideways, 0, `${kind} in ${language} scrolls sideways at ${width} px`);
    }
    await page.goto(`${address}/html`);
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize({ width: 360, height: 780 });
      await page.emulateMedia({ colorScheme });
      const file = `${process.env.QUITTANCE_SCREENSHOTS ?? "screenshots"}/mail-${kind}-${language}-360-${colorScheme}.png`;
      await page.screenshot({ path: file, fullPage: true });
    }
  }
  await page.goto(`${product.url}/admin/mail/receipt/ja`);
  await photograph(tab, "18-mail-preview", "en");
  assert.deepEqual(tab.findings, []);
  await tab.close();
});
