// SPDX-License-Identifier: Apache-2.0
// MULTI, EXEC and WATCH with real clients, alone and against everybody else's counting, and at the
// other replicas.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import Redis from "ioredis";
import { createClient, WatchError } from "redis";
import { Cluster } from "../lib/db.js";
import { Connection } from "../lib/resp.js";
import { until, within } from "../lib/until.js";

let cluster;
let db;
const closers = [];

before(async () => {
  cluster = await Cluster.start(2, { args: ["--threads", "2"] });
  db = cluster.dbs[0];
});

after(async () => {
  for (const close of closers) await close();
  await cluster.stop();
});

function ioredis() {
  const client = new Redis(db.port, "127.0.0.1", { maxRetriesPerRequest: 1 });
  client.on("error", () => {});
  closers.push(() => client.disconnect());
  return client;
}

async function nodeRedis(RESP = 3) {
  const client = createClient({ url: `redis://127.0.0.1:${db.port}`, RESP });
  client.on("error", () => {});
  await within(5000, "node-redis", client.connect());
  closers.push(() => client.close());
  return client;
}

async function connection() {
  const opened = await Connection.open(db.port);
  closers.push(() => opened.close());
  return opened;
}

test("ioredis: multi, errors inside it, errors that abort it", async () => {
  const redis = ioredis();
  const results = await redis.multi().incr("io:a").incrby("io:a", 41).get("io:a").exec();
  assert.deepEqual(results, [[null, 1], [null, 42], [null, "42"]]);
  await redis.call("GADD", "io:set", "x");
  const mixed = await redis.multi().incr("io:a").incr("io:set").incr("io:a").exec();
  assert.equal(mixed[0][1], 43);
  assert.match(mixed[1][0].message, /^WRONGTYPE/);
  assert.equal(mixed[2][1], 44);
  await assert.rejects(redis.multi().incr("io:a").call("NOSUCH").exec(), /EXECABORT/);
  assert.equal(await redis.get("io:a"), "44");
  const apart = ioredis();
  assert.equal(await apart.multi({ pipeline: false }), "OK");
  assert.equal(await apart.incr("io:a"), "QUEUED");
  assert.equal(await apart.discard(), "OK");
  assert.equal(await apart.get("io:a"), "44");
});

for (const RESP of [2, 3]) {
  test(`node-redis over RESP${RESP}: multi and watch`, async () => {
    const client = await nodeRedis(RESP);
    const other = await nodeRedis(RESP);
    const key = `nr:${RESP}`;
    assert.deepEqual(await client.multi().incr(key).get(key).ping().exec(), [1, "1", "PONG"]);
    await client.watch(key);
    assert.deepEqual(await client.multi().incr(key).exec(), [2]);
    await client.watch(key);
    await other.incr(key);
    await assert.rejects(client.multi().incr(key).exec(), WatchError);
    assert.equal(await client.get(key), "3");
    await client.watch([key, `${key}:made`]);
    await other.set(`${key}:made`, "1");
    await assert.rejects(client.multi().incr(key).exec(), WatchError);
  });
}

// Sixteen connections on two threads move amounts between two counters whose sum never shows
// another value to a transaction, while others count without any.
test("nothing runs between the commands of a transaction", async () => {
  const workers = await Promise.all(Array.from({ length: 8 }, connection));
  const counters = await Promise.all(Array.from({ length: 8 }, connection));
  let isOver = false;
  const counting = counters.map(async (one) => {
    let count = 0;
    while (!isOver) {
      await one.pipeline(Array.from({ length: 20 }, () => ["INCR", "apart:hot"]));
      count += 20;
    }
    return count;
  });
  const moves = workers.map(async (one, index) => {
    for (let i = 0; i < 100; i++) {
      const amount = String(index * 100 + i + 1);
      const replies = await one.pipeline([
        ["MULTI"],
        ["GET", "apart:hot"],
        ["DECRBY", "apart:a", amount],
        ["INCRBY", "apart:b", amount],
        ["MGET", "apart:a", "apart:b"],
        ["GET", "apart:hot"],
        ["EXEC"],
      ]);
      const [hot, a, b, both, hotAgain] = replies.at(-1);
      assert.equal(hot, hotAgain, "somebody counted inside");
      assert.equal(a + b, 0);
      assert.deepEqual(both.map(Number), [a, b]);
    }
  });
  await Promise.all(moves);
  isOver = true;
  const counted = (await Promise.all(counting)).reduce((sum, count) => sum + count, 0);
  assert.equal(Number(await db.get("apart:hot")), counted);
});

