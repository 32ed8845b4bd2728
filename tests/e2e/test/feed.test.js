// SPDX-License-Identifier: Apache-2.0
// QUIPU.FEED: the change stream with owner, sequence and vector, from now on or from a token, in
// both protocols; and WAIT.
import assert from "node:assert/strict";
import net from "node:net";
import { once } from "node:events";
import { after, before, test } from "../lib/test.js";
import { Cluster } from "../lib/db.js";
import { encode } from "../lib/resp.js";
import { until } from "../lib/until.js";

let cluster;

before(async () => {
  cluster = await Cluster.start(2, { args: ["--threads", "2"] });
});

after(() => cluster.stop());

const [first, second] = [0, 1].map((i) => ({
  get db() {
    return cluster.dbs[i];
  },
}));

async function feed(db, ...options) {
  const connection = await db.connect();
  await connection.call("HELLO", "3");
  assert.equal(await connection.call("QUIPU.FEED", ...options), "OK");
  connection.changes = () =>
    connection.pushes.filter((push) => push[1] === "change").map((push) => push[2]);
  connection.token = () => connection.pushes.findLast((push) => push[1] === "vector")?.[2];
  return connection;
}

test("changes of every replica come with owner and sequence, then the vector", async () => {
  const reader = await feed(first.db, "MATCH", "feed:*");
  await first.db.call("INCR", "feed:a");
  await second.db.call("INCRBY", "feed:a", "5");
  await second.db.call("INCR", "other");
  const has = (text) => () => JSON.stringify(reader.changes()).includes(text);
  await until(has('"owner":"r1"'), () => JSON.stringify(reader.pushes));
  await until(has('"owner":"r2"'), () => JSON.stringify(reader.pushes));
  const last = reader.changes().at(-1);
  assert.equal(last.key, "feed:a");
  assert.equal(last.type, "counter");
  assert.equal(last.op, "add");
  assert.equal(last.value, 6);
  assert.match(last.incarnation, /^[0-9a-f]{32}$/);
  assert.ok(last.sequence > 0);
  await first.db.call("DEL", "feed:a");
  await until(has('"op":"reset"'), () => JSON.stringify(reader.changes()));
  await first.db.call("SADD", "feed:s", "m");
  await until(has('"member":"m"'), () => JSON.stringify(reader.changes()));
  await first.db.call("PRESENCE.SET", "feed:p", "node", "3", "60000");
  await until(has('"op":"presence"'), () => JSON.stringify(reader.changes()));
  assert.ok(!reader.changes().some((change) => change.key === "other"));
  await until(() => reader.token(), () => "a vector");
  assert.equal(await first.db.call("QUIPU.WAIT", reader.token(), "5000"), 1);
  assert.equal(await reader.call("INCR", "feed:mine"), 1); // commands go on beside it
  assert.match(await reader.refusal("QUIPU.FEED"), /has a feed/);
  assert.equal(await reader.call("QUIPU.FEED", "OFF"), "OK");
  const seen = reader.pushes.length;
  await first.db.call("INCR", "feed:unseen");
  await first.db.call("QUIPU.TOKEN");
  await reader.call("PING");
  assert.ok(!JSON.stringify(reader.pushes.slice(seen)).includes("unseen"));
  await reader.close();
});

test("from a token on, everything that came after it is told, and nothing from before", async () => {
  await first.db.call("INCR", "since:old");
  const token = await first.db.call("QUIPU.TOKEN");
  for (let i = 0; i < 500; i++) await first.db.call("INCR", `since:${i % 50}`);
  await second.db.call("INCR", "since:far");
  await cluster.converged();
  const reader = await feed(first.db, "SINCE", token, "MATCH", "since:*");
  await until(() => reader.token(), () => "a vector");
  const keys = new Set(reader.changes().map((change) => change.key));
  assert.equal(keys.size, 51);
  assert.ok(!keys.has("since:old"));
  const again = await feed(second.db, "SINCE", reader.token());
  await first.db.call("INCR", "since:new");
  await until(() => again.changes().length >= 1, () => "a change");
  assert.deepEqual(again.changes().map((change) => change.key), ["since:new"]);
  const bad = await first.db.connect();
  assert.match(await bad.refusal("QUIPU.FEED", "SINCE", "q1-00"), /not a token/);
  assert.match(await bad.refusal("QUIPU.FEED", "SINCE"), /syntax/);
  for (const connection of [reader, again, bad]) connection.close();
});

