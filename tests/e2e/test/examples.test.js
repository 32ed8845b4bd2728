// SPDX-License-Identifier: Apache-2.0
// The examples as they stand, each in a real Chromium before a real region; only the two addresses
// are this region's.
import assert from "node:assert/strict";
import { build } from "esbuild";
import fs from "node:fs";
import path from "node:path";
import { after, before, test } from "../lib/test.js";
import { startBrowser } from "../lib/browser.js";
import { Part } from "../lib/part.js";
import { repository } from "../lib/place.js";
import { Region } from "../lib/region.js";
import { Site } from "../lib/site.js";
import { until } from "../lib/until.js";

const examples = path.join(repository, "examples");
let region;
let chrome;
let site;
const faults = [];

before(async () => {
  [region, chrome, site] = await Promise.all([Region.start(), startBrowser(), Site.open()]);
});

after(async () => {
  await chrome?.close();
  site?.close();
  await region?.stop();
});

const here = (text) =>
  text
    .replaceAll("http://127.0.0.1:7004", region.realtime.url)
    .replaceAll("http://127.0.0.1:7002", region.service.url);
const read = (name) => here(fs.readFileSync(path.join(examples, name), "utf8"));

async function bundle(entry) {
  const output = await build({
    entryPoints: [path.join(examples, entry)],
    bundle: true,
    write: false,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"', __VUE_OPTIONS_API__: "false",
      __VUE_PROD_DEVTOOLS__: "false", __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false" },
    alias: { "quipu-live": path.join(repository, "web/quipu.mjs") },
    nodePaths: [path.join(repository, "tests/e2e/node_modules")],
  });
  return here(output.outputFiles[0].text);
}

async function open(context, url) {
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(`${url}: ${error}`));
  await page.goto(url);
  return page;
}

const text = (page, id) => page.locator(`#${id}`).textContent();
const is = (page, id, value) =>
  until(async () => (await text(page, id)) === value, async () => `#${id} ${value}, is ${await text(page, id)}`);

// Likes are counted by a click, readers by being there; another visitor sees both.
async function works(url) {
  const before = Number((await region.db.call("GET", "likes")) ?? 0);
  const [one, two] = await Promise.all([1, 2].map(() => chrome.browser.newContext()));
  const page = await open(one, url);
  await is(page, "viewers", "1");
  await page.click("#like");
  await is(page, "likes", String(before + 1));
  const other = await open(two, url);
  await is(other, "likes", String(before + 1));
  await is(page, "viewers", "2");
  await other.click("#like");
  await is(page, "likes", String(before + 2));
  await two.close();
  await is(page, "viewers", "1");
  await one.close();
  await until(async () => !((await region.db.call("QUIPU.VALUE", "/article/7"))[1]?.[1] > 0), "nobody there");
}

test("a page", async () => {
  site.pages["/page"] = read("page/index.html");
  await works(`${site.url}/page`);
});

for (const [name, entry] of [["React", "react/Likes.jsx"], ["Vue", "vue/likes.js"]]) {
  test(name, async () => {
    const folder = `/${name.toLowerCase()}`;
    site.pages[`${folder}/`] = read(`${folder.slice(1)}/index.html`);
    site.pages[`${folder}/bundle.js`] = await bundle(entry);
    await works(`${site.url}${folder}/`);
  });
}

test("a server that renders the first value, which is right without JavaScript, then live", async () => {
  await region.db.call("SET", "likes", "12345");
  const server = new Part([path.join(examples, "server-rendered/server.mjs"), "0"], {
    program: process.execPath,
    env: { QUIPU_LIVE: region.realtime.url, QUIPU_COUNTERS: region.service.url },
  });
  const [url] = await server.says(/http:\S+/, 10_000, "stdout");
  const plain = await chrome.browser.newContext({ javaScriptEnabled: false });
  assert.equal(await text(await open(plain, url), "likes"), "12,345");
  const context = await chrome.browser.newContext({ locale: "en-US" });
  const page = await open(context, url);
  await region.db.call("INCR", "likes");
  await is(page, "likes", "12,346");
  await plain.close();
  await context.close();
  await server.kill();
});

test("no example had an error", () => assert.deepEqual(faults, []));