// The classic use of WATCH: take one while there are any. Never below nothing, none taken twice.
test("WATCH makes check and act exact against all comers", async () => {
  await db.call("SET", "stock", "60");
  const takers = await Promise.all(Array.from({ length: 6 }, connection));
  const taken = await Promise.all(
    takers.map(async (one) => {
      let got = 0;
      for (;;) {
        await one.call("WATCH", "stock");
        const left = Number(await one.call("GET", "stock"));
        if (left === 0) {
          await one.call("UNWATCH");
          return got;
        }
        const replies = await one.pipeline([["MULTI"], ["DECR", "stock"], ["EXEC"]]);
        if (replies[2]) got++;
      }
    }),
  );
  assert.equal(taken.reduce((sum, got) => sum + got, 0), 60);
  assert.equal(await db.get("stock"), "0");
});

test("another replica sees a transaction whole, and its own changes break a watch", async () => {
  const [near, far] = [await connection(), await Connection.open(cluster.dbs[1].port)];
  closers.push(() => far.close());
  let isOver = false;
  const writing = (async () => {
    for (let i = 0; i < 200; i++)
      await near.pipeline([["MULTI"], ["INCR", "whole:a"], ["INCR", "whole:b"], ["EXEC"]]);
    isOver = true;
  })();
  let looks = 0;
  while (!isOver) {
    const replies = await far.pipeline([["MULTI"], ["MGET", "whole:a", "whole:b"], ["EXEC"]]);
    const [a, b] = replies[2][0];
    assert.equal(a, b, "half a transaction was shown");
    looks++;
  }
  await writing;
  assert.ok(looks > 1);
  await until(async () => (await far.call("GET", "whole:b")) === "200", () => "all is there");
  assert.equal(await near.call("WATCH", "whole:a"), "OK");
  await far.call("INCR", "whole:a");
  await until(async () => (await db.get("whole:a")) === "201", () => "the far change is here");
  assert.equal((await near.pipeline([["MULTI"], ["INCR", "whole:a"], ["EXEC"]]))[2], null);
});

test("a client that leaves in the middle leaves nothing behind", async () => {
  const one = await connection();
  await one.pipeline([["WATCH", "left"], ["MULTI"], ["INCR", "left"]]);
  one.close();
  const two = await connection();
  two.write(Buffer.from("*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$6\r\nleft:2\r\n*1\r\n$4\r\nEXEC\r\n"));
  two.close();
  const three = await connection();
  assert.equal(await three.call("GET", "left"), null);
  assert.equal(await three.call("PING"), "PONG");
});

test("publish and subscribe inside a transaction", async () => {
  const one = await connection();
  const heard = [];
  await one.call("HELLO", "3");
  one.onPush = (push) => heard.push(push);
  const replies = await one.pipeline([["MULTI"], ["PUBLISH", "tx:c", "hi"], ["PING"], ["EXEC"]]);
  assert.deepEqual(replies[3], [0, "PONG"]);
  const redis = ioredis();
  const other = ioredis();
  const messages = [];
  other.on("message", (channel, text) => messages.push(text));
  await other.subscribe("tx:c");
  assert.deepEqual(await redis.multi().publish("tx:c", "there").exec(), [[null, 1]]);
  await until(() => messages.length === 1, () => "the message");
});
