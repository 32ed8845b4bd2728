// SPDX-License-Identifier: Apache-2.0
// Three databases that replicate: apart they go on counting, together they agree, and what must
// not be merged is refused.
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "../lib/test.js";
import { Cluster, Db } from "../lib/db.js";
import { freePorts, temporaryDirectory } from "../lib/place.js";
import { until } from "../lib/until.js";

let cluster;

before(async () => {
  cluster = await Cluster.start(3);
});

after(() => cluster.stop());

test("a write shows at every replica", async () => {
  const [r1, r2, r3] = cluster.dbs;
  await r1.call("INCRBY", "seen", 5);
  await cluster.agree("5", "GET", "seen");
  await r2.call("DECRBY", "seen", 7);
  await r3.call("INCR", "seen");
  await cluster.agree("-1", "GET", "seen");
  await r2.call("GADD", "seen:set", "a", "b");
  await r3.call("GADD", "seen:set", "b", "c");
  await cluster.agree(3, "SCARD", "seen:set");
  await r1.call("QUIPU.CREATE", "seen:up", "gcounter");
  await r1.call("INCRBY", "seen:up", "3");
  await cluster.agree("3", "GET", "seen:up");
  await cluster.converged();
});

test("cut apart both sides count; healed they are equal and exact", async () => {
  const connections = await Promise.all(cluster.dbs.map((db) => db.connect()));
  assert.equal(await cluster.cut(1), "OK");
  const states = Object.values(await cluster.dbs[1].links()).map((link) => link.state);
  assert.deepEqual(states, ["cut", "cut"]);
  const keys = Array.from({ length: 300 }, (_, i) => `apart:${i}`);
  for (const [i, connection] of connections.entries()) {
    await connection.pipeline(keys.map((key, n) => ["INCRBY", key, String((i + 1) * (n + 1))]));
  }
  assert.equal(await connections[1].call("GET", "apart:9"), "20");
  await until(async () => (await connections[0].call("GET", "apart:9")) === "40", "the others' sum");
  assert.equal(await connections[1].call("GET", "apart:9"), "20", "cut means cut");
  const digests = await Promise.all(cluster.dbs.map((db) => db.call("QUIPU.DIGEST")));
  assert.match(digests[0], /^[0-9a-f]{16}$/);
  assert.notEqual(digests[0], digests[1]);
  assert.equal(await cluster.heal(1), "OK");
  await cluster.converged();
  for (const connection of connections) {
    const values = await connection.call("MGET", ...keys);
    assert.deepEqual(values, keys.map((_, n) => String(6 * (n + 1))));
    connection.close();
  }
  await cluster.meshed();
});

test("DEL beside a concurrent INCR: the increment survives, the rest goes, everywhere", async () => {
  const [r1, r2, r3] = cluster.dbs;
  await r1.call("INCRBY", "reset", 100);
  await cluster.agree("100", "GET", "reset");
  await cluster.cut(2);
  assert.equal(await r3.call("INCRBY", "reset", 7), 107);
  assert.equal(await r1.call("DEL", "reset"), 1);
  await until(async () => (await r2.get("reset")) === null, "the reset at r2");
  await cluster.heal(2);
  await cluster.agree("7", "GET", "reset");
  await cluster.cut(2);
  await r3.call("SET", "reset", "1000");
  await r2.call("INCRBY", "reset", "5");
  await cluster.heal(2);
  await cluster.agree("1005", "GET", "reset");
  await cluster.converged();
});

test("one link can be cut alone: the third replica carries the news around it", async () => {
  const [r1, r2] = cluster.dbs;
  assert.equal(await r1.call("QUIPU.LINK", "CUT", "r2"), "OK");
  await r2.call("INCRBY", "around", "11");
  await cluster.agree("11", "GET", "around");
  assert.equal((await r1.links()).r2.state, "cut");
  assert.equal(await r1.call("QUIPU.LINK", "HEAL", "r2"), "OK");
  await cluster.meshed();
});

