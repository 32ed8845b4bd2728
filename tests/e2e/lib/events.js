// SPDX-License-Identifier: Apache-2.0
// A reader of server-sent events over node's own http, which remembers what it was told as Stream
// does, and long polls.
import http from "node:http";
import { get } from "./http.js";
import { until, within } from "./until.js";

export class Events {
  // `query`: an object, or pairs; `after`: a Last-Event-ID.
  static async open(port, query, { after, headers = {} } = {}) {
    const events = new Events();
    const parameters = new URLSearchParams(query);
    const request = http.get({
      host: "127.0.0.1",
      port,
      path: `/v1/stream?${parameters}`,
      headers: { ...(after === undefined ? {} : { "Last-Event-ID": after }), ...headers },
      agent: false,
    });
    events.request = request;
    const answer = await within(
      5000,
      "the head of a stream of events",
      new Promise((resolve, reject) => request.on("response", resolve).on("error", reject)),
    );
    request.on("error", () => {});
    events.status = answer.statusCode;
    events.headers = answer.headers;
    events.closed = new Promise((resolve) => answer.on("close", resolve));
    answer.on("error", () => {});
    let text = "";
    answer.setEncoding("utf8").on("data", (chunk) => {
      events.bytes += chunk.length;
      text += chunk;
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        events.#take(text.slice(0, end));
      }
    });
    answer.socket.unref();
    return events;
  }

  constructor() {
    Object.assign(this, { values: new Map(), updates: [], id: undefined, retry: undefined });
    Object.assign(this, { comments: 0, ends: [], bytes: 0 });
  }

  #take(block) {
    let type = "message";
    let data = null;
    for (const line of block.split("\n")) {
      if (line.startsWith(":")) this.comments++;
      else if (line.startsWith("id: ")) this.id = line.slice(4);
      else if (line.startsWith("retry: ")) this.retry = Number(line.slice(7));
      else if (line.startsWith("event: ")) type = line.slice(7);
      else if (line.startsWith("data: ")) data = line.slice(6);
    }
    if (type === "end") this.ends.push(data);
    else if (data !== null) {
      for (const [key, value, version] of JSON.parse(data).c) {
        this.values.set(key, value);
        this.updates.push([key, value, version]);
      }
    }
  }

  shows(key, value, ms = 10_000) {
    return until(
      () => this.values.has(key) && this.values.get(key) === value,
      () => `${key} = ${value} by events, is ${JSON.stringify(this.values.get(key))}`,
      ms,
    );
  }

  close() {
    this.request.destroy();
    return this.closed;
  }
}

export const poll = (url, query) => get(`${url}/v1/poll?${new URLSearchParams(query)}`);
