// SPDX-License-Identifier: Apache-2.0
// web/quipu.js in a real Chromium, before a real region: the element, one connection for all tabs,
// ways around what breaks, and additions that are counted once whatever happens.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { after, before, test } from "../lib/test.js";
import { startBrowser } from "../lib/browser.js";
import { get } from "../lib/http.js";
import { repository, temporaryDirectory, temporaryFile } from "../lib/place.js";
import { QUICK, Region, startRealtime } from "../lib/region.js";
import { Lossy, Site } from "../lib/site.js";
import { until } from "../lib/until.js";

const web = path.join(repository, "web");
let region;
let chrome;
let site;
const faults = [];

const page = (body) => `<!doctype html><html lang="en"><title>t</title><script src="/quipu.js"></script>${body}`;

before(async () => {
  [region, chrome, site] = await Promise.all([Region.start(), startBrowser(), Site.open()]);
  site.pages["/"] = page("");
  site.pages["/module"] = `<!doctype html><script type="module">
    import { connect, format } from "/quipu.mjs";
    window.live = connect("${region.realtime.url}");
    live.track("module", (value) => { document.title = format(value); });
  </script>`;
});

after(async () => {
  await chrome?.close();
  site?.close();
  await region?.stop();
});

async function tab(context, url = site.url) {
  const opened = await context.newPage();
  opened.on("pageerror", (error) => faults.push(String(error)));
  await opened.goto(url);
  return opened;
}

// Starts a client in the page that notes what it is told in window.told.
const connect = (opened, url, options) =>
  opened.evaluate(
    ([url, options]) => {
      window.told = [];
      window.live = quipu.connect(url, options);
      window.follow = (key) => live.track(key, (value, version) => told.push([key, value, version]));
    },
    [url, options],
  );
const follow = (opened, key) => opened.evaluate((key) => void (window.stop = follow(key)), key);
const told = (opened) => opened.evaluate(() => told);
const shows = (opened, key, value) =>
  until(
    async () => (await told(opened)).filter(([name]) => name === key).at(-1)?.[1] === value,
    async () => `${key} = ${value}, was told ${JSON.stringify(await told(opened))}`,
    20_000,
  );
const streams = async (realtime = region.realtime) => (await get(`${realtime.url}/v1/topics`)).json.streams;
const streamsAre = (count, realtime) =>
  until(async () => (await streams(realtime)) === count, async () => `${count} streams, are ${await streams(realtime)}`);
const viewersAre = async (name, count) => {
  const read = async () => (await region.db.call("QUIPU.VALUE", name))[1]?.[1] ?? 0;
  await until(async () => (await read()) === count, async () => `${count} on ${name}, are ${await read()}`);
};

test("the element keeps what the server rendered until the first count, then follows it", async () => {
  site.pages["/element"] = page(`<live-count id="a" key="el:a" src="${region.realtime.url}">41</live-count>
    <live-count id="b" key="el:b" src="http://127.0.0.1:1">7</live-count>
    <live-count id="c" key="/el/page" src="${region.realtime.url}" publish aria-live="off"></live-count>`);
  await region.db.call("INCRBY", "el:a", "12345");
  const context = await chrome.browser.newContext();
  const opened = await tab(context, `${site.url}/element`);
  const text = (id) => opened.locator(`#${id}`).textContent();
  await until(async () => (await text("a")) === "12,345", async () => `12,345, is ${await text("a")}`);
  await region.db.call("INCR", "el:a");
  await until(async () => (await text("a")) === "12,346", "the next value");
  assert.equal(await text("b"), "7");
  await until(async () => (await text("c")) === "1", "this visitor");
  assert.equal(await opened.locator("#a").getAttribute("aria-live"), "polite");
  assert.equal(await opened.locator("#c").getAttribute("aria-live"), "off");
  await opened.evaluate(() => document.querySelector("#a").setAttribute("key", "el:other"));
  await until(async () => (await text("a")) === "–", "another key's value");
  await opened.evaluate(() => document.querySelectorAll("live-count").forEach((element) => element.remove()));
  await streamsAre(0);
  await context.close();
});

test("who wants less motion gets none", async () => {
  const context = await chrome.browser.newContext({ reducedMotion: "reduce" });
  const still = await tab(context);
  await still.evaluate(() => {
    window.animations = 0;
    Element.prototype.animate = () => window.animations++;
  });
  const add = (opened) =>
    opened.evaluate((src) => {
      document.body.innerHTML = `<live-count key="motion" src="${src}"></live-count>`;
    }, region.realtime.url);
  await add(still);
  await until(async () => (await still.locator("live-count").textContent()) === "–", "a count");
  assert.equal(await still.evaluate(() => animations), 0);
  await context.close();
});

