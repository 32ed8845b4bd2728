// SPDX-License-Identifier: Apache-2.0
// The counter service: counters by HTTP, problems as JSON, messages that two servers could read
// differently refused; heartbeats by UDP into presence.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import { startDb } from "../lib/db.js";
import { HeartbeatSender, heartbeat } from "../lib/heartbeat.js";
import { PutReceiver, get, post, put, raw, request, statuses } from "../lib/http.js";
import { freePort, temporaryFile } from "../lib/place.js";
import { startService } from "../lib/region.js";
import { until } from "../lib/until.js";

let db;
let service;
let url;

before(async () => {
  db = await startDb();
  service = await startService(db);
  url = service.url;
});

after(async () => {
  assert.equal(await service.part.stop(), 0, `${service.part}`);
  await db.stop();
});

function assertProblem(answer, status) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers.get("content-type"), /^application\/problem\+json/);
  assert.equal(answer.json.status, status);
  for (const field of ["type", "title", "detail"]) assert.equal(typeof answer.json[field], "string");
}

test("a counter: missing, incremented, read in both forms, set, deleted", async () => {
  assertProblem(await get(`${url}/v1/counters/http`), 404);
  const first = await post(`${url}/v1/counters/http/increment`, { by: 3 });
  assert.equal(first.status, 200);
  assert.deepEqual([first.json.key, first.json.value, first.json.type], ["http", 3, "counter"]);
  assert.equal((await post(`${url}/v1/counters/http/increment`)).json.value, 4);
  assert.equal((await post(`${url}/v1/counters/http/increment`, { by: -6 })).json.value, -2);
  const read = await get(`${url}/v1/counters/http`);
  assert.equal(read.json.value, -2);
  assert.equal(typeof read.json.version, "number");
  assert.match(read.json.epoch, /^[0-9a-f]{16}$/);
  assert.equal((await get(`${url}/http/counter`)).json.value, -2);
  assert.equal(await db.get("http"), "-2");
  const set = await put(`${url}/http/counter`, { value: 500 });
  assert.ok(set.status === 200 || set.status === 204);
  assert.equal(await db.get("http"), "500");
  assert.equal((await request("DELETE", `${url}/v1/counters/http`)).status, 204);
  assertProblem(await get(`${url}/v1/counters/http`), 404);
  assert.equal(await db.get("http"), null);
});

test("ETag: 304 while nothing changed, 200 after", async () => {
  await post(`${url}/v1/counters/tag/increment`, { by: 1 });
  let tag;
  await until(async () => {
    const { headers, json } = await get(`${url}/v1/counters/tag`);
    assert.ok(headers.get("etag").startsWith(`"${json.epoch}-${json.version}`));
    const isSettled = tag === headers.get("etag");
    tag = headers.get("etag");
    return isSettled;
  }, "a tag that stays");
  for (const condition of [tag, "*", `"x", W/${tag}`]) {
    const same = await get(`${url}/v1/counters/tag`, { "If-None-Match": condition });
    assert.deepEqual([same.status, same.text], [304, ""], condition);
  }
  await post(`${url}/v1/counters/tag/increment`, { by: 1 });
  await until(async () => {
    const changed = await get(`${url}/v1/counters/tag`, { "If-None-Match": tag });
    return changed.status === 200 && changed.json.value === 2;
  }, "the new value");
});

test("a batch answers every key, missing ones with null", async () => {
  await db.call("INCRBY", "batch:a", 5);
  await db.call("INCRBY", "batch:b", -1);
  const { json } = await get(`${url}/v1/counters?key=batch%3Aa&key=none&key=batch:b&key=batch:a`);
  assert.deepEqual(
    json.counters.map(({ key, value }) => [key, value]),
    [
      ["batch:a", 5],
      ["none", null],
      ["batch:b", -1],
      ["batch:a", 5],
    ],
  );
});

test("keys are percent-encoded bytes; sets and presence have their totals", async () => {
  for (const key of ["a b", "a/b/c", "snow ☃", "100%", "q?x=1&y"]) {
    const path = `${url}/v1/counters/${encodeURIComponent(key)}`;
    assert.equal((await post(`${path}/increment`, { by: 2 })).json?.value, 2, key);
    assert.equal(await db.get(key), "2", key);
    assert.equal((await get(`${url}/${encodeURIComponent(key)}/counter`)).json.key, key);
  }
  await db.call("GADD", "members", "x", "y");
  assert.deepEqual((await get(`${url}/v1/counters/members`)).json.value, 2);
  await db.call("PRESENCE.SET", "page", "owner", 4, 60000);
  const presence = (await get(`${url}/v1/counters/page`)).json;
  assert.deepEqual([presence.value, presence.type], [4, "presence"]);
});

