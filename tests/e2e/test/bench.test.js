// SPDX-License-Identifier: Apache-2.0
// The load generator is a measuring instrument, so it is held against things that are known: a
// redis-server's own counts, a pause of known length, a process that burns no CPU.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "../lib/test.js";
import { WebSocketServer } from "ws";
import { Part, finish } from "../lib/part.js";
import { freePort, temporaryDirectory } from "../lib/place.js";
import { ask } from "../lib/resp.js";
import { until } from "../lib/until.js";

let port;
let redis;

before(async () => {
  port = await freePort();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", temporaryDirectory()];
  redis = new Part(args, { program: "redis-server" });
  await until(() => ask(port, "PING"), "redis-server");
});

after(() => redis.kill());

async function bench(...args) {
  const { code, stdout, stderr } = await finish([
    ...["bench", "resp", "--to", `127.0.0.1:${port}`, "--pid", String(redis.pid), "--json"],
    ...args,
  ]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

test("fill adds to each key once, whatever the pipeline", async () => {
  await bench("--op", "fill", "--keys", "1001", "--pipeline", "64", "--connections", "7");
  assert.equal(await ask(port, "DBSIZE"), 1001);
  assert.equal(await ask(port, "GET", "counter:00001000"), "123456");
  const { operations, errors } = await bench("--op", "fill", "--keys", "1001", "--connections", "3");
  assert.deepEqual([operations, errors], [1001, 0]);
  assert.equal(await ask(port, "GET", "counter:00000000"), "246912");
});

test("what it says it counted is what the server counted", async () => {
  await ask(port, "FLUSHALL");
  const sample = await bench("--time", "300ms", "--warm-up", "0", "--pipeline", "16");
  const value = Number(await ask(port, "GET", "counter:00000000"));
  assert.ok(sample.operations <= value, `${sample.operations} > ${value}`);
  assert.ok(value - sample.operations <= 2 * 50 * 16, "no more apart than what was under way");
  assert.ok(sample.p50_us > 0 && sample.p50_us <= sample.p99_us && sample.p99_us <= sample.p999_us);
  assert.ok(sample.server_us > 0.05 && sample.server_us < 100, `${sample.server_us} us`);
});

for (const op of ["get", "mget", "set", "ping"]) {
  test(`${op} counts replies of every shape`, async () => {
    const sample = await bench("--op", op, "--time", "200ms", "--pipeline", "5", "--keys", "100");
    assert.ok(sample.operations > 100);
    assert.equal(sample.errors, 0);
  });
}

test("an error reply is counted, told, and makes the exit status 1", async () => {
  await ask(port, "DEL", "counter:00000000");
  await ask(port, "SADD", "counter:00000000", "m");
  const { code, stdout, stderr } = await finish([
    ...["bench", "resp", "--to", `127.0.0.1:${port}`, "--json", "--time", "100ms"],
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /WRONGTYPE/);
  const { operations, errors } = JSON.parse(stdout);
  assert.equal(errors, operations);
  await ask(port, "DEL", "counter:00000000");
});

test("open loop: a pause of 300 ms is in the quantiles, as often as it was due", async () => {
  const running = bench("--rate", "5000", "--time", "2s", "--warm-up", "100ms");
  const from = Number(await ask(port, "GET", "counter:00000000"));
  await until(async () => Number(await ask(port, "GET", "counter:00000000")) > from + 1500, "some load");
  redis.child.kill("SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 300)); // the pause that is measured
  redis.child.kill("SIGCONT");
  const sample = await running;
  // 15 % of the requests were due within the pause: a closed loop would have seen 50 of them.
  assert.ok(sample.p99_us > 200_000, `p99 ${sample.p99_us} us`);
  assert.ok(Math.abs(sample.ops_s - 5000) < 500, `${sample.ops_s} a second`);
});

test("fanout: every subscriber is waited for; a plain send() is measured beside it", async () => {
  const http = createServer();
  const server = new WebSocketServer({ server: http, path: "/v1/stream" });
  const key = "fan";
  let last = null;
  const frame = () => JSON.stringify({ c: [[key, last, last]] });
  server.on("connection", (socket) => socket.on("message", () => socket.send(frame())));
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  await ask(port, "SET", key, "41");
  last = 42;
  const watch = setInterval(async () => {
    const value = Number(await ask(port, "GET", key));
    if (value === last) return;
    last = value;
    for (const socket of server.clients) socket.send(frame());
  }, 5);
  const { code, stdout, stderr } = await finish([
    ...["bench", "fanout", "--to", `127.0.0.1:${http.address().port}`, "--db", `127.0.0.1:${port}`],
    ...["--key", key, "--subscribers", "50", "--rounds", "4", "--pid", String(process.pid), "--json"],
  ]);
  clearInterval(watch);
  server.close();
  http.close();
  assert.equal(code, 0, stderr);
  const result = JSON.parse(stdout);
  assert.ok(result.quipu.frames >= 200 && result.send.frames === 200, stdout);
  assert.ok(result.send.server_us > 0.1 && result.send.server_us < result.quipu.server_us, stdout);
});

test("wrong usage: 2; nobody there: 1", async () => {
  assert.equal((await finish(["bench", "resp", "--op", "nosuch"])).code, 2);
  assert.equal((await finish(["bench", "nosuch"])).code, 2);
  const nobody = await finish(["bench", "resp", "--to", "127.0.0.1:1"]);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /127\.0\.0\.1:1/);
});
