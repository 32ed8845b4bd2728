// SPDX-License-Identifier: Apache-2.0
// A client of a database that dies under it. It alone writes its keys, at one replica, in pipelines,
// and remembers of each key what was acknowledged and what each command still under way would make
// of it. After a death it reads every key: a value that is neither the acknowledged one nor one of
// those is an increment lost, or counted twice, or never sent. What was in doubt is settled by that,
// so the next life is checked as sharply as the first.
import assert from "node:assert/strict";
import { Connection, encode } from "./resp.js";

const STEADY = 150; // keys that are only counted up
const CHANGED = 15; // keys that are also set, deleted and counted down
const PIPELINE_MAX = 24;

class Key {
  constructor(name) {
    this.name = name;
    this.value = null; // as acknowledged; null: no such key
    this.coming = []; // after each command under way
  }

  get newest() {
    return this.coming.length ? this.coming.at(-1) : this.value;
  }

  // Gives how many of the commands in doubt were done.
  settle(found, where) {
    const done = [this.value, ...this.coming].lastIndexOf(found);
    assert.ok(
      done >= 0,
      `${this.name} at ${where} is ${found}; acknowledged ${this.value}, under way ${this.coming.slice(0, 5)}`,
    );
    this.value = found;
    this.coming = [];
    return done;
  }
}

export class StruckClient {
  acknowledged = 0;
  inDoubtDone = 0;
  inDoubtNot = 0;
  shared = { sent: 0, acked: 0 }; // INCRs of a key that others write too

  constructor(db, name, random, sharedKey) {
    Object.assign(this, { db, random, sharedKey });
    this.steady = Array.from({ length: STEADY }, (_, i) => new Key(`kill:${name}:${i}`));
    this.changed = Array.from({ length: CHANGED }, (_, i) => new Key(`kill:${name}:x${i}`));
    this.keys = [...this.steady, ...this.changed];
  }

  // Connects, settles what was in doubt, then sends until the connection ends or is paused.
  async run() {
    this.connection = await Connection.open(this.db.port);
    const found = await this.connection.call("MGET", ...this.keys.map((key) => key.name));
    for (const [i, key] of this.keys.entries()) {
      const doubtful = key.coming.length;
      const done = key.settle(found[i] === null ? null : Number(found[i]), this.db.replica);
      this.inDoubtDone += done;
      this.inDoubtNot += doubtful - done;
    }
    this.expected = [];
    this.fault = null;
    this.connection.onReply = (reply) => this.#take(reply);
    this.#send();
    this.ended = this.connection.closed;
  }

  #command() {
    const { random } = this;
    if (random(8) === 0) {
      this.shared.sent++;
      return [["INCR", this.sharedKey], null, () => this.shared.acked++];
    }
    const isSteady = random(10) > 0;
    const keys = isSteady ? this.steady : this.changed;
    const key = keys[random(keys.length)];
    const before = key.newest;
    const [command, after, reply] = isSteady ? increment(key, before) : this.#change(key, before);
    key.coming.push(after);
    return [command, reply, () => (key.value = key.coming.shift())];
  }

  #change(key, before) {
    const { random } = this;
    const amount = 1 + random(1000);
    switch (random(4)) {
      case 0:
        return [["SET", key.name, String(amount)], amount, "OK"];
      case 1:
        return [["DEL", key.name], null, before === null ? 0 : 1];
      case 2:
        return [["DECRBY", key.name, String(amount)], (before ?? 0) - amount, (before ?? 0) - amount];
      default:
        return increment(key, before);
    }
  }

  #send() {
    if (this.isPaused) return;
    const commands = Array.from({ length: 1 + this.random(PIPELINE_MAX) }, () => this.#command());
    this.expected.push(...commands);
    this.connection.write(Buffer.concat(commands.map(([command]) => encode(command))));
  }

  #take(reply) {
    const [command, expected, acknowledge] = this.expected.shift();
    if (reply instanceof Error || (expected !== null && reply !== expected)) {
      this.fault ??= `${command.join(" ")} at ${this.db.replica}: ${reply}, expected ${expected}`;
    }
    acknowledge();
    this.acknowledged++;
    if (!this.expected.length) this.#send();
  }

  check() {
    assert.equal(this.fault, null, this.fault);
  }

  get isQuiet() {
    return !this.expected.length;
  }

  // At another replica nobody may be ahead of what was sent.
  async checkNotAhead(connection, where) {
    const names = this.steady.map((key) => key.name);
    const found = await connection.call("MGET", ...names);
    for (const [i, key] of this.steady.entries()) {
      const value = Number(found[i] ?? 0);
      assert.ok(value <= (key.newest ?? 0), `${key.name} at ${where}: ${value} > ${key.newest}`);
    }
  }

  // Once all is quiet every replica has exactly what was acknowledged.
  async checkEqual(connection, where) {
    const found = await connection.call("MGET", ...this.keys.map((key) => key.name));
    const expected = this.keys.map((key) => (key.value === null ? null : String(key.value)));
    assert.deepEqual(found, expected, `${where} differs`);
  }
}

const increment = (key, before) => [["INCR", key.name], (before ?? 0) + 1, (before ?? 0) + 1];
