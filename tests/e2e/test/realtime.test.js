// SPDX-License-Identifier: Apache-2.0
// The real-time part with npm's ws as the browser: values at once and then as they change, viewers
// counted in every region, and clients that misbehave.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { after, before, test } from "../lib/test.js";
import WebSocket from "ws";
import { Cluster, startDb } from "../lib/db.js";
import { get, put, request } from "../lib/http.js";
import { temporaryFile } from "../lib/place.js";
import { QUICK, Region, startRealtime, startService } from "../lib/region.js";
import { Stream } from "../lib/stream.js";
import { until, within } from "../lib/until.js";

let region;

before(async () => {
  region = await Region.start();
});

after(() => region.stop());

test("track: the latest value at once, then each newer one; untrack ends it", async () => {
  await region.db.call("INCRBY", "rt:a", 5);
  const stream = await Stream.open(region.realtime.port);
  assert.equal(stream.socket.protocol, "quipu.v1.json");
  stream.track("rt:a", "rt:none");
  await stream.shows("rt:a", 5);
  await stream.shows("rt:none", null);
  await region.db.call("INCR", "rt:a");
  await stream.shows("rt:a", 6);
  await region.db.call("INCRBY", "rt:none", "-3");
  await stream.shows("rt:none", -3);
  await region.db.call("DEL", "rt:none");
  await stream.shows("rt:none", null);
  const second = await Stream.open(region.realtime.port);
  second.track("rt:a");
  await second.shows("rt:a", 6);
  stream.send({ untrack: ["rt:a"] });
  stream.track("rt:marker");
  await stream.shows("rt:marker", null); // so the untrack is through
  await region.db.call("INCR", "rt:a");
  await second.shows("rt:a", 7);
  assert.equal(stream.values.get("rt:a"), 6);
  await stream.close();
  await second.close();
});

test("changes within a tick are one: 20,000 increments, few frames, versions that rise", async () => {
  const stream = await Stream.open(region.realtime.port);
  stream.track("rt:many");
  await stream.shows("rt:many", null);
  const connection = await region.db.connect();
  await connection.pipeline(Array.from({ length: 20_000 }, () => ["INCR", "rt:many"]));
  await stream.shows("rt:many", 20_000);
  assert.ok(stream.updates.length < 500, `${stream.updates.length} updates`);
  const versions = stream.updates.map(([, , version]) => version);
  assert.deepEqual(versions, [...versions].sort((a, b) => a - b));
  connection.close();
  await stream.close();
});

test("values beyond 2^53 arrive as exact strings", async () => {
  await region.db.call("INCRBY", "rt:big", "9007199254740993");
  const stream = await Stream.open(region.realtime.port);
  stream.track("rt:big");
  await stream.shows("rt:big", "9007199254740993");
  await stream.close();
});

test("publish raises presence in all regions; closing and killing lower it everywhere", async () => {
  const cluster = await Cluster.start(3);
  const regions = await Promise.all(cluster.dbs.map((db) => Region.start({ db })));
  const watchers = await Promise.all(regions.map(({ realtime }) => Stream.open(realtime.port)));
  for (const watcher of watchers) watcher.track("/page");
  const everywhere = (n) =>
    Promise.all(watchers.map((watcher) => until(
      () => watcher.values.has("/page") && (watcher.values.get("/page") ?? 0) === n,
      () => `${n} viewers everywhere, are ${watchers.map((w) => w.values.get("/page"))}`,
      15_000,
    )));
  await everywhere(0);
  const open = async (index) => {
    const visitor = await Stream.open(regions[index].realtime.port);
    visitor.send({ publish: ["/page"] });
    return visitor;
  };
  const visitors = [await open(0)];
  await everywhere(1);
  visitors.push(await open(0), await open(1), await open(2));
  await everywhere(4);
  assert.equal((await get(`${regions[2].service.url}/v1/counters/%2Fpage`)).json.value, 4);
  await visitors[0].close();
  await everywhere(3);
  visitors[1].kill();
  await everywhere(2);
  visitors[2].send({ unpublish: ["/page"] });
  await everywhere(1);
  // The whole node dies: nobody says good-bye for its visitors.
  await regions[2].realtime.part.kill();
  await Promise.all(watchers.slice(0, 2).map((watcher) => until(
    () => (watcher.values.get("/page") ?? 0) === 0,
    () => `0 viewers after a node's death, are ${watcher.values.get("/page")}`,
  )));
  for (const stream of [...watchers, ...visitors]) stream.kill();
  for (const { realtime, service } of regions) {
    if (realtime.part.isRunning) assert.equal(await realtime.part.stop(), 0);
    assert.equal(await service.part.stop(), 0);
  }
  await cluster.stop();
});

