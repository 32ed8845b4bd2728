// SPDX-License-Identifier: Apache-2.0
// What a database does at its bounds: too many clients, no descriptor left, memory full, clients
// that do not read, say nothing or come from elsewhere. It says so, goes on, and comes back.
import assert from "node:assert/strict";
import fs from "node:fs";
import { once } from "node:events";
import net from "node:net";
import os from "node:os";
import { test } from "../lib/test.js";
import { Cluster, Db, startDb } from "../lib/db.js";
import { Part, finish } from "../lib/part.js";
import { temporaryFile } from "../lib/place.js";
import { Connection, encode } from "../lib/resp.js";
import { until, within } from "../lib/until.js";

const rss = (db) => Number(fs.readFileSync(`/proc/${db.part.pid}/statm`, "utf8").split(" ")[1]) * 4096;
const ticks = (db) => {
  const fields = fs.readFileSync(`/proc/${db.part.pid}/stat`, "utf8").split(" ");
  return Number(fields[13]) + Number(fields[14]);
};
const closing = (socket) => new Promise((resolve) => socket.once("close", resolve));
const sleepTurn = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test("one client too many is told so, and taken when another leaves", async () => {
  const db = await startDb({ args: ["--maxclients", "3"] });
  const clients = [await db.connect(), await db.connect(), await db.connect()];
  for (const client of clients) assert.equal(await client.call("PING"), "PONG");
  const refused = await db.connect();
  await within(5000, "it is closed", refused.closed);
  assert.equal(refused.pushes[0].message, "ERR max number of clients reached");
  assert.equal(await clients[0].call("CONFIG", "SET", "maxclients", "4"), "OK");
  const taken = await db.connect();
  assert.equal(await taken.call("PING"), "PONG");
  taken.close();
  for (const client of clients) client.close();
  await until(async () => (await db.info()).rejected_connections >= 1, () => "it is counted");
  await db.stop();
});

test("without a descriptor left it waits instead of spinning, and serves those it has", async () => {
  const db = new Db();
  const program = "/usr/bin/prlimit";
  db.part = new Part(["--nofile=90:90", process.env.QUIPU || "../../build/release/quipu", ...db.commandLine()], { program });
  await db.ready();
  await db.part.says(/maxclients is \d+: the system gives this process 90 descriptors/);
  const good = await db.connect();
  assert.equal(await good.call("PING"), "PONG");
  const sockets = Array.from({ length: 150 }, () => net.connect({ port: db.port, host: "127.0.0.1" }));
  for (const socket of sockets) socket.on("error", () => {});
  await sleepTurn(300);
  const before = ticks(db);
  await sleepTurn(1000);
  assert.ok(ticks(db) - before < 20, `${ticks(db) - before} ticks of CPU in a second`);
  assert.equal(await good.call("PING"), "PONG");
  for (const socket of sockets) socket.destroy();
  await until(() => db.call("PING").then((answer) => answer === "PONG", () => false), () => "it takes new ones again");
  good.close();
  await db.stop();
});

const fill = async (connection, prefix, count) => {
  const replies = [];
  for (let i = 0; i < count; i += 2000) {
    const commands = Array.from({ length: 2000 }, (_, j) => ["INCR", `${prefix}:${i + j}`]);
    replies.push(...(await connection.pipeline(commands)));
  }
  return replies;
};

test("at maxmemory nothing new is made, all else goes on, and room brings it back", async () => {
  const db = await startDb();
  const connection = await db.connect();
  await fill(connection, "first", 10000);
  const { used_memory } = await db.info();
  const max = Number(used_memory) + (8 << 20);
  assert.equal(await connection.call("CONFIG", "SET", "maxmemory", String(max)), "OK");
  const replies = await fill(connection, "more", 300_000);
  const refused = replies.filter((reply) => reply instanceof Error);
  assert.ok(refused.length > 50_000, `${refused.length} refused`);
  assert.equal(refused[0].message, "OOM command not allowed when used memory > 'maxmemory'.");
  const info = await db.info();
  assert.equal(info.maxmemory, String(max));
  assert.equal(info.maxmemory_reached, "1");
  assert.ok(Number(info.used_memory) < max + (8 << 20), `${info.used_memory} of ${max}`);
  assert.equal(await connection.call("INCR", "first:1"), 2);
  assert.equal(await connection.call("GET", "first:2"), "1");
  assert.match(await connection.refusal("SET", "another", "1"), /^OOM/);
  assert.match(await connection.refusal("GADD", "set", "m"), /^OOM/);
  await db.part.says(/memory is at maxmemory/);
  await connection.call("FLUSHALL");
  await until(
    () => connection.call("INCR", "again").then(() => true, () => false),
    async () => `room again: ${(await db.info()).used_memory} of ${max}`,
    30_000,
  );
  connection.close();
  await db.stop();
});

test("a full replica still takes what its peers have counted", async () => {
  const cluster = await Cluster.start(2);
  const [a, b] = cluster.dbs;
  await a.call("INCR", "here");
  await cluster.agree("1", "GET", "here");
  await b.call("CONFIG", "SET", "maxmemory", "1000");
  let tries = 0;
  const isFull = () => b.call("INCR", `new:${tries++}`).then(() => false, (error) => /^OOM/.test(error.message));
  await until(isFull, () => "b is full");
  await a.call("INCRBY", "there", "5");
  await a.call("INCR", "here");
  await cluster.agree("5", "GET", "there");
  await cluster.agree("2", "GET", "here");
  assert.equal(await b.call("INCR", "there"), 6);
  await cluster.agree("6", "GET", "there");
  for (const db of cluster.dbs) await db.stop();
});

