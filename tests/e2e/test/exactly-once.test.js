// SPDX-License-Identifier: Apache-2.0
// quipu count --exactly-once against everything that may happen to it: kill -9 at any moment,
// databases killed under it, answers lost, another region to go on in, a replica that never comes
// back. Every path of the access log must be counted as often as it is there.
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import { after, before, test } from "../lib/test.js";
import { differences, requestedPaths, truth } from "../lib/count.js";
import { Cluster, Db, startDb } from "../lib/db.js";
import { Part, finish } from "../lib/part.js";
import { freePorts, temporaryFile } from "../lib/place.js";
import { until } from "../lib/until.js";

const paths = requestedPaths();
const expected = truth();
const text = (lines) => lines.map((line) => `${line}\n`).join("");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function args(port, state, prefix) {
  return ["count", "--exactly-once", "--db", `127.0.0.1:${port}`, "--state", state, "--prefix", prefix];
}

function start(port, file, state, prefix) {
  const input = fs.openSync(file, "r");
  try {
    return new Part(args(port, state, prefix), { input });
  } finally {
    fs.closeSync(input);
  }
}

async function assertExact(db, prefix, times = 1) {
  const connection = await db.connect();
  const must = new Map([...expected].map(([key, n]) => [key, n * times]));
  assert.deepEqual(await differences(connection, must, prefix), [], `${db.replica} differs`);
  connection.close();
}

test("kill -9 again and again: each line once", async () => {
  const db = await startDb();
  const lines = Array.from({ length: 3 }, () => paths).flat();
  const file = temporaryFile("paths", text(lines));
  const state = `${file}.state`;
  let kills = 0;
  for (;;) {
    const run = start(db.port, file, state, "k:");
    const ended = await Promise.race([run.exited, sleep(20 + kills * 7).then(() => undefined)]);
    if (ended !== undefined) {
      assert.equal(ended, 0, `${run}`);
      break;
    }
    await run.kill();
    kills++;
    assert.ok(kills < 200, "it gets on");
  }
  console.log(`${kills} kills`);
  assert.ok(kills > 3);
  await assertExact(db, "k:", 3);
  const { code, stderr } = await finish(args(db.port, state, "k:"), { input: text(lines) });
  assert.equal(code, 1);
  assert.match(stderr, /all 30000 lines of this run are counted/);
  await assertExact(db, "k:", 3);
  await db.stop();
});

test("the database killed under it, again and again", async () => {
  const db = await startDb();
  const file = temporaryFile("paths", text(Array.from({ length: 3 }, () => paths).flat()));
  const run = start(db.port, file, `${file}.state`, "d:");
  for (let i = 0; i < 6; i++) {
    await sleep(60);
    await db.kill();
    db.launch();
    await db.ready();
  }
  assert.equal(await run.ended(60_000), 0, `${run}`);
  await assertExact(db, "d:", 3);
  await db.stop();
});

// Passes requests on and drops the connection before some of the answers.
function lossy(port) {
  let answers = 0;
  const server = net.createServer((client) => {
    const database = net.connect(port, "127.0.0.1");
    const end = () => {
      client.destroy();
      database.destroy();
    };
    client.on("error", end).on("close", end);
    database.on("error", end).on("close", end);
    client.on("data", (bytes) => database.write(bytes));
    database.on("data", (bytes) => (++answers % 3 === 0 ? end() : client.write(bytes)));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

test("answers lost on the way: what they were to is sent again and counted once", async () => {
  const db = await startDb();
  const proxy = await lossy(db.port);
  const file = temporaryFile("paths", text(paths));
  const run = start(proxy.address().port, file, `${file}.state`, "l:");
  assert.equal(await run.ended(60_000), 0, `${run}`);
  await assertExact(db, "l:");
  proxy.close();
  await db.stop();
});

test("begun in one region, killed, gone on in others: each line once everywhere", async () => {
  const cluster = await Cluster.start(3);
  const file = temporaryFile("paths", text(Array.from({ length: 2 }, () => paths).flat()));
  let moves = 0;
  for (;;) {
    const db = cluster.dbs[moves % 3];
    const run = start(db.port, file, `${file}.state`, "m:");
    const ended = await Promise.race([run.exited, sleep(40 + moves * 10).then(() => undefined)]);
    if (ended !== undefined) {
      assert.equal(ended, 0, `${run}`);
      break;
    }
    await run.kill();
    if (moves === 2) await cluster.cut(1);
    if (moves === 5) await cluster.heal(1);
    assert.ok(++moves < 200, "it gets on");
  }
  console.log(`${moves} moves`);
  await cluster.heal(1);
  await cluster.converged();
  await until(
    async () => {
      for (const db of cluster.dbs) await assertExact(db, "m:", 2);
      return true;
    },
    () => "tokens that were left with other replicas are settled",
    20_000,
  );
  await cluster.stop();
});

test("a replica that never comes back: its clients go on elsewhere and lose nothing", async () => {
  const cluster = await Cluster.start(3, { args: [] });
  const [r1, r2, r3] = cluster.dbs;
  const file = temporaryFile("paths", text(paths));
  const run = start(r3.port, file, `${file}.state`, "z:");
  await until(async () => Number(await r3.call("DBSIZE")) > 200, () => "it is under way", 20_000);
  await run.kill();
  await cluster.converged();
  await r3.kill();
  const again = start(r1.port, file, `${file}.state`, "z:");
  assert.equal(await again.ended(60_000), 0, `${again}`);
  // Another one takes its place under its name: what the first one was is closed then.
  const [peerPort] = await freePorts(1);
  const successor = new Db({ replica: "r3", peerPort, peers: [r1.peerPort, r2.peerPort], args: ["--allow-cut"] });
  successor.peerPort = r3.peerPort;
  await successor.start();
  cluster.dbs[2] = successor;
  await until(
    async () => {
      for (const db of [r1, r2, successor]) await assertExact(db, "z:");
      return true;
    },
    () => "an heir has counted what was left for it",
    60_000,
  );
  await cluster.stop();
});
