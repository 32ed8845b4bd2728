// SPDX-License-Identifier: Apache-2.0
// The clients that Debian has, with their defaults: redis-py and hiredis. And redis-benchmark's
// whole default run, as far as counters go, at several threads.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "../lib/test.js";
import { startDb } from "../lib/db.js";
import { finish } from "../lib/part.js";
import { repository, temporaryDirectory } from "../lib/place.js";

let db;
const clients = path.join(repository, "tests/e2e/clients");

before(async () => {
  db = await startDb({ args: ["--threads", "2"] });
});

after(() => db.stop());

test("redis-py: counters, transactions, WATCH, scans, pub/sub, MONITOR, a lost connection", async () => {
  const { code, stdout, stderr } = await finish([path.join(clients, "redis_py.py"), String(db.port)], {
    program: "/usr/bin/python3",
    ms: 60_000,
  });
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), "ok");
});

test("hiredis: commands, a pipeline, a transaction, a subscription", async () => {
  const binary = path.join(temporaryDirectory("hiredis"), "client");
  const compiled = await finish(
    ["-O1", "-Wall", "-Wextra", "-Werror", "-o", binary, path.join(clients, "hiredis.c"), "-lhiredis"],
    { program: "gcc", ms: 60_000 },
  );
  assert.equal(compiled.code, 0, compiled.stderr);
  const { code, stdout, stderr } = await finish([String(db.port)], { program: binary, ms: 60_000 });
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), "ok");
});

test("redis-benchmark: ping, incr, get, sadd and mset of numbers, piped and not", async () => {
  for (const more of [[], ["-P", "16"], ["-3", "-P", "64"]]) {
    const words = ["-p", String(db.port), "-n", "5000", "-q", ...more];
    const run = await finish([...words, "-t", "ping_inline,ping_mbulk,incr,get,sadd"], {
      program: "redis-benchmark",
      ms: 60_000,
    });
    assert.equal(run.code, 0, run.stderr);
    assert.doesNotMatch(run.stdout + run.stderr, /rror/);
    const set = await finish([...words, "-r", "1000", "MSET", "k:__rand_int__", "1", "l:__rand_int__", "2"], {
      program: "redis-benchmark",
      ms: 60_000,
    });
    assert.equal(set.code, 0, set.stderr);
    assert.doesNotMatch(set.stdout + set.stderr, /rror/);
  }
});
