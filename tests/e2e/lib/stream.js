// SPDX-License-Identifier: Apache-2.0
// A WebSocket client of /v1/stream (npm ws) that remembers what it was told.
import { once } from "node:events";
import WebSocket from "ws";
import { until, within } from "./until.js";

export class Stream {
  static async open(port, options = {}) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`, "quipu.v1.json", options);
    const stream = new Stream(socket);
    await within(5000, "a WebSocket", once(socket, "open"));
    socket._socket.unref();
    return stream;
  }

  constructor(socket) {
    this.socket = socket;
    this.values = new Map(); // key -> the newest value
    this.versions = new Map();
    this.updates = []; // [key, value, version] in order
    this.frames = [];
    this.errors = [];
    socket.on("message", (data) => this.#take(JSON.parse(data.toString())));
    socket.on("error", () => {});
    this.closed = new Promise((resolve) =>
      socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() })),
    );
  }

  #take(frame) {
    this.frames.push(frame);
    if (frame.error) this.errors.push(frame.error);
    for (const [key, value, version] of frame.c ?? []) {
      this.values.set(key, value);
      this.versions.set(key, version);
      this.updates.push([key, value, version]);
    }
  }

  send(message) {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  track(...keys) {
    this.send({ track: keys });
  }

  // Waits until the newest value of `key` is `value`.
  shows(key, value, ms = 10_000) {
    return until(
      () => this.values.has(key) && this.values.get(key) === value,
      () => `${key} = ${JSON.stringify(value)} on the stream, is ${JSON.stringify(this.values.get(key))}`,
      ms,
    );
  }

  async close() {
    this.socket.close(1000);
    return within(5000, "the close of a WebSocket", this.closed);
  }

  kill() {
    this.socket.terminate();
  }
}
