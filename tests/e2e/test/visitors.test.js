// SPDX-License-Identifier: Apache-2.0
// Unique clients of a real access log, by HyperLogLog: three regions count a third of the lines
// each, one of them cut off for the middle third, and all say how many there were.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import { clientAddresses, thirds } from "../lib/count.js";
import { Cluster, startDb } from "../lib/db.js";

const SIGMA = 1.04 / Math.sqrt(2 ** 14);
const clients = clientAddresses();
const unique = new Set(clients).size;
let cluster;

before(async () => {
  cluster = await Cluster.start(3);
});

after(() => cluster.stop());

function assertAbout(count, truth) {
  assert.ok(Math.abs(count - truth) <= 3 * SIGMA * truth, `${count} is not about ${truth}`);
}

async function visitEverywhere(lines) {
  await Promise.all(
    cluster.dbs.map(async (db, region) => {
      const connection = await db.connect();
      const share = lines.filter((_, i) => i % 3 === region);
      await connection.pipeline(share.map((client) => ["PFADD", "clients", client]));
      connection.close();
    }),
  );
}

test("unique clients over three regions, one cut off meanwhile", async () => {
  assert.equal(unique, 1753);
  const [begin, middle, end] = thirds(clients);
  await visitEverywhere(begin);
  await cluster.cut(1);
  await visitEverywhere(middle);
  await cluster.heal(1);
  await visitEverywhere(end);
  await cluster.converged();
  const counts = await Promise.all(cluster.dbs.map((db) => db.call("PFCOUNT", "clients")));
  assert.deepEqual(counts, [counts[0], counts[0], counts[0]]);
  assertAbout(counts[0], unique);
});

test("after a kill -9 of all the count is the same", async () => {
  const before_ = await cluster.dbs[0].call("PFCOUNT", "clients");
  await Promise.all(cluster.dbs.map((db) => db.kill()));
  for (const db of cluster.dbs) db.launch();
  await Promise.all(cluster.dbs.map((db) => db.ready()));
  for (const db of cluster.dbs) assert.equal(await db.call("PFCOUNT", "clients"), before_);
});

test("a DEL leaves what was added elsewhere at the same time, and nothing else for long", async () => {
  const [r1, r2, r3] = cluster.dbs;
  await r1.call("PFADD", "page", "a", "b");
  await r2.call("PFADD", "page", "c");
  await cluster.converged();
  await cluster.cut(2);
  await r1.call("DEL", "page");
  await r3.call("PFADD", "page", "d");
  await cluster.heal(2);
  await cluster.converged();
  for (const db of [r1, r2, r3]) assert.equal(await db.call("PFCOUNT", "page"), 1);
});

test("a sketch of twenty members takes at most 200 bytes", async () => {
  const db = await startDb();
  const connection = await db.connect();
  const sketches = 20_000;
  const used = async () => Number((await db.info()).used_memory);
  const before_ = await used();
  const commands = Array.from({ length: sketches }, (_, n) => [
    "PFADD",
    `sketch:${String(n).padStart(9, "0")}`,
    ...Array.from({ length: 20 }, (_, i) => `${n}-${i}`),
  ]);
  for (let at = 0; at < sketches; at += 1000)
    await connection.pipeline(commands.slice(at, at + 1000));
  const each = ((await used()) - before_) / sketches;
  console.log(`${each.toFixed(0)} bytes a sketch of 20 members, 16-byte keys`);
  assert.ok(each <= 200, `${each} bytes`);
  connection.close();
  await db.stop();
});
