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

// A network that breaks: what is asked reaches the service, but some answers to POSTs get lost.
export class Lossy {
  static async open(service, port = 0) {
    const lossy = new Lossy();
    lossy.service = new URL(service);
    lossy.server = http.createServer((request, answer) => lossy.#pass(request, answer));
    lossy.server.listen(port, "127.0.0.1");
    await once(lossy.server, "listening");
    lossy.port = lossy.server.address().port;
    lossy.url = `http://127.0.0.1:${lossy.port}`;
    return lossy;
  }

  constructor() {
    this.posts = 0;
    this.toLose = 0; // so many answers
  }

  #pass(request, answer) {
    const { method, url: path, headers } = request;
    const { hostname: host, port } = this.service;
    const onward = http.request({ host, port, method, path, headers }, (told) => {
      if (method === "POST") this.posts++;
      if (method === "POST" && this.toLose-- > 0) return request.socket.destroy();
      answer.writeHead(told.statusCode, told.rawHeaders);
      told.pipe(answer);
    });
    onward.on("error", () => request.socket.destroy());
    request.pipe(onward);
  }

  close() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}
