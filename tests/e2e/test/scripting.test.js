// SPDX-License-Identifier: Apache-2.0
// EVAL, EVALSHA and functions with real clients; that a script runs in one piece against everybody's
// counting and reaches the other replicas whole; what stops a slow one; functions over a restart.
import assert from "node:assert/strict";
import { after, before, test } from "../lib/test.js";
import Redis from "ioredis";
import { createClient, defineScript } from "redis";
import { Cluster, startDb } from "../lib/db.js";
import { Connection } from "../lib/resp.js";
import { until, within } from "../lib/until.js";

let cluster;
let db;
const closers = [];

before(async () => {
  cluster = await Cluster.start(2, { args: ["--threads", "2"] });
  db = cluster.dbs[0];
});

after(async () => {
  for (const close of closers) await close();
  await cluster.stop();
});

async function connection(to = db) {
  const opened = await Connection.open(to.port);
  closers.push(() => opened.close());
  return opened;
}

function ioredis(options = {}) {
  const client = new Redis(db.port, "127.0.0.1", { maxRetriesPerRequest: 1, maxScriptsCachingTime: 500, ...options });
  client.on("error", () => {});
  closers.push(() => client.disconnect());
  return client;
}

// Takes at most what is there: check and act.
const TAKE = `
  local left = tonumber(redis.call('GET', KEYS[1]) or '0')
  local wanted = tonumber(ARGV[1])
  if wanted > left then wanted = left end
  if wanted > 0 then redis.call('DECRBY', KEYS[1], wanted) end
  return wanted`;

test("ioredis: eval, evalsha, a command defined by a script, in a pipeline and a multi", async () => {
  const redis = ioredis({ scripts: { takeUpTo: { numberOfKeys: 1, lua: TAKE } } });
  assert.equal(await redis.eval("return {KEYS[1], ARGV[1]}", 1, "k", "a").then(String), "k,a");
  const sha = await redis.script("LOAD", "return redis.call('INCR', KEYS[1])");
  assert.equal(await redis.evalsha(sha, 1, "io:n"), 1);
  assert.deepEqual(await redis.script("EXISTS", sha, "f".repeat(40)), [1, 0]);
  await redis.set("io:stock", 10);
  assert.equal(await redis.takeUpTo("io:stock", 4), 4);
  assert.equal(await redis.takeUpTo("io:stock", 40), 6);
  redis.defineCommand("twice", { numberOfKeys: 1, lua: "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[1])" });
  const piped = await redis.pipeline().twice("io:p").get("io:p").twice("io:p").exec();
  assert.deepEqual(piped.map(([, value]) => value), [2, "2", 4]);
  const multi = await redis.multi().twice("io:p").get("io:p").exec();
  assert.deepEqual(multi.map(([, value]) => value), [6, "6"]);
  await assert.rejects(redis.eval("return redis.call('NOPE')", 0), /Unknown Redis command called from script/);
  await assert.rejects(redis.evalsha("0".repeat(40), 0), /NOSCRIPT/);
  await redis.script("FLUSH");
  assert.equal(await redis.takeUpTo("io:stock", 1), 0, "a client sends the text again after NOSCRIPT");
});

for (const RESP of [2, 3]) {
  test(`node-redis over RESP${RESP}: eval, a script, functions`, async () => {
    const client = createClient({
      url: `redis://127.0.0.1:${db.port}`,
      RESP,
      scripts: {
        take: defineScript({
          SCRIPT: TAKE,
          NUMBER_OF_KEYS: 1,
          parseCommand(parser, key, count) {
            parser.pushKey(key);
            parser.push(String(count));
          },
          transformReply: (reply) => reply,
        }),
      },
    });
    client.on("error", () => {});
    await within(5000, "node-redis", client.connect());
    try {
      assert.deepEqual(await client.eval("return {1, ARGV[1]}", { arguments: ["x"] }), [1, "x"]);
      await client.set(`nr:${RESP}`, "5");
      assert.equal(await client.take(`nr:${RESP}`, 3), 3);
      assert.equal(await client.take(`nr:${RESP}`, 3), 2);
      const code = `#!lua name=nr${RESP}
        redis.register_function('add${RESP}', function(keys, args)
          return redis.call('INCRBY', keys[1], args[1])
        end)
        redis.register_function{function_name = 'peek${RESP}', flags = {'no-writes'},
          callback = function(keys) return redis.call('GET', keys[1]) end}`;
      assert.equal(await client.functionLoad(code, { REPLACE: true }), `nr${RESP}`);
      const key = `nr:f${RESP}`;
      assert.equal(await client.fCall(`add${RESP}`, { keys: [key], arguments: ["7"] }), 7);
      assert.equal(await client.fCallRo(`peek${RESP}`, { keys: [key] }), "7");
      const list = await client.functionList({ LIBRARYNAME: `nr${RESP}` });
      assert.equal(list[0].functions.length, 2);
      assert.equal(await client.functionDelete(`nr${RESP}`), "OK");
      await assert.rejects(client.fCall(`add${RESP}`, { keys: [key], arguments: ["7"] }), /not found/);
    } finally {
      await client.close();
    }
  });
}

