// SPDX-License-Identifier: Apache-2.0
// The real-time part alone, before a service that the test plays: what it asks for, what it says
// over UDP, what it allows a client, and how it lets its clients go.
import assert from "node:assert/strict";
import { once } from "node:events";
import dgram from "node:dgram";
import http from "node:http";
import { gunzipSync } from "node:zlib";
import { after, before, test } from "node:test";
import { get, put, raw, statuses } from "../lib/http.js";
import { QUICK, startRealtime } from "../lib/region.js";
import { Stream } from "../lib/stream.js";
import { until, within } from "../lib/until.js";

const HEAD_BYTES = 7 + 3 * 8 + 4; // up to the address, as src/wire/heartbeat.h has it

// The newest publishers and subscribers of each page, and how often it was told.
class Ear {
  static async open() {
    const ear = new Ear();
    ear.socket.bind(0, "127.0.0.1");
    await once(ear.socket, "listening");
    ear.port = ear.socket.address().port;
    return ear;
  }

  constructor() {
    this.pages = new Map();
    this.datagrams = 0;
    this.byes = 0;
    this.longest = 0;
    this.socket = dgram.createSocket("udp4");
    this.socket.on("message", (bytes) => this.#take(bytes));
  }

  #take(bytes) {
    assert.equal(bytes.toString("latin1", 0, 4), "QUHB");
    this.datagrams++;
    this.longest = Math.max(this.longest, bytes.length);
    if (bytes[5] & 1) this.byes++;
    let at = HEAD_BYTES;
    this.address = bytes.toString("latin1", at + 1, at + 1 + bytes[at]);
    at += 1 + bytes[at];
    const varint = () => {
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        value += (bytes[at] & 0x7f) * 2 ** shift;
        if (bytes[at++] < 0x80) return value;
      }
    };
    let count = bytes.readUInt16LE(at);
    for (at += 2; count; count--) {
      const length = varint();
      const page = bytes.toString("utf8", at, at + length);
      at += length;
      const publishers = varint();
      const told = (this.pages.get(page)?.told ?? 0) + 1;
      this.pages.set(page, { publishers, subscribed: (bytes[at++] & 1) === 1, told });
    }
  }

  hears(page, publishers, subscribed) {
    const now = () => this.pages.get(page);
    return until(
      () => now()?.publishers === publishers && now()?.subscribed === subscribed,
      () => `${page} ${publishers} ${subscribed}, is ${JSON.stringify(now())}`,
    );
  }
}

// Answers every key with its length, as version 1.
class Service {
  static async open() {
    const service = new Service();
    service.server.listen(0, "127.0.0.1");
    await once(service.server, "listening");
    service.url = `http://127.0.0.1:${service.server.address().port}`;
    service.ear = await Ear.open();
    service.heartbeatPort = service.ear.port;
    return service;
  }

  constructor() {
    this.asked = []; // the keys of each request
    this.connections = 0;
    this.refusals = 0; // so many requests are answered 503
    this.server = http.createServer((request, answer) => {
      const keys = new URL(request.url, "http://service").searchParams.getAll("key");
      this.asked.push(keys);
      if (this.refusals > 0) {
        this.refusals--;
        answer.writeHead(503).end("{}");
        return;
      }
      const counters = keys.map((key) => ({
        key, value: Buffer.byteLength(key), type: "counter", version: 1, epoch: "e",
      }));
      answer.writeHead(200, { "Content-Type": "application/json" });
      answer.end(JSON.stringify({ counters }));
    });
    this.server.on("connection", () => this.connections++);
  }

  close() {
    this.ear.socket.close();
    this.server.closeAllConnections();
    this.server.close();
  }
}

let service;
let realtime;

before(async () => {
  service = await Service.open();
  realtime = await startRealtime(service, { args: QUICK });
});

after(async () => {
  assert.equal(await realtime.part.stop(), 0, `${realtime.part}`);
  assert.ok(service.ear.byes >= 1, "a bye");
  service.close();
});

