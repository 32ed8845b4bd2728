// SPDX-License-Identifier: Apache-2.0
// What a database is sent and started with by mistake or by malice: each has a clear error, the
// process lives, nothing is lost.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, before, test } from "../lib/test.js";
import { Db, startDb } from "../lib/db.js";
import { finish } from "../lib/part.js";
import { temporaryDirectory } from "../lib/place.js";
import { Connection, encode } from "../lib/resp.js";
import { until, within } from "../lib/until.js";

let db;
let canary;

before(async () => {
  db = await startDb();
  canary = await db.connect();
  await canary.call("INCRBY", "canary", "100");
});

after(async () => {
  assert.equal(await canary.call("GET", "canary"), "100");
  canary.close();
  await db.stop();
});

// What comes back until the server closes, or until `ms` are over while it stays open.
async function answerTo(bytes) {
  const socket = net.connect({ port: db.port, host: "127.0.0.1" }).unref();
  socket.on("error", () => {});
  await within(5000, "a connection", once(socket, "connect"));
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk) => (text += chunk));
  const closed = once(socket, "close");
  for (const piece of [bytes].flat()) socket.write(piece);
  await within(10_000, `the close after ${JSON.stringify(String(bytes).slice(0, 60))}`, closed);
  return text;
}

const wrong = {
  "a count of 2^31": "*2147483648\r\n",
  "a count of 2^63": "*9223372036854775808\r\n",
  "a count that is no number": "*abc\r\n",
  "a bulk length of 2^31": "*2\r\n$3\r\nGET\r\n$2147483648\r\n",
  "a bulk length of 2^64": "*2\r\n$3\r\nGET\r\n$18446744073709551616\r\n",
  "a negative bulk length": "*2\r\n$3\r\nGET\r\n$-1\r\n",
  "no dollar": "*2\r\n$3\r\nGET\r\n:5\r\n",
  "a bulk longer than said": "*1\r\n$4\r\nPINGPONG\r\n",
  "a line that does not end": "*".padEnd(70_000, "1"),
  "an inline command that does not end": "x".repeat(70_000 * 2),
  "unbalanced quotes": 'GET "x\r\n',
};

for (const [name, bytes] of Object.entries(wrong)) {
  test(`wrong RESP is answered with a protocol error, then closed: ${name}`, async () => {
    assert.match(await answerTo(bytes), /^-ERR Protocol error: /);
    assert.equal(await canary.call("PING"), "PONG");
  });
}

test("a count of nothing, or less, is an empty request, as in Redis", async () => {
  const connection = await db.connect();
  connection.write("*0\r\n*-5\r\n\r\n");
  assert.equal(await connection.call("PING"), "PONG");
  connection.close();
});

test("binary noise closes that connection only", async () => {
  let state = 12345;
  for (let round = 0; round < 50; round++) {
    const noise = Buffer.from(Array.from({ length: 4000 }, () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16));
    const socket = net.connect({ port: db.port, host: "127.0.0.1" }).unref();
    socket.on("error", () => {});
    await within(5000, "a connection", once(socket, "connect"));
    socket.end(noise);
    socket.resume();
    await within(10_000, "the close", once(socket, "close"));
  }
  assert.equal(await canary.call("PING"), "PONG");
});

test("keys are bytes up to 65,535; one more is refused and the connection goes on", async () => {
  const longest = "k".repeat(65_535);
  assert.equal(await canary.call("INCR", longest), 1);
  assert.equal(await canary.call("GET", longest), "1");
  for (const command of [["INCR"], ["GET"], ["DEL"], ["SET", 1], ["GADD", "m"], ["EXISTS"], ["TYPE"]]) {
    const [name, ...rest] = command;
    const [reply] = await canary.pipeline([[name, `${longest}x`, ...rest]]);
    if (reply instanceof Error) assert.match(reply.message, /^ERR/);
    else assert.ok(reply === null || reply === 0 || reply === "none", `${name}: ${reply}`);
  }
  assert.match(await canary.refusal("INCR", `${longest}x`), /too long|65,?535/);
  assert.match(await canary.refusal("GADD", "bad:set", `${longest}x`), /too long|65,?535/);
  assert.equal(await canary.call("DEL", longest), 1);
});

