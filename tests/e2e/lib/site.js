// SPDX-License-Identifier: Apache-2.0
// A web server as a web team has one: pages that a test gives it, and the files of web/.
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { repository } from "./place.js";

const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html", ".css": "text/css" };

export class Site {
  // pages: path -> text
  static async open(pages = {}) {
    const site = new Site();
    site.pages = pages;
    site.server = http.createServer((request, answer) => site.#answer(request.url.split("?")[0], answer));
    site.server.listen(0, "127.0.0.1");
    await once(site.server, "listening");
    site.url = `http://127.0.0.1:${site.server.address().port}`;
    site.server.unref();
    return site;
  }

  #answer(url, answer) {
    const file = path.join(repository, "web", path.basename(url));
    const text = this.pages[url] ?? (fs.existsSync(file) ? fs.readFileSync(file) : null);
    if (text === null) return answer.writeHead(404).end();
    const type = TYPES[path.extname(url)] ?? "text/html";
    answer.writeHead(200, { "Content-Type": `${type}; charset=utf-8` }).end(text);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// The counter service's increments as they are to be: each Idempotency-Key is counted once. Answers
// can be lost after they were counted, as on a network that breaks.
export class Counting {
  // `service`: where what is counted here is added too.
  static async open(port = 0, service = null) {
    const counting = new Counting();
    counting.service = service;
    counting.server = http.createServer((request, answer) => counting.#answer(request, answer));
    counting.server.listen(port, "127.0.0.1");
    await once(counting.server, "listening");
    counting.port = counting.server.address().port;
    counting.url = `http://127.0.0.1:${counting.port}`;
    return counting;
  }

  constructor() {
    this.counts = {};
    this.seen = new Set();
    this.requests = 0;
    this.toLose = 0; // so many answers
  }

  async #answer(request, answer) {
    const cors = {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Headers": "Content-Type, Idempotency-Key",
      "Access-Control-Allow-Methods": "POST",
    };
    if (request.method === "OPTIONS") return answer.writeHead(204, cors).end();
    const body = Buffer.concat(await request.toArray());
    this.requests++;
    const key = decodeURIComponent(request.url.match(/^\/v1\/counters\/([^/]+)\/increment$/)[1]);
    const id = request.headers["idempotency-key"];
    if (!this.seen.has(id)) {
      this.counts[key] = (this.counts[key] ?? 0) + JSON.parse(body).by;
      if (this.service) await fetch(`${this.service}${request.url}`, { method: "POST", body });
    }
    this.seen.add(id);
    if (key === "refused") {
      answer.writeHead(409, { ...cors, "Content-Type": "application/problem+json" });
      return answer.end(JSON.stringify({ status: 409, detail: "nothing is left" }));
    }
    if (this.toLose-- > 0) return request.socket.destroy();
    answer.writeHead(200, { ...cors, "Content-Type": "application/json" });
    answer.end(JSON.stringify({ key, value: this.counts[key] }));
  }

  close() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}
