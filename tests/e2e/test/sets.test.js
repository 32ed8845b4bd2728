// SPDX-License-Identifier: Apache-2.0
// Sets with the clients that people have: ioredis and redis-cli. Three replicas that are cut apart
// and healed; a large set beside others' work; what is on the disk after kill -9.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "../lib/test.js";
import Redis from "ioredis";
import { Cluster, startDb } from "../lib/db.js";
import { until } from "../lib/until.js";

let cluster;
const clients = [];

function ioredis(db) {
  const client = new Redis(db.port, "127.0.0.1", { maxRetriesPerRequest: 1 });
  client.on("error", () => {});
  clients.push(client);
  return client;
}

function cli(db, ...words) {
  return execFileSync("redis-cli", ["-p", String(db.port), ...words], { encoding: "utf8" }).trim();
}

before(async () => {
  cluster = await Cluster.start(3);
});

after(async () => {
  for (const client of clients) client.disconnect();
  await cluster.stop();
});

test("ioredis works with sets as with Redis's", async () => {
  const redis = ioredis(cluster.dbs[0]);
  assert.equal(await redis.sadd("io", "a", "b", "c", "a"), 3);
  assert.equal(await redis.sadd("io", ["c", "d"]), 1);
  assert.equal(await redis.scard("io"), 4);
  assert.deepEqual((await redis.smembers("io")).sort(), ["a", "b", "c", "d"]);
  assert.equal(await redis.sismember("io", "d"), 1);
  assert.deepEqual(await redis.smismember("io", "d", "x"), [1, 0]);
  assert.equal(await redis.smove("io", "other", "d"), 1);
  assert.deepEqual(await redis.sinter("io", "other"), []);
  assert.deepEqual((await redis.sunion("io", "other")).sort(), ["a", "b", "c", "d"]);
  assert.deepEqual(await redis.sdiff("other", "io"), ["d"]);
  assert.ok(["a", "b", "c"].includes(await redis.srandmember("io")));
  assert.equal((await redis.srandmember("io", 2)).length, 2);
  assert.equal((await redis.srandmember("io", -9)).length, 9);
  const popped = await redis.spop("io");
  assert.equal(await redis.sismember("io", popped), 0);
  assert.equal((await redis.spop("io", 5)).length, 2);
  assert.equal(await redis.exists("io"), 0);
  assert.deepEqual(await redis.multi().sadd("tx", "x").srem("tx", "x").smembers("tx").exec(), [
    [null, 1],
    [null, 1],
    [null, []],
  ]);
  await assert.rejects(redis.incr("other"), /WRONGTYPE/);
  await redis.call("GADD", "grows", "x");
  await assert.rejects(redis.srem("grows", "x"), /only grows/);
});

test("redis-cli works with sets", () => {
  const [db] = cluster.dbs;
  assert.equal(cli(db, "SADD", "cli", "one", "two"), "2");
  assert.equal(cli(db, "TYPE", "cli"), "set");
  assert.equal(cli(db, "SINTERCARD", "2", "cli", "cli"), "2");
  assert.equal(cli(db, "SREM", "cli", "one"), "1");
  assert.equal(cli(db, "SMEMBERS", "cli"), "two");
  assert.equal(cli(db, "OBJECT", "ENCODING", "cli"), "hashtable");
});

test("an add wins over a concurrent removal, of a member that was there too", async () => {
  const [r1, r2] = cluster.dbs.map(ioredis);
  await r1.sadd("fans", "ada", "bob", "eve");
  await cluster.agree(3, "SCARD", "fans");
  await cluster.cut(1);
  assert.equal(await r2.sadd("fans", "ada"), 0); // cut off, and there already
  assert.equal(await r2.srem("fans", "eve"), 1);
  assert.equal(await r1.srem("fans", "ada", "bob"), 2);
  assert.equal(await r1.sadd("fans", "joe"), 1);
  await cluster.heal(1);
  await cluster.converged();
  for (const db of cluster.dbs) assert.deepEqual((await ioredis(db).smembers("fans")).sort(), ["ada", "joe"]);
  await cluster.meshed();
});

test("DEL of a set beside a concurrent add: the new member stays, the rest goes, everywhere", async () => {
  const [r1, r2] = cluster.dbs.map(ioredis);
  const members = Array.from({ length: 2000 }, (_, i) => `m${i}`);
  await r1.sadd("whole", ...members);
  await cluster.agree(2000, "SCARD", "whole");
  await cluster.cut(1);
  await r2.sadd("whole", "new");
  assert.equal(await r1.del("whole"), 1);
  assert.equal(await r1.scard("whole"), 0);
  assert.equal(await r1.sadd("whole", "m7"), 1);
  await cluster.heal(1);
  await cluster.converged();
  for (const db of cluster.dbs) assert.deepEqual((await ioredis(db).smembers("whole")).sort(), ["m7", "new"]);
  assert.equal(await r2.del("whole"), 1);
  await cluster.agree(0, "EXISTS", "whole");
  await cluster.meshed();
});

test("a scan by ioredis meets all that stay, while others come and go", async () => {
  const redis = ioredis(cluster.dbs[0]);
  const stay = Array.from({ length: 3000 }, (_, i) => `s${i}`);
  const churn = Array.from({ length: 500 }, (_, i) => `c${i}`);
  await redis.sadd("scan", ...stay, ...churn);
  const met = new Set();
  let turn = 0;
  for await (const batch of redis.sscanStream("scan", { count: 100 })) {
    for (const member of batch) met.add(member);
    if (turn++ % 2) await redis.sadd("scan", ...churn);
    else await redis.srem("scan", ...churn);
  }
  assert.ok(stay.every((member) => met.has(member)));
});

test("a large set is read, united and deleted while others are served", async () => {
  const db = cluster.dbs[2];
  const [redis, other] = [ioredis(db), ioredis(db)];
  const count = 200000;
  for (let from = 0; from < count; from += 10000)
    await redis.sadd("large", ...Array.from({ length: 10000 }, (_, i) => `member:${from + i}`));
  let longest = 0;
  let isOver = false;
  const watch = (async () => {
    for (let i = 0; !isOver; i++) {
      const begun = performance.now();
      await other.sadd("beside", String(i)); // on the replica thread, as the large ones
      longest = Math.max(longest, performance.now() - begun);
    }
  })();
  assert.equal(cli(db, "SINTERCARD", "2", "large", "large"), String(count));
  assert.equal((await redis.smembers("large")).length, count);
  assert.equal(await redis.del("large"), 1);
  assert.equal(await redis.exists("large"), 0);
  isOver = true;
  await watch;
  assert.ok(longest < 1000, `an SADD beside it took ${longest} ms`);
  await cluster.agree(0, "EXISTS", "large");
});

test("sets are there again after kill -9, and what was removed is not", async () => {
  const db = await startDb({ args: ["--durability", "strict"] });
  const redis = ioredis(db);
  await redis.sadd("kept", "a", "b", "c");
  await redis.srem("kept", "b");
  await redis.sadd("gone", "x", "y");
  await redis.del("gone");
  await redis.sadd("gone", "z");
  await db.kill();
  await db.start();
  await until(async () => (await db.call("SCARD", "kept")) === 2, "the set is back");
  assert.deepEqual((await db.call("SMEMBERS", "kept")).sort(), ["a", "c"]);
  assert.deepEqual(await db.call("SMEMBERS", "gone"), ["z"]);
  await db.stop();
});
