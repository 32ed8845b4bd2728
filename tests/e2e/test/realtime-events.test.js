// SPDX-License-Identifier: Apache-2.0
// Counts by server-sent events and by polls: values at once, then newer ones; who comes back is told
// what it missed and nothing twice; slow readers, drains; and frames that are packed.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, test } from "../lib/test.js";
import { Events, poll } from "../lib/events.js";
import { get, put, raw } from "../lib/http.js";
import { QUICK, Region, startRealtime } from "../lib/region.js";
import { Stream } from "../lib/stream.js";
import { until, within } from "../lib/until.js";

let region;
let port;
let url;

before(async () => {
  region = await Region.start();
  ({ port, url } = region.realtime);
});

after(() => region.stop());

const set = (pairs) => Promise.all(pairs.map(([key, value]) => region.db.call("SET", key, value)));
const tracks = (...keys) => keys.map((key) => ["track", key]);

test("events: the latest value at once, then each newer one, as the standard has it", async () => {
  await region.db.call("INCRBY", "ev:a", 5);
  const events = await Events.open(port, tracks("ev:a", "ev:none"));
  assert.equal(events.status, 200);
  assert.match(events.headers["content-type"], /^text\/event-stream/);
  assert.match(events.headers["cache-control"], /no-store/);
  assert.equal(events.headers["x-accel-buffering"], "no");
  await events.shows("ev:a", 5);
  await events.shows("ev:none", null);
  await region.db.call("INCR", "ev:a");
  await events.shows("ev:a", 6);
  assert.ok(events.retry > 0);
  const told = events.updates.filter(([key]) => key === "ev:a");
  assert.deepEqual([...new Set(told.map(([, value]) => value))], [5, 6]);
  assert.equal(new Set(told.map(([, , version]) => version)).size, told.length);
  await events.close();
});

test("events: who comes back with Last-Event-ID is told what is newer, and nothing twice", async () => {
  await set([["re:a", "1"], ["re:b", "2"], ["re:c", "3"]]);
  const query = tracks("re:a", "re:b", "re:c");
  const first = await Events.open(port, query);
  for (const [key, value] of [["re:a", 1], ["re:b", 2], ["re:c", 3]]) await first.shows(key, value);
  const { id } = first;
  await first.close();
  const quiet = await Events.open(port, query, { after: id });
  await region.db.call("INCR", "re:b");
  await quiet.shows("re:b", 3);
  assert.deepEqual(quiet.updates.map(([key]) => key), ["re:b"]);
  const later = quiet.id;
  await quiet.close();
  await region.db.call("INCR", "re:c"); // while it is away
  const back = await Events.open(port, query, { after: later });
  await back.shows("re:c", 4);
  await region.db.call("INCR", "re:a");
  await back.shows("re:a", 2);
  assert.deepEqual(back.updates.map(([key]) => key), ["re:c", "re:a"]);
  await back.close();
});

test("events: the id means the same at another node of the region, and after both have forgotten", async () => {
  const other = await startRealtime(region.service, { args: QUICK });
  await region.db.call("SET", "node:a", "7");
  const query = tracks("node:a", "node:b");
  const first = await Events.open(port, query);
  await first.shows("node:a", 7);
  await first.shows("node:b", null);
  await first.close();
  const elsewhere = await Events.open(other.port, query, { after: first.id });
  await region.db.call("INCR", "node:b");
  await elsewhere.shows("node:b", 1);
  assert.deepEqual(elsewhere.updates.map(([key]) => key), ["node:b"]);
  await elsewhere.close();
  const isForgotten = async (key) => (await get(`${url}/v1/topics/${key}`)).json.epoch === "";
  await until(async () => (await isForgotten("node:a")) && (await isForgotten("node:b")), "it to be forgotten");
  const back = await Events.open(port, query, { after: elsewhere.id });
  await region.db.call("INCR", "node:a");
  await back.shows("node:a", 8);
  assert.deepEqual(back.updates.map(([key]) => key), ["node:a"]);
  await back.close();
  assert.equal(await other.part.stop(), 0);
});

test("events: an id of another epoch, or that is none, is answered with everything", async () => {
  await region.db.call("SET", "odd:a", "1");
  for (const after of ["", "x", "0123456789abcdef:1", ":::", `${"9".repeat(3000)}:1`, "a:99999999999999999999"]) {
    const events = await Events.open(port, tracks("odd:a"), { after });
    await events.shows("odd:a", 1);
    await events.close();
  }
});