// ---- first values

test("a key that many track is asked for once; many keys share a request and a connection", async () => {
  const streams = await Promise.all(Array.from({ length: 20 }, () => Stream.open(realtime.port)));
  const keys = Array.from({ length: 50 }, (_, i) => `first:${i}`);
  const asked = service.asked.length;
  for (const stream of streams) stream.send({ track: keys });
  for (const stream of streams) await stream.shows("first:49", 8);
  const all = service.asked.slice(asked).flat();
  assert.deepEqual([...all].sort(), [...keys].sort());
  assert.ok(service.asked.length - asked <= 20, `${service.asked.length - asked} requests`);
  assert.equal(service.connections, 1);
  for (const stream of streams) await stream.close();
});

test("10,000 keys tracked in a second are asked for in batches, each once", async () => {
  const streams = await Promise.all(Array.from({ length: 10 }, () => Stream.open(realtime.port)));
  const asked = service.asked.length;
  const begun = Date.now();
  for (const [s, stream] of streams.entries()) {
    for (let i = 0; i < 1000; i += 100) {
      stream.send({ track: Array.from({ length: 100 }, (_, k) => `storm:${s}:${i + k}`) });
    }
  }
  for (const [s, stream] of streams.entries()) await stream.shows(`storm:${s}:999`, 11);
  const all = service.asked.slice(asked);
  assert.equal(all.flat().length, 10_000);
  assert.equal(new Set(all.flat()).size, 10_000);
  assert.ok(all.length <= 150, `${all.length} requests`);
  console.log(`10,000 keys: ${all.length} requests, ${Date.now() - begun} ms until the last value`);
  for (const stream of streams) stream.kill();
});

test("a service that refuses is asked again, and readiness says so meanwhile", async () => {
  service.refusals = 3;
  const stream = await Stream.open(realtime.port);
  stream.track("refused");
  await until(async () => (await get(`${realtime.url}/readyz`)).status === 503, "not ready");
  await stream.shows("refused", 7);
  assert.equal((await get(`${realtime.url}/readyz`)).status, 200);
  await stream.close();
});

test("keys are bytes in URLs and text in frames", async () => {
  const stream = await Stream.open(realtime.port);
  const keys = ["a b&c=d", "π/☃?", "100%", '"quoted"\n', "\u0000nul", "x".repeat(512)];
  stream.send({ track: keys });
  for (const key of keys) await stream.shows(key, Buffer.byteLength(key));
  await stream.close();
});

// ---- heartbeats

test("publishers and subscribers are told soon, then in rotation, and leave", async () => {
  const stream = await Stream.open(realtime.port);
  stream.send({ track: ["/told"], publish: ["/told", "/only"] });
  await service.ear.hears("/told", 1, true);
  await service.ear.hears("/only", 1, false);
  assert.equal(service.ear.address, `127.0.0.1:${realtime.port}`);
  const { told } = service.ear.pages.get("/told");
  await until(() => service.ear.pages.get("/told").told > told + 3, "the rotation");
  stream.send({ publish: ["/told"] }); // again: still one
  const second = await Stream.open(realtime.port);
  second.send({ publish: ["/told"] });
  await service.ear.hears("/told", 2, true);
  second.kill();
  await service.ear.hears("/told", 1, true);
  await stream.close();
  await service.ear.hears("/told", 0, false);
  await service.ear.hears("/only", 0, false);
});

test("thousands of pages are told in datagrams of at most 1,200 bytes", async () => {
  const streams = await Promise.all(Array.from({ length: 20 }, () => Stream.open(realtime.port)));
  const pageOf = (s, p) => `/page/${s}/${p}/${"y".repeat(p)}`;
  for (const [s, stream] of streams.entries()) {
    stream.send({ publish: Array.from({ length: 100 }, (_, p) => pageOf(s, p)) });
  }
  for (const [s] of streams.entries()) {
    for (let p = 0; p < 100; p++) await service.ear.hears(pageOf(s, p), 1, false);
  }
  assert.ok(service.ear.longest <= 1200, `${service.ear.longest} bytes`);
  for (const stream of streams) stream.kill();
  await service.ear.hears(pageOf(0, 0), 0, false);
});

