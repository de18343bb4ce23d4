// Chromium, watched: whatever a page does that a page of ours must not do becomes a finding.
// Findings: errors on the console, uncaught exceptions, violations of the content security policy, requests to other
// hosts (which are also stopped), broken requests, sideways scrolling on a small screen, parts without a name.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const NARROW = { width: 360, height: 780 };
const WIDE = { width: 1280, height: 900 };

/** A headless Chromium that talks to nobody but us. */
export async function launch() {
  const profile = await mkdtemp(join(tmpdir(), "quittance-chromium-"));
  const browser = await chromium.launch({
    executablePath: process.env.QUITTANCE_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-dev-shm-usage",
    ],
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  });
  return {
    browser,
    close: async () => {
      await browser.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** A page in a context of its own, in one language, and the list of what it did wrong. */
export async function openPage(browser, origins, locale) {
  const context = await browser.newContext({
    locale,
    timezoneId: "Asia/Tokyo",
    viewport: WIDE,
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(15_000);
  const findings = [];
  const ours = (url) => url.startsWith("data:") || url === "about:blank" || origins.includes(new URL(url).origin);
  await context.route(
    (url) => !ours(url.href),
    (route) => {
      findings.push(`a request to another host: ${route.request().url()}`);
      return route.abort("blockedbyclient");
    },
  );
  await context.exposeBinding("quittanceViolation", (_, text) => findings.push(`content security policy: ${text}`));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.quittanceViolation(`${event.violatedDirective} stopped ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  const documents = new Set();
  page.on("response", (response) => {
    if (response.request().isNavigationRequest()) documents.add(response.url());
    else if (response.status() >= 400) findings.push(`${response.url()} answered ${response.status()}`);
  });
  page.on("console", (message) => {
    // A page that is itself an error answer (402 for a declined card) is no error of the page.
    const answer = message.text().startsWith("Failed to load resource") && documents.has(message.location().url);
    if (message.type() === "error" && !answer) findings.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => findings.push(`uncaught: ${error.message}`));
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText ?? "";
    // A page that is left gives up its open requests; a blocked one is a finding already.
    if (why !== "net::ERR_ABORTED" && why !== "net::ERR_BLOCKED_BY_CLIENT") {
      findings.push(`${request.url()} failed: ${why}`);
    }
  });
  return { page, findings, close: () => context.close() };
}

/** What is wrong with the page as it stands: names of parts, language, headings, sideways scrolling. */
export function examine(page, language) {
  return page.evaluate((expected) => {
    const wrong = [];
    const root = document.documentElement;
    if (root.lang.split("-")[0] !== expected) wrong.push(`the language is "${root.lang}", not "${expected}"`);
    if (!document.title.trim()) wrong.push("the page has no title");
    const heads = document.querySelectorAll("h1").length;
    if (heads !== 1) wrong.push(`${heads} main headings`);
    if (!document.querySelector("main")) wrong.push("no main landmark");
    for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
      if (!field.labels?.length && !field.ariaLabel) wrong.push(`a field without a label: ${field.outerHTML}`);
    }
    for (const control of document.querySelectorAll("button, a[href]")) {
      // The text of what is folded away counts too: it is named the moment it unfolds.
      if (!control.textContent.trim() && !control.ariaLabel) wrong.push(`a control without a name: ${control.outerHTML}`);
    }
    for (const image of document.querySelectorAll("img:not([alt])")) wrong.push(`no alt: ${image.outerHTML}`);
    if (root.scrollWidth > root.clientWidth) {
      // Parts in a box that scrolls by itself, such as a wide table, do not count.
      const boxed = (part) => {
        for (let box = part.parentElement; box && box !== document.body; box = box.parentElement) {
          if (getComputedStyle(box).overflowX !== "visible") return true;
        }
        return false;
      };
      const wide = [...document.body.querySelectorAll("*")]
        .filter((part) => part.getBoundingClientRect().right > root.clientWidth + 1 && !boxed(part))
        .map((part) => `${part.tagName.toLowerCase()}.${part.className}`);
      wrong.push(`scrolls sideways at ${root.clientWidth} px (${root.scrollWidth} px): ${wide.slice(0, 5).join(", ")}`);
    }
    return wrong;
  }, language);
}

/** The most of a page that a picture shows, in pixels. */
const TALLEST = 6_000;

/** Four pictures of the page as it stands, narrow and wide, light and dark; each is examined too. */
export async function photograph({ page, findings }, name, language) {
  const folder = process.env.QUITTANCE_SCREENSHOTS ?? "screenshots";
  await mkdir(folder, { recursive: true });
  for (const viewport of [NARROW, WIDE]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["dark", "light"]) {
      await page.emulateMedia({ colorScheme });
      const file = `${name}-${language}-${viewport.width}-${colorScheme}.png`;
      // A page without end is pictured as far as anybody would look at it.
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      const clip = { x: 0, y: 0, width: viewport.width, height: Math.min(height, TALLEST) };
      await page.screenshot({ path: join(folder, file), fullPage: true, clip, animations: "disabled" });
    }
    for (const wrong of await examine(page, language)) findings.push(`${name}: ${wrong}`);
  }
}

/** Goes to a control with the Tab key alone, as a person without a pointer does, and sees that the focus shows. */
export async function tabTo(page, target, what) {
  for (let step = 0; step < 80; step += 1) {
    await page.keyboard.press("Tab");
    if (await target.evaluate((part) => part === document.activeElement)) {
      const shows = await target.evaluate((part) => {
        const style = getComputedStyle(part);
        return (style.outlineStyle !== "none" && style.outlineWidth !== "0px") || style.boxShadow !== "none";
      });
      if (!shows) throw new Error(`the focus on ${what} cannot be seen`);
      return;
    }
  }
  throw new Error(`the Tab key does not reach ${what}`);
}