test("values beyond 2^53 are strings, exact", async () => {
  await db.call("INCRBY", "big", "9007199254740992");
  await db.call("INCRBY", "big", "1");
  const { text } = await get(`${url}/v1/counters/big`);
  assert.match(text, /"value":\s*"9007199254740993"/);
});

test("errors are problems that say what is wrong", async () => {
  assertProblem(await post(`${url}/v1/counters/bad/increment`, "{"), 400);
  assertProblem(await post(`${url}/v1/counters/bad/increment`, { by: "x" }), 400);
  assertProblem(await post(`${url}/v1/counters/bad/increment`, { by: 1.5 }), 400);
  assertProblem(await post(`${url}/v1/counters/bad/increment`, "[1]"), 400);
  assertProblem(await get(`${url}/v1/nothing`), 404);
  assertProblem(await get(`${url}/v1/counters/%zz`), 400);
  const method = await request("PATCH", `${url}/v1/counters/bad`);
  assertProblem(method, 405);
  assert.match(method.headers.get("allow"), /GET/);
  await db.call("GADD", "bad:set", "m");
  const conflict = await post(`${url}/v1/counters/bad%3Aset/increment`, { by: 1 });
  assertProblem(conflict, 409);
  await db.call("INCRBY", "bad:full", "288230376151711744");
  await db.call("INCRBY", "bad:full", "288230376151711743");
  const overflow = await post(`${url}/v1/counters/bad%3Afull/increment`, { by: 9007199254740991 });
  assert.ok(overflow.status >= 400 && overflow.status < 500, overflow.text);
  assertProblem(await post(`${url}/v1/counters/${"k".repeat(7000)}%00/increment`, "x".repeat(10)), 400);
  assert.equal(await db.get("bad"), null, "nothing was counted");
});

test("CORS: any page may read and count, without credentials", async () => {
  const preflight = await request("OPTIONS", `${url}/v1/counters/cors/increment`, {
    headers: {
      Origin: "https://page.example",
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "content-type",
    },
  });
  assert.ok(preflight.status === 204 || preflight.status === 200);
  assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
  assert.match(preflight.headers.get("access-control-allow-methods"), /POST/);
  assert.match(preflight.headers.get("access-control-allow-headers"), /content-type|\*/i);
  const answer = await post(`${url}/v1/counters/cors/increment`, { by: 1 }, { Origin: "https://page.example" });
  assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  assert.equal(answer.headers.get("access-control-allow-credentials"), null);
});

test("livez, readyz, metrics, openapi.json, links", async () => {
  assert.equal((await get(`${url}/livez`)).status, 200);
  assert.equal((await get(`${url}/readyz`)).status, 200);
  const metrics = await get(`${url}/metrics`);
  assert.match(metrics.headers.get("content-type"), /^text\/plain/);
  assert.match(metrics.text, /^# TYPE quipu_\w+ counter$/m);
  for (const line of metrics.text.trim().split("\n")) {
    assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? -?[\d.e+]+)$/);
  }
  const openapi = (await get(`${url}/openapi.json`)).json;
  assert.match(openapi.openapi, /^3\./);
  assert.ok(openapi.paths["/v1/counters/{key}"].get);
  const links = (await get(`${url}/v1/links`)).json;
  assert.equal(links.replica, "r1");
  assert.deepEqual(links.links, []);
  assertProblem(await post(`${url}/v1/links`, { action: "cut", replica: "ALL" }), 403);
});

test("pipelined requests are answered in order, cut anywhere", async () => {
  const one = (key) => `GET /v1/counters/${key} HTTP/1.1\r\nHost: x\r\n\r\n`;
  await db.call("INCR", "pipe:h");
  const bytes = one("pipe:h") + one("none") + one("pipe:h");
  for (const pieces of [[bytes], [...bytes], [bytes.slice(0, 61), bytes.slice(61)]]) {
    assert.deepEqual(statuses(await raw(service.port, pieces, 3)), [200, 404, 200]);
  }
});

const head = "POST /v1/counters/smuggled/increment HTTP/1.1\r\nHost: x\r\n";
const smuggled = "GET /v1/counters/other HTTP/1.1\r\nHost: x\r\n\r\n";
const shapes = {
  "Content-Length and Transfer-Encoding": `${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "two Content-Lengths": `${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x`,
  "a Content-Length list": `${head}Content-Length: 2, 2\r\n\r\n{}`,
  "a signed Content-Length": `${head}Content-Length: +2\r\n\r\n{}`,
  "a huge Content-Length": `${head}Content-Length: 99999999999999999999\r\n\r\n{}`,
  "chunked twice": `${head}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
  "an unknown coding": `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  "a blank before the colon": `${head}Content-Length : 2\r\n\r\n{}`,
  "a folded line": `${head}X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}`,
  "bare LF": `${head.replaceAll("\r\n", "\n")}Content-Length: 2\n\n{}`,
  "bare CR": `${head}X: a\rContent-Length: 2\r\n\r\n{}`,
  "NUL in a header": `${head}X: a\0b\r\nContent-Length: 2\r\n\r\n{}`,
  "no Host": "POST /v1/counters/smuggled/increment HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
  "two Hosts": `${head}Host: y\r\nContent-Length: 2\r\n\r\n{}`,
  "a bad chunk length": `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
  "a header too large": `${head}X: ${"a".repeat(70_000)}\r\n\r\n`,
  "HTTP/0.9": "GET /v1/counters/smuggled\r\n\r\n",
  "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  garbage: "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
};