test("RESP2 gets the same as messages of quipu:feed", async () => {
  const reader = await first.db.connect();
  const heard = [];
  reader.onReply = (reply) => heard.push(reply);
  reader.write(encode(["QUIPU.FEED", "MATCH", "two:*"]));
  await until(() => heard.length === 1, () => "subscribed");
  assert.deepEqual(heard[0], ["subscribe", "quipu:feed", 1]);
  await first.db.call("INCR", "two:a");
  await until(() => heard.length >= 3, () => JSON.stringify(heard));
  const [kind, channel, text] = heard[1];
  assert.deepEqual([kind, channel], ["message", "quipu:feed"]);
  const change = JSON.parse(text);
  assert.equal(change.key, "two:a");
  assert.equal(change.value, 1);
  assert.equal(change.owner, "r1");
  assert.match(JSON.parse(heard[2][2]).vector, /^q1-/);
  reader.write(encode(["GET", "two:a"]));
  await until(() => heard.some((one) => /only \(P\|S\)SUBSCRIBE/.test(one.message)), () => "refused");
  reader.write(encode(["QUIPU.FEED", "OFF"]));
  reader.write(encode(["GET", "two:a"]));
  await until(() => heard.at(-1) === "1", () => JSON.stringify(heard.at(-1)));
  reader.close();
});

test("a reader that does not read costs no memory, is not closed, and misses nothing", async () => {
  const slow = net.connect(first.db.port, "127.0.0.1");
  slow.on("error", () => {});
  await once(slow, "connect");
  slow.write(encode(["HELLO", "3"]));
  slow.write(encode(["QUIPU.FEED", "MATCH", "slow:*"]));
  await new Promise((resolve) => slow.once("data", resolve));
  slow.pause();
  const writer = await first.db.connect();
  const before_ = Number((await first.db.info()).used_memory_rss);
  const long = "k".repeat(1000);
  for (let round = 0; round < 120; round++) {
    await writer.pipeline(Array.from({ length: 500 }, (_, i) => ["INCR", `slow:${long}:${i}`]));
    await writer.call("QUIPU.TOKEN");
  }
  await writer.call("INCR", "slow:last");
  const grown = Number((await first.db.info()).used_memory_rss) - before_;
  assert.ok(grown < 24e6, `${grown} bytes`);
  let text = "";
  slow.on("data", (chunk) => (text = (text + chunk).slice(-200_000)));
  slow.resume();
  await until(() => text.includes("slow:last"), () => text.slice(-500), 20_000);
  slow.destroy();
  writer.close();
});

test("WAIT counts the members that durably have what was written", async () => {
  const connection = await first.db.connect();
  await connection.call("INCR", "wait:a");
  assert.equal(await connection.call("WAIT", "1", "5000"), 1);
  assert.equal(await second.db.get("wait:a"), "1");
  await cluster.cut(0);
  await connection.call("INCR", "wait:a");
  const began = Date.now();
  assert.equal(await connection.call("WAIT", "1", "200"), 0);
  assert.ok(Date.now() - began >= 150);
  const waiting = connection.call("WAIT", "1", "0");
  await cluster.heal(0);
  assert.equal(await waiting, 1);
  assert.match(await connection.refusal("WAIT", "1", "-1"), /timeout is negative/);
  assert.match(await connection.refusal("WAIT", "x", "1"), /not an integer/);
  connection.close();
});