// ---- what breaks the rules

const badMessages = {
  "not JSON": "{",
  "not an object": "[1]",
  "an unknown verb": '{"destroy":["x"]}',
  "keys that are no list": '{"track":"x"}',
  "a key that is no string": '{"track":[1]}',
  "an empty key": '{"track":[""]}',
  "deep nesting": `{"track":${"[".repeat(5000)}${"]".repeat(5000)}}`,
};

for (const [name, message] of Object.entries(badMessages)) {
  test(`a bad message is told, and nobody else notices: ${name}`, async () => {
    const bystander = await Stream.open(region.realtime.port);
    const stream = await Stream.open(region.realtime.port);
    stream.send(message);
    const outcome = await within(
      5000,
      "an error or a close",
      Promise.race([stream.closed, until(() => stream.errors.length, "an error")]),
    );
    if (stream.errors.length) assert.equal(typeof stream.errors[0].message, "string");
    else assert.ok(outcome.code >= 1002, `closed with ${outcome.code}`);
    bystander.track("rt:bystander");
    await bystander.shows("rt:bystander", null);
    stream.kill();
    await bystander.close();
  });
}

// Frames as bytes behind a real handshake: the code of the close frame that comes back.
async function closeCodeOf(bytes) {
  const socket = net.connect({ port: region.realtime.port, host: "127.0.0.1" }).unref();
  socket.on("error", () => {});
  await within(5000, "a connection", once(socket, "connect"));
  let received = Buffer.alloc(0);
  socket.on("data", (chunk) => (received = Buffer.concat([received, chunk])));
  socket.write(
    `GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:${region.realtime.port}\r\nUpgrade: websocket\r\n` +
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  await until(() => received.includes("\r\n\r\n"), "the handshake");
  assert.match(received.toString("latin1"), /^HTTP\/1\.1 101/);
  received = received.subarray(received.indexOf("\r\n\r\n") + 4);
  socket.write(bytes);
  await within(5000, "the close", once(socket, "close"));
  assert.equal(received[0], 0x88, `a close frame, got ${received.toString("hex")}`);
  return received.readUInt16BE(2);
}

const mask = Buffer.alloc(4);
const framed = (first, payload, length = payload.length) =>
  Buffer.concat([Buffer.from([first, 0x80 | length]), mask, Buffer.from(payload)]);

const badFrames = {
  "not masked": [Buffer.from([0x81, 2, 0x7b, 0x7d]), 1002],
  "reserved bits": [framed(0xc1, "{}"), 1002],
  "a reserved opcode": [framed(0x83, "{}"), 1002],
  "a fragmented ping": [framed(0x09, "x"), 1002],
  "a continuation of nothing": [framed(0x80, "x"), 1002],
  "a new message inside a fragmented one": [
    Buffer.concat([framed(0x01, "{"), framed(0x81, "}")]),
    1002,
  ],
  "a ping too long": [Buffer.concat([Buffer.from([0x89, 0xfe, 0, 126]), mask, Buffer.alloc(126)]), 1002],
  "a close of one byte": [framed(0x88, "x"), 1002],
  "text that is not UTF-8": [framed(0x81, Buffer.from([0x22, 0xff, 0xfe, 0x22])), 1007],
  "a message of 2^62 bytes": [Buffer.concat([Buffer.from([0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0]), mask]), 1009],
  "a message of 1 MiB": [Buffer.concat([Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0]), mask]), 1009],
};

