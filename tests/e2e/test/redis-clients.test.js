// SPDX-License-Identifier: Apache-2.0
// Clients that people have already, with their defaults: ioredis, node-redis in both protocol
// versions, redis-cli, redis-benchmark. And bytes, cut anywhere.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "../lib/test.js";
import Redis from "ioredis";
import { createClient } from "redis";
import { startDb } from "../lib/db.js";
import { Part, finish } from "../lib/part.js";
import { Connection, encode } from "../lib/resp.js";
import { until, within } from "../lib/until.js";

let db;
const ioredisClients = [];

before(async () => {
  db = await startDb();
});

after(async () => {
  for (const client of ioredisClients) client.disconnect();
  await db.stop();
});

function ioredis() {
  const client = new Redis(db.port, "127.0.0.1", { maxRetriesPerRequest: 1 });
  client.on("error", () => {});
  ioredisClients.push(client);
  return client;
}

async function nodeRedis(RESP) {
  const client = createClient({ url: `redis://127.0.0.1:${db.port}`, RESP });
  client.on("error", () => {});
  await within(5000, `node-redis ${RESP}`, client.connect());
  return client;
}

test("ioredis counts with its defaults", async () => {
  const redis = ioredis();
  await once(redis, "ready");
  assert.equal(await redis.incr("io:a"), 1);
  assert.equal(await redis.incrby("io:a", 41), 42);
  assert.equal(await redis.decr("io:a"), 41);
  assert.equal(await redis.decrby("io:a", 50), -9);
  assert.equal(await redis.get("io:a"), "-9");
  assert.equal(await redis.get("io:none"), null);
  assert.deepEqual(await redis.mget("io:a", "io:none", "io:a"), ["-9", null, "-9"]);
  assert.equal(await redis.set("io:b", 7), "OK");
  assert.equal(await redis.incr("io:b"), 8);
  assert.equal(await redis.exists("io:a", "io:b", "io:none", "io:a"), 3);
  assert.equal(await redis.type("io:a"), "string");
  assert.equal(await redis.type("io:none"), "none");
  assert.equal(await redis.del("io:a", "io:none"), 1);
  assert.equal(await redis.get("io:a"), null);
  assert.equal(await redis.incr("io:a"), 1);
  assert.equal(await redis.unlink("io:a"), 1);
});

test("ioredis: sets, a pipeline, an error inside it, scan as a stream", async () => {
  const redis = ioredis();
  assert.equal(await redis.call("GADD", "io:set", "x", "y", "x"), 2);
  assert.equal(await redis.scard("io:set"), 2);
  assert.deepEqual((await redis.smembers("io:set")).sort(), ["x", "y"]);
  assert.equal(await redis.sismember("io:set", "x"), 1);
  assert.deepEqual(await redis.smismember("io:set", "x", "z"), [1, 0]);
  const results = await redis
    .pipeline()
    .incr("io:p")
    .incr("io:set")
    .incr("io:p")
    .get("io:p")
    .exec();
  assert.match(results[1][0].message, /^WRONGTYPE/);
  assert.deepEqual([results[0][1], results[2][1], results[3][1]], [1, 2, "2"]);
  const wanted = new Set();
  const pipeline = redis.pipeline();
  for (let i = 0; i < 500; i++) {
    wanted.add(`io:scan:${i}`);
    pipeline.incr(`io:scan:${i}`);
  }
  await pipeline.exec();
  const found = [];
  for await (const keys of redis.scanStream({ match: "io:scan:*", count: 50 })) found.push(...keys);
  assert.deepEqual(new Set(found), wanted);
  assert.equal(found.length, wanted.size, "a key was given twice");
});

