// SPDX-License-Identifier: Apache-2.0
// A real redis-server beside ours, to be asked the same.
import { execFileSync } from "node:child_process";
import { Part } from "./part.js";
import { freePort, temporaryDirectory } from "./place.js";
import { ask, Connection } from "./resp.js";
import { until } from "./until.js";

const PROGRAM = process.env.QUIPU_REDIS_SERVER || "redis-server";

export function hasRedis() {
  try {
    return /v=7\.0\./.test(execFileSync(PROGRAM, ["--version"], { encoding: "utf8" }));
  } catch {
    return false;
  }
}

export class RedisServer {
  static async start(args = []) {
    const port = await freePort();
    const directory = temporaryDirectory("redis");
    const common = ["--port", port, "--dir", directory, "--save", "", "--bind", "127.0.0.1"];
    const server = new RedisServer();
    server.port = port;
    server.part = new Part([...common, ...args].map(String), { program: PROGRAM });
    await until(
      () => ask(port, "PING").then((answer) => answer === "PONG", () => false),
      async () => `redis-server on ${port}: ${server.part.stdout}`,
      10_000,
    );
    return server;
  }

  connect() {
    return Connection.open(this.port);
  }

  stop() {
    return this.part.stop();
  }
}
