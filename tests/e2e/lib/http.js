// SPDX-License-Identifier: Apache-2.0
// HTTP as a client library does it, and HTTP as bytes for what no library would send.
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { within } from "./until.js";

const ANSWER_MS = 10_000;

// { status, headers, text, json }
export async function request(method, url, { body, headers = {} } = {}) {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const answer = await fetch(url, {
    method,
    headers: text === undefined ? headers : { "Content-Type": "application/json", ...headers },
    body: text,
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const received = await answer.text();
  let json;
  if (/json/.test(answer.headers.get("content-type") ?? "")) json = JSON.parse(received);
  return { status: answer.status, headers: answer.headers, text: received, json };
}

export const get = (url, headers) => request("GET", url, { headers });
export const post = (url, body, headers) => request("POST", url, { body, headers });
export const put = (url, body, headers) => request("PUT", url, { body, headers });

// Writes the bytes, in these pieces, and gives all that comes back until the server closes or is
// quiet after a whole answer with `expected` status lines.
export async function raw(port, pieces, expected = 1) {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true }).unref();
  await within(5000, `a connection to ${port}`, once(socket, "connect"));
  let text = "";
  socket.on("error", () => {});
  const answered = new Promise((resolve) => {
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += chunk;
      if ((text.match(/HTTP\/1\.1 \d{3}/g) ?? []).length >= expected && isWhole(text)) resolve();
    });
    socket.on("close", resolve);
  });
  for (const piece of [pieces].flat()) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await within(ANSWER_MS, "an answer", answered);
  socket.destroy();
  return text;
}

function isWhole(text) {
  const last = text.lastIndexOf("HTTP/1.1 ");
  const end = text.indexOf("\r\n\r\n", last);
  if (end < 0) return false;
  const length = text.slice(last, end).match(/content-length: *(\d+)/i);
  return !length || text.length >= end + 4 + Number(length[1]);
}

export const statuses = (text) => (text.match(/HTTP\/1\.1 (\d{3})/g) ?? []).map((s) => Number(s.slice(9)));

// A real-time node as the service sees it: takes PUTs and remembers them.
export class PutReceiver {
  static async start() {
    const receiver = new PutReceiver();
    await new Promise((resolve) => receiver.server.listen(0, "127.0.0.1", resolve));
    receiver.server.unref();
    receiver.address = `127.0.0.1:${receiver.server.address().port}`;
    return receiver;
  }

  constructor() {
    this.puts = [];
    this.latest = new Map(); // key -> value
    this.status = 204;
    this.server = http.createServer((incoming, answer) => {
      let body = "";
      incoming.on("data", (chunk) => (body += chunk));
      incoming.on("end", () => {
        const json = JSON.parse(body);
        this.puts.push({ method: incoming.method, url: incoming.url, headers: incoming.headers, body, json });
        for (const [key, value] of json.counts ?? []) this.latest.set(key, value);
        answer.writeHead(this.status).end();
      });
    });
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
