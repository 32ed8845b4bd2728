// SPDX-License-Identifier: Apache-2.0
// TLS on every port, with the clients people have: who is trusted is served, who is not is refused
// with a reason; peers, service and real-time part among each other; certificates anew on SIGHUP.
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { after, before, test } from "../lib/test.js";
import Redis from "ioredis";
import { createClient } from "redis";
import WebSocket from "ws";
import { Db, startDb } from "../lib/db.js";
import { Part, finish } from "../lib/part.js";
import { freePorts } from "../lib/place.js";
import { Connection } from "../lib/resp.js";
import { Authority, pem, tlsArgs } from "../lib/tls.js";
import { until, within } from "../lib/until.js";

let authority, stranger, own, client, db;

before(async () => {
  authority = new Authority();
  stranger = new Authority("stranger");
  own = authority.issue("server");
  client = authority.issue("client");
  db = await startDb({ args: ["--threads", "2", ...tlsArgs(own)] });
});

after(() => db.stop());

async function secure(port, options = {}) {
  const socket = tls.connect({ port, host: "127.0.0.1", ca: fs.readFileSync(authority.ca), ...options });
  socket.on("error", () => {});
  const connection = new Connection(socket);
  const ready = new Promise((resolve) => socket.once("secureConnect", resolve));
  await within(5000, "a TLS connection", Promise.race([ready, connection.closed]));
  return connection;
}

const cli = (port, ...args) =>
  finish(["--tls", "--cacert", authority.ca, "-p", String(port), ...args], { program: "redis-cli" });

test("redis-cli, ioredis and node-redis count by TLS", async () => {
  assert.equal((await cli(db.port, "INCR", "tls:cli")).stdout.trim(), "1");
  const ca = fs.readFileSync(authority.ca);
  const io = new Redis({ port: db.port, host: "127.0.0.1", tls: { ca } });
  assert.equal(await io.incr("tls:io"), 1);
  io.disconnect();
  for (const RESP of [2, 3]) {
    const node = createClient({ url: `rediss://127.0.0.1:${db.port}`, RESP, socket: { ca } });
    node.on("error", () => {});
    await within(5000, "node-redis", node.connect());
    assert.equal(await node.incr(`tls:node${RESP}`), 1);
    node.destroy();
  }
  const heard = await secure(db.port);
  await heard.call("SUBSCRIBE", "quipu:update:tls:cli");
  await cli(db.port, "INCR", "tls:cli");
  await until(() => heard.pushes.length > 0, () => "an update is heard");
  heard.close();
});

test("long pipelines and long answers pass in order", async () => {
  const connection = await secure(db.port);
  const commands = Array.from({ length: 20000 }, (_, i) => ["INCRBY", `tls:${i % 100}`, i]);
  const replies = await connection.pipeline(commands);
  const expected = Array(100).fill(0);
  replies.forEach((reply, i) => assert.equal(reply, (expected[i % 100] += i)));
  const text = "x".repeat(5 << 20);
  assert.equal(await connection.call("ECHO", text), text);
  connection.close();
});

test("who does not trust the authority leaves, and plain talk ends", async () => {
  const refused = await secure(db.port, { ca: fs.readFileSync(stranger.ca) });
  await within(5000, "it leaves", refused.closed);
  const plain = await Connection.open(db.port);
  plain.write("PING\r\n");
  await within(5000, "it is closed", plain.closed);
  for (const version of ["TLSv1", "TLSv1.1"]) {
    const old = await secure(db.port, { minVersion: version, maxVersion: version, ciphers: "ALL@SECLEVEL=0" });
    await within(5000, `${version} is refused`, old.closed);
  }
  const older = await secure(db.port, { maxVersion: "TLSv1.2" });
  assert.equal(await older.call("PING"), "PONG");
  older.close();
});

