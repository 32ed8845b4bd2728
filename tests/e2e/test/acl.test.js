// SPDX-License-Identifier: Apache-2.0
// Users against the real redis-server: the same words to both, the same answers from both. Then
// what only several threads and real connections show.
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "../lib/test.js";
import Redis from "ioredis";
import { createClient } from "redis";
import { startDb, Db } from "../lib/db.js";
import { Part, finish } from "../lib/part.js";
import { temporaryFile } from "../lib/place.js";
import { hasRedis, RedisServer } from "../lib/redis.js";
import { Connection, ReplyError } from "../lib/resp.js";
import { until, within } from "../lib/until.js";

let db;
let redis;

before(async () => {
  db = await startDb({ args: ["--threads", "3"] });
  if (hasRedis()) redis = await RedisServer.start();
});

after(async () => {
  await db.stop();
  await redis?.stop();
});

const plain = (reply) => (reply instanceof ReplyError ? `-${reply.message}` : reply);

async function answers(connection, lines) {
  const list = [];
  for (const line of lines) {
    const words = Array.isArray(line) ? line : line.split(" ");
    const [reply] = await connection.pipeline([words]);
    list.push([words.join(" "), plain(reply)]);
  }
  return list;
}

async function same(lines) {
  const [ours, theirs] = [await db.connect(), await redis.connect()];
  try {
    assert.deepEqual(await answers(ours, lines), await answers(theirs, lines));
  } finally {
    ours.close();
    theirs.close();
  }
}

const skip = hasRedis() ? false : "no redis-server 7.0 here";

// Rules about commands that both have, and about nothing else: what a category holds differs.
const RULES = [
  "on", "off", "nopass", "resetpass", ">pw1", ">pw2", "<pw1", "<pw3", "allkeys", "resetkeys", "~a*",
  "~*", "%R~r*", "%W~w*", "%RW~x", "%WR~y", "%~z", "%RR~q", "allchannels", "resetchannels", "&c*",
  "&*", "+get", "-get", "+set", "+incr", "-incr", "+@all", "-@all", "allcommands", "nocommands",
  "+client|id", "+client", "-client", "-client|kill", "+config|get", "-config|set", "+select|0",
  "-select", "+nope", "+@nope", "nope", "+client|nope", "+get|x|y", "#12", "!12", "reset",
  "(+get ~k)", "(+set %W~k* &c)", "clearselectors", "(nope)", "()", "+GET", "-CLIENT|ID", "+del",
  "#2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "+publish", "+subscribe",
  "~", "&", "+", "-", "+@", ">", "<", "%", "+client|", "+select|", "-select|1", "(", ")",
];