test("ioredis: publish reaches subscribers and pattern subscribers", async () => {
  const [subscriber, publisher] = [ioredis(), ioredis()];
  const heard = [];
  subscriber.on("message", (channel, text) => heard.push(["message", channel, text]));
  subscriber.on("pmessage", (pattern, channel, text) => heard.push([pattern, channel, text]));
  assert.equal(await subscriber.subscribe("news", "other"), 2);
  assert.equal(await subscriber.psubscribe("n?ws", "x*"), 4);
  assert.equal(await publisher.publish("news", "one"), 2);
  assert.equal(await publisher.publish("nobody", "two"), 0);
  assert.deepEqual((await publisher.pubsub("CHANNELS")).sort(), ["news", "other"]);
  await until(() => heard.length === 2, () => `two messages, are ${JSON.stringify(heard)}`);
  assert.deepEqual(heard.sort(), [
    ["message", "news", "one"],
    ["n?ws", "news", "one"],
  ]);
  assert.equal(await subscriber.unsubscribe("news"), 3);
  assert.equal(await subscriber.punsubscribe("n?ws", "x*"), 1);
  assert.equal(await publisher.publish("news", "three"), 0);
});

test("ioredis: a transaction, MONITOR, and a connection that was ended is opened anew", async () => {
  const client = ioredis();
  assert.deepEqual(await client.multi().incr("tx:a").incrby("tx:a", 4).get("tx:a").exec(), [
    [null, 1],
    [null, 5],
    [null, "5"],
  ]);
  const monitor = await client.monitor();
  const seen = [];
  monitor.on("monitor", (time, args) => seen.push(args.join(" ")));
  await client.incr("tx:seen");
  await until(() => seen.some((line) => /^incr tx:seen$/i.test(line)), () => seen.join("\n"));
  monitor.disconnect();
  const reconnected = once(client, "ready");
  await db.call("CLIENT", "KILL", "ID", String(await client.client("ID")));
  await within(10_000, "a new connection", reconnected);
  assert.equal(await client.incr("tx:a"), 6);
});

test("node-redis: a connection that was ended is opened anew, subscriptions too", async () => {
  const client = await nodeRedis(2);
  const listener = await nodeRedis(3);
  const heard = [];
  try {
    await listener.subscribe("nr:again", (text) => heard.push(text));
    assert.deepEqual(await client.multi().incr("nr:tx").incrBy("nr:tx", 2).exec(), [1, 3]);
    for (const one of [client, listener]) {
      const reconnected = new Promise((resolve) => one.once("ready", resolve));
      const lines = await db.call("CLIENT", "LIST");
      const flag = one === listener ? "P" : "N";
      const line = lines.split("\n").find((text) => text.includes(`flags=${flag}`) && text.includes("node-redis"));
      await db.call("CLIENT", "KILL", "ADDR", /addr=(\S+)/.exec(line)[1]);
      await within(10_000, "a new connection", reconnected);
    }
    assert.equal(await client.incr("nr:tx"), 4);
    await until(async () => (await client.publish("nr:again", "hello")) === 1 && heard.length, () => `${heard}`);
  } finally {
    client.destroy();
    listener.destroy();
  }
});

for (const RESP of [2, 3]) {
  test(`node-redis over RESP${RESP}`, async () => {
    const client = await nodeRedis(RESP);
    const key = `nr:${RESP}`;
    try {
      assert.equal(await client.incr(key), 1);
      assert.equal(await client.incrBy(key, 9), 10);
      assert.equal(await client.decr(key), 9);
      assert.equal(await client.get(key), "9");
      assert.deepEqual(await client.mGet([key, "nr:none"]), ["9", null]);
      assert.equal(await client.set(key, "100"), "OK");
      assert.deepEqual(await client.multi().incr(key).incr(key).execAsPipeline(), [101, 102]);
      assert.equal(await client.exists(key), 1);
      assert.equal(await client.type(key), "string");
      assert.equal(await client.sendCommand(["GADD", `${key}:s`, "m"]), 1);
      assert.equal(await client.sCard(`${key}:s`), 1);
      const members = await client.sMembers(`${key}:s`);
      assert.deepEqual([...members], ["m"]);
      assert.ok(Number(await client.dbSize()) > 0);
      const found = [];
      for await (const keys of client.scanIterator({ MATCH: `${key}*` })) found.push(...keys);
      assert.deepEqual(found.sort(), [key, `${key}:s`]);
      assert.match(await client.info("server"), /redis_version:7/);
      const other = client.duplicate();
      other.on("error", () => {});
      await other.connect();
      const heard = [];
      await other.subscribe(`${key}:c`, (text, channel) => heard.push([channel, text]));
      await other.pSubscribe("nr:*:c", (text, channel) => heard.push(["p", channel, text]));
      assert.equal(await client.publish(`${key}:c`, "hello"), 2);
      await until(() => heard.length === 2, () => JSON.stringify(heard));
      await other.close();
      assert.equal(await client.del([key, `${key}:s`]), 2);
    } finally {
      await client.close();
    }
  });
}