test("clients show their certificate where it is asked for", async () => {
  const strict = await startDb({ args: [...tlsArgs(own), "--tls-auth-clients", "yes"] });
  const known = await secure(strict.port, pem(client));
  assert.equal(await known.call("PING"), "PONG");
  known.close();
  const expired = authority.issue("late", { days: -1 });
  for (const options of [{}, pem(stranger.issue("other")), pem(expired)]) {
    const refused = await secure(strict.port, { ...options, ca: fs.readFileSync(authority.ca) });
    refused.write("PING\r\n");
    await within(5000, "it is closed", refused.closed);
    assert.deepEqual(refused.pushes, []);
  }
  await strict.stop();
});

test("a port for TLS beside a plain one", async () => {
  const both = await startDb({ args: [...tlsArgs(own), "--tls-listen", "127.0.0.1:0"] });
  const [, port] = await both.part.says(/TLS on \S+:(\d+)/);
  assert.equal(await both.call("INCR", "a"), 1);
  assert.equal((await cli(port, "INCR", "a")).stdout.trim(), "2");
  await both.stop();
});

async function meshed(dbs, args) {
  const ports = await freePorts(4);
  const made = dbs.map((files, i) => {
    const peers = [ports[3 - i]];
    const own = { replica: `r${i + 1}`, port: ports[i], peerPort: ports[2 + i], peers };
    return new Db({ ...own, args: [...tlsArgs(files), "--tls-listen", "127.0.0.1:0", ...args] });
  });
  for (const one of made) one.launch();
  await Promise.all(made.map((one) => one.ready()));
  return made;
}

const isUp = async (one) => Object.values(await one.links()).some((link) => link.state === "up");

test("peers feed each other by mutual TLS, a stranger is refused with the reason", async () => {
  const args = ["--tls-auth-clients", "yes", "--start-wait", "500ms"];
  const [a, b] = await meshed([own, client], args);
  await until(async () => (await isUp(a)) && (await isUp(b)), async () => `${a.part}\n${b.part}`);
  await a.call("INCRBY", "peers", "7");
  await until(async () => (await b.get("peers")) === "7", () => "it is there");
  await a.stop();
  await b.stop();
  const pair = await meshed([own, stranger.issue("peer")], args);
  const refused = /a peer's connection was refused: TLS(, the certificate of the other end: |: .*unknown ca)/;
  for (const one of pair) await one.part.says(refused);
  assert.equal(await isUp(pair[0]), false);
  for (const one of pair) await one.stop();
});

test("service and real-time part speak it outward and among each other", async () => {
  const [http, beats, realtime] = await freePorts(3);
  const service = new Part([
    ...["service", "--db", `127.0.0.1:${db.port}`, "--db-tls", ...tlsArgs(own)],
    ...["--listen", `127.0.0.1:${http}`, "--heartbeat-listen", `127.0.0.1:${beats}`],
  ]);
  const node = new Part([
    ...["realtime", "--service", `https://127.0.0.1:${http}`, ...tlsArgs(own)],
    ...["--listen", `127.0.0.1:${realtime}`, "--heartbeat-to", `127.0.0.1:${beats}`],
  ]);
  await service.says(/: ready/);
  await node.says(/: ready/);
  const ca = fs.readFileSync(authority.ca);
  const to = `https://127.0.0.1:${http}/v1/counters/tls%2Flikes`;
  const curl = (...args) => finish(["-s", "--cacert", authority.ca, ...args], { program: "curl" });
  await until(async () => (await curl(`https://127.0.0.1:${http}/readyz`)).code === 0, () => "ready");
  await until(
    async () => (await curl("-X", "POST", "-d", '{"by":2}', `${to}/increment`)).stdout.includes('"value":'),
    async () => `counted: ${service}`,
  );
  assert.equal((await finish(["-s", to], { program: "curl" })).code, 60); // without the CA
  const socket = new WebSocket(`wss://127.0.0.1:${realtime}/v1/stream`, "quipu.v1.json", { ca });
  const values = [];
  socket.on("message", (text) => {
    for (const [key, value] of JSON.parse(text).c ?? []) if (key === "tls/likes") values.push(value);
  });
  await within(5000, "a stream", once(socket, "open"));
  socket.send(JSON.stringify({ track: ["tls/likes"] }));
  await until(() => values.length > 0, () => "the first value comes from the service");
  const before = values.at(-1);
  await until(async () => {
    await curl("-X", "POST", "-d", '{"by":1}', `${to}/increment`);
    return values.at(-1) > before;
  }, () => `a PUT brings the next: ${values} ${service} ${node}`);
  socket.terminate();
  assert.equal(await node.stop(), 0);
  assert.equal(await service.stop(), 0);
});

