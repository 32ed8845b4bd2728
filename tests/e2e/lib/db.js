// SPDX-License-Identifier: Apache-2.0
// Databases: one, or a cluster of several that all know each other.
import assert from "node:assert/strict";
import { Part } from "./part.js";
import { freePorts, temporaryDirectory } from "./place.js";
import { ask, Connection } from "./resp.js";
import { until } from "./until.js";

const READY = /quipu db \S+: ready, RESP on \S+:(\d+), peers on \S+:(\d+), (\d+) keys/;

export class Db {
  // `port` and `peerPort` 0: the kernel's choice, read from the ready line.
  constructor({ replica = "r1", cluster = "test", port = 0, peerPort = 0, data, peers = [], args = [] } = {}) {
    Object.assign(this, { replica, cluster, port, peerPort, peers, args });
    this.data = data ?? temporaryDirectory(replica);
  }

  commandLine(more = []) {
    return [
      "db",
      ...["--replica", this.replica, "--cluster", this.cluster, "--data", this.data],
      ...["--listen", `127.0.0.1:${this.port}`, "--peer-listen", `127.0.0.1:${this.peerPort}`],
      ...this.peers.flatMap((port) => ["--peer", `127.0.0.1:${port}`]),
      ...this.args,
      ...more,
    ];
  }

  launch(more = []) {
    this.part = new Part(this.commandLine(more));
    return this;
  }

  async start(more = []) {
    this.launch(more);
    await this.ready();
    return this;
  }

  async ready() {
    const [, port, peerPort, keys] = await this.part.says(READY);
    this.port = Number(port);
    this.peerPort = Number(peerPort);
    this.keysAtStart = Number(keys);
  }

  async stop() {
    assert.equal(await this.part.stop(), 0, `${this.part}`);
  }

  kill() {
    return this.part.kill();
  }

  connect() {
    return Connection.open(this.port);
  }

  call(...args) {
    return ask(this.port, ...args);
  }

  async get(key) {
    return this.call("GET", key);
  }

  async info() {
    const text = await this.call("INFO");
    return Object.fromEntries(
      text.split("\r\n").filter((line) => line.includes(":")).map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1)];
      }),
    );
  }

  // name -> { address, state, changes, bytes, heard }
  async links() {
    const rows = await this.call("QUIPU.LINKS");
    return Object.fromEntries(
      rows.map(([name, address, state, changes, bytes, heard]) => [
        name,
        { address, state, changes, bytes, heard },
      ]),
    );
  }
}

export async function startDb(options) {
  return new Db(options).start();
}

export class Cluster {
  constructor(dbs) {
    this.dbs = dbs;
  }

  // r1 … rN, each with all others as peers, cutting allowed.
  static async start(count = 3, { cluster = "test", args = [] } = {}) {
    const ports = await freePorts(2 * count);
    const dbs = Array.from({ length: count }, (_, i) => {
      const peers = ports.slice(count).filter((_, other) => other !== i);
      return new Db({
        replica: `r${i + 1}`,
        cluster,
        port: ports[i],
        peerPort: ports[count + i],
        peers,
        args: ["--allow-cut", ...args],
      });
    });
    const started = new Cluster(dbs);
    for (const db of dbs) db.launch();
    await Promise.all(dbs.map((db) => db.ready()));
    await started.meshed();
    return started;
  }

  meshed() {
    return until(
      async () => {
        const all = await Promise.all(this.dbs.map((db) => db.links()));
        return all.every(
          (links) =>
            Object.keys(links).length === this.dbs.length - 1 &&
            Object.values(links).every((link) => link.state === "up"),
        );
      },
      async () =>
        `every link up: ${JSON.stringify(await Promise.all(this.dbs.map((db) => db.links())))}`,
      20_000,
    );
  }

  cut(index) {
    return this.dbs[index].call("QUIPU.LINK", "CUT", "ALL");
  }

  heal(index) {
    return this.dbs[index].call("QUIPU.LINK", "HEAL", "ALL");
  }

  // Waits until every replica gives `expected` for `args`.
  agree(expected, ...args) {
    const text = JSON.stringify(expected);
    const ask_all = () => Promise.all(this.dbs.map((db) => db.call(...args)));
    return until(
      async () => (await ask_all()).every((reply) => JSON.stringify(reply) === text),
      async () => `${args.join(" ")} = ${text} everywhere, is ${JSON.stringify(await ask_all())}`,
      20_000,
    );
  }

  // Waits until the digests are equal; gives the digest.
  converged(ms = 20_000) {
    const digests = () => Promise.all(this.dbs.map((db) => db.call("QUIPU.DIGEST")));
    return until(
      async () => {
        const all = await digests();
        return new Set(all).size === 1 && all[0];
      },
      async () => `equal digests, are ${await digests()}`,
      ms,
    );
  }

  async stop() {
    const codes = await Promise.all(this.dbs.map((db) => db.part.stop()));
    for (const [i, code] of codes.entries()) assert.equal(code, 0, `${this.dbs[i].part}`);
  }
}
