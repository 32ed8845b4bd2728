// SPDX-License-Identifier: Apache-2.0
// Reading one's own writes at another region, by HTTP and by RESP: it answers once it has seen them,
// not because it has seen other things.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import { Cluster } from "../lib/db.js";
import { get, post, put } from "../lib/http.js";
import { startService } from "../lib/region.js";

let cluster;
let urls;
let services;

before(async () => {
  cluster = await Cluster.start(2);
  services = await Promise.all(cluster.dbs.map((db) => startService(db)));
  urls = services.map((service) => `${service.url}/v1/counters`);
});

after(async () => {
  await Promise.all(services.map((service) => service.part.stop()));
  await cluster.stop();
});

test("a request without a token has none in its answer", async () => {
  const answer = await post(`${urls[0]}/plain/increment`, { by: 1 });
  assert.equal(answer.headers.get("quipu-token"), null);
  assert.equal(answer.json.token, undefined);
});

test("a session sees its write at the other region, at once after it", async () => {
  let token = "new";
  for (let i = 1; i <= 20; i++) {
    const wrote = await post(`${urls[i % 2]}/session/increment`, { by: 1 }, { "Quipu-Token": token });
    assert.equal(wrote.json.value, i);
    assert.match(wrote.json.token, /^q1-[0-9a-f]+$/);
    assert.equal(wrote.headers.get("quipu-token"), wrote.json.token);
    const read = await get(`${urls[(i + 1) % 2]}/session`, { "Quipu-Token": wrote.json.token });
    assert.equal(read.json.value, i);
    token = read.json.token;
  }
});

test("a region that is cut off says that it has not seen it, however much else it has", async () => {
  const wrote = await post(`${urls[0]}/cut/increment`, { by: 1 }, { "Quipu-Token": "new" });
  await get(`${urls[1]}/cut`, { "Quipu-Token": wrote.json.token });
  await cluster.cut(1);
  const later = await post(`${urls[0]}/cut/increment`, { by: 1 }, { "Quipu-Token": wrote.json.token });
  const other = await cluster.dbs[1].connect();
  await other.pipeline(Array.from({ length: 200 }, () => ["SET", "else", "1"]));
  assert.equal(await other.call("QUIPU.WAIT", later.json.token, "100"), 0);
  const refused = await get(`${urls[1]}/cut`, { "Quipu-Token": later.json.token });
  assert.equal(refused.status, 503);
  assert.equal((await get(`${urls[1]}/cut`)).json.value, 1, "without a token it answers");
  await cluster.heal(1);
  const [covered, value] = await other.pipeline([
    ["QUIPU.WAIT", later.json.token, "10000"],
    ["GET", "cut"],
  ]);
  assert.deepEqual([covered, value], [1, "2"]);
  other.close();
});

test("what is no token is a 400", async () => {
  assert.equal((await get(`${urls[0]}/plain`, { "Quipu-Token": "q1-00" })).status, 400);
  const set = await put(`${urls[0].replace("/v1/counters", "")}/plain/counter`, { value: 7 }, { "Quipu-Token": "new" });
  assert.equal(set.json.value, 7);
  assert.match(set.json.token, /^q1-/);
});