test("keys that are not UTF-8, empty, or full of NULs are ordinary keys", async () => {
  for (const key of [Buffer.from([0xff, 0xfe, 0x00, 0x80]), Buffer.alloc(0), Buffer.alloc(9), Buffer.from("a\r\nb")]) {
    assert.equal(await canary.call("INCR", key), 1);
    assert.equal(await canary.call("INCR", key), 2);
    assert.equal(await canary.call("DEL", key), 1);
  }
});

test("overflow is an error that changes nothing", async () => {
  const largest = 2n ** 59n;
  assert.match(await canary.refusal("INCRBY", "over", "9223372036854775808"), /^ERR value is not an integer/);
  assert.match(await canary.refusal("INCRBY", "over", "1.5"), /^ERR value is not an integer/);
  assert.match(await canary.refusal("DECRBY", "over", "-9223372036854775808"), /^ERR/);
  assert.match(await canary.refusal("INCRBY", "over", "9223372036854775807"), /^ERR/);
  assert.equal(await canary.call("GET", "over"), null);
  await canary.call("INCRBY", "over", String(largest - 1n));
  assert.match(await canary.refusal("INCRBY", "over", String(largest / 2n)), /^ERR/);
  assert.equal(await canary.call("GET", "over"), String(largest - 1n));
  assert.equal(await canary.call("SET", "over", "9223372036854775807"), "OK");
  assert.equal(await canary.call("GET", "over"), "9223372036854775807");
  assert.match(await canary.refusal("INCR", "over"), /^ERR increment or decrement would overflow/);
  assert.equal(await canary.call("GET", "over"), "9223372036854775807");
  assert.equal(await canary.call("DECR", "over"), BigInt("9223372036854775806"));
  await canary.call("DEL", "over");
});

test("the wrong type is refused both ways and changes nothing", async () => {
  await canary.call("INCR", "type:counter");
  await canary.call("GADD", "type:set", "m");
  await canary.call("PRESENCE.SET", "type:presence", "owner", "1", "60000");
  await canary.call("QUIPU.CREATE", "type:up", "gcounter");
  const refused = [
    ["GADD", "type:counter", "m"],
    ["SCARD", "type:counter"],
    ["SMEMBERS", "type:counter"],
    ["INCR", "type:set"],
    ["GET", "type:set"],
    ["SET", "type:set", "1"],
    ["INCR", "type:presence"],
    ["PRESENCE.SET", "type:counter", "o", "1", "1000"],
    ["QUIPU.CREATE", "type:counter", "gset"],
  ];
  for (const command of refused) {
    assert.match(await canary.refusal(...command), /^WRONGTYPE/, command.join(" "));
  }
  assert.match(await canary.refusal("DECR", "type:up"), /only grows/);
  assert.match(await canary.refusal("INCRBY", "type:up", "-1"), /only grows/);
  assert.match(await canary.refusal("QUIPU.CREATE", "type:new", "nosuch"), /^ERR/);
  assert.equal(await canary.call("GET", "type:counter"), "1");
  assert.equal(await canary.call("SCARD", "type:set"), 1);
});

test("wrong arguments: the command is named", async () => {
  for (const command of [["GET"], ["INCRBY", "k"], ["MGET"], ["SET", "k"], ["QUIPU.CREATE", "k"], ["GADD", "k"], ["SUBSCRIBE"]]) {
    assert.match(await canary.refusal(...command), new RegExp(`^ERR wrong number of arguments for '${command[0]}'`, "i"));
  }
  assert.match(await canary.refusal("SET", "k", "text"), /^ERR .*integer/);
  assert.match(await canary.refusal("SCAN", "x"), /^ERR invalid cursor/);
  assert.match(await canary.refusal("QUIPU.LINK", "CUT", "ALL"), /cut/i, "no drill without --allow-cut");
  assert.match(await canary.refusal("PRESENCE.SET", "p", "o", "-1", "1000"), /^ERR/);
  assert.match(await canary.refusal("PRESENCE.SET", "p", "o", "1", "0"), /^ERR/);
  assert.match(await canary.refusal("CONFIG", "SET", "nosuch", "1"), /^ERR/);
});