test("QUIPU.TOKEN and QUIPU.WAIT: another replica answers once it has seen the write", async () => {
  const [r1, r2] = cluster.dbs;
  await cluster.cut(1);
  const writer = await r1.connect();
  await writer.call("INCRBY", "token", "3");
  const token = await writer.call("QUIPU.TOKEN");
  assert.equal(await r2.call("QUIPU.WAIT", token, "100"), 0);
  await cluster.heal(1);
  assert.equal(await r2.call("QUIPU.WAIT", token, "10000"), 1);
  assert.equal(await r2.get("token"), "3");
  writer.close();
});

test("QUIPU.MEMBERS, FRESH and INSPECT tell of all three", async () => {
  const [r1] = cluster.dbs;
  await r1.call("INCR", "inspected");
  await cluster.agree("1", "GET", "inspected");
  assert.match(JSON.stringify(await r1.call("QUIPU.MEMBERS")), /r1[\s\S]*r2[\s\S]*r3|r2|r3/);
  const fresh = await r1.call("QUIPU.FRESH");
  assert.deepEqual(fresh.map(([name]) => name).filter((name) => name !== "r1").sort(), ["r2", "r3"]);
  assert.match(JSON.stringify(await r1.call("QUIPU.INSPECT", "inspected")), /counter/);
});

test("a restart keeps identity and data, and what was missed meanwhile is fetched", async () => {
  const [r1, r2] = cluster.dbs;
  await r2.call("INCRBY", "restart", "10");
  await cluster.agree("10", "GET", "restart");
  const before = (await r2.info()).incarnation;
  assert.ok(before, "INFO tells the incarnation");
  await r2.stop();
  await r1.call("INCRBY", "restart", "5");
  await r2.start();
  assert.ok(r2.keysAtStart > 0);
  assert.equal((await r2.info()).incarnation, before);
  await cluster.agree("15", "GET", "restart");
  await r2.kill();
  await r1.call("INCRBY", "restart", "5");
  await r2.start();
  assert.equal((await r2.info()).incarnation, before);
  await r2.call("INCRBY", "restart", "1");
  await cluster.agree("21", "GET", "restart");
  await cluster.converged();
  await cluster.meshed();
});

test("with one region down the other two restart, and go on replicating", async () => {
  const few = await Cluster.start(3, { cluster: "few", args: ["--start-wait", "300"] });
  const [r1, r2, r3] = few.dbs;
  await r3.call("INCRBY", "few", "1");
  await few.agree("1", "GET", "few");
  await r3.kill();
  for (const db of [r1, r2]) {
    await db.stop();
    await db.start();
  }
  const both = new Cluster([r1, r2]);
  await r1.call("INCRBY", "few", "10");
  await both.agree("11", "GET", "few");
  await r2.call("INCRBY", "few", "100");
  await both.agree("111", "GET", "few");
  await r3.start();
  await few.agree("111", "GET", "few");
  await few.converged();
  await few.stop();
});

test("a replica of another cluster is refused, by both, and the reason is told", async () => {
  const stranger = new Db({ replica: "r9", cluster: "other", peers: [cluster.dbs[0].peerPort] });
  await stranger.start();
  await stranger.call("INCRBY", "foreign", "1");
  await stranger.part.says(/cluster/);
  await cluster.dbs[0].part.says(/other|cluster/);
  assert.equal(await cluster.dbs[0].get("foreign"), null);
  await stranger.stop();
});

test("a copied data directory started beside its original is refused", async () => {
  const [r1, , r3] = cluster.dbs;
  const copied = temporaryDirectory("copy");
  fs.cpSync(r3.data, copied, { recursive: true });
  const [port, peerPort] = await freePorts(2);
  const twin = new Db({ replica: "r3", port, peerPort, data: copied, peers: [r1.peerPort] });
  twin.launch();
  await twin.part.says(/alive|duplicate|incarnation/i);
  await until(
    async () => {
      if (!twin.part.isRunning) return true;
      return twin.call("INCR", "twin").then(() => false, () => true);
    },
    "the twin does not serve",
  );
  assert.equal(await r1.get("twin"), null);
  await twin.kill();
  assert.equal(typeof (await r3.call("INCR", "original")), "number", "the original goes on");
  await cluster.meshed();
});

