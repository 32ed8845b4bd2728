// SPDX-License-Identifier: Apache-2.0
// Keys that end, at three regions: hidden everywhere at their time, reset once, by whom is left when
// the one that set it is cut off; what others add meanwhile survives; over kill -9; many at once.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import { Cluster } from "../lib/db.js";
import { until } from "../lib/until.js";

let cluster;

before(async () => {
  cluster = await Cluster.start(3, { args: ["--silence", "1000"] });
});

after(() => cluster.stop());

test("a key ends everywhere at its time", async () => {
  const [r1, r2, r3] = cluster.dbs;
  assert.equal(await r1.call("SET", "session", "7", "PX", "900"), "OK");
  await until(async () => (await r3.call("PTTL", "session")) > 0, "the deadline at r3");
  assert.equal(await r2.call("INCR", "session"), 8);
  for (const db of cluster.dbs) {
    await until(async () => (await db.get("session")) === null, "its end");
    assert.equal(await db.call("TTL", "session"), -2);
  }
  await until(async () => (await r3.call("DBSIZE")) === 0, "the reset at r3");
  assert.equal((await r1.info()).expired_keys, "1");
  assert.equal(await r2.call("INCR", "session"), 1);
  assert.equal(await r2.call("TTL", "session"), -1);
  await r2.call("DEL", "session");
});

test("of two deadlines that did not know of each other the longer counts, a later one replaces", async () => {
  const [r1, r2, r3] = cluster.dbs;
  await r1.call("SET", "two", "1");
  await cluster.agree("1", "GET", "two");
  await cluster.cut(2);
  await r1.call("EXPIRE", "two", "50");
  await r3.call("EXPIRE", "two", "500");
  await cluster.heal(2);
  await until(async () => (await r2.call("TTL", "two")) > 400, "the longer one at r2");
  await until(async () => (await r1.call("TTL", "two")) > 400, "the longer one at r1");
  await r1.call("EXPIRE", "two", "20");
  await until(async () => (await r3.call("TTL", "two")) <= 20, "the later one at r3");
  await r2.call("PERSIST", "two");
  await until(async () => (await r3.call("TTL", "two")) === -1, "none at r3");
});

test("what a replica that is cut off adds past the end survives, without a deadline", async () => {
  const [r1, r2, r3] = cluster.dbs;
  await r1.call("SET", "late", "100", "PX", "700");
  await until(async () => (await r3.get("late")) === "100", "the key at r3");
  await cluster.cut(2);
  await r3.call("INCRBY", "late", "5");
  await until(async () => (await r2.get("late")) === null, "its end at r2");
  await cluster.heal(2);
  await cluster.agree("5", "GET", "late");
  for (const db of cluster.dbs) assert.equal(await db.call("TTL", "late"), -1);
});

test("the others end a key whose owner is gone, and it stays ended when that returns", async () => {
  const [, r2, r3] = cluster.dbs;
  await r3.call("SET", "orphan", "1", "PX", "600");
  await until(async () => (await r2.get("orphan")) === "1", "the key at r2");
  await r3.kill();
  await until(async () => (await r2.get("orphan")) === null, "its end at r2");
  await until(async () => !(await r2.call("SCAN", "0", "COUNT", "1000"))[1].includes("orphan"), "no key");
  await until(async () => Number((await r2.info()).expired_keys) > 0 ||
    Number((await cluster.dbs[0].info()).expired_keys) > 1, "a reset by another", 20_000);
  await r3.start();
  await cluster.meshed();
  assert.equal(await r3.get("orphan"), null);
});

test("a deadline outlives kill -9", async () => {
  const [r1] = cluster.dbs;
  await r1.call("SET", "kept", "1", "EX", "1000");
  await r1.call("QUIPU.TOKEN");
  await r1.kill();
  await r1.start();
  const left = await r1.call("TTL", "kept");
  assert.ok(left > 900 && left <= 1000, `${left}`);
});

test("a hundred thousand that end at once do not hold up anybody", async () => {
  const [r1] = cluster.dbs;
  const connection = await r1.connect();
  const at = String(Date.now() + 6000);
  for (let from = 0; from < 100_000; from += 5000) {
    const commands = Array.from({ length: 5000 }, (_, i) => ["SET", `many:${from + i}`, "1", "PXAT", at]);
    await connection.pipeline(commands);
  }
  await until(async () => (await r1.get("many:99999")) === null, "their time", 20_000);
  let slowest = 0;
  for (let i = 0; i < 200; i++) {
    const begun = Date.now();
    await connection.call("INCR", "other");
    slowest = Math.max(slowest, Date.now() - begun);
  }
  assert.ok(slowest < 1000, `an INCR took ${slowest} ms`);
  await until(async () => (await r1.call("DBSIZE")) < 100, "their end", 60_000);
  connection.close();
});
