// SPDX-License-Identifier: Apache-2.0
// kill -9 of a random replica at a random moment, under load, again and again, in strict mode, some
// of the deaths during the recovery from the one before. lib/struck.js tells how a lost or a doubled
// increment is found. One more key is counted by all clients of all replicas: its value must lie
// between what was acknowledged and what was sent.
//
//   QUIPU_KILL_ROUNDS=10000 node run.js kill-loop       QUIPU_KILL_SEED=N repeats the choices
import assert from "node:assert/strict";
import { test } from "../lib/test.js";
import { Cluster } from "../lib/db.js";
import { StruckClient } from "../lib/struck.js";
import { until, within } from "../lib/until.js";

const ROUNDS = Number(process.env.QUIPU_KILL_ROUNDS ?? 100);
const SEED = Number(process.env.QUIPU_KILL_SEED ?? Date.now() % 1_000_000);
const CLIENTS_A_REPLICA = 4;
const LOAD_MS_MAX = 150; // of counting between two deaths
const RECOVERY_MS_MAX = 40; // until another death
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

const aMoment = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Gives how often it died.
async function killAndRestart(db, random) {
  await aMoment(random(LOAD_MS_MAX));
  await db.kill();
  let deaths = 1;
  for (; random(5) === 0; deaths++) {
    db.launch();
    await aMoment(random(RECOVERY_MS_MAX));
    await db.kill();
  }
  await db.start();
  return deaths;
}

async function everywhere(dbs, clients, check) {
  for (const db of dbs) {
    const connection = await db.connect();
    for (const client of clients) await client[check](connection, db.replica);
    connection.close();
  }
}

async function round(dbs, clients, identities, random) {
  const victim = dbs[random(dbs.length)];
  const struck = clients.filter((client) => client.db === victim);
  const deaths = await killAndRestart(victim, random);
  await within(10_000, "the end of the connections", Promise.all(struck.map((one) => one.ended)));
  for (const client of clients) client.check();
  await Promise.all(struck.map((client) => client.run()));
  const { incarnation } = await victim.info();
  assert.equal(incarnation, identities.get(victim), `a crash keeps the incarnation: ${victim.part}`);
  return deaths;
}

const limit = 120_000 + ROUNDS * 5000;

test(`${ROUNDS} times kill -9 under load: nothing acknowledged is lost or counted twice`, { timeout: limit }, async () => {
  const random = chance(SEED);
  const begun = Date.now();
  const cluster = await Cluster.start(3, { args: ["--durability", "strict"] });
  const { dbs } = cluster;
  const identities = new Map();
  for (const db of dbs) identities.set(db, (await db.info()).incarnation);
  const clients = dbs.flatMap((db) =>
    Array.from(
      { length: CLIENTS_A_REPLICA },
      (_, i) => new StruckClient(db, `${db.replica}:${i}`, random, SHARED),
    ),
  );
  const sum = (of) => clients.reduce((total, client) => total + of(client), 0);
  await Promise.all(clients.map((client) => client.run()));
  let deaths = 0;
  try {
    for (let i = 1; i <= ROUNDS; i++) {
      deaths += await round(dbs, clients, identities, random);
      if (i % 10 === 0) await everywhere(dbs, clients, "checkNotAhead");
    }
    for (const client of clients) client.isPaused = true;
    await until(() => clients.every((client) => client.isQuiet), "the last replies");
    for (const client of clients) client.check();
    await cluster.converged();
    await everywhere(dbs, clients, "checkEqual");
    await cluster.agree(String(await dbs[0].get(SHARED)), "GET", SHARED);
    const shared = Number(await dbs[0].get(SHARED));
    const [acked, sent] = [sum((one) => one.shared.acked), sum((one) => one.shared.sent)];
    assert.ok(shared >= acked && shared <= sent, `${SHARED} is ${shared}, not ${acked} to ${sent}`);
  } catch (error) {
    error.message += ` (seed ${SEED}, after ${deaths} deaths)`;
    throw error;
  }
  console.log(
    `${ROUNDS} rounds, ${deaths} deaths, ${sum((one) => one.acknowledged)} acknowledged, ` +
      `${sum((one) => one.inDoubtDone)} in doubt were done, ${sum((one) => one.inDoubtNot)} not; ` +
      `${((Date.now() - begun) / 1000).toFixed(1)} s, seed ${SEED}`,
  );
  for (const client of clients) client.connection.close();
  await cluster.stop();
});
