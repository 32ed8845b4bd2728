// SPDX-License-Identifier: Apache-2.0
// The Lua hook: what it says of each applied change, and what becomes of one that is broken.
import assert from "node:assert/strict";
import { test } from "../lib/test.js";
import { Cluster, startDb } from "../lib/db.js";
import { temporaryFile } from "../lib/place.js";
import { until } from "../lib/until.js";

async function listener(db, ...patterns) {
  const connection = await db.connect();
  const heard = [];
  let ready = 0;
  connection.onReply = (message) => {
    if (message[0] === "psubscribe") ready++;
    if (message[0] === "pmessage") heard.push([message[2], message[3]]);
  };
  const { encode } = await import("../lib/resp.js");
  connection.write(encode(["PSUBSCRIBE", ...patterns]));
  await until(() => ready === patterns.length, "the subscriptions");
  return { connection, heard };
}

const withHook = (text) => startDb({ args: ["--hook", temporaryFile("hook.lua", text)] });

test("by default each change is JSON on quipu:update:<key>", async () => {
  const db = await startDb();
  const { connection, heard } = await listener(db, "quipu:update:*");
  const said = (n) => until(() => heard.length >= n, () => JSON.stringify(heard));
  await db.call("INCRBY", "h", "5");
  await said(1);
  const [channel, text] = heard[0];
  assert.equal(channel, "quipu:update:h");
  const { version, ...event } = JSON.parse(text);
  assert.deepEqual(event, { key: "h", type: "counter", value: 5, op: "add", origin: "local" });
  assert.equal(typeof version, "number");
  await db.call("SET", "h", "9");
  await said(2);
  assert.deepEqual(JSON.parse(heard[1][1]).op, "set");
  assert.ok(JSON.parse(heard[1][1]).version > version);
  await db.call("DEL", "h");
  await said(3);
  const gone = JSON.parse(heard[2][1]);
  assert.deepEqual([gone.value, gone.op], [null, "reset"]);
  await db.call("GADD", "h:set", "a", "b");
  await said(4);
  assert.deepEqual(JSON.parse(heard[3][1]).value, 2);
  await db.call("INCRBY", "h:big", "9007199254740993");
  await said(5);
  assert.equal(JSON.parse(heard[4][1]).value, "9007199254740993");
  await db.call("INCR", 'h:"quoted"\n');
  await said(6);
  assert.equal(JSON.parse(heard[5][1]).key, 'h:"quoted"\n');
  connection.close();
  await db.stop();
});

test("a change made elsewhere, and a lease that ends, come too, with their origin", async () => {
  const cluster = await Cluster.start(2);
  const { connection, heard } = await listener(cluster.dbs[1], "quipu:update:*");
  await cluster.dbs[0].call("INCRBY", "far", "4");
  await until(() => heard.length, "the peer's change");
  const far = JSON.parse(heard[0][1]);
  assert.deepEqual([far.key, far.value, far.origin], ["far", 4, "peer"]);
  await cluster.dbs[1].call("PRESENCE.SET", "/page", "me", "3", "300");
  const of = (wanted) => heard.map(([, text]) => JSON.parse(text)).filter(wanted);
  await until(() => of((e) => e.key === "/page" && !e.value && e.origin === "expiry").length, () => JSON.stringify(heard));
  assert.ok(of((e) => e.key === "/page" && e.value === 3).length);
  connection.close();
  await cluster.stop();
});

test("many changes of a key between two commits are one event with the last value", async () => {
  const db = await startDb();
  const { connection, heard } = await listener(db, "quipu:update:hot");
  const writer = await db.connect();
  await writer.pipeline(Array.from({ length: 50_000 }, () => ["INCR", "hot"]));
  await until(() => heard.length && JSON.parse(heard.at(-1)[1]).value === 50_000, "the last value");
  assert.ok(heard.length < 5000, `${heard.length} events for 50,000 changes`);
  writer.close();
  connection.close();
  await db.stop();
});

test("--hook FILE replaces it", async () => {
  const db = await withHook(`
    function on_change(event)
      if event.key == "skip" then return end
      redis.publish("mine:" .. event.key, event.op .. " " .. tostring(event.value) ..
        " was " .. tostring(event.previous) .. " by " .. tostring(event.amount))
    end`);
  const { connection, heard } = await listener(db, "*");
  await db.call("INCRBY", "k", "5");
  await until(() => heard.length === 1, "one");
  await db.call("INCRBY", "skip", "1");
  await db.call("INCRBY", "k", "7");
  await until(() => heard.length === 2, "two");
  assert.deepEqual(heard[0][0], "mine:k");
  assert.match(heard[0][1], /^add 5 was (nil|0) by 5$/);
  assert.equal(heard[1][1], "add 12 was 5 by 7");
  connection.close();
  await db.stop();
});

test("a hook that fails is reported with file and line; counting and other events go on", async () => {
  const db = await withHook(`function on_change(event)
    if event.key == "bad" then error("no such luck") end
    redis.publish("ok", event.key)
  end`);
  const { connection, heard } = await listener(db, "ok");
  assert.equal(await db.call("INCR", "bad"), 1);
  await db.part.says(/hook\.lua:2.*no such luck/);
  assert.equal(await db.call("INCR", "good"), 1);
  await until(() => heard.length === 1, "the good one");
  assert.equal(heard[0][1], "good");
  connection.close();
  await db.stop();
});

test("an endless hook is stopped within its budget and reported; counting goes on", async () => {
  const db = await withHook(`function on_change(event)
    if event.key == "loop" then while true do end end
    if event.key == "fill" then local t = {} while true do t[#t + 1] = ("x"):rep(100000) .. #t end end
    if event.key == "hide" then pcall(function() while true do end end) while true do end end
    redis.publish("ok", event.key)
  end`);
  const { connection, heard } = await listener(db, "ok");
  for (const key of ["loop", "fill", "hide"]) {
    const before = db.part.stderr.length;
    assert.equal(await db.call("INCR", key), 1);
    await until(() => /hook|script/.test(db.part.stderr.slice(before)), `a report about ${key}`);
  }
  const begun = Date.now();
  assert.equal(await db.call("INCR", "after"), 1);
  await until(() => heard.some(([, key]) => key === "after"), "events go on");
  assert.ok(Date.now() - begun < 2000);
  connection.close();
  await db.stop();
});

test("a hook has no files, no processes, no loading, no way to spoil its own globals", async () => {
  const db = await withHook(`
    local names = { "io", "os", "require", "package", "debug", "dofile", "loadfile", "loadstring", "load" }
    function on_change(event)
      local found = {}
      for _, name in ipairs(names) do if rawget(_G, name) then found[#found + 1] = name end end
      redis.publish("found", table.concat(found, ","))
    end`);
  const { connection, heard } = await listener(db, "found");
  await db.call("INCR", "x");
  await until(() => heard.length, () => db.part.stderr);
  assert.equal(heard[0][1], "");
  connection.close();
  await db.stop();
});

test("a hook that does not compile, or is missing, is refused at the start", async () => {
  const { finish } = await import("../lib/part.js");
  const { temporaryDirectory } = await import("../lib/place.js");
  const start = (file) =>
    finish(["db", "--replica", "r1", "--data", temporaryDirectory(), "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0", "--hook", file]);
  const broken = await start(temporaryFile("hook.lua", "function on_change(event"));
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /hook\.lua:1/);
  const without = await start(temporaryFile("hook.lua", "x = 1"));
  assert.equal(without.code, 1);
  assert.match(without.stderr, /on_change/);
  const missing = await start("/nonexistent/hook.lua");
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /\/nonexistent\/hook\.lua/);
});