test("memory does not follow a client that does not read", async () => {
  const db = await startDb({ args: ["--client-output-buffer-limit", "normal 1mb 0 0 pubsub 1mb 64kb 2"] });
  const setter = await db.connect();
  const greedy = net.connect({ port: db.port, host: "127.0.0.1" });
  greedy.on("error", () => {});
  await once(greedy, "connect");
  greedy.pause();
  const before = rss(db);
  const command = encode(["ECHO", "x".repeat(100_000)]);
  const ended = closing(greedy);
  for (let i = 0; i < 2000 && !greedy.destroyed; i++) {
    if (!greedy.write(command)) await Promise.race([new Promise((resolve) => greedy.once("drain", resolve)), ended, sleepTurn(50)]);
    if (i % 50 === 0) assert.ok(rss(db) - before < 24 << 20, `${rss(db) - before} bytes more`);
  }
  greedy.resume();
  await within(10_000, "it is closed", ended);
  // A subscriber below the hard bound is closed after the soft one's time.
  const deaf = net.connect({ port: db.port, host: "127.0.0.1" });
  deaf.on("error", () => {});
  deaf.write(encode(["SUBSCRIBE", "c"]));
  await once(deaf, "data");
  deaf.pause();
  const text = "x".repeat(50_000);
  const gone = async () => (await setter.call("PUBLISH", "c", text)) === 0;
  await until(gone, () => "the subscriber is closed", 20_000);
  assert.ok(rss(db) - before < 24 << 20);
  deaf.destroy();
  setter.close();
  await db.stop();
});

test("silent clients are closed after timeout, subscribers are not", async () => {
  const db = await startDb({ args: ["--timeout", "1"] });
  const [silent, listener, busy] = [await db.connect(), await db.connect(), await db.connect()];
  await listener.call("SUBSCRIBE", "c");
  const timer = setInterval(() => busy.call("PING").catch(() => {}), 200);
  await within(10_000, "the silent one is closed", silent.closed);
  assert.equal(await busy.call("PUBLISH", "c", "x"), 1);
  clearInterval(timer);
  for (const one of [listener, busy]) one.close();
  await db.stop();
});

test("a request that trickles before AUTH holds little, and ends at its bound", async () => {
  const db = await startDb({ args: ["--requirepass", "secret"] });
  const before = rss(db);
  const sockets = Array.from({ length: 500 }, () => net.connect({ port: db.port, host: "127.0.0.1" }));
  for (const socket of sockets) {
    socket.on("error", () => {});
    socket.write("*2\r\n$4\r\nAUTH\r\n$10000000\r\n");
    socket.write("x".repeat(60_000));
  }
  await sleepTurn(500);
  assert.ok(rss(db) - before < 500 * 100_000 + (8 << 20), `${rss(db) - before} bytes`);
  const closed = Promise.all(sockets.map((socket) => closing(socket.resume())));
  for (const socket of sockets) socket.write("x".repeat(100_000));
  await within(20_000, "they are closed", closed);
  const good = await db.connect();
  assert.equal(await good.call("AUTH", "secret"), "OK");
  good.close();
  await db.stop();
});

const elsewhere = () =>
  Object.values(os.networkInterfaces()).flat().find((one) => one.family === "IPv4" && !one.internal)?.address;

test("protected mode lets in from elsewhere only who has a password", async (t) => {
  const host = elsewhere();
  if (!host) return t.skip("no other address here");
  const secret = temporaryFile("secret", "0123456789abcdef0123456789abcdef");
  const db = new Db({ args: ["--secret-file", secret, "--listen", "0.0.0.0:0"] });
  await db.start();
  const remote = await Connection.open(db.port, host);
  assert.match(await remote.refusal("GET", "a"), /^DENIED quipu runs in protected mode/);
  assert.match(await remote.refusal("AUTH", "default", "x"), /^DENIED/);
  assert.equal(await db.call("INCR", "a"), 1); // from here
  await db.call("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all");
  assert.equal(await remote.call("AUTH", "app", "pw"), "OK");
  assert.equal(await remote.call("GET", "a"), "1");
  remote.close();
  await db.call("CONFIG", "SET", "protected-mode", "no");
  const open = await Connection.open(db.port, host);
  assert.equal(await open.call("GET", "a"), "1");
  open.close();
  await db.stop();
});

test("limits are told with what happens past them", async () => {
  const { code, stdout } = await finish(["db", "--limits"]);
  assert.equal(code, 0);
  for (const text of [/clients, at most --maxclients +10000 by default +refused with an error/, /maxmemory \(no new key/])
    assert.match(stdout, text);
  for (const [name, value, text] of [
    ["maxmemory", "lots", /--maxmemory lots: argument must be a memory value/],
    ["client-output-buffer-limit", "normal 1", /--client-output-buffer-limit normal 1: Wrong number/],
  ]) {
    const refused = await finish(["db", "--replica", "r", "--data", "/tmp/quipu-test-never", `--${name}`, value]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, text);
  }
});
