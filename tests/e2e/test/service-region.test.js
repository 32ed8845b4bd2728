// SPDX-License-Identifier: Apache-2.0
// What an operator asks of a region over HTTP: its facts, its keys, whose parts a key is made of.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import { Cluster } from "../lib/db.js";
import { get } from "../lib/http.js";
import { startService } from "../lib/region.js";
import { until } from "../lib/until.js";

let cluster;
let service;

before(async () => {
  cluster = await Cluster.start(2);
  service = await startService(cluster.dbs[0]);
});

after(async () => {
  assert.equal(await service.part.stop(), 0);
  await cluster.stop();
});

const ask = async (path) => (await get(`${service.url}${path}`)).json;

test("facts of the database, numbers as numbers", async () => {
  const facts = await ask("/v1/region");
  assert.equal(facts.replica, "r1");
  assert.equal(facts.journal, "ok");
  for (const name of ["keys", "commands", "clients", "memory_bytes", "commits", "uptime_s"]) {
    assert.equal(typeof facts[name], "number", name);
  }
  await cluster.dbs[0].call("INCR", "facts");
  assert.ok((await ask("/v1/region")).commands > facts.commands);
});

test("keys by a pattern, some a call, each seen", async () => {
  const connection = await cluster.dbs[0].connect();
  await connection.pipeline(Array.from({ length: 1000 }, (_, i) => ["INCR", `key:${i % 2 ? "odd" : "even"}:${i}`]));
  connection.close();
  const found = new Set();
  let cursor = "0";
  do {
    const page = await ask(`/v1/keys?match=${encodeURIComponent("*odd*")}&cursor=${cursor}`);
    for (const key of page.keys) found.add(key);
    ({ cursor } = page);
  } while (cursor !== "0");
  assert.equal(found.size, 500);
  assert.deepEqual((await ask("/v1/keys?match=none")).keys.length, 0);
  assert.equal((await get(`${service.url}/v1/keys?cursor=x`)).status, 400);
  assert.equal((await get(`${service.url}/v1/keys?match=%zz`)).status, 400);
});

test("a counter's parts are its origins', a presence's its owners'", async () => {
  await cluster.dbs[0].call("INCRBY", "parts", "5");
  await cluster.dbs[1].call("INCRBY", "parts", "7");
  const parts = await until(async () => {
    const told = await ask("/v1/counters/parts/parts");
    return told.value === 12 && told;
  }, "both parts");
  assert.equal(parts.type, "counter");
  assert.deepEqual(parts.origins.map((origin) => [origin.replica, origin.T]).sort(), [["r1", 5], ["r2", 7]]);
  await cluster.dbs[1].call("PRESENCE.SET", "/here", "node-1", "3", "60000");
  const presence = await until(async () => {
    const told = await ask("/v1/counters/%2Fhere/parts");
    return told.value === 3 && told;
  }, "the presence");
  assert.deepEqual(presence.owners.map(([owner, count, replica]) => [owner, count, replica]), [["node-1", 3, "r2"]]);
  assert.equal((await get(`${service.url}/v1/counters/missing/parts`)).status, 404);
});

test("every path of the table is in the description", async () => {
  const { paths } = await ask("/openapi.json");
  for (const path of ["/v1/region", "/v1/keys", "/v1/counters/{key}/parts"]) assert.ok(paths[path]?.get, path);
});
