// SPDX-License-Identifier: Apache-2.0
// The dashboard as an operator's tool, in a real Chromium before three regions: map, charts, keys,
// one key taken apart, health with what to do, keyboard, colours, a phone's width; and axe-core,
// which finds nothing to complain of in any of that.
import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "../lib/test.js";
import { Dashboard, startBrowser } from "../lib/browser.js";
import { ask } from "../lib/resp.js";
import { Up } from "../lib/up.js";
import { until } from "../lib/until.js";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let up;
let chrome;
let dashboard;
let page;

before(async () => {
  [up, chrome] = await Promise.all([Up.start(), startBrowser()]);
  await ask(up.db(0), "INCRBY", "likes", "5");
  await ask(up.db(1), "INCRBY", "likes", "37");
  // Without motion: a colour that is on its way to another has no contrast to measure.
  const calm = { reducedMotion: "reduce" };
  dashboard = await Dashboard.open(chrome.browser, `http://127.0.0.1:${up.realtime(0)}/`, calm);
  ({ page } = dashboard);
});

after(async () => {
  await chrome?.close();
  if (up) assert.equal(await up.part.stop("SIGINT"), 0, `${up.part}`);
});

const text = (selector) => page.locator(selector).first().textContent();
const shows = (selector, pattern) =>
  until(async () => pattern.test(await text(selector)), async () => `${selector} ${pattern}: ${await text(selector)}`, 20_000);

