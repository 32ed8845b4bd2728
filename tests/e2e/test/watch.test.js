// SPDX-License-Identifier: Apache-2.0
// Watching a database: MONITOR, the slow log, counts, keyspace notifications, CLIENT LIST; and that
// who watches without reading is let go.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, test } from "../lib/test.js";
import { startDb } from "../lib/db.js";
import { encode } from "../lib/resp.js";
import { until, within } from "../lib/until.js";

let db;

before(async () => {
  db = await startDb({ args: ["--threads", "2"] });
});

after(() => db.stop());

test("MONITOR shows the commands of every client, on every thread, secrets left out", async () => {
  const lines = [];
  const monitor = await db.connect();
  monitor.onReply = (reply) => lines.push(reply);
  monitor.write(encode(["MONITOR"]));
  await until(() => lines[0] === "OK", () => JSON.stringify(lines));
  const clients = await Promise.all(Array.from({ length: 6 }, () => db.connect()));
  for (const [i, client] of clients.entries()) {
    await client.pipeline([["INCR", `m:${i}`], ["SET", `m:${i}`, "5"], ["DEL", `m:${i}`, "x\n\"\\\u0001"]]);
  }
  await clients[0].refusal("AUTH", "secret-word");
  await clients[0].call("PING", "last");
  await until(() => lines.some((line) => line.includes('"last"')), () => lines.join("\n"));
  for (let i = 0; i < 6; i++) {
    const mine = lines.filter((line) => line.includes(`m:${i}`));
    assert.equal(mine.length, 3);
    assert.match(mine[0], /^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "INCR" "m:\d"$/);
    assert.match(mine[2], /"DEL" "m:\d" "x\\n\\"\\\\\\x01"$/);
  }
  assert.ok(!lines.join().includes("secret-word"));
  assert.match(await clients[0].call("CLIENT", "LIST"), /flags=O .*cmd=monitor/);
  monitor.write(encode(["RESET"]));
  await until(() => lines.at(-1) === "RESET", () => lines.at(-1));
  await clients[0].call("PING", "unseen");
  await clients[0].call("PING", "unseen");
  assert.ok(!lines.join().includes("unseen"));
  for (const client of [monitor, ...clients]) client.close();
});

test("a monitor that does not read is closed, and memory does not follow it", async () => {
  const monitor = net.connect(db.port, "127.0.0.1");
  await once(monitor, "connect");
  monitor.pause();
  monitor.on("error", () => {});
  monitor.write(encode(["MONITOR"]));
  const writer = await db.connect();
  await until(async () => /flags=O/.test(await writer.call("CLIENT", "LIST")), () => "a monitor");
  const long = "k".repeat(50_000);
  const round = () => writer.pipeline(Array.from({ length: 100 }, () => ["EXISTS", long]));
  for (let i = 0; i < 30 && /flags=O/.test(await writer.call("CLIENT", "LIST")); i++) await round();
  assert.doesNotMatch(await writer.call("CLIENT", "LIST"), /flags=O/);
  monitor.destroy();
  writer.close();
});

test("slow commands are logged from the threshold on, counted and timed", async () => {
  const connection = await db.connect();
  await connection.call("CONFIG", "SET", "slowlog-log-slower-than", "10000");
  await connection.call("SLOWLOG", "RESET");
  await connection.call("GET", "a");
  assert.equal(await connection.call("SLOWLOG", "LEN"), 0);
  await connection.call("CLIENT", "SETNAME", "slow-one");
  await connection.call("CONFIG", "SET", "slowlog-log-slower-than", "0");
  await connection.pipeline([["GET", "slow:a"], ["SET", "slow:a", "1"], ["KEYS", "nothing*"]]);
  await connection.call("CONFIG", "SET", "slowlog-log-slower-than", "-1");
  const entries = await connection.call("SLOWLOG", "GET");
  const words = entries.map((entry) => entry[3]);
  for (const expected of [["KEYS", "nothing*"], ["SET", "slow:a", "1"], ["GET", "slow:a"]]) {
    assert.ok(words.some((one) => one.join() === expected.join()), JSON.stringify(words));
  }
  assert.equal(entries[0].length, 6);
  assert.equal(entries.find((entry) => entry[3][0] === "GET")[5], "slow-one");
  await connection.call("SLOWLOG", "RESET");
  await connection.call("CONFIG", "RESETSTAT");
  await connection.pipeline([
    ...Array.from({ length: 300 }, () => ["INCR", "slow:n"]),
    ["GADD", "slow:n", "x"],
    ["GET"],
    ["NONSENSE"],
  ]);
  const info = await connection.call("INFO", "everything");
  assert.match(info, /cmdstat_incr:calls=300,.*rejected_calls=0,failed_calls=0/);
  assert.match(info, /cmdstat_gadd:calls=1,usec=\d+,.*failed_calls=1,timed_calls=1/);
  assert.match(info, /cmdstat_get:calls=0,.*rejected_calls=1,failed_calls=0/);
  assert.match(info, /errorstat_ERR:count=2/);
  assert.match(info, /errorstat_WRONGTYPE:count=1/);
  assert.match(info, /total_error_replies:3/);
  assert.doesNotMatch(await connection.call("INFO"), /cmdstat_/);
  connection.close();
});

test("keyspace notifications tell applied changes by Redis's names", async () => {
  const heard = [];
  const listener = await db.connect();
  const writer = await db.connect();
  assert.equal(await writer.call("CONFIG", "SET", "notify-keyspace-events", "KEA"), "OK");
  listener.onReply = (reply) => heard.push(reply.slice(2).join(" "));
  listener.write(encode(["PSUBSCRIBE", "__key*__:*"]));
  await until(() => heard.length === 1, () => "a subscription");
  const told = (what) => until(() => heard.includes(what), () => `${what} among ${heard.join(" | ")}`);
  await writer.call("INCR", "note:a");
  await told("__keyspace@0__:note:a incrby");
  await told("__keyevent@0__:incrby note:a");
  await writer.call("SET", "note:a", "7");
  await told("__keyspace@0__:note:a set");
  await writer.call("GADD", "note:s", "m");
  await told("__keyevent@0__:sadd note:s");
  await writer.call("DEL", "note:a");
  await told("__keyevent@0__:del note:a");
  await writer.call("CONFIG", "SET", "notify-keyspace-events", "Eg");
  const before_ = heard.length;
  await writer.call("INCR", "note:b");
  await writer.call("DEL", "note:b", "note:s");
  await told("__keyevent@0__:del note:s");
  assert.ok(!heard.slice(before_).some((one) => one.includes("incrby") || one.includes("keyspace")));
  assert.equal(await writer.call("CONFIG", "SET", "notify-keyspace-events", ""), "OK");
  listener.close();
  writer.close();
});

test("hostile patterns cost no more than their length times the text's", async () => {
  const connection = await db.connect();
  const key = "a".repeat(60_000);
  await connection.call("INCR", key);
  const pattern = `${"*a".repeat(500)}b`;
  const began = Date.now();
  assert.deepEqual(await within(10_000, "KEYS", connection.call("KEYS", pattern)), []);
  assert.deepEqual(await within(10_000, "KEYS", connection.call("KEYS", `*[${"z".repeat(1000)}]`)), []);
  assert.ok(Date.now() - began < 9000, `${Date.now() - began} ms`);
  assert.match(await connection.refusal("KEYS", "*".repeat(1025)), /pattern is too long/);
  await connection.call("DEL", key);
  connection.close();
});
