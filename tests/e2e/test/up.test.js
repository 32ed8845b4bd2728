// SPDX-License-Identifier: Apache-2.0
// `quipu up`: all parts of three regions, one command; Ctrl-C ends it in order, a second start goes
// on with the data.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import net from "node:net";
import { test } from "../lib/test.js";
import { get, post } from "../lib/http.js";
import { finish } from "../lib/part.js";
import { temporaryDirectory } from "../lib/place.js";
import { ask } from "../lib/resp.js";
import { Stream } from "../lib/stream.js";
import { Up, portBase } from "../lib/up.js";
import { until } from "../lib/until.js";

const REGIONS = 3;

const children = (pid) => {
  try {
    return execFileSync("pgrep", ["-P", String(pid)], { encoding: "utf8" }).trim().split("\n").map(Number);
  } catch {
    return [];
  }
};

const exists = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test("up: one number in every region, by every door; Ctrl-C drains; a second start continues", async () => {
  const { part: first, base, data } = await Up.start();
  const printed = first.stdout + first.stderr;
  for (const port of [base, base + 2, base + 4]) assert.match(printed, new RegExp(String(port)));
  await ask(base, "INCRBY", "likes", 5);
  await post(`http://127.0.0.1:${base + 12}/v1/counters/likes/increment`, { by: 2 });
  for (let i = 0; i < REGIONS; i++) {
    await until(async () => (await ask(base + 10 * i, "GET", "likes")) === "7", `7 in region ${i + 1}`);
    assert.equal((await get(`http://127.0.0.1:${base + 10 * i + 2}/likes/counter`)).json.value, 7);
  }
  const stream = await Stream.open(base + 24);
  stream.track("likes");
  await stream.shows("likes", 7);
  const { json } = await get(`http://127.0.0.1:${base + 4}/regions.json`);
  assert.deepEqual(json.regions.map(({ name }) => name), ["r1", "r2", "r3"]);
  assert.equal(await ask(base + 20, "QUIPU.LINK", "CUT", "ALL"), "OK", "up allows the drill");
  await ask(base + 20, "INCR", "likes");
  await stream.shows("likes", 8);
  const pids = children(first.pid);
  assert.equal(pids.length, 3 * REGIONS);
  assert.equal(await first.stop("SIGINT"), 0, `${first}`);
  assert.ok(pids.every((pid) => !exists(pid)), "no part is left behind");
  const { part: second } = await Up.start({ base, data });
  for (let i = 0; i < REGIONS; i++) {
    await until(async () => (await ask(base + 10 * i, "GET", "likes")) === "8", `8 in region ${i + 1}`);
  }
  assert.equal(await second.stop("SIGTERM"), 0, `${second}`);
});

test("up: the parts end with it even when it is killed", async () => {
  const { part } = await Up.start();
  const pids = children(part.pid);
  assert.equal(pids.length, 3 * REGIONS);
  await part.kill();
  await until(() => pids.every((pid) => !exists(pid)), "the end of all parts");
});

test("up: a port in use is named, and nothing is left running", async () => {
  const base = await portBase();
  const squatter = net.createServer().listen(base + 12, "127.0.0.1");
  const { code, stderr, stdout } = await finish(
    ["up", "--data", temporaryDirectory("up"), "--port-base", String(base)],
    { ms: 30_000 },
  );
  assert.equal(code, 1);
  assert.match(stderr + stdout, new RegExp(`${base + 12}`));
  assert.match(stderr + stdout, /in use/i);
  squatter.close();
  await until(
    () => new Promise((resolve) => {
      const probe = net.connect(base, "127.0.0.1");
      probe.once("error", () => resolve(true));
      probe.once("connect", () => { probe.destroy(); resolve(false); });
    }),
    "nothing on the first region's port",
  );
});

test("wrong usage: exit 2 and a hint; --help: exit 0", async () => {
  for (const args of [[], ["nonsense"], ["up", "--nonsense"], ["up", "--regions", "0"], ["db"], ["db", "--durability", "x"]]) {
    const { code, stderr } = await finish(args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, /help|usage|expected|missing/i, args.join(" "));
  }
  for (const name of ["up", "db", "service", "realtime", "count", "sim", "bench"]) {
    const { code, stdout } = await finish([name, "--help"]);
    assert.equal(code, 0, name);
    assert.match(stdout, /usage/i, name);
  }
  const version = await finish(["--version"]);
  assert.match(version.stdout, /^quipu \d+\.\d+\.\d+/);
});

test("listening beyond loopback without a secret is refused", async () => {
  const { code, stderr } = await finish([
    "db", "--replica", "r1", "--data", temporaryDirectory(), "--listen", "0.0.0.0:0", "--peer-listen", "127.0.0.1:0",
  ]);
  assert.equal(code, 2);
  assert.match(stderr, /secret/);
});
