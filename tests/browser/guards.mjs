// The test of the tests: a page that does everything wrong must be found out in every point.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { examine, launch, openPage, tabTo } from "./browser.mjs";

const BAD = `<!doctype html><html lang="en"><head><title> </title></head><body>
  <div style="width: 2000px; height: 1px"></div><h1>a</h1><h1>b</h1><input><button></button><img src="/missing.png">
  <script>inline()</script><script src="/throws.js"></script><script src="http://example.invalid/x.js"></script>
</body></html>`;
const GOOD = `<!doctype html><html lang="en"><head><title>Fine</title></head><body><main><h1>Fine</h1>
  <label>Name <input></label><button>Go on</button>
  <details><summary>More</summary><button>Folded away</button></details><button id="dim" style="outline: none">Unseen</button></main></body></html>`;

let server, chromium, origin;

before(async () => {
  server = createServer((request, response) => {
    if (request.url === "/throws.js") return response.end("throw new Error('thrown on purpose')");
    if (request.url === "/missing.png") return response.writeHead(404).end();
    const policy = request.url === "/bad" ? "default-src 'self' http://example.invalid; style-src 'unsafe-inline'" : "";
    response.writeHead(200, { "content-type": "text/html", "content-security-policy": policy });
    return response.end(request.url === "/bad" ? BAD : GOOD);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${server.address().port}`;
  chromium = await launch();
});

after(async () => {
  await chromium?.close();
  server.closeAllConnections();
  server.close();
});

test("a page that does everything wrong is found out", async () => {
  const { page, findings, close } = await openPage(chromium.browser, [origin], "en");
  await page.goto(`${origin}/bad`);
  const found = [...findings, ...(await examine(page, "ja"))].join("\n");
  await close();
  for (const word of [
    /content security policy: script-src/,
    /uncaught: thrown on purpose/,
    /a request to another host: http:\/\/example\.invalid/,
    /missing\.png answered 404/,
    /the language is "en", not "ja"/,
    /no title/,
    /2 main headings/,
    /no main landmark/,
    /field without a label/,
    /control without a name/,
    /no alt/,
    /scrolls sideways at 1280 px/,
  ]) {
    assert.match(found, word);
  }
});

test("a page that does everything right is left alone", async () => {
  const { page, findings, close } = await openPage(chromium.browser, [origin], "en");
  await page.goto(`${origin}/good`);
  await tabTo(page, page.getByRole("button", { name: "Go on" }), "the button");
  assert.deepEqual([...findings, ...(await examine(page, "en"))], []);
  await close();
});

test("a focus that does not show is found out", async () => {
  const { page, close } = await openPage(chromium.browser, [origin], "en");
  await page.goto(`${origin}/good`);
  await assert.rejects(tabTo(page, page.locator("#dim"), "the button"), /cannot be seen/);
  await close();
});