// A small generator, so that a failure names what replays it.
function chance(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const DRY = [
  "GET a1", "GET r1", "GET w1", "GET k1", "GET zz", "SET a1 1", "SET w1 1", "SET r1 1", "SET x 1 GET",
  "SET k2 1", "SET w1 1 GET", "INCR a1", "INCR x", "INCR w1", "INCRBY r1 5", "DEL a1 w1", "DEL a1 r1",
  "MGET a1 r1", "MGET r1 w1", "EXISTS r1 w1 a1", "EXISTS zz", "TYPE w1", "TTL w1", "TTL r1",
  "CLIENT ID", "CLIENT KILL x", "CLIENT LIST", "CONFIG GET x", "CONFIG SET a b", "SELECT 0", "SELECT 1",
  "PUBLISH c1 x", "PUBLISH d x", "SUBSCRIBE c1 c2", "SUBSCRIBE d", "PSUBSCRIBE c*", "PSUBSCRIBE c1",
  "PING", "AUTH x", "HELLO", "QUIT", "RESET", "SADD a1 m", "SADD r1 m", "SMEMBERS w1", "SCARD w1",
  "SISMEMBER r1 m", "KEYS *", "FLUSHALL", "INFO", "SCAN 0", "DBSIZE", "OBJECT ENCODING a1",
  "OBJECT ENCODING zz", "MEMORY USAGE zz", "UNLINK w1", "PFADD a1 x", "EXPIRE w1 10", "ACL WHOAMI",
];

const told = (user) =>
  user && { flags: user.flags.filter((flag) => !flag.includes("sanitize")).sort(), ...pick(user) };
const pick = ({ passwords, keys, channels, selectors }) => ({ passwords, keys, channels, selectors });

async function stories(connection, seed, known) {
  const random = chance(seed);
  const heard = [];
  await connection.call("HELLO", "3");
  await connection.pipeline([["ACL", "DELUSER", "u"], ["ACL", "SETUSER", "u"]]);
  for (let step = 0; step < 60; step++) {
    const rules = Array.from({ length: 1 + random(3) }, () => RULES[random(RULES.length)]);
    const [reply] = await connection.pipeline([["ACL", "SETUSER", "u", ...rules]]);
    heard.push([rules.join(" "), plain(reply)]);
    heard.push(told(await connection.call("ACL", "GETUSER", "u")));
    const dry = DRY.filter((line) => known.has(line.split(" ")[0].toLowerCase()));
    const replies = await connection.pipeline(dry.map((line) => ["ACL", "DRYRUN", "u", ...line.split(" ")]));
    heard.push(replies.map((one, i) => [dry[i], plain(one)]));
  }
  await connection.call("ACL", "DELUSER", "u");
  return heard;
}

test("random rules make the users that Redis makes", { skip }, async () => {
  const list = await db.call("COMMAND", "LIST");
  const known = new Set(list.map((name) => name.toLowerCase()));
  for (let seed = 1; seed <= 12; seed++) {
    const [ours, theirs] = [await db.connect(), await redis.connect()];
    const [a, b] = await Promise.all([stories(ours, seed, known), stories(theirs, seed, known)]);
    assert.deepEqual(a, b, `seed ${seed}`);
    ours.close();
    theirs.close();
  }
});

test("what is refused is refused in Redis's words", { skip }, async () => {
  await same([
    "ACL SETUSER u1 on >pw ~a +get +publish &c",
    "AUTH u1 nope",
    "AUTH nobody pw",
    "AUTH pw",
    "AUTH a b c",
    "AUTH u1 pw",
    "GET a",
    "GET b",
    "SET a 1",
    "PUBLISH c x",
    "PUBLISH d x",
    "ACL WHOAMI",
    "CLIENT ID",
    "PING",
    "GET",
    "NOPE x",
    "HELLO 2 AUTH u1",
    "HELLO 2 AUTH u1 nope",
    "HELLO 4",
    "HELLO 2 NOPE",
    "RESET",
    "ACL WHOAMI",
    ["ACL", "SETUSER", "a b"],
    ["ACL", "SETUSER", "a\0b"],
    "ACL SETUSER",
    "ACL DELUSER default",
    "ACL DELUSER u1 none u1",
    "ACL CAT",
    "ACL CAT nope",
    "ACL GENPASS -1",
    "ACL GENPASS 4097",
    "ACL GENPASS x",
    "ACL LOG x",
    "ACL DRYRUN nobody get x",
    "ACL DRYRUN default nope",
    "ACL DRYRUN default get",
    "ACL WHOAMI x",
    "ACL USERS",
  ].filter((line) => line !== "ACL CAT"));
});

test("a password closes the door in Redis's words", { skip }, async () => {
  const set = ["CONFIG", "SET", "requirepass", "s3cret"];
  for (const server of [db, redis]) {
    const connection = await server.connect();
    assert.equal(await connection.call(...set), "OK");
    connection.close();
  }
  try {
    await same([
      "PING",
      "GET a",
      "NOPE",
      "GET",
      "SUBSCRIBE a",
      "ACL WHOAMI",
      "HELLO",
      "HELLO 3",
      "AUTH nope",
      "HELLO 3 AUTH default nope",
      "AUTH s3cret",
      "PING",
      "CONFIG GET requirepass",
      "RESET",
      "PING",
      "AUTH default s3cret",
      "ACL LIST",
      ["CONFIG", "SET", "requirepass", ""],
      "RESET",
      "PING",
      "AUTH x",
    ]);
  } finally {
    await until(
      () => db.call("PING").then((answer) => answer === "PONG", () => false),
      async () => "the door is open again",
    );
  }
});

// The same commands in the same categories, as far as both have them.
test("categories hold what Redis's hold", { skip }, async () => {
  const [ours, theirs] = [await db.connect(), await redis.connect()];
  const rows = await ours.call("COMMAND", "LIST");
  const top = new Set(rows.map((name) => name.toLowerCase()));
  const wanted = await theirs.call("ACL", "CAT");
  const has = await ours.call("ACL", "CAT");
  assert.deepEqual(has.filter((name) => name !== "quipu"), wanted);
  // What has subcommands is judged by them.
  const list = await theirs.call("COMMAND", "LIST");
  const containers = new Set(list.filter((name) => name.includes("|")).map((name) => name.split("|")[0]));
  const known = new Set(list.filter((name) => !containers.has(name)));
  for (const category of wanted) {
    const pair = [];
    for (const connection of [ours, theirs]) {
      const list = await connection.call("ACL", "CAT", category);
      pair.push(list.filter((name) => !name.includes("|") && top.has(name) && known.has(name)).sort());
    }
    assert.deepEqual(pair[0], pair[1], category);
  }
  ours.close();
  theirs.close();
});

test("a change holds on every thread when its answer is here", async () => {
  const admin = await db.connect();
  await admin.call("ACL", "SETUSER", "many", "on", "nopass", "~*", "+@all");
  const clients = await Promise.all(Array.from({ length: 24 }, () => db.connect()));
  await Promise.all(clients.map((client) => client.call("AUTH", "many", "x")));
  for (let round = 0; round < 20; round++) {
    assert.equal(await admin.call("ACL", "SETUSER", "many", "-incr"), "OK");
    const refusals = await Promise.all(clients.map((client) => client.refusal("INCR", "acl:many")));
    assert.ok(refusals.every((text) => text.startsWith("NOPERM")), `${refusals}`);
    assert.equal(await admin.call("ACL", "SETUSER", "many", "+incr"), "OK");
    await Promise.all(clients.map((client) => client.call("INCR", "acl:many")));
  }
  assert.equal(await admin.call("ACL", "DELUSER", "many"), 1);
  await within(5000, "the end of every connection", Promise.all(clients.map((client) => client.closed)));
  admin.close();
});

test("who may no longer listen is not listened to", async () => {
  const admin = await db.connect();
  await admin.call("ACL", "SETUSER", "ear", "on", "nopass", "+@all", "resetchannels", "&foo:*", "&orders");
  const [stays, goes] = [await db.connect(), await db.connect()];
  await stays.call("AUTH", "ear", "x");
  await goes.call("AUTH", "ear", "x");
  await stays.call("SUBSCRIBE", "orders");
  await goes.call("SUBSCRIBE", "foo:1");
  await admin.call("ACL", "SETUSER", "ear", "resetchannels", "&orders", "&more");
  await within(5000, "the listener to foo:1 is closed", goes.closed);
  assert.equal(await admin.call("PUBLISH", "orders", "x"), 1);
  assert.equal(await admin.call("PUBLISH", "foo:1", "x"), 0);
  await admin.call("ACL", "DELUSER", "ear");
  await within(5000, "the other one too", stays.closed);
  admin.close();
});

test("clients log in as they are used to", async () => {
  await db.call("ACL", "SETUSER", "app", "on", ">pw", "~app:*", "+@all", "-@dangerous", "+info");
  const io = new Redis({ port: db.port, host: "127.0.0.1", username: "app", password: "pw" });
  assert.equal(await io.incr("app:io"), 1);
  await assert.rejects(() => io.incr("other"), /NOPERM/);
  io.disconnect();
  for (const RESP of [2, 3]) {
    const node = createClient({ url: `redis://app:pw@127.0.0.1:${db.port}`, RESP });
    node.on("error", () => {});
    await within(5000, "node-redis", node.connect());
    assert.equal(await node.incr(`app:node${RESP}`), 1);
    node.destroy();
  }
  const cli = ["-p", String(db.port), "--user", "app", "--pass", "pw", "--no-auth-warning"];
  const { stdout } = await finish([...cli, "INCR", "app:cli"], { program: "redis-cli" });
  assert.equal(stdout.trim(), "1");
});

test("the parts log in by the secret, others by a password file", async () => {
  const secret = temporaryFile("secret", "0123456789abcdef0123456789abcdef");
  const closed = await new Db({ args: ["--secret-file", secret, "--requirepass", "s3cret"] }).start();
  const service = async (...args) => {
    const listen = ["--listen", "127.0.0.1:0", "--heartbeat-listen", "127.0.0.1:0"];
    const part = new Part(["service", "--db", `127.0.0.1:${closed.port}`, ...listen, ...args]);
    const [, port] = await part.says(/HTTP on \S+:(\d+)/);
    return { part, ready: () => fetch(`http://127.0.0.1:${port}/readyz`).then((answer) => answer.status) };
  };
  const password = temporaryFile("password", "s3cret\n");
  for (const args of [["--secret-file", secret], ["--db-password-file", password]]) {
    const one = await service(...args);
    await until(async () => (await one.ready()) === 200, async () => `ready with ${args}: ${one.part}`);
    assert.equal(await one.part.stop(), 0);
  }
  const none = await service();
  await none.part.says(/wants a password/);
  assert.equal(await none.ready(), 503);
  await none.part.stop();
  const to = ["count", "--db", `127.0.0.1:${closed.port}`];
  const counted = await finish([...to, "--db-password-file", password], { input: "a\na\nb\n" });
  assert.equal(counted.code, 0, counted.stderr);
  const refused = await finish(to, { input: "a\n" });
  assert.match(refused.stderr, /NOAUTH/);
  const connection = await closed.connect();
  await connection.call("AUTH", "s3cret");
  assert.equal(await connection.call("GET", "a"), "2");
  connection.close();
  await closed.stop();
});

test("passwords are not told to who watches", async () => {
  const [watcher, admin] = [await db.connect(), await db.connect()];
  await watcher.call("MONITOR");
  await admin.call("CONFIG", "SET", "slowlog-log-slower-than", "0");
  await admin.call("ACL", "SETUSER", "hidden", "on", ">s3cretive");
  await admin.refusal("AUTH", "hidden", "s3cretive-not");
  await admin.call("HELLO", "2", "AUTH", "hidden", "s3cretive");
  const last = await db.connect();
  await last.call("INCR", "acl:seen");
  await until(() => watcher.pushes.some((line) => String(line).includes("acl:seen")), () => "the last is told");
  const told = JSON.stringify([watcher.pushes, await last.call("SLOWLOG", "GET", "100"), await last.call("ACL", "LIST")]);
  assert.equal(told.includes("s3cretive"), false);
  await last.call("ACL", "DELUSER", "hidden");
  await last.call("CONFIG", "SET", "slowlog-log-slower-than", "10000");
  for (const one of [watcher, admin, last]) one.close();
});

test("users in a file outlive the process, a wrong file does not start it", async () => {
  const file = temporaryFile("users.acl", "user default off\nuser ops on >pw ~* &* +@all\n");
  const kept = await new Db({ args: ["--aclfile", file] }).start();
  const connection = await Connection.open(kept.port);
  assert.match(await connection.refusal("PING"), /^NOAUTH/);
  assert.equal(await connection.call("AUTH", "ops", "pw"), "OK");
  assert.equal(await connection.call("ACL", "SETUSER", "app", "on", ">x", "~app:*", "+incr"), "OK");
  assert.equal(await connection.call("ACL", "SAVE"), "OK");
  assert.match(fs.readFileSync(file, "utf8"), /^user app on #[0-9a-f]{64} ~app:\* resetchannels -@all \+incr$/m);
  assert.equal(fs.statSync(file).mode & 0o077, 0);
  connection.close();
  await kept.stop();
  await kept.start();
  const again = await Connection.open(kept.port);
  assert.equal(await again.call("AUTH", "app", "x"), "OK");
  assert.equal(await again.call("INCR", "app:1"), 1);
  again.close();
  await kept.stop();
  fs.writeFileSync(file, "user ops on\nuser app +nope\n");
  kept.launch();
  assert.equal(await kept.part.ended(), 1);
  assert.match(kept.part.stderr, /users\.acl:2: Error in applying operation '\+nope'/);
});
