// SPDX-License-Identifier: Apache-2.0
// The main job on real input: the paths of 10,000 requests, counted in three regions of which one
// is cut off for the middle third. Every replica must then say what sort and uniq say.
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "../lib/test.js";
import { count, differences, requestedPaths, startCount, thirds, truth } from "../lib/count.js";
import { Cluster, startDb } from "../lib/db.js";
import { finish } from "../lib/part.js";
import { temporaryFile } from "../lib/place.js";
import { until } from "../lib/until.js";

const paths = requestedPaths();
const expected = truth();
let cluster;

before(async () => {
  cluster = await Cluster.start(3);
});

after(() => cluster.stop());

test("the input is what its README says", () => {
  assert.equal(paths.length, 10_000);
  assert.equal(expected.size, 1498);
  assert.equal([...expected.values()].reduce((sum, n) => sum + n), 10_000);
});

// Line i goes to region i mod 3, so that every key is counted in several at once.
async function countEverywhere(lines) {
  const shares = cluster.dbs.map((_, region) => lines.filter((_, i) => i % 3 === region));
  const results = await Promise.all(cluster.dbs.map((db, i) => count(db.port, shares[i])));
  for (const [i, { code, stderr }] of results.entries()) {
    assert.equal(code, 0, stderr);
    const keys = new Set(shares[i]).size;
    assert.match(stderr, new RegExp(`${shares[i].length} lines, ${keys} keys, [\\d.]+ s`));
  }
}

test("three regions, one cut off for the middle third: every replica has every count", async () => {
  const [begin, middle, end] = thirds(paths);
  await countEverywhere(begin);
  await cluster.cut(2);
  await countEverywhere(middle);
  const apart = await Promise.all(cluster.dbs.map((db) => db.call("QUIPU.DIGEST")));
  assert.notEqual(apart[0], apart[2], "the cut region differs while it is cut off");
  await cluster.heal(2);
  await countEverywhere(end);
  await cluster.converged();
  for (const db of cluster.dbs) {
    const connection = await db.connect();
    assert.deepEqual(await differences(connection, expected), [], `${db.replica} differs`);
    assert.equal(await connection.call("DBSIZE"), 1498);
    connection.close();
  }
});

test("after a kill -9 of all and a restart every count is still there", async () => {
  await Promise.all(cluster.dbs.map((db) => db.kill()));
  for (const db of cluster.dbs) db.launch();
  await Promise.all(cluster.dbs.map((db) => db.ready()));
  await cluster.converged();
  for (const db of cluster.dbs) {
    const connection = await db.connect();
    assert.deepEqual(await differences(connection, expected), [], `${db.replica} differs`);
    connection.close();
  }
});

for (const [signal, name] of [
  ["SIGKILL", "kill -9"],
  ["SIGINT", "Ctrl-C"],
]) {
  test(`a count interrupted by ${name}, again and again, and resumed is exact`, async () => {
    const db = await startDb();
    const lines = Array.from({ length: 30 }, () => paths).flat();
    const file = temporaryFile("paths", lines.map((line) => `${line}\n`).join(""));
    const state = `${file}.state`;
    let interruptions = 0;
    let done = false;
    while (!done) {
      const part = startCount(db.port, file, ["--state", state]);
      if (interruptions < 5) {
        const before = await db.call("GET", paths[0]);
        await until(
          async () => !part.isRunning || (await db.call("GET", paths[0])) !== before,
          "some counting",
        );
        if (part.isRunning) part.child.kill(signal);
      }
      await part.ended(60_000);
      done = part.code === 0 && !part.signal;
      if (!done) interruptions++;
      if (signal === "SIGINT" && !done) assert.match(part.stderr, /resum|again|lines/i);
    }
    assert.ok(interruptions > 0, "it was never interrupted");
    const thirty = new Map([...expected].map(([key, n]) => [key, 30 * n]));
    const connection = await db.connect();
    assert.deepEqual(await differences(connection, thirty), []);
    connection.close();
    await db.stop();
  });
}

test("count: prefix, amount, empty lines, a last line without an end, keys with blanks", async () => {
  const db = await startDb();
  const run = await finish(
    ["count", "--db", `127.0.0.1:${db.port}`, "--prefix", "p:", "--by", "3"],
    { input: "a\nb c\na\n\nlast" },
  );
  assert.equal(run.code, 0, run.stderr);
  assert.equal(await db.get("p:a"), "6");
  assert.equal(await db.get("p:b c"), "3");
  assert.equal(await db.get("p:last"), "3");
  const nobody = await finish(["count", "--db", "127.0.0.1:1"], { input: "a\n" });
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /127\.0\.0\.1:1/);
  const wrong = await finish(["count", "--by", "x"], { input: "" });
  assert.equal(wrong.code, 2);
  await db.stop();
});

test("count stops with a clear message when a key holds a set", async () => {
  const db = await startDb();
  await db.call("GADD", "k", "m");
  const run = await count(db.port, ["a", "k", "b"]);
  assert.equal(run.code, 1);
  assert.match(run.stderr, /WRONGTYPE|type/);
  assert.ok(fs.existsSync(db.data));
  await db.stop();
});
