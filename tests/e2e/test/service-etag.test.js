// SPDX-License-Identifier: Apache-2.0
// An ETag names what was answered: a value that changed since, if only a moment ago, is never
// answered with 304.
import assert from "node:assert/strict";
import { startDb } from "../lib/db.js";
import { get, post } from "../lib/http.js";
import { startService } from "../lib/region.js";
import { after, before, test } from "../lib/test.js";

let db;
let service;

before(async () => {
  db = await startDb();
  service = await startService(db);
});

after(async () => {
  assert.equal(await service.part.stop(), 0);
  await db.stop();
});

test("a changed value is never hidden behind an ETag, not even before its commit", async () => {
  const path = `${service.url}/v1/counters/eager`;
  await post(`${path}/increment`, { by: 1 });
  for (let value = 1; value < 100; value++) {
    const before = await get(path);
    assert.equal(before.json.value, value);
    await post(`${path}/increment`, { by: 1 });
    const after = await get(path, { "If-None-Match": before.headers.get("etag") });
    assert.deepEqual([after.status, after.json?.value], [200, value + 1], before.headers.get("etag"));
  }
});