for (const [name, [bytes, code]] of Object.entries(badFrames)) {
  test(`a frame that breaks RFC 6455 ends that connection with ${code}: ${name}`, async () => {
    assert.equal(await closeCodeOf(bytes), code);
    assert.equal((await get(`${region.realtime.url}/livez`)).status, 200);
  });
}

test("handshakes that are none are refused", async () => {
  const url = `${region.realtime.url}/v1/stream`;
  const plain = await get(url);
  assert.ok(plain.status === 400 || plain.status === 426, `${plain.status}`);
  const fails = (options, protocol) =>
    new Promise((resolve) => {
      const socket = new WebSocket(url.replace("http", "ws"), protocol, options);
      socket.on("unexpected-response", (_, answer) => resolve(answer.statusCode));
      socket.on("open", () => resolve("open"));
      socket.on("error", () => {});
    });
  assert.equal(await fails({ origin: "https://evil.example" }, "quipu.v1.json"), 403);
  assert.equal(await fails({ origin: region.realtime.url }, "quipu.v1.json"), "open");
});

test("a client that does not read is closed as slow; others go on and memory stays", async () => {
  const reader = await Stream.open(region.realtime.port);
  const slow = await Stream.open(region.realtime.port, { perMessageDeflate: false });
  const keys = Array.from({ length: 100 }, (_, i) => `slow:${i}:${"x".repeat(400)}`);
  slow.send({ track: keys });
  reader.send({ track: keys });
  await reader.shows(keys[99], null);
  slow.socket._socket.pause();
  const connection = await region.db.connect();
  const gone = until(
    async () => {
      const { text } = await get(`${region.realtime.url}/metrics`);
      const match = text.match(/^quipu_\w*slow\w*(?:\{[^}]*\})? ([1-9]\d*)/m);
      await connection.pipeline(keys.map((key) => ["INCR", key]));
      return match;
    },
    "the slow one to be closed (a metric that names it)",
    60_000,
  );
  await gone;
  const value = Number(await connection.call("GET", keys[0]));
  await reader.shows(keys[0], value);
  slow.socket._socket.resume();
  const { code } = await within(10_000, "the slow one's close", slow.closed);
  assert.ok([4008, 1006].includes(code), `closed with ${code}`);
  connection.close();
  await reader.close();
});

test("SIGTERM: clients are told to come back (1012), presence is given up, exit 0", async () => {
  const realtime = await startRealtime(region.service, { args: [...QUICK, "--drain", "300"] });
  const streams = await Promise.all(Array.from({ length: 20 }, () => Stream.open(realtime.port)));
  for (const stream of streams) stream.send({ publish: ["/drained"] });
  const viewers = async () => (await region.db.call("QUIPU.VALUE", "/drained"))[1]?.[1] ?? 0;
  await until(async () => (await viewers()) === 20, async () => `20, are ${await viewers()}`);
  const stopped = realtime.part.stop();
  const closes = await within(10_000, "all closes", Promise.all(streams.map((stream) => stream.closed)));
  for (const { code } of closes) assert.equal(code, 1012);
  assert.equal(await stopped, 0);
  await until(async () => (await viewers()) === 0, async () => `0, are ${await viewers()}`);
});

// ---- PUTs in

test("PUT /v1/topics: idempotent by epoch and version", async () => {
  const realtime = await startRealtime(region.service, { args: QUICK });
  const url = `${realtime.url}/v1/topics`;
  const stream = await Stream.open(realtime.port);
  stream.track("put:k");
  await stream.shows("put:k", null);
  const tell = (epoch, ...counts) => put(url, { service: "s", epoch, counts });
  assert.ok((await tell("e1", ["put:k", 10, 5])).status < 300);
  await stream.shows("put:k", 10);
  await tell("e1", ["put:k", 9, 4]);
  await tell("e1", ["put:k", 11, 5]);
  await tell("e1", ["put:k", 12, 6]);
  await stream.shows("put:k", 12);
  assert.deepEqual(stream.updates.map(([, value]) => value), [null, 10, 12]);
  await tell("e2", ["put:k", 3, 1]);
  await stream.shows("put:k", 3);
  const one = await put(`${url}/put%3Ak`, { epoch: "e2", value: 4, version: 2 });
  assert.ok(one.status < 300, one.text);
  await stream.shows("put:k", 4);
  for (const bad of ["{", "[]", '{"epoch":1}', '{"service":"s","epoch":"e","counts":[[1,2,3]]}']) {
    const answer = await put(url, bad);
    assert.equal(answer.status, 400, bad);
  }
  assert.equal((await request("POST", url, { body: {} })).status, 405);
  await stream.close();
  assert.equal(await realtime.part.stop(), 0);
});