test("a script runs in one piece, whoever else counts", async () => {
  await db.call("SET", "piece:stock", "500");
  const takers = await Promise.all(Array.from({ length: 6 }, () => connection()));
  const counters = await Promise.all(Array.from({ length: 4 }, () => connection()));
  let isOver = false;
  const counting = counters.map(async (one) => {
    let count = 0;
    while (!isOver) {
      await one.pipeline(Array.from({ length: 20 }, () => ["INCR", "piece:hot"]));
      count += 20;
    }
    return count;
  });
  const torn = `local a = redis.call('GET', 'piece:hot')
    for i = 1, 200 do if redis.call('GET', 'piece:hot') ~= a then return 1 end end
    return 0`;
  const taken = await Promise.all(
    takers.map(async (one) => {
      let got = 0;
      for (;;) {
        const [now, wasTorn] = await one.pipeline([
          ["EVAL", TAKE, "1", "piece:stock", "7"],
          ["EVAL", torn, "0"],
        ]);
        assert.equal(wasTorn, 0, "somebody counted within the script");
        if (now === 0) return got;
        got += now;
      }
    }),
  );
  isOver = true;
  assert.equal(taken.reduce((sum, got) => sum + got, 0), 500);
  assert.equal(await db.get("piece:stock"), "0");
  const counted = (await Promise.all(counting)).reduce((sum, count) => sum + count, 0);
  assert.equal(Number(await db.get("piece:hot")), counted);
});

test("another replica is shown a script's effects whole", async () => {
  const [near, far] = [await connection(), await connection(cluster.dbs[1])];
  const both = "for i = 1, 5 do redis.call('INCR', 'shown:a') redis.call('INCR', 'shown:b') end";
  let isOver = false;
  const writing = (async () => {
    for (let i = 0; i < 100; i++) await near.call("EVAL", both, "0");
    isOver = true;
  })();
  while (!isOver) {
    const [a, b] = await far.call("EVAL", "return redis.call('MGET', 'shown:a', 'shown:b')", "0");
    assert.equal(a, b, "half a script was shown");
    assert.equal(Number(a) % 5, 0);
  }
  await writing;
  await until(async () => (await far.call("GET", "shown:b")) === "500", () => "all is there");
});

test("a script that takes long is stopped, told of, or killed", async () => {
  const slow = await startDb();
  const [one, two] = [await connection(slow), await connection(slow)];
  try {
    assert.match(await one.refusal("EVAL", "while true do end", "0"), /script-time-limit/);
    assert.equal(await one.call("CONFIG", "SET", "script-time-limit", "0"), "OK");
    assert.equal(await one.call("CONFIG", "SET", "busy-reply-threshold", "20"), "OK");
    const running = one.refusal("EVAL", "while true do end", "0");
    await until(async () => /^BUSY/.test(await two.refusal("GET", "x").catch(() => "")), () => "BUSY");
    assert.match(await two.refusal("INCR", "x"), /^BUSY .* SCRIPT KILL/);
    assert.match(await two.refusal("FUNCTION", "KILL"), /^BUSY/);
    assert.equal(await two.call("SCRIPT", "KILL"), "OK");
    assert.match(await running, /killed by user/);
    assert.equal(await two.call("INCR", "x"), 1);
    assert.match(await two.refusal("SCRIPT", "KILL"), /^NOTBUSY/);
    assert.equal(await one.call("CONFIG", "SET", "script-time-limit", "700"), "OK");
    const writing = one.refusal("EVAL", "redis.call('INCR', 'w') while true do end", "0");
    await until(async () => /^BUSY/.test(await two.refusal("GET", "x").catch(() => "")), () => "BUSY");
    assert.match(await two.refusal("SCRIPT", "KILL"), /^UNKILLABLE/);
    assert.match(await writing, /script-time-limit/);
    assert.equal(await two.call("GET", "w"), "1", "what it wrote stays");
    const info = await slow.info();
    assert.equal(info.script_time_limit_ms, "700");
    assert.ok(Number(info.used_memory_vm_eval) > 0);
  } finally {
    await slow.stop();
  }
});

test("functions are there after a restart, and after a crash", async () => {
  const kept = await startDb();
  const code = "#!lua name=kept\nredis.register_function('hi', function() return 'hello' end)";
  assert.equal(await kept.call("FUNCTION", "LOAD", code), "kept");
  await kept.kill();
  await kept.start();
  assert.equal(await kept.call("FCALL", "hi", "0"), "hello");
  const other = await startDb();
  const from = await connection(kept);
  assert.equal((await from.call("FUNCTION", "LIST")).length, 1);
  assert.equal(await kept.call("FUNCTION", "FLUSH"), "OK");
  await kept.stop();
  await kept.start();
  assert.deepEqual(await kept.call("FUNCTION", "LIST"), []);
  await kept.stop();
  await other.stop();
});