async function redisCli(...args) {
  const { code, stdout, stderr } = await finish(["-p", String(db.port), ...args], {
    program: "redis-cli",
    ms: 20_000,
  });
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

test("redis-cli: single commands, RESP3, --scan, --stat, inline piping", async () => {
  assert.equal(await redisCli("INCR", "cli:a"), "1");
  assert.equal(await redisCli("-3", "INCRBY", "cli:a", "5"), "6");
  assert.equal(await redisCli("GET", "cli:a"), "6");
  assert.equal(await redisCli("PING"), "PONG");
  assert.equal(await redisCli("ECHO", "a b"), "a b");
  assert.match(await redisCli("INFO"), /quipu_version:/);
  assert.equal(await redisCli("--scan", "--pattern", "cli:*"), "cli:a");
  assert.match(await redisCli("GET", "cli:b"), /^$/);
  assert.match(await redisCli("NONSENSE", "x"), /unknown command 'NONSENSE'/);
  const stat = new Part(["-p", String(db.port), "--stat", "-i", "0.01"], { program: "redis-cli" });
  await stat.says(/keys\s+mem[\s\S]*\n\d+/, 10_000, "stdout");
  await stat.kill();
});

test("redis-cli, interactive: its COMMAND DOCS and its help", async () => {
  const { stdout } = await finish(["-p", String(db.port)], {
    program: "redis-cli",
    input: "INCR cli:typed\nGET cli:typed\n",
  });
  assert.match(stdout, /1[\s\S]*1/);
});

test("redis-cli --pipe loads a thousand commands", async () => {
  const input = Buffer.concat(
    Array.from({ length: 1000 }, (_, i) => encode(["INCRBY", `pipe:${i % 10}`, "2"])),
  );
  const { stdout, stderr } = await finish(["-p", String(db.port), "--pipe"], {
    program: "redis-cli",
    input,
  });
  assert.match(stdout + stderr, /errors: 0, replies: 1000/);
  assert.equal(await db.get("pipe:3"), "200");
});

// Its SET writes text, which a database of counters refuses; everything else of it that concerns
// counters runs as it is.
test("redis-benchmark runs with its defaults and counts exactly", async () => {
  const { code, stdout } = await finish(
    ["-p", String(db.port), "-t", "ping,get,incr", "-n", "20000", "-q"],
    { program: "redis-benchmark" },
  );
  assert.equal(code, 0);
  assert.match(stdout, /INCR: [\d.]+ requests per second/);
  assert.doesNotMatch(stdout, /rror/);
  assert.equal(await db.get("counter:__rand_int__"), "20000");
  const piped = await finish(
    ["-p", String(db.port), "-3", "-P", "32", "-c", "20", "-n", "32000", "-q", "INCR", "bench:own"],
    { program: "redis-benchmark" },
  );
  assert.doesNotMatch(piped.stdout, /rror/);
  assert.equal(await db.get("bench:own"), "32000");
});

// A conversation that touches every kind of reply.
const conversation = [
  ["DEL", "cut:a", "cut:s"],
  ["INCR", "cut:a"],
  ["INCRBY", "cut:a", "1234567890123"],
  ["GET", "cut:a"],
  ["MGET", "cut:a", "cut:none", "cut:a"],
  ["GADD", "cut:s", "m"],
  ["SMEMBERS", "cut:s"],
  ["INCR", "cut:s"],
  ["NOSUCH", "x", "y"],
  ["SET", "cut:a", "9"],
  ["DECRBY", "cut:a", "10"],
  ["EXISTS", "cut:a", "cut:none"],
  ["TYPE", "cut:a"],
  ["PING"],
  ["ECHO", "with\r\nline end"],
  ["DEL", "cut:a", "cut:s"],
];

async function repliesTo(pieces) {
  const connection = await Connection.open(db.port);
  const replies = [];
  const all = new Promise((resolve) => {
    connection.onReply = (reply) => {
      replies.push(reply instanceof Error ? `-${reply.message}` : reply);
      if (replies.length === conversation.length) resolve();
    };
  });
  for (const piece of pieces) {
    connection.write(piece);
    // A write of its own: the next piece waits until this one has left.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await within(10_000, "all replies", all);
  connection.close();
  return replies;
}

test("any split of the bytes gives the same replies", async () => {
  const bytes = Buffer.concat(conversation.map(encode));
  const whole = await repliesTo([bytes]);
  assert.deepEqual(whole.slice(1, 4), [1, 1234567890124, "1234567890124"]);
  assert.match(whole[7], /^-WRONGTYPE/);
  assert.match(whole[8], /^-ERR unknown command 'NOSUCH'/);
  for (let at = 1; at < bytes.length; at += 1) {
    assert.deepEqual(await repliesTo([bytes.subarray(0, at), bytes.subarray(at)]), whole, `cut ${at}`);
  }
  const single = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
  assert.deepEqual(await repliesTo(single), whole, "byte by byte");
});

test("inline commands work as typed", async () => {
  const connection = await Connection.open(db.port);
  const replies = [];
  connection.onReply = (reply) => replies.push(reply);
  connection.write("INCR typed\r\n\r\nINCRBY typed 4\nECHO \"a \\x41\"\r\n");
  await until(() => replies.length === 3, () => JSON.stringify(replies));
  assert.deepEqual(replies, [1, 5, "a A"]);
  connection.close();
});

test("a connection's commands run in order, whichever thread does them", async () => {
  const connection = await Connection.open(db.port);
  const commands = [];
  const expected = [];
  for (let i = 0; i < 200; i++) {
    commands.push(["SET", "order", String(i)], ["INCR", "order"], ["GET", "order"]);
    expected.push("OK", i + 1, String(i + 1));
    if (i % 10 === 0) {
      commands.push(["DEL", "order"], ["GET", "order"], ["EXISTS", "order"]);
      expected.push(1, null, 0);
    }
  }
  assert.deepEqual(await connection.pipeline(commands), expected);
  connection.close();
});

test("HELLO, CLIENT, CONFIG, COMMAND and SELECT answer as tools expect", async () => {
  const connection = await Connection.open(db.port);
  const hello = await connection.call("HELLO", "3", "SETNAME", "tool");
  assert.equal(hello.proto, 3);
  assert.equal(typeof hello.id, "number");
  assert.deepEqual(hello.modules, []);
  assert.equal(await connection.call("CLIENT", "GETNAME"), "tool");
  assert.equal(await connection.call("CLIENT", "ID"), hello.id);
  assert.match(await connection.call("CLIENT", "INFO"), /name=tool/);
  assert.match(await connection.call("CLIENT", "LIST"), /id=\d+/);
  assert.equal(await connection.call("CLIENT", "SETINFO", "LIB-NAME", "x"), "OK");
  assert.ok((await connection.call("COMMAND", "COUNT")) > 30);
  assert.ok((await connection.call("COMMAND", "LIST")).includes("incr"));
  assert.equal(await connection.call("SELECT", "0"), "OK");
  assert.match(await connection.refusal("SELECT", "1"), /^ERR/);
  assert.match(await connection.refusal("HELLO", "4"), /^NOPROTO/);
  assert.match(await connection.refusal("CLIENT", "MAINT_NOTIFICATIONS", "ON"), /^ERR/);
  const save = await connection.call("CONFIG", "GET", "save");
  assert.ok("save" in save || Object.keys(save).length <= 1);
  assert.equal(await connection.call("RESET"), "RESET");
  assert.equal(await connection.call("FUNCTION", "FLUSH"), "OK");
  assert.equal((await connection.call("TIME")).length, 2);
  connection.close();
});

test("FLUSHALL empties, DBSIZE follows", async () => {
  const connection = await Connection.open(db.port);
  await connection.pipeline(Array.from({ length: 100 }, (_, i) => ["INCR", `flush:${i}`]));
  assert.ok((await connection.call("DBSIZE")) >= 100);
  assert.equal(await connection.call("FLUSHALL"), "OK");
  assert.equal(await connection.call("DBSIZE"), 0);
  assert.equal(await connection.call("GET", "flush:1"), null);
  assert.equal(await connection.call("INCR", "flush:1"), 1);
  connection.close();
});