for (const [name, share] of [["a SharedWorker", undefined], ["the tab with the lock", "tabs"]]) {
  test(`all tabs share one connection: in ${name}`, async () => {
    const key = `tabs:${share}`;
    const context = await chrome.browser.newContext();
    const tabs = [await tab(context), await tab(context), await tab(context)];
    for (const opened of tabs) {
      await connect(opened, region.realtime.url, { share });
      await follow(opened, key);
      await opened.evaluate((page) => void (window.leave = live.publish(page)), `/${key}`);
    }
    for (const opened of tabs) await shows(opened, key, null);
    await region.db.call("INCR", key);
    for (const opened of tabs) await shows(opened, key, 1);
    await streamsAre(1);
    await viewersAre(`/${key}`, 1); // one person
    await tabs[0].close(); // who had the connection, if it is a tab's
    await region.db.call("INCR", key);
    for (const opened of tabs.slice(1)) await shows(opened, key, 2);
    await streamsAre(1);
    await viewersAre(`/${key}`, 1);
    await tabs[1].evaluate(() => leave());
    await viewersAre(`/${key}`, 1);
    await tabs[2].evaluate(() => leave());
    await viewersAre(`/${key}`, 0);
    await follow(tabs[1], `${key}:more`); // a key of one tab only
    await shows(tabs[1], `${key}:more`, null);
    assert.ok(!(await told(tabs[2])).some(([name]) => name === `${key}:more`));
    const values = (await told(tabs[2])).filter(([name]) => name === key).map(([, value]) => value);
    assert.deepEqual(values, [null, 1, 2], "nothing twice");
    await tabs[1].close();
    await tabs[2].evaluate(() => live.close());
    await streamsAre(0);
    await context.close();
  });
}

test("a module has the same client", async () => {
  await region.db.call("SET", "module", "5");
  const context = await chrome.browser.newContext();
  const [one, two] = [await tab(context, `${site.url}/module`), await tab(context, `${site.url}/module`)];
  for (const opened of [one, two]) await until(async () => (await opened.title()) === "5", "the count as a title");
  await streamsAre(1);
  await context.close();
});

test("where WebSockets do not come through events do, and presence with them", async () => {
  const context = await chrome.browser.newContext();
  const opened = await tab(context);
  await opened.evaluate(() => {
    window.WebSocket = class {
      constructor() {
        setTimeout(() => this.onclose({ code: 1006 }));
      }
      close() {}
    };
  });
  await connect(opened, region.realtime.url, { share: false });
  await region.db.call("SET", "fallback", "3");
  await follow(opened, "fallback");
  await opened.evaluate(() => void live.publish("/fallback"));
  await shows(opened, "fallback", 3);
  await region.db.call("INCR", "fallback");
  await shows(opened, "fallback", 4);
  await viewersAre("/fallback", 1);
  await follow(opened, "fallback:more");
  await shows(opened, "fallback:more", null);
  await until(() => opened.evaluate(() => live.state === "connected"), "connected");
  await context.close();
  await viewersAre("/fallback", 0);
});

test("a part that restarts is found again; the page is told nothing twice and nothing older", async () => {
  let realtime = await startRealtime(region.service, { args: [...QUICK, "--reconnect-spread", "50"] });
  const context = await chrome.browser.newContext();
  const opened = await tab(context);
  await connect(opened, realtime.url);
  await region.db.call("SET", "restart", "1");
  await follow(opened, "restart");
  await shows(opened, "restart", 1);
  assert.equal(await realtime.part.stop(), 0);
  await until(() => opened.evaluate(() => live.state !== "connected"), "the loss to be seen");
  await region.db.call("INCR", "restart");
  realtime = await startRealtime(region.service, { args: QUICK, port: realtime.port });
  await shows(opened, "restart", 2);
  await region.db.call("INCR", "restart");
  await shows(opened, "restart", 3);
  assert.deepEqual((await told(opened)).map(([, value]) => value), [1, 2, 3]);
  await context.close();
  assert.equal(await realtime.part.stop(), 0);
});

test("additions are kept while the service is away, over a reload, and counted once", async () => {
  let lossy = await Lossy.open(region.service.url);
  const { port, url } = lossy;
  await lossy.close();
  const context = await chrome.browser.newContext();
  const opened = await tab(context);
  const add = (opened, key, by) => opened.evaluate(([key, by]) => void live.add(key, by), [key, by]);
  await connect(opened, region.realtime.url, { service: url });
  for (let i = 1; i <= 5; i++) await add(opened, "kept", i);
  await opened.reload();
  lossy = await Lossy.open(region.service.url, port);
  lossy.toLose = 3; // counted, but the page does not hear of it
  await connect(opened, region.realtime.url, { service: url });
  const second = await tab(context);
  await connect(second, region.realtime.url, { service: url });
  await add(second, "kept", 100);
  const left = () => opened.evaluate(() => Object.keys(localStorage).length);
  await until(async () => (await left()) === 0, async () => `nothing left, are ${await left()}`, 60_000);
  assert.equal(await region.db.call("GET", "kept"), "115");
  assert.ok(lossy.posts >= 9, `${lossy.posts} requests`);
  assert.equal((await opened.evaluate(() => live.add("kept", 1))).value, 116);
  await region.db.call("QUIPU.CREATE", "refused", "gcounter");
  const refused = await opened.evaluate(() => live.add("refused", -1).catch((error) => error.message));
  assert.match(refused, /\w/);
  assert.equal(await left(), 0);
  await follow(opened, "kept");
  await shows(opened, "kept", 116);
  await context.close();
  await lossy.close();
});