for (const [name, bytes] of Object.entries(shapes)) {
  test(`smuggling shape refused, connection closed: ${name}`, async () => {
    const answer = await raw(service.port, Buffer.from(bytes + smuggled, "latin1"), 2);
    const got = statuses(answer);
    assert.ok(got.length <= 1, `a second request was answered: ${answer.slice(0, 500)}`);
    if (got.length) assert.ok(got[0] >= 400, `answered ${got[0]}`);
    assert.equal(await db.get("smuggled"), null, "nothing was counted");
    assert.equal((await get(`${url}/livez`)).status, 200);
  });
}

test("chunked bodies and Expect: 100-continue are understood", async () => {
  const chunked = `${head.replace("smuggled", "chunked")}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"b\r\n5\r\ny":4}\r\n0\r\n\r\n`;
  assert.deepEqual(statuses(await raw(service.port, [...chunked])), [200]);
  assert.equal(await db.get("chunked"), "4");
});

// ---- heartbeats

const total = (page) => db.call("QUIPU.VALUE", page).then(([, row]) => (row ? row[1] : null));

test("presence: sums over nodes, absolute numbers, a bye drops a part at once", async () => {
  const sender = new HeartbeatSender(service.heartbeatPort);
  const beat = (node, sequence, count, more = {}) =>
    sender.send(heartbeat({ node, sequence, interval: 20_000, pages: [["/p", count, false]], ...more }));
  await beat(1n, 1n, 5);
  await beat(2n, 1n, 3);
  await until(async () => (await total("/p")) === 8, async () => `8, is ${await total("/p")}`);
  await beat(1n, 2n, 6);
  await beat(1n, 2n, 100); // the same sequence again: a duplicate, whatever it says
  await until(async () => (await total("/p")) === 9, async () => `9, is ${await total("/p")}`);
  await beat(1n, 1n, 50); // late
  await beat(1n, 9n, 1, { boot: 0n }); // of an earlier life of the node
  await beat(2n, 2n, 4);
  await until(async () => (await total("/p")) === 10, async () => `10, is ${await total("/p")}`);
  await beat(1n, 1n, 2, { boot: 2n }); // the node began again
  await until(async () => (await total("/p")) === 6, async () => `6, is ${await total("/p")}`);
  await sender.send(heartbeat({ node: 2n, sequence: 3n, bye: true, interval: 20_000 }));
  await until(async () => (await total("/p")) === 2, async () => `2, is ${await total("/p")}`);
  await sender.send(heartbeat({ node: 1n, boot: 2n, sequence: 2n, bye: true, interval: 20_000 }));
  await until(async () => !(await total("/p")), async () => `none, is ${await total("/p")}`);
  assert.equal(sender.heard, 0, "a datagram was answered");
  sender.close();
});

test("three missed intervals end a node's part", async () => {
  const sender = new HeartbeatSender(service.heartbeatPort);
  const interval = 200;
  await sender.send(heartbeat({ node: 11n, sequence: 1n, interval, pages: [["/gone", 7, false]] }));
  await until(async () => (await total("/gone")) === 7, "7");
  const begun = Date.now();
  await until(async () => !(await total("/gone")), async () => `none, is ${await total("/gone")}`);
  const lasted = Date.now() - begun;
  assert.ok(lasted > 2 * interval, `ended after ${lasted} ms already`);
  assert.ok(lasted < 10 * interval, `ended after ${lasted} ms only`);
  sender.close();
});

test("malformed datagrams change nothing and the service lives", async () => {
  const sender = new HeartbeatSender(service.heartbeatPort);
  const whole = heartbeat({ node: 21n, sequence: 1n, interval: 20_000, pages: [["/cut", 7, false]] });
  for (let length = 0; length < whole.length; length++) await sender.send(whole.subarray(0, length));
  await sender.send(Buffer.concat([whole, Buffer.from([0])])); // something behind it
  await sender.send(heartbeat({ node: 21n, sequence: 1n, version: 9, pages: [["/cut", 7, false]] }));
  await sender.send(Buffer.alloc(60_000, 0xff));
  const lying = Buffer.from(whole);
  lying.writeUInt16LE(9, whole.length - "/cut".length - 5);
  await sender.send(lying);
  await sender.send(heartbeat({ node: 21n, sequence: 2n, interval: 20_000, pages: [["/ok", 1, false]] }));
  await until(async () => (await total("/ok")) === 1, "the good one");
  assert.equal(await total("/cut"), null);
  assert.equal(sender.heard, 0, "a datagram was answered");
  sender.close();
});

