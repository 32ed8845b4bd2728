// SPDX-License-Identifier: Apache-2.0
// kill -9 of a random replica at a random moment, under load, again and again, in strict mode.
//
// Every connection counts in a key of its own, at one replica, with pipelined INCRs, and remembers
// how many it sent and how many were acknowledged. After each death it reads its key where it
// counted: the value must lie between the two, which settles what was in doubt, and it goes on from
// there, so one lost or doubled increment shows at once and again in every later round. A second
// key is shared by all connections of all replicas: its sum has the same bounds, the doubt added up.
//
//   QUIPU_KILL_ROUNDS=10000 node run.js kill-loop       QUIPU_KILL_SEED=N repeats the choices
import assert from "node:assert/strict";
import { test } from "../lib/test.js";
import { Cluster } from "../lib/db.js";
import { Connection } from "../lib/resp.js";
import { encode } from "../lib/resp.js";
import { until, within } from "../lib/until.js";

const ROUNDS = Number(process.env.QUIPU_KILL_ROUNDS ?? 100);
const SEED = Number(process.env.QUIPU_KILL_SEED ?? Date.now() % 1_000_000);
const CONNECTIONS_A_REPLICA = 4;
const PIPELINE_MAX = 24;
const LOAD_MS_MAX = 150; // of counting between two deaths
const SHARED = "kill:shared";

// xorshift32: the choices can be repeated, the timing of the processes cannot.
function chance(seed) {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

class Counter {
  sent = 0; // INCRs of the own key that may have happened
  acked = 0; // of these, surely happened
  sharedSent = 0;
  sharedAcked = 0;
  settled = 0; // in-doubt increments that a read found done
  dropped = 0; // or not done

  constructor(db, name, random) {
    Object.assign(this, { db, key: `kill:${name}`, random });
    this.other = random(2); // every second one also counts in the shared key
  }

  // Reads what the replica has after a death; then sends until the connection ends.
  async run() {
    this.connection = await Connection.open(this.db.port);
    const value = Number((await this.connection.call("GET", this.key)) ?? 0);
    assert.ok(value >= this.acked, `${this.key}: ${this.acked - value} acknowledged lost`);
    assert.ok(value <= this.sent, `${this.key}: ${value - this.sent} counted that were never sent`);
    this.settled += value - this.acked;
    this.dropped += this.sent - value;
    this.sent = this.acked = value;
    this.expected = [];
    this.fault = null;
    this.connection.onReply = (reply) => this.take(reply);
    this.send();
    this.ended = this.connection.closed;
  }

  send() {
    if (this.isPaused) return;
    const batch = [];
    const size = 1 + this.random(PIPELINE_MAX);
    for (let i = 0; i < size; i++) {
      batch.push(encode(["INCR", this.key]));
      this.expected.push(++this.sent);
      if (this.other && i % 4 === 0) {
        batch.push(encode(["INCR", SHARED]));
        this.expected.push(null);
        this.sharedSent++;
      }
    }
    this.connection.write(Buffer.concat(batch));
  }

  take(reply) {
    const expected = this.expected.shift();
    if (typeof reply !== "number") this.fault ??= `answered ${reply}`;
    if (expected === null) {
      this.sharedAcked++;
    } else {
      if (reply !== expected) this.fault ??= `answered ${reply}, expected ${expected}`;
      this.acked = expected;
    }
    if (!this.expected.length) this.send();
  }

  check() {
    assert.equal(this.fault, null, `${this.key} at ${this.db.replica}: ${this.fault}`);
  }
}

// Nobody may show more than was sent, at any time.
async function checkNobodyAhead(dbs, counters) {
  for (const db of dbs) {
    const connection = await db.connect();
    const values = await connection.call("MGET", ...counters.map((counter) => counter.key));
    connection.close();
    for (const [i, counter] of counters.entries()) {
      const value = Number(values[i] ?? 0);
      assert.ok(value <= counter.sent, `${counter.key} at ${db.replica}: ${value} > ${counter.sent}`);
    }
  }
}

// A death at a random moment of counting, and sometimes another one during the recovery.
async function killAndRestart(db, random) {
  await new Promise((resolve) => setTimeout(resolve, random(LOAD_MS_MAX)));
  await db.kill();
  let deaths = 1;
  while (random(5) === 0) {
    db.launch();
    await new Promise((resolve) => setTimeout(resolve, random(40)));
    await db.kill();
    deaths++;
  }
  await db.start();
  return deaths;
}

test(`${ROUNDS} times kill -9 under load: nothing acknowledged is lost or counted twice`, async (t) => {
  const random = chance(SEED);
  const started = Date.now();
  t.diagnostic(`seed ${SEED}`);
  const cluster = await Cluster.start(3, { args: ["--durability", "strict"] });
  const { dbs } = cluster;
  const incarnations = await Promise.all(dbs.map(async (db) => (await db.info()).incarnation));
  const counters = dbs.flatMap((db) =>
    Array.from({ length: CONNECTIONS_A_REPLICA }, (_, i) => new Counter(db, `${db.replica}:${i}`, random)),
  );
  await Promise.all(counters.map((counter) => counter.run()));
  let deaths = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const index = random(dbs.length);
    const victim = dbs[index];
    const struck = counters.filter((counter) => counter.db === victim);
    deaths += await killAndRestart(victim, random);
    await within(10_000, "the connections' end", Promise.all(struck.map((one) => one.ended)));
    for (const counter of counters) counter.check();
    await Promise.all(struck.map((counter) => counter.run()));
    if (round % 10 === 9) await checkNobodyAhead(dbs, counters);
    const { incarnation } = await victim.info();
    assert.equal(incarnation, incarnations[index], "a crash keeps the incarnation");
  }
  for (const counter of counters) counter.isPaused = true;
  await until(() => counters.every((counter) => !counter.expected.length), "the last replies");
  for (const counter of counters) counter.check();
  const digest = await cluster.converged();
  const sum = (name) => counters.reduce((total, counter) => total + counter[name], 0);
  for (const db of dbs) {
    for (const counter of counters) {
      assert.equal(await db.get(counter.key), String(counter.acked), `${counter.key} at ${db.replica}`);
    }
    const shared = Number(await db.get(SHARED));
    assert.ok(shared >= sum("sharedAcked"), `shared at ${db.replica}: lost ${sum("sharedAcked") - shared}`);
    assert.ok(shared <= sum("sharedSent"), `shared at ${db.replica}: ${shared} > ${sum("sharedSent")}`);
  }
  const seconds = (Date.now() - started) / 1000;
  t.diagnostic(
    `${ROUNDS} rounds, ${deaths} deaths, ${sum("acked") + sum("sharedAcked")} acknowledged, ` +
      `${sum("settled")} in doubt found done, ${sum("dropped")} not done, digest ${digest}, ${seconds.toFixed(1)} s`,
  );
  console.log(
    `kill loop: ${ROUNDS} rounds, ${deaths} deaths, ${sum("acked") + sum("sharedAcked")} acknowledged, ` +
      `0 lost, 0 twice, ${seconds.toFixed(1)} s, seed ${SEED}`,
  );
  for (const counter of counters) counter.connection.close();
  await cluster.stop();
});
