// SPDX-License-Identifier: Apache-2.0
// A region's outer parts beside its database: the counter service and the real-time part.
import assert from "node:assert/strict";
import { startDb } from "./db.js";
import { Part } from "./part.js";

const SERVICE_READY = /quipu service[^\n]* ready, HTTP on \S+:(\d+), heartbeats on \S+:(\d+)/;
const REALTIME_READY = /quipu realtime[^\n]* ready on \S+:(\d+)/;

export async function startService(db, { args = [], port = 0, heartbeatPort = 0 } = {}) {
  const part = new Part([
    "service",
    ...["--db", `127.0.0.1:${typeof db === "number" ? db : db.port}`],
    ...["--listen", `127.0.0.1:${port}`, "--heartbeat-listen", `127.0.0.1:${heartbeatPort}`],
    ...args,
  ]);
  const [, http, udp] = await part.says(SERVICE_READY);
  return { part, port: Number(http), heartbeatPort: Number(udp), url: `http://127.0.0.1:${http}` };
}

export async function startRealtime(service, { args = [], port = 0 } = {}) {
  const part = new Part([
    "realtime",
    ...["--listen", `127.0.0.1:${port}`, "--service", service.url],
    ...["--heartbeat-to", `127.0.0.1:${service.heartbeatPort}`],
    ...args,
  ]);
  const [, listening] = await part.says(REALTIME_READY);
  return { part, port: Number(listening), url: `http://127.0.0.1:${listening}` };
}

// Quick ones, for tests: a tick of 20 ms, heartbeats every 100 ms.
export const QUICK = ["--tick", "20", "--heartbeat-interval", "100"];

export class Region {
  static async start({ db, serviceArgs = [], realtimeArgs = QUICK } = {}) {
    const region = new Region();
    region.ownsDb = !db;
    region.db = db ?? (await startDb());
    region.service = await startService(region.db, { args: serviceArgs });
    region.realtime = await startRealtime(region.service, { args: realtimeArgs });
    return region;
  }

  async stop() {
    const parts = [this.realtime.part, this.service.part];
    if (this.ownsDb) parts.push(this.db.part);
    for (const part of parts) assert.equal(await part.stop(), 0, `${part}`);
  }
}