test("a token that expires is replaced, also when the page was away meanwhile", async () => {
  const key = "the key of the tokens";
  const realtime = await startRealtime(region.service, {
    args: [...QUICK, "--token-key-file", temporaryFile("key", key)],
  });
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  let made = 0;
  const token = () => {
    const exp = Math.floor(Date.now() / 1000) + [-3, -100, 600][Math.min(made++, 2)]; // 5 s of grace
    const text = `${part({ alg: "HS256" })}.${part({ exp, track: ["*"] })}`;
    return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
  };
  const context = await chrome.browser.newContext();
  const opened = await tab(context);
  await opened.exposeFunction("makeToken", token);
  await opened.evaluate((url) => {
    window.told = [];
    window.live = quipu.connect(url, { token: () => makeToken() });
    live.track("tokens", (value) => told.push(["tokens", value]));
  }, realtime.url);
  await shows(opened, "tokens", null);
  await until(() => made >= 3, "a second and a third token");
  await region.db.call("INCR", "tokens");
  await shows(opened, "tokens", 1);
  await context.close();
  assert.equal(await realtime.part.stop(), 0);
});

test("what the server refuses is told", async () => {
  const context = await chrome.browser.newContext();
  const opened = await tab(context);
  await connect(opened, region.realtime.url);
  await opened.evaluate(() => {
    live.addEventListener("refused", ({ detail }) => (window.refused = detail));
    live.track("k".repeat(600), () => {});
  });
  await until(() => opened.evaluate(() => window.refused?.code === "bad_key"), "the refusal");
  await context.close();
});

test("no page had an error", () => assert.deepEqual(faults, []));

// ---- as a package

test("the client is at most 5 KiB gzipped and needs nothing", () => {
  const text = fs.readFileSync(path.join(web, "quipu.js"));
  assert.ok(gzipSync(text, { level: 9 }).length <= 5 * 1024, `${gzipSync(text, { level: 9 }).length} bytes`);
  assert.doesNotMatch(text.toString(), /^\s*import |require\(/m);
});

test("npm pack makes a package of it that node can import", async () => {
  const folder = temporaryDirectory("pack");
  const options = { cwd: web, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] };
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", folder], options));
  const files = packed.files.map((file) => file.path).sort();
  assert.deepEqual(files, ["README.md", "package.json", "quipu.d.ts", "quipu.js", "quipu.mjs"]);
  execFileSync("tar", ["xzf", packed.filename], { cwd: folder });
  const module = await import(path.join(folder, "package/quipu.mjs"));
  assert.equal(typeof module.connect, "function");
  assert.equal(module.format("9007199254740993"), (9007199254740993n).toLocaleString());
});

test("its types are what tsc expects of a page", () => {
  const folder = temporaryDirectory("types");
  const source = `
    import { connect, format, type Client, type Value } from "quipu-live";
    const live: Client = connect("http://h", { service: "http://s", token: async () => "t", transports: ["events"] });
    const stop: () => void = live.track("k", (value: Value, version, key) => { format(value); key.length; });
    stop(); live.publish("/p")(); live.close();
    live.add("k", 2).then((counter) => counter.value satisfies Value);
    live.addEventListener("refused", (event) => event.detail.code.length);
    live.addEventListener("state", () => live.state === "connected");
    // @ts-expect-error: a number is no key
    live.track(1, () => {});
    // @ts-expect-error: there is no such way
    connect("http://h", { transports: ["pigeon"] });
  `;
  fs.writeFileSync(path.join(folder, "use.ts"), source);
  const tsc = path.join(repository, "tests/e2e/node_modules/typescript/bin/tsc");
  const config = {
    compilerOptions: {
      strict: true, noEmit: true, module: "nodenext", target: "es2022", lib: ["es2022", "dom"],
      paths: { "quipu-live": [path.join(web, "quipu.d.ts")] },
    },
    files: ["use.ts"],
  };
  fs.writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(config));
  fs.writeFileSync(path.join(folder, "package.json"), '{"type":"module"}');
  try {
    execFileSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
  } catch (error) {
    assert.fail(error.stdout);
  }
});