test("a WebSocket that comes back says what it has, and is told only what is newer", async () => {
  await set([["ws:a", "1"], ["ws:b", "2"]]);
  const first = await Stream.open(port);
  first.track("ws:a", "ws:b");
  await first.shows("ws:b", 2);
  await first.shows("ws:a", 1);
  const { epoch } = first.frames.find((frame) => frame.epoch);
  const seen = ["ws:a", "ws:b"].map((key) => [key, first.versions.get(key)]);
  await first.close();
  await region.db.call("INCR", "ws:b");
  const second = await Stream.open(port);
  second.send({ epoch, track: seen });
  await second.shows("ws:b", 3);
  second.track("ws:a"); // asked for again, it is told again
  await second.shows("ws:a", 1);
  assert.deepEqual(second.updates.map(([key]) => key), ["ws:b", "ws:a"]);
  await second.close();
});

test("events: a publisher is counted while its stream is open", async () => {
  const watcher = await Stream.open(port);
  watcher.track("/ev/page");
  const events = await Events.open(port, [["publish", "/ev/page"], ["track", "/ev/page"]]);
  await watcher.shows("/ev/page", 1);
  await events.shows("/ev/page", 1);
  await events.close();
  await until(() => !watcher.values.get("/ev/page"), "nobody left");
  await watcher.close();
});

test("polls: an answer at once, then when there is news, on one connection", async () => {
  await region.db.call("SET", "poll:a", "5");
  const first = await poll(url, tracks("poll:a"));
  assert.equal(first.status, 200);
  assert.deepEqual(first.json.c.map(([key, value]) => [key, value]), [["poll:a", 5]]);
  const waiting = poll(url, [...tracks("poll:a"), ["after", first.json.id]]);
  await region.db.call("INCR", "poll:a");
  const second = await waiting;
  assert.deepEqual(second.json.c.map(([key, value]) => [key, value]), [["poll:a", 6]]);
  assert.notEqual(second.json.id, first.json.id);
  // A request behind a poll waits for it.
  const asked = raw(
    port,
    `GET /v1/poll?track=poll:a&after=${encodeURIComponent(second.json.id)} HTTP/1.1\r\nHost: h\r\n\r\n` +
      "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n",
    2,
  );
  await region.db.call("INCR", "poll:a");
  const text = await asked;
  assert.ok(text.indexOf('["poll:a",7') > 0 && text.indexOf('["poll:a",7') < text.indexOf("alive"), text);
});

test("wrong requests are refused with what is wrong", async () => {
  const many = Array.from({ length: 101 }, (_, i) => ["track", `k${i}`]);
  for (const [query, status] of [
    [many, 400],
    [[["track", ""]], 400],
    [[["track", "k".repeat(513)]], 400],
  ]) {
    const stream = await Events.open(port, query);
    assert.equal(stream.status, status);
    assert.match(stream.headers["content-type"], /problem\+json/);
    await stream.close();
    assert.equal((await poll(url, query)).status, status);
  }
  assert.equal((await get(`${url}/v1/stream?track=%zz`)).status, 400);
  assert.equal((await get(`${url}/v1/stream`)).status, 426);
  const foreign = await Events.open(port, tracks("a"), { headers: { Origin: "https://evil.example" } });
  assert.equal(foreign.status, 403);
  const own = await Events.open(port, tracks("a"), { headers: { Origin: url } });
  assert.equal(own.headers["access-control-allow-origin"], url);
  await own.close();
  const { json } = await get(`${url}/v1/topics`);
  assert.ok(!json.top.some(({ key }) => key === "k1"), "a refused request leaves nothing tracked");
});

test("events: who does not read is closed; memory is one value a key", async () => {
  const keys = Array.from({ length: 14 }, (_, i) => `slow:${i}:${"x".repeat(490)}`);
  const realtime = await startRealtime(region.service, { args: ["--tick", "1"] });
  const socket = net.connect({ port: realtime.port, host: "127.0.0.1" }).unref();
  await once(socket, "connect");
  socket.on("error", () => {});
  socket.write(`GET /v1/stream?${new URLSearchParams(tracks(...keys))} HTTP/1.1\r\nHost: h\r\n\r\n`);
  await until(async () => (await get(`${realtime.url}/v1/topics/${encodeURIComponent(keys[13])}`)).json.subscribers, "it to track");
  socket.pause();
  let version = 0;
  await until(
    async () => {
      for (let i = 0; i < 100; i++) {
        version++;
        const counts = keys.map((key) => [key, version, version]);
        await put(`${realtime.url}/v1/topics`, { service: "s", epoch: "newest", counts });
      }
      const { text } = await get(`${realtime.url}/metrics`);
      return /^quipu_realtime_closed_slow_total [1-9]/m.test(text);
    },
    "the slow one to be closed",
    60_000,
  );
  socket.destroy();
  assert.equal(await realtime.part.stop(), 0);
});

