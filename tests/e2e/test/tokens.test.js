// SPDX-License-Identifier: Apache-2.0
// Retries with a token, by RESP and by HTTP: at the same region and at another one, apart and
// together again, over kill -9: counted once, and said to be duplicates.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "../lib/test.js";
import { Cluster } from "../lib/db.js";
import { post } from "../lib/http.js";
import { startService } from "../lib/region.js";

let cluster;
let services;

before(async () => {
  cluster = await Cluster.start(3, { args: ["--durability", "strict"] });
  services = await Promise.all(cluster.dbs.slice(0, 2).map((db) => startService(db)));
});

after(async () => {
  await Promise.all(services.map((service) => service.part.stop()));
  await cluster.stop();
});

const once = (db, key, by, token) => db.call("INCRBY", key, String(by), "ID", token);

test("a retry is a duplicate at every replica that has heard of it", async () => {
  const [r1, r2, r3] = cluster.dbs;
  const token = randomUUID();
  assert.deepEqual(await once(r1, "orders", 5, token), [5, 1]);
  assert.deepEqual(await once(r1, "orders", 5, token), [5, 0]);
  await cluster.agree("5", "GET", "orders");
  assert.deepEqual(await once(r2, "orders", 5, token), [5, 0]);
  assert.deepEqual(await r3.call("DECRBY", "orders", "2", "ID", randomUUID()), [3, 1]);
  await cluster.agree("3", "GET", "orders");
});

test("replicas that are apart both take it; together again it counts once", async () => {
  const [r1, r2, r3] = cluster.dbs;
  const tokens = Array.from({ length: 50 }, () => randomUUID());
  await cluster.cut(2);
  for (const token of tokens) {
    assert.equal((await once(r1, "apart", 2, token))[1], 1);
    assert.equal((await once(r3, "apart", 2, token))[1], 1);
  }
  await r2.call("INCRBY", "apart", "1000");
  await cluster.heal(2);
  await cluster.agree("1100", "GET", "apart");
  for (const db of cluster.dbs) assert.deepEqual(await once(db, "apart", 2, tokens[7]), [1100, 0]);
  await cluster.converged();
  assert.equal((await r1.info()).retry_tokens_taken_twice, "50");
});

test("a reset on one side of the cut takes the retried add with it", async () => {
  const [r1, , r3] = cluster.dbs;
  await r1.call("INCRBY", "gone", "10");
  await cluster.agree("10", "GET", "gone");
  const token = randomUUID();
  await cluster.cut(2);
  await once(r1, "gone", 4, token);
  await once(r3, "gone", 4, token);
  await r1.call("DEL", "gone");
  await r3.call("INCRBY", "gone", "1");
  await cluster.heal(2);
  await cluster.agree("1", "GET", "gone");
});

test("kill -9 between the add and its retry: one of them counts", async () => {
  const [, , r3] = cluster.dbs;
  const token = randomUUID();
  const before = Number((await r3.get("orders")) ?? 0);
  assert.deepEqual(await once(r3, "orders", 100, token), [before + 100, 1]);
  await r3.kill();
  await r3.start();
  assert.deepEqual(await once(r3, "orders", 100, token), [before + 100, 0]);
  await cluster.agree(String(before + 100), "GET", "orders");
});

test("Idempotency-Key: retried at another region's service, it says duplicate", async () => {
  const [first, second] = services.map((service) => `${service.url}/v1/counters/paid/increment`);
  const headers = { "Idempotency-Key": `"${randomUUID()}"` };
  const added = await post(first, { by: 7 }, headers);
  assert.deepEqual([added.status, added.json.value, added.json.duplicate], [200, 7, undefined]);
  await cluster.agree("7", "GET", "paid");
  for (const url of [first, second]) {
    const again = await post(url, { by: 7 }, headers);
    assert.deepEqual([again.status, again.json.value, again.json.duplicate], [200, 7, true]);
  }
  assert.equal((await post(first, { by: 7 }, { "Idempotency-Key": '""' })).status, 400);
});

test("a token that tells a time before the window is refused, not guessed", async () => {
  const old = "018bcfe5-6800-7000-8000-000000000001"; // November 2023
  await assert.rejects(once(cluster.dbs[0], "orders", 1, old), /^.*OLDTOKEN /);
  const refused = await post(`${services[0].url}/v1/counters/orders/increment`, undefined, {
    "Idempotency-Key": old,
  });
  assert.equal(refused.status, 409);
});
