// SPDX-License-Identifier: Apache-2.0
// The dashboard in a real Chromium, before three real regions: what a visitor sees and clicks.
// QUIPU_SCREENSHOT=FILE.png keeps a picture of it.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import { Dashboard, startBrowser } from "../lib/browser.js";
import { ask } from "../lib/resp.js";
import { Up } from "../lib/up.js";
import { until } from "../lib/until.js";

let up;
let chrome;
let dashboard;

before(async () => {
  [up, chrome] = await Promise.all([Up.start(), startBrowser()]);
  dashboard = await Dashboard.open(chrome.browser, `http://127.0.0.1:${up.realtime(0)}/`);
});

after(async () => {
  await chrome?.close();
  if (up) assert.equal(await up.part.stop("SIGINT"), 0, `${up.part}`);
});

test("three regions side by side, connected, linked, in agreement", async () => {
  await until(
    async () => (await dashboard.page.locator("[data-region]").count()) === 3,
    "three regions",
  );
  for (const name of up.names) {
    await dashboard.has(`[data-region="${name}"] [data-testid="state"]`, "data-state", "connected");
    await dashboard.has(`[data-region="${name}"]`, "data-link", "linked");
  }
  await dashboard.has("#agreement", "data-state", "agree");
});

test("a click adds in one region and shows in all", async () => {
  await dashboard.click("r1", "likes", "add-1");
  await dashboard.shows(up.names, "likes", [1, 1, 1]);
  await dashboard.click("r2", "likes", "add-10");
  await dashboard.shows(up.names, "likes", [11, 11, 11]);
  await dashboard.click("r3", "likes", "subtract-1");
  await dashboard.shows(up.names, "likes", [10, 10, 10]);
  assert.equal(await ask(up.db(2), "GET", "likes"), "10");
  await ask(up.db(1), "INCRBY", "likes", "5");
  await dashboard.shows(up.names, "likes", [15, 15, 15]);
});

test("a key of the visitor's own can be watched", async () => {
  await dashboard.page.fill("#new-key", "downloads ☃");
  await dashboard.page.click('[data-testid="add-key-button"]');
  await dashboard.click("r3", "downloads ☃", "add-1");
  await dashboard.shows(up.names, "downloads ☃", [1, 1, 1]);
});

test("a region cut off goes on counting, both sides differ; healed all agree at once", async () => {
  await dashboard.toggle("r3", "cut");
  await dashboard.has('[data-region="r3"]', "data-link", "cut");
  await dashboard.click("r1", "views", "add-10");
  await dashboard.click("r3", "views", "add-1");
  await dashboard.shows(up.names, "views", [10, 10, 1]);
  await dashboard.has("#agreement", "data-state", "differ");
  await dashboard.has('[data-region="r3"] [data-peer="r1"]', "data-state", "cut");
  if (process.env.QUIPU_SCREENSHOT) {
    await dashboard.page.screenshot({ path: process.env.QUIPU_SCREENSHOT, fullPage: true });
  }
  await dashboard.toggle("r3", "heal");
  await dashboard.shows(up.names, "views", [11, 11, 11]);
  await dashboard.has("#agreement", "data-state", "agree");
  await dashboard.has('[data-region="r3"]', "data-link", "linked");
});

test("a second tab raises the viewers everywhere; closing it, or killing its browser, lowers them", async () => {
  await dashboard.shows(up.names, "viewers", [1, 1, 1]);
  const second = await Dashboard.open(chrome.browser, `http://127.0.0.1:${up.realtime(0)}/`);
  await dashboard.shows(up.names, "viewers", [2, 2, 2]);
  await second.shows(up.names, "viewers", [2, 2, 2]);
  await second.close();
  await dashboard.shows(up.names, "viewers", [1, 1, 1]);
  const other = await startBrowser();
  await Dashboard.open(other.browser, `http://127.0.0.1:${up.realtime(1)}/`);
  await dashboard.shows(up.names, "viewers", [2, 2, 2]);
  await other.kill();
  await dashboard.shows(up.names, "viewers", [1, 1, 1]);
});

test("the page had no errors", async () => {
  assert.deepEqual(dashboard.faults, []);
});