const memory = (pid) => Number(fs.readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;

test("a client that does not read is closed at its limit; memory does not follow it", async () => {
  const keys = Array.from({ length: 50 }, (_, i) => `unread:${i}`);
  await canary.pipeline(keys.map((key) => ["INCRBY", key, "123456789012345"]));
  const before = memory(db.part.pid);
  const request = encode(["MGET", ...Array.from({ length: 1000 }, (_, i) => keys[i % 50])]);
  const chunk = Buffer.concat(Array.from({ length: 50 }, () => request));
  const greedy = await Promise.all(Array.from({ length: 10 }, () => Connection.open(db.port)));
  for (const one of greedy) {
    one.socket.pause();
    for (let i = 0; i < 100; i++) one.write(chunk);
  }
  let largest = 0;
  const begun = Date.now();
  for (let i = 0; i < 50; i++) {
    const asked = Date.now();
    assert.equal(await canary.call("PING"), "PONG");
    assert.ok(Date.now() - asked < 1000, `a good client waited ${Date.now() - asked} ms`);
    largest = Math.max(largest, memory(db.part.pid) - before);
  }
  assert.ok(largest < 400 << 20, `memory grew by ${largest >> 20} MiB within ${Date.now() - begun} ms`);
  for (const one of greedy) one.close();
});

test("a slow subscriber is closed, its publisher is not held up", async () => {
  const slow = await db.connect();
  slow.onReply = () => {};
  slow.write(encode(["SUBSCRIBE", "flood"]));
  await until(async () => (await canary.call("PUBSUB", "NUMSUB", "flood"))[1] === 1, "the subscription");
  slow.socket.pause();
  const message = "m".repeat(100_000);
  await until(
    async () => {
      await canary.pipeline(Array.from({ length: 50 }, () => ["PUBLISH", "flood", message]));
      return (await canary.call("PUBSUB", "NUMSUB", "flood"))[1] === 0;
    },
    "the slow one to be closed",
    30_000,
  );
  slow.close();
});

// ---- starts that cannot be

const fresh = (more) => ["db", "--replica", "r1", "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0", ...more];

test("a port in use is named", async () => {
  const taken = net.createServer().listen(0, "127.0.0.1").unref();
  await once(taken, "listening");
  const { port } = taken.address();
  for (const option of ["--listen", "--peer-listen"]) {
    const { code, stderr } = await finish([...fresh(["--data", temporaryDirectory()]), option, `127.0.0.1:${port}`]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, new RegExp(`${port}`));
    assert.match(stderr, /in use/i);
  }
  for (const [name, options] of [
    ["service", ["--listen", `127.0.0.1:${port}`, "--heartbeat-listen", "127.0.0.1:0"]],
    ["realtime", ["--listen", `127.0.0.1:${port}`]],
  ]) {
    const { code, stderr } = await finish([name, ...options]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /in use/i);
  }
  taken.close();
});

test("a directory that cannot be made or written is named", async () => {
  const blocked = path.join(temporaryDirectory(), "file");
  fs.writeFileSync(blocked, "");
  for (const directory of [path.join(blocked, "data"), "/proc/quipu-data", blocked]) {
    const { code, stderr } = await finish(fresh(["--data", directory]));
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes(directory), stderr);
  }
});

// ---- damaged journals

async function filled() {
  const one = await startDb({ args: ["--durability", "strict"] });
  const connection = await one.connect();
  for (let round = 1; round <= 20; round++) {
    await connection.pipeline(Array.from({ length: 50 }, (_, i) => ["INCRBY", `j:${i}`, String(round)]));
    await connection.call("SET", "round", String(round)); // each a commit of its own
  }
  connection.close();
  await one.kill();
  return one;
}