test("with a secret a PUT without or with a wrong signature is 401 and changes nothing", async () => {
  const secret = "the secret between the two parts";
  const args = ["--secret-file", temporaryFile("secret", secret)];
  const db = await startDb();
  const service = await startService(db, { args });
  const realtime = await startRealtime(service, { args: [...QUICK, ...args] });
  const stream = await Stream.open(realtime.port);
  stream.track("sig");
  await stream.shows("sig", null);
  const body = JSON.stringify({ service: "s", epoch: "f".repeat(16), counts: [["sig", 666, 1]] });
  const url = `${realtime.url}/v1/topics`;
  const mac = (key) => createHmac("sha256", key).update(body).digest("hex");
  assert.equal((await put(url, body)).status, 401);
  assert.equal((await put(url, body, { "Quipu-Signature": mac("wrong") })).status, 401);
  assert.equal((await put(url, `${body} `, { "Quipu-Signature": mac(secret) })).status, 401);
  await db.call("INCRBY", "sig", "5"); // the true way still works
  await stream.shows("sig", 5);
  assert.ok(!stream.updates.some(([, value]) => value === 666));
  await stream.close();
  for (const part of [realtime.part, service.part]) assert.equal(await part.stop(), 0);
  await db.stop();
});

test("a restarted service, and a restarted database, are found again and nothing is missed", async () => {
  const db = await startDb();
  const service = await startService(db);
  const realtime = await startRealtime(service, { args: QUICK });
  const stream = await Stream.open(realtime.port);
  stream.track("again");
  stream.send({ publish: ["/again"] });
  await db.call("INCRBY", "again", "1");
  await stream.shows("again", 1);
  await service.part.kill();
  await db.call("INCRBY", "again", "10");
  const second = await startService(db, { port: service.port, heartbeatPort: service.heartbeatPort });
  await stream.shows("again", 11, 15_000);
  await db.call("INCRBY", "again", "100");
  await stream.shows("again", 111);
  await db.kill();
  await db.start();
  await db.call("INCRBY", "again", "1000");
  await stream.shows("again", 1111, 15_000);
  const viewers = async () => (await db.call("QUIPU.VALUE", "/again"))[1]?.[1] ?? 0;
  await until(async () => (await viewers()) === 1, async () => `1 viewer, are ${await viewers()}`, 15_000);
  await stream.close();
  for (const part of [realtime.part, second.part]) assert.equal(await part.stop(), 0);
  await db.stop();
});

test("the dashboard's files and regions.json are served", async () => {
  const realtime = await startRealtime(region.service, {
    args: ["--region", "r1=http://a:1,http://b:2", "--region", "r2=http://c:3,http://d:4", "--here", "r2"],
  });
  const page = await get(`${realtime.url}/`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-type"), /^text\/html/);
  for (const [, source] of page.text.matchAll(/(?:src|href)="([\w./-]+\.(?:m?js|css|svg))"/g)) {
    const file = await get(new URL(source, realtime.url));
    assert.equal(file.status, 200, source);
    assert.match(file.headers.get("content-type"), /javascript|css|svg/);
  }
  assert.deepEqual((await get(`${realtime.url}/regions.json`)).json, {
    here: "r2",
    regions: [
      { name: "r1", service: "http://a:1", realtime: "http://b:2" },
      { name: "r2", service: "http://c:3", realtime: "http://d:4" },
    ],
  });
  assert.equal((await get(`${realtime.url}/../../etc/passwd`)).status, 404);
  assert.equal((await get(`${realtime.url}/readyz`)).status, 200);
  assert.match((await get(`${realtime.url}/metrics`)).text, /^# TYPE quipu_\w+/m);
  assert.equal(await realtime.part.stop(), 0);
});