test("count goes by TLS", async () => {
  const to = ["count", "--db", `127.0.0.1:${db.port}`, "--db-tls"];
  const counted = await finish([...to, "--tls-ca-cert-file", authority.ca], { input: "tls:x\ntls:x\n" });
  assert.equal(counted.code, 0, counted.stderr);
  const refused = await finish([...to, "--tls-ca-cert-file", stranger.ca], { input: "tls:x\n" });
  assert.match(refused.stderr, /TLS, the certificate of the other end: /);
});

test("certificates are read again on SIGHUP, wrong ones are not taken", async () => {
  const files = authority.issue("renewed");
  const one = await startDb({ args: tlsArgs(files) });
  const serial = async () => {
    const connection = await secure(one.port);
    const { serialNumber } = connection.socket.getPeerCertificate();
    connection.close();
    return serialNumber;
  };
  const first = await serial();
  const stays = await secure(one.port);
  const next = authority.issue("next");
  fs.copyFileSync(next.cert, files.cert);
  process.kill(one.part.pid, "SIGHUP");
  await one.part.says(/certificates not read again, the ones before stay: --tls-key-file/);
  assert.equal(await serial(), first);
  fs.copyFileSync(next.key, files.key);
  process.kill(one.part.pid, "SIGHUP");
  await one.part.says(/certificates read again/);
  assert.notEqual(await serial(), first);
  assert.equal(await stays.call("PING"), "PONG");
  stays.close();
  await one.stop();
});

test("connections that never finish their handshake cost little and end", async () => {
  const crowd = await startDb({ args: tlsArgs(own) });
  const rss = () => Number(fs.readFileSync(`/proc/${crowd.part.pid}/statm`, "utf8").split(" ")[1]) * 4096;
  const before_ = rss();
  const [sockets, ends] = [[], []];
  for (let i = 0; i < 3000; i++) {
    const socket = net.connect({ port: crowd.port, host: "127.0.0.1" }).resume();
    socket.on("error", () => {});
    ends.push(new Promise((resolve) => socket.once("close", resolve)));
    // Most of them say the beginning of a hello.
    if (i % 6) socket.write(Buffer.from("16030100f8010000f40303", "hex"));
    sockets.push(socket);
  }
  await within(20_000, "all are connected", Promise.all(sockets.map((socket) => socket.connecting && once(socket, "connect"))));
  const good = await secure(crowd.port);
  assert.equal(await good.call("PING"), "PONG");
  const more = (rss() - before_) >> 20;
  assert.ok(more < 100, `${more} MB for half-open connections`);
  await within(20_000, "all are closed", Promise.all(ends));
  assert.equal(await good.call("PING"), "PONG");
  good.close();
  await crowd.stop();
});

test("wrong options are named before anything starts", async () => {
  const data = ["db", "--replica", "r", "--data", "/tmp/quipu-test-never"];
  for (const [args, text] of [
    [["--tls-ca-cert-file", own.ca], /--tls-cert-file is missing/],
    [["--tls-listen", "127.0.0.1:0"], /--tls-cert-file is missing/],
    [["--tls-cert-file", own.cert], /go together/],
    [["--tls-cert-file", own.cert, "--tls-key-file", client.key], /--tls-key-file .*key values mismatch/],
    [["--tls-cert-file", own.cert, "--tls-key-file", own.key, "--tls-auth-clients", "yes"], /wants --tls-ca-cert-file/],
  ]) {
    const { code, stderr } = await finish([...data, ...args]);
    assert.notEqual(code, 0);
    assert.match(stderr, text);
  }
});