test("with a secret: forged, unsigned and wrongly signed heartbeats are dropped; PUTs are signed", async () => {
  const secret = "a secret of the parts, long enough";
  const signed = await startService(db, { args: ["--secret-file", temporaryFile("secret", secret)] });
  const sender = new HeartbeatSender(signed.heartbeatPort);
  const node = await PutReceiver.start();
  const beat = { node: 31n, interval: 20_000, address: node.address, pages: [["/signed", 9, true]] };
  await sender.send(heartbeat({ ...beat, sequence: 1n }));
  await sender.send(heartbeat({ ...beat, sequence: 2n, secret: "another secret, just as long as it" }));
  const forged = heartbeat({ ...beat, sequence: 3n, secret });
  forged[forged.length - 18] ^= 1;
  await sender.send(forged);
  await sender.send(heartbeat({ ...beat, sequence: 4n, secret, pages: [["/honest", 1, true]] }));
  await until(async () => (await total("/honest")) === 1, "the honest one");
  assert.equal(await total("/signed"), null);
  await until(() => node.latest.get("/honest") === 1, "a PUT");
  const { createHmac } = await import("node:crypto");
  for (const { headers, body } of node.puts) {
    assert.equal(headers["quipu-signature"], createHmac("sha256", secret).update(body).digest("hex"));
  }
  sender.close();
  node.close();
  assert.equal(await signed.part.stop(), 0);
});

test("changes are PUT to nodes with subscribers, conflated, and go on after a refusal", async () => {
  const node = await PutReceiver.start();
  const sender = new HeartbeatSender(service.heartbeatPort);
  let sequence = 0n;
  const beat = (subscribers) =>
    sender.send(
      heartbeat({
        node: 41n,
        sequence: ++sequence,
        interval: 20_000,
        address: node.address,
        pages: [["put:a", 0, subscribers]],
      }),
    );
  await db.call("INCRBY", "put:a", "5");
  await beat(true);
  await until(() => node.latest.get("put:a") === 5, "the value at once, without a change");
  const { method, url: target, json } = node.puts[0];
  assert.deepEqual([method, target], ["PUT", "/v1/topics"]);
  assert.match(json.epoch, /^[0-9a-f]{16}$/);
  assert.equal(typeof json.service, "string");
  const before = node.puts.length;
  const connection = await db.connect();
  await connection.pipeline(Array.from({ length: 20_000 }, () => ["INCR", "put:a"]));
  await until(() => node.latest.get("put:a") === 20_005, () => `20005, is ${node.latest.get("put:a")}`);
  assert.ok(node.puts.length - before < 2000, `${node.puts.length - before} PUTs for 20,000 changes`);
  const versions = node.puts.flatMap((one) => one.json.counts).map(([, , version]) => version);
  assert.deepEqual(versions, [...versions].sort((a, b) => a - b), "versions only rise");
  node.status = 503;
  await connection.call("INCR", "put:a");
  await until(() => node.latest.get("put:a") === 20_006, "a PUT that is refused");
  node.status = 204;
  await connection.call("INCR", "put:a");
  await until(() => node.latest.get("put:a") === 20_007, "PUTs go on");
  await connection.call("DEL", "put:a");
  await until(() => node.latest.get("put:a") === null, "null when the key is gone");
  await beat(false);
  await connection.call("INCR", "put:a");
  await connection.call("INCR", "put:other");
  connection.close();
  sender.close();
  node.close();
});

test("without its database the service answers 503 and recovers by itself", async () => {
  const port = await freePort();
  const lonely = await startService(port);
  assert.equal((await get(`${lonely.url}/livez`)).status, 200);
  assert.equal((await get(`${lonely.url}/readyz`)).status, 503);
  assertProblem(await get(`${lonely.url}/v1/counters/x`), 503);
  const late = await startDb({ port, args: ["--durability", "strict"] });
  await until(async () => (await get(`${lonely.url}/readyz`)).status === 200, "ready with its database");
  assert.equal((await post(`${lonely.url}/v1/counters/x/increment`, { by: 2 })).json.value, 2);
  await late.kill();
  await until(async () => (await get(`${lonely.url}/readyz`)).status === 503, "not ready again");
  await late.start();
  await until(async () => (await get(`${lonely.url}/v1/counters/x`)).json.value === 2, "recovered");
  assert.equal(await lonely.part.stop(), 0);
  await late.stop();
});
