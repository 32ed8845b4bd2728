// SPDX-License-Identifier: Apache-2.0
// Bounded counters: three regions sell one stock, one of them cut off, all under load; what was
// sold and acknowledged is never more than there was.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import { Cluster } from "../lib/db.js";
import { until } from "../lib/until.js";

let cluster;

before(async () => {
  cluster = await Cluster.start(3);
});

after(() => cluster.stop());

const reply = async (connection, ...words) => {
  try {
    return await connection.call(...words);
  } catch (error) {
    return error.message;
  }
};

// Sells until it is refused `patience` times in a row; how many it sold.
async function sell(db, key, patience = 20) {
  const connection = await db.connect();
  let sold = 0;
  for (let refused = 0; refused < patience; ) {
    const answer = await reply(connection, "DECR", key);
    if (typeof answer === "number") {
      sold++;
      refused = 0;
    } else {
      assert.match(answer, /^NORIGHTS \d+ left here/);
      refused++;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  connection.close();
  return sold;
}

test("a decrement beyond what is held here is refused, with what is left", async () => {
  const [r1, r2] = cluster.dbs;
  assert.equal(await r1.call("QUIPU.CREATE", "few", "bounded", "0"), "OK");
  assert.equal(await r1.call("INCRBY", "few", 5), 5);
  await cluster.converged();
  const connection = await r2.connect();
  assert.match(await reply(connection, "DECRBY", "few", 6), /^NORIGHTS \d left here/);
  assert.equal(await r1.call("GET", "few"), "5");
  connection.close();
});

test("rights are given to another region on request", async () => {
  const [r1, , r3] = cluster.dbs;
  await r1.call("QUIPU.CREATE", "given", "bounded", "-10");
  assert.equal(await r1.call("INCRBY", "given", 10), 0);
  const left = await r1.call("QUIPU.TRANSFER", "given", 3, "r3");
  assert.ok(left <= 7);
  await cluster.converged();
  assert.equal(await r3.call("DECRBY", "given", 3), -3);
});

test("rights go by themselves to where they are used: all is sold, and nothing twice", async () => {
  const [r1] = cluster.dbs;
  const stock = 200;
  await r1.call("QUIPU.CREATE", "goods", "bounded", "0");
  await r1.call("INCRBY", "goods", stock);
  for (const db of cluster.dbs.slice(1)) {
    const connection = await db.connect();
    const isSold = async () => typeof (await reply(connection, "DECR", "goods")) === "number";
    await until(isSold, "a region that held nothing sells too");
    connection.close();
  }
  const sold = await Promise.all(cluster.dbs.map((db) => sell(db, "goods", 150)));
  console.log(`sold ${sold.join(" + ")} of ${stock}, after one each by the other two`);
  assert.equal(sold.reduce((a, b) => a + b), stock - 2);
  await cluster.converged();
  for (const db of cluster.dbs) assert.equal(await db.call("GET", "goods"), "0");
});

test("cut off, killed and back: never oversold", async () => {
  const [r1, r2, r3] = cluster.dbs;
  const stock = 300;
  await r2.call("QUIPU.CREATE", "tickets", "bounded", "0");
  await r2.call("INCRBY", "tickets", stock);
  await r2.call("QUIPU.TRANSFER", "tickets", 80, "r1");
  await r2.call("QUIPU.TRANSFER", "tickets", 80, "r3");
  await cluster.converged();
  await cluster.cut(2);
  let sold = 0;
  for (const part of await Promise.all([r1, r2, r3].map((db) => sell(db, "tickets", 5)))) sold += part;
  assert.ok(sold <= stock);
  await r3.kill();
  r3.launch();
  await r3.ready();
  await cluster.meshed();
  await cluster.converged();
  for (const part of await Promise.all([r1, r2, r3].map((db) => sell(db, "tickets", 150)))) sold += part;
  assert.equal(sold, stock);
  await cluster.converged();
  for (const db of cluster.dbs) assert.equal(await db.call("GET", "tickets"), "0");
});

test("DEL ends it everywhere, with what was sold elsewhere at the same time", async () => {
  const [r1, , r3] = cluster.dbs;
  await r1.call("QUIPU.CREATE", "gone", "bounded", "0");
  await r1.call("INCRBY", "gone", 10);
  await r1.call("QUIPU.TRANSFER", "gone", 5, "r3");
  await cluster.converged();
  await cluster.cut(2);
  await r1.call("DEL", "gone");
  assert.equal(await r3.call("DECRBY", "gone", 2), 8);
  await cluster.heal(2);
  await cluster.converged();
  await until(
    async () => (await Promise.all(cluster.dbs.map((db) => db.call("GET", "gone")))).every((value) => value === null),
    () => "the counter is gone everywhere",
  );
});