function journalFiles(directory) {
  return fs.readdirSync(directory)
    .map((name) => path.join(directory, name))
    .filter((file) => fs.statSync(file).isFile() && fs.statSync(file).size > 0)
    .map((file) => {
      const bytes = fs.readFileSync(file);
      let used = bytes.length;
      while (used && bytes[used - 1] === 0) used--;
      return { file, bytes, used };
    })
    .sort((a, b) => b.used - a.used);
}

test("a journal whose tail is torn starts with what came before", async () => {
  const one = await filled();
  const { file, bytes, used } = journalFiles(one.data)[0];
  bytes.fill(0, used - 5, used);
  fs.writeFileSync(file, bytes);
  await one.start();
  const value = Number(await one.get("j:1"));
  assert.ok(value >= 19 * 20 / 2, `j:1 is ${value}`);
  assert.ok([19, 20].includes(Number(await one.get("round"))));
  await one.call("INCR", "after");
  await one.kill();
  await one.start();
  assert.equal(await one.get("after"), "1");
  await one.stop();
});

test("a journal cut short at its tail starts too", async () => {
  const one = await filled();
  const { file, used } = journalFiles(one.data)[0];
  fs.truncateSync(file, used - 7);
  await one.start();
  assert.ok(Number(await one.get("round")) >= 19);
  await one.call("INCR", "after");
  await one.stop();
  await one.start();
  assert.equal(await one.get("after"), "1");
  await one.stop();
});

test("damage in the middle is refused, with file and offset, and nothing is rewritten", async () => {
  const one = await filled();
  const { file, bytes, used } = journalFiles(one.data)[0];
  bytes[used >> 1] ^= 0x40;
  fs.writeFileSync(file, bytes);
  const sum = () => execFileSync("sh", ["-c", 'cat "$1"/* | sha256sum', "sh", one.data], { encoding: "utf8" });
  const before = sum();
  one.launch();
  await one.part.ended();
  assert.equal(one.part.code, 1, `${one.part}`);
  assert.ok(one.part.stderr.includes(path.basename(file)), one.part.stderr);
  assert.match(one.part.stderr, /offset|at \d+|byte \d+/);
  assert.equal(sum(), before);
});

test("a file of another program, or of a newer format, is not taken for a journal", async () => {
  const one = await filled();
  const { file, bytes } = journalFiles(one.data)[0];
  bytes.write("not a journal at all, but long enough to look like one", 0);
  fs.writeFileSync(file, bytes);
  one.launch();
  await one.part.ended();
  assert.equal(one.part.code, 1);
  assert.ok(one.part.stderr.includes(path.basename(file)), one.part.stderr);
});

test("a full disk: acknowledging stops, the reason is told, what was acknowledged is kept", async (t) => {
  const mount = temporaryDirectory("full");
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", mount]);
  } catch {
    t.skip("no mount allowed here");
    return;
  }
  const one = new Db({ data: path.join(mount, "data"), args: ["--durability", "strict"] });
  try {
    await one.start();
    const connection = await one.connect();
    let refusal = null;
    let acknowledged = 0;
    for (let round = 0; round < 400 && !refusal; round++) {
      const keys = Array.from({ length: 2000 }, (_, i) => ["INCR", `full:${round}:${i}:${"x".repeat(60)}`]);
      const replies = await connection.pipeline(keys).catch((error) => [error]);
      refusal = replies.find((reply) => reply instanceof Error);
      if (!refusal) acknowledged++;
    }
    assert.ok(refusal, "it never filled");
    await one.part.says(/space|ENOSPC/i);
    connection.close();
    await one.kill();
    fs.writeFileSync(path.join(mount, "grown"), "");
    execFileSync("mount", ["-o", "remount,size=400m", mount]);
    await one.start();
    for (let round = 0; round < acknowledged; round++) {
      assert.equal(await one.get(`full:${round}:1999:${"x".repeat(60)}`), "1");
    }
    await one.stop();
  } finally {
    if (one.part?.isRunning) await one.kill();
    execFileSync("umount", [mount]);
  }
});