async function complaints(opened) {
  await opened.evaluate(axe); // as the debugger's: the page's policy allows its own files only
  const { violations } = await opened.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

test("the map has a cord each way between regions, and says who is cut off", async () => {
  await until(async () => (await page.locator("#map [data-from]").count()) === 6, "six cords");
  await dashboard.has('#map [data-from="r1"][data-to="r2"]', "data-state", "up");
  await ask(up.db(2), "QUIPU.LINK", "CUT", "ALL");
  await dashboard.has('#map [data-from="r3"][data-to="r1"]', "data-state", "cut");
  await dashboard.has('#map [data-from="r1"][data-to="r3"]', "data-state", "down");
});

test("health says what is wrong and what to do, and does it", async () => {
  await dashboard.has("#health", "data-level", "warn");
  await shows("#health", /r3 is cut off/);
  assert.equal(await page.locator("#health li").count(), 1, "what the cut explains is not told again");
  await page.locator("#health button").click();
  await dashboard.has("#health", "data-level", "good");
  await shows("#health", /All is well/);
});

test("charts tell the newest numbers in words", async () => {
  await shows("#throughput .legend", /r1 [\d.]+\/s.*r2 .*r3 /);
  await shows("#lag .legend", /r1 0.*r2 0.*r3 0/);
  await until(
    async () => /L/.test(await page.locator("#throughput .line").first().getAttribute("d")),
    "a line",
    10_000,
  );
});

test("the most watched keys, with who watches and who is present", async () => {
  await shows('[data-row-key="likes"] td', /^42$/);
  const cells = () => page.locator('[data-row-key="viewers"] td').allTextContents();
  await until(async () => (await cells())[2] === "3" && (await cells())[3] === "1", async () => `${await cells()}`);
  await until(
    async () => /L/.test(await page.locator('[data-row-key="likes"] .spark path').getAttribute("d")),
    "a sparkline",
  );
});

test("a key taken apart: what each region has of each origin", async () => {
  await page.locator('[data-row-key="likes"] [data-testid="inspect"]').click();
  await until(async () => (await page.locator("[data-incarnation]").count()) === 2, "two parts");
  const row = (i) => page.locator("[data-incarnation]").nth(i).locator("td").allTextContents();
  await until(async () => `${await row(0)} ${await row(1)}` === "5,5,5 37,37,37", async () => `${await row(0)} ${await row(1)}`);
  await ask(up.db(2), "QUIPU.LINK", "CUT", "ALL");
  await ask(up.db(0), "INCRBY", "likes", "100");
  const late = async () => (await page.locator("[data-incarnation] [data-late]").allTextContents()).join();
  await until(async () => (await late()) === "5", async () => `r1's 100 are late in r3 only: ${await late()}`);
  assert.deepEqual(await complaints(page), []);
  await ask(up.db(2), "QUIPU.LINK", "HEAL", "ALL");
  await until(async () => (await page.locator("[data-incarnation] [data-late]").count()) === 0, "none late");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#inspector").isVisible(), false);
});

test("a presence taken apart: whose leases it is", async () => {
  await page.locator('[data-row-key="viewers"] [data-testid="inspect"]').click();
  await shows("#inspector tbody", /r1/);
  await shows("#inspector caption", /Leases/);
  await page.locator("#inspector button").first().click();
  assert.equal(await page.locator("#inspector").isVisible(), false);
});

test("types whose parts are no amounts are explained", async () => {
  await ask(up.db(0), "QUIPU.CREATE", "seats", "bounded", "0");
  await ask(up.db(0), "INCRBY", "seats", "30");
  await ask(up.db(0), "SADD", "liked by", "ann", "bob");
  const inspect = async (key) => {
    await page.fill("#search", key);
    await page.locator(`[data-row-key="${key}"] [data-testid="inspect"]`).click();
  };
  await inspect("seats");
  await shows("#inspector .values", /may be taken here/);
  await shows("#inspector .parts", /never falls below its bound/);
  await page.keyboard.press("Escape");
  await inspect("liked by");
  await shows("#inspector .parts", /each member is a part/);
  await page.keyboard.press("Escape");
  await page.fill("#search", "");
  await page.locator("#search").blur();
});

test("a search finds keys of the region, from the keyboard alone", async () => {
  for (const key of ["article:7:views", "article:7:likes", "article:*", "other"]) await ask(up.db(0), "INCR", key);
  await page.locator("body").press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.keyboard.type("article:7");
  await until(async () => (await page.locator("#keys tr").count()) === 2, "two keys");
  await shows("#keys-title", /article:7/);
  await page.keyboard.press("Enter");
  await until(() => page.evaluate(() => document.activeElement.dataset.testid === "inspect"), "the first result");
  await page.fill("#search", ":*");
  await until(async () => (await page.locator("#keys tr").count()) === 1, "a star that is a star");
  await page.locator('[data-row-key="article:*"] [data-testid="watch"]').click();
  await dashboard.shows(up.names, "article:*", [1, 1, 1]);
  await page.fill("#search", "nothing has this");
  await shows("#no-keys", /No key/);
  await page.locator("#search").press("Escape");
  await shows("#keys-title", /Most watched/);
});

test("keys of the keyboard: help, regions, colours", async () => {
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("?");
  assert.equal(await page.locator("#shortcuts").isVisible(), true);
  assert.deepEqual(await complaints(page), []);
  await page.keyboard.press("Escape");
  await page.keyboard.press("2");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.region), "r2");
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.keyboard.press("t");
  assert.equal(await ground(), light);
  await page.keyboard.press("t");
  assert.notEqual(await ground(), light);
  assert.deepEqual(await complaints(page), []); // dark
  await page.reload();
  assert.notEqual(await ground(), light);
  await page.keyboard.press("t");
  await dashboard.has("#agreement", "data-state", "agree");
  assert.deepEqual(await complaints(page), []); // light
});

test("at a phone's width nothing is wider than the page", async () => {
  const phone = await Dashboard.open(chrome.browser, `http://127.0.0.1:${up.realtime(0)}/`, {
    viewport: { width: 360, height: 740 },
    hasTouch: true,
    reducedMotion: "reduce",
  });
  await phone.has("#agreement", "data-state", "agree");
  await until(async () => (await phone.page.locator("#keys tr").count()) > 2, "keys");
  const width = await phone.page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 360, `${width} pixels`);
  assert.deepEqual(await complaints(phone.page), []);
  await phone.close();
});

test("a service that dies is named, with what to look at; when it is back all is well", async () => {
  const address = `127.0.0.1:${up.http(1)}`;
  await page.route(`http://${address}/**`, (route) => route.abort());
  await shows("#health", new RegExp(`service of r2 does not answer.*quipu service runs at ${address}`));
  await dashboard.has("#health", "data-level", "bad");
  await page.unroute(`http://${address}/**`);
  await dashboard.has("#health", "data-level", "good");
});

test("the page had no errors of its own", () => {
  const own = dashboard.faults.filter((fault) => !/ERR_FAILED/.test(fault)); // the aborted ones
  assert.deepEqual(own, []);
});