test("a drain tells how long to wait, each its own time, and ends polls", async () => {
  const args = [...QUICK, "--drain", "300", "--reconnect-spread", "60000"];
  const realtime = await startRealtime(region.service, { args });
  const streams = await Promise.all(Array.from({ length: 8 }, () => Stream.open(realtime.port)));
  const events = await Events.open(realtime.port, tracks("drain:a"));
  await events.shows("drain:a", null);
  const { json } = await poll(realtime.url, tracks("drain:a"));
  const waiting = poll(realtime.url, [...tracks("drain:a"), ["after", json.id]]);
  await until(async () => (await get(`${realtime.url}/v1/topics/drain:a`)).json.subscribers === 2, "the poll");
  const stopped = realtime.part.stop();
  for (const { code } of await Promise.all(streams.map((stream) => stream.closed))) {
    assert.equal(code, 1012);
  }
  const waits = streams.map((stream) => stream.frames.at(-1).retry);
  assert.ok(waits.every((ms) => ms >= 0 && ms < 60_000), `${waits}`);
  assert.ok(new Set(waits).size > 4, `${waits}`);
  await events.closed;
  assert.equal(events.ends.length, 1);
  assert.ok(events.retry >= 0 && events.retry !== 1000);
  assert.equal((await waiting).status, 503);
  assert.equal(await stopped, 0);
});

test("who is here, key by key", async () => {
  const a = await Stream.open(port);
  const b = await Events.open(port, [...tracks("occ:x"), ["publish", "occ:x"]]);
  a.track("occ:x", "occ:y");
  await a.shows("occ:y", null);
  await b.shows("occ:x", 1);
  const { json } = await get(`${url}/v1/topics/occ%3Ax`);
  assert.deepEqual([json.key, json.subscribers, json.publishers, json.value], ["occ:x", 2, 1, 1]);
  assert.equal((await get(`${url}/v1/topics/occ%3Anobody`)).json.subscribers, 0);
  const top = await until(async () => {
    const listed = (await get(`${url}/v1/topics`)).json;
    return listed.top.some(({ key }) => key === "occ:x") && listed;
  }, "the key in the listing");
  assert.ok(top.streams >= 2 && top.connections >= top.streams && top.subscriptions >= 3);
  assert.equal((await get(`${url}/v1/topics/%zz`)).status, 400);
  await a.close();
  await b.close();
});

// ---- permessage-deflate

test("who offers permessage-deflate is sent packed frames where that is shorter", async () => {
  const keys = Array.from({ length: 60 }, (_, i) => `packed:/article/number/${i}`);
  const plain = await Stream.open(port, { perMessageDeflate: false });
  const packed = await Stream.open(port, {
    perMessageDeflate: { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 12 },
  });
  assert.match(packed.socket.extensions, /permessage-deflate/);
  assert.equal(plain.socket.extensions, "");
  await set(keys.map((key, i) => [key, String(i)]));
  for (const stream of [plain, packed]) stream.send({ track: keys });
  for (const stream of [plain, packed]) await stream.shows(keys[59], 59);
  const received = (stream) => stream.socket._socket.bytesRead;
  const before = [received(plain), received(packed)];
  const connection = await region.db.connect();
  await connection.pipeline(keys.map((key) => ["INCR", key]));
  for (const stream of [plain, packed]) for (const [i, key] of keys.entries()) await stream.shows(key, i + 1);
  const [a, b] = [received(plain) - before[0], received(packed) - before[1]];
  assert.ok(b < a * 0.6, `${b} of ${a} bytes`);
  connection.close();
  await plain.close();
  await packed.close();
});

test("a bomb of a message is closed with 1009, and costs what its limit allows", async () => {
  const stream = await Stream.open(port, { perMessageDeflate: { threshold: 0 } });
  stream.send(" ".repeat(20_000_000));
  const { code } = await within(10_000, "the close", stream.closed);
  assert.equal(code, 1009);
});