// ---- limits

const told = async (stream, code) => {
  await until(
    () => stream.errors.some((error) => error.code === code),
    () => `${code}: ${JSON.stringify(stream.errors)}`,
  );
  return stream.errors.find((error) => error.code === code);
};

test("a client tracks 1,000 keys and publishes 100 pages, no more, and is told", async () => {
  const stream = await Stream.open(realtime.port);
  for (let i = 0; i < 1000; i += 100) {
    stream.send({ track: Array.from({ length: 100 }, (_, k) => `limit:${i + k}`) });
  }
  await stream.shows("limit:999", 9);
  stream.track("limit:more");
  assert.equal((await told(stream, "too_many_keys")).subject, "limit:more");
  stream.send({ publish: Array.from({ length: 101 }, (_, p) => `limit/${p}`) });
  assert.equal((await told(stream, "too_many_pages")).subject, "limit/100");
  stream.send({ untrack: ["limit:0"], track: ["limit:more"] });
  await stream.shows("limit:more", 10);
  stream.track("k".repeat(513));
  await told(stream, "bad_key");
  assert.equal(stream.socket.readyState, stream.socket.OPEN);
  await stream.close();
});

test("a client that floods is closed with 1008", async () => {
  const stream = await Stream.open(realtime.port);
  for (let i = 0; i < 1000; i++) stream.send("{}");
  assert.equal((await within(5000, "the close", stream.closed)).code, 1008);
});

test("binary messages are closed with 1003; a close is answered with its code", async () => {
  const binary = await Stream.open(realtime.port);
  binary.socket.send(Buffer.from("{}"), { binary: true });
  assert.equal((await within(5000, "the close", binary.closed)).code, 1003);
  const orderly = await Stream.open(realtime.port);
  orderly.socket.close(4321, "mine");
  assert.equal((await within(5000, "the close", orderly.closed)).code, 4321);
});

test("one frame may say several things, in pieces, between pings", async () => {
  const stream = await Stream.open(realtime.port);
  const pongs = [];
  stream.socket.on("pong", (data) => pongs.push(data.toString()));
  stream.socket.send('{"track":["pie', { fin: false });
  stream.socket.ping("between");
  await until(() => pongs.includes("between"), "a pong between fragments");
  stream.socket.send('ces"],"publish":', { fin: false });
  stream.socket.send('["/pieces"]}', { fin: true });
  await stream.shows("pieces", 6);
  await service.ear.hears("/pieces", 1, false);
  await stream.close();
});

// ---- HTTP

