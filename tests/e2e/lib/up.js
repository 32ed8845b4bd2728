// SPDX-License-Identifier: Apache-2.0
// `quipu up` on free ports, waited for until every part of every region serves.
import { get } from "./http.js";
import { Part } from "./part.js";
import { freePorts, temporaryDirectory } from "./place.js";
import { until } from "./until.js";

export async function portBase(regions = 3) {
  return (await freePorts(10 * regions))[0];
}

export class Up {
  static async start({ regions = 3, base, data = temporaryDirectory("up") } = {}) {
    const up = new Up();
    up.base = base ?? (await portBase(regions));
    up.data = data;
    up.names = Array.from({ length: regions }, (_, i) => `r${i + 1}`);
    up.part = new Part([
      ...["up", "--data", data, "--port-base", String(up.base), "--regions", String(regions)],
    ]);
    await up.ready();
    return up;
  }

  // Of region 0, 1 …: the RESP, HTTP and real-time ports.
  db = (i) => this.base + 10 * i;
  http = (i) => this.base + 10 * i + 2;
  realtime = (i) => this.base + 10 * i + 4;

  ready() {
    return until(
      async () => {
        if (!this.part.isRunning) throw new Error(`${this.part}`);
        for (const i of this.names.keys()) {
          for (const port of [this.http(i), this.realtime(i)]) {
            if ((await get(`http://127.0.0.1:${port}/readyz`)).status !== 200) return false;
          }
        }
        return true;
      },
      () => `every part ready: ${this.part}`,
      30_000,
    );
  }
}