test("a data directory has one process at a time", async () => {
  const [, r2] = cluster.dbs;
  const second = new Db({ replica: "r2", data: r2.data });
  second.launch();
  await second.part.ended();
  assert.equal(second.part.code, 1);
  assert.match(second.part.stderr, /another process|in use|busy|lock/i);
});

async function backUp(db) {
  await db.stop();
  const backup = temporaryDirectory("backup");
  fs.cpSync(db.data, backup, { recursive: true });
  await db.start();
  return backup;
}

async function restore(db, backup) {
  await db.stop();
  fs.rmSync(db.data, { recursive: true });
  fs.cpSync(backup, db.data, { recursive: true });
  await db.start();
}

test("a restored backup is found out: a new incarnation, nothing lost, nothing twice", async () => {
  const [r1, , r3] = cluster.dbs;
  await r3.call("INCRBY", "backup", "100");
  await cluster.agree("100", "GET", "backup");
  const backup = await backUp(r3);
  const before = (await r3.info()).incarnation;
  await r3.call("INCRBY", "backup", "11");
  await cluster.agree("111", "GET", "backup");
  await restore(r3, backup);
  const renewed = (await r3.info()).incarnation;
  assert.notEqual(renewed, before);
  await r3.call("INCRBY", "backup", "1000");
  await r1.call("INCRBY", "backup", "10000");
  await cluster.agree("11111", "GET", "backup");
  await cluster.converged();
});

test("what was deleted since does not come back with a backup", async () => {
  const [r1, , r3] = cluster.dbs;
  await r1.call("INCRBY", "deleted", "5");
  await r1.call("INCRBY", "undeleted", "6");
  await cluster.agree("5", "GET", "deleted");
  await cluster.agree("6", "GET", "undeleted");
  const backup = await backUp(r3);
  await cluster.meshed();
  const before = Number((await r1.info()).collected);
  await r1.call("DEL", "deleted");
  await until(async () => Number((await r1.info()).collected) > before, "no trace is left of it");
  await restore(r3, backup);
  await r3.part.says(/the directory is older than what r\d has deleted since/);
  await cluster.agree(null, "GET", "deleted");
  await cluster.agree("6", "GET", "undeleted");
  assert.equal((await r3.info()).directory_too_old, "1");
  await cluster.converged();
});

test("a backup started with --new-incarnation needs nobody's answer", async () => {
  const alone = new Db({ replica: "solo" });
  await alone.start();
  await alone.call("INCRBY", "kept", "5");
  const before = (await alone.info()).incarnation;
  await alone.stop();
  await alone.start(["--new-incarnation"]);
  assert.notEqual((await alone.info()).incarnation, before);
  await alone.call("INCRBY", "kept", "2");
  assert.equal(await alone.get("kept"), "7");
  await alone.stop();
});

test("a replica that comes new receives everything", async () => {
  const first = cluster.dbs[0];
  const many = await first.connect();
  await many.pipeline(Array.from({ length: 5000 }, (_, i) => ["INCRBY", `walk:${i}`, String(i)]));
  many.close();
  const [port, peerPort] = await freePorts(2);
  const late = new Db({
    replica: "r4",
    port,
    peerPort,
    peers: cluster.dbs.map((db) => db.peerPort),
  });
  await late.start();
  const wide = new Cluster([...cluster.dbs, late]);
  await wide.converged();
  assert.equal(await late.get("walk:4999"), "4999");
  await late.call("INCRBY", "walk:1", "41");
  await wide.agree("42", "GET", "walk:1");
  await late.stop();
});