test("requests in one packet, or byte by byte, are answered in order", async () => {
  const line = (path) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;
  const together = await raw(realtime.port, line("/livez") + line("/nope") + line("/readyz"), 3);
  assert.deepEqual(statuses(together), [200, 404, 200]);
  assert.deepEqual(statuses(await raw(realtime.port, [...line("/regions.json")])), [200]);
  const head = await raw(realtime.port, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  assert.match(head, /content-length: *[1-9]/i);
  assert.ok(head.endsWith("\r\n\r\n"), "no body");
});

test("files are revalidated by their ETag, and the page says what it may load", async () => {
  const page = await get(`${realtime.url}/`);
  assert.match(page.headers.get("content-security-policy"), /default-src 'self'/);
  const again = await get(`${realtime.url}/`, { "If-None-Match": page.headers.get("etag") });
  assert.equal(again.status, 304);
  assert.equal(again.text, "");
  const ask = (more) => raw(realtime.port, `GET /quipu.js HTTP/1.1\r\nHost: h\r\n${more}Connection: close\r\n\r\n`);
  const [plain, packed] = [await ask(""), await ask("Accept-Encoding: br, gzip\r\n")];
  assert.doesNotMatch(plain, /content-encoding/i);
  assert.match(packed, /content-encoding: gzip/i);
  assert.ok(packed.length < 6000 && plain.length > 2 * packed.length, `${packed.length} of ${plain.length} bytes`);
  assert.equal(gunzipSync(Buffer.from(packed.slice(packed.indexOf("\r\n\r\n") + 4), "latin1")).toString("latin1"),
    plain.slice(plain.indexOf("\r\n\r\n") + 4));
});

test("the same PUT a thousand times is one update, a late one none", async () => {
  const stream = await Stream.open(realtime.port);
  stream.track("same");
  await stream.shows("same", 4);
  const tell = (value, version) =>
    put(`${realtime.url}/v1/topics`, { service: "s", epoch: "e", counts: [["same", value, version]] });
  for (let i = 0; i < 1000; i++) await tell(50, 5);
  assert.deepEqual((await tell(40, 4)).json, { applied: 0, stale: 1, untracked: 0 });
  await tell(60, 6);
  await stream.shows("same", 60);
  assert.deepEqual(stream.updates.map(([, value]) => value), [4, 50, 60]);
  const other = await put(`${realtime.url}/v1/topics`, { epoch: "e", counts: [["nobody", 1, 1]] });
  assert.deepEqual(other.json, { applied: 0, stale: 0, untracked: 1 });
  await stream.close();
});

// ---- the end

test("a drain spreads its closes, and clients that are still there are told counts", async () => {
  const draining = await startRealtime(service, { args: [...QUICK, "--drain", "1500"] });
  const streams = await Promise.all(Array.from({ length: 30 }, () => Stream.open(draining.port)));
  for (const stream of streams) stream.track("drain");
  for (const stream of streams) await stream.shows("drain", 5);
  const agent = new http.Agent({ keepAlive: true }); // the service's connection was there before
  const tell = (value) =>
    new Promise((resolve, reject) => {
      const request = http.request(`${draining.url}/v1/topics`, { method: "PUT", agent });
      request.on("response", (answer) => answer.resume().on("end", () => resolve(answer.statusCode)));
      request.on("error", reject);
      request.end(JSON.stringify({ epoch: "e", counts: [["drain", value, value]] }));
    });
  await tell(100);
  const times = [];
  const start = Date.now();
  for (const stream of streams) stream.closed.then(() => times.push(Date.now() - start));
  const stopped = draining.part.stop();
  for (const [gone, value] of [[3, 200], [9, 300], [15, 400]]) {
    await until(() => times.length >= gone, `${gone} to go`);
    assert.equal(await tell(value), 200);
    await until(
      () => streams.some((stream) => stream.values.get("drain") === value),
      `${value} during the drain`,
    );
  }
  const closes = await Promise.all(streams.map((stream) => stream.closed));
  for (const { code } of closes) assert.equal(code, 1012);
  assert.ok(times.at(-1) - times[0] > 700, `all within ${times.at(-1) - times[0]} ms`);
  assert.equal(await stopped, 0);
  agent.destroy();
});

test("without clients the end is immediate, and a second signal ends a drain", async () => {
  const idle = await startRealtime(service, { args: [...QUICK, "--drain", "600000"] });
  assert.equal(await within(3000, "the end of an idle one", idle.part.stop()), 0);
  const busy = await startRealtime(service, { args: [...QUICK, "--drain", "600000"] });
  const stream = await Stream.open(busy.port);
  busy.part.child.kill("SIGTERM");
  const isRefused = () => get(`${busy.url}/livez`).then(() => false, () => true);
  await until(isRefused, "no new connections");
  assert.equal(await within(3000, "the end by a second signal", busy.part.stop()), 0);
  stream.kill();
});
