// SPDX-License-Identifier: Apache-2.0
// A RESP client of a hundred lines, for what the real clients hide: raw bytes, exact pipelines, and
// replies as they came. It speaks both versions; an error is a value (class ReplyError) in a
// pipeline and thrown by call().
import { once } from "node:events";
import net from "node:net";
import { within } from "./until.js";

const CALL_MS = 20_000;

export class ReplyError extends Error {}

export function encode(args) {
  const parts = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n"));
  }
  return Buffer.concat(parts);
}

const integer = (text) => {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
};

// One reply at `at`: [value, next], or null when it is not whole.
export function parse(bytes, at = 0) {
  const end = bytes.indexOf("\r\n", at);
  if (end < 0) return null;
  const kind = String.fromCharCode(bytes[at]);
  const text = bytes.toString("utf8", at + 1, end);
  const next = end + 2;
  switch (kind) {
    case "+":
      return [text, next];
    case "-":
      return [new ReplyError(text), next];
    case ":":
    case "(":
      return [integer(text), next];
    case "_":
      return [null, next];
    case "#":
      return [text === "t", next];
    case ",":
      return [Number(text), next];
    case "$":
    case "=":
      return parseBulk(bytes, Number(text), next, kind === "=" ? 4 : 0);
    case "*":
    case "~":
    case ">":
      return parseList(bytes, Number(text), next, kind === ">");
    case "%":
      return parseMap(bytes, Number(text), next);
    default:
      throw new Error(`not RESP: ${JSON.stringify(bytes.toString("latin1", at, at + 40))}`);
  }
}

function parseBulk(bytes, length, at, skipped) {
  if (length < 0) return [null, at];
  if (bytes.length < at + length + 2) return null;
  return [bytes.toString("utf8", at + skipped, at + length), at + length + 2];
}

function parseList(bytes, count, at, isPush) {
  if (count < 0) return [null, at];
  const list = [];
  for (let i = 0; i < count; i++) {
    const element = parse(bytes, at);
    if (!element) return null;
    list.push(element[0]);
    at = element[1];
  }
  if (isPush) list.isPush = true;
  return [list, at];
}

function parseMap(bytes, pairs, at) {
  const flat = parseList(bytes, pairs * 2, at, false);
  if (!flat) return null;
  const map = {};
  for (let i = 0; i < flat[0].length; i += 2) map[flat[0][i]] = flat[0][i + 1];
  return [map, flat[1]];
}

export class Connection {
  #bytes = Buffer.alloc(0);
  #waiting = [];
  pushes = [];
  onReply = null; // set: gets every reply, instead of call() and pipeline()

  static async open(port, host = "127.0.0.1") {
    const socket = net.connect({ port, host, noDelay: true });
    await within(5000, `a connection to ${host}:${port}`, once(socket, "connect"));
    return new Connection(socket);
  }

  constructor(socket) {
    this.socket = socket.unref();
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => socket.once("close", resolve)).then(() => {
      for (const one of this.#waiting.splice(0)) one.reject(new Error("the connection ended"));
    });
  }

  #take(chunk) {
    this.#bytes = this.#bytes.length ? Buffer.concat([this.#bytes, chunk]) : chunk;
    let at = 0;
    for (let reply; at < this.#bytes.length && (reply = parse(this.#bytes, at)); at = reply[1]) {
      if (this.onReply) this.onReply(reply[0]);
      else if (reply[0]?.isPush || !this.#waiting.length) this.pushes.push(reply[0]);
      else this.#waiting.shift().resolve(reply[0]);
    }
    this.#bytes = this.#bytes.subarray(at);
  }

  write(bytes) {
    return this.socket.write(bytes);
  }

  #reply() {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  // Replies of several commands sent in one write; errors are elements.
  pipeline(commands) {
    const replies = commands.map(() => this.#reply());
    this.write(Buffer.concat(commands.map(encode)));
    return within(CALL_MS, `${commands.length} replies`, Promise.all(replies));
  }

  async call(...args) {
    const [reply] = await this.pipeline([args]);
    if (reply instanceof ReplyError) throw reply;
    return reply;
  }

  // The error text of a command that must fail.
  async refusal(...args) {
    const [reply] = await this.pipeline([args]);
    if (!(reply instanceof ReplyError)) {
      throw new Error(`${args.join(" ").slice(0, 100)} was answered ${JSON.stringify(reply)}`);
    }
    return reply.message;
  }

  close() {
    this.socket.destroy();
    return this.closed;
  }
}

// Opens, calls once, closes.
export async function ask(port, ...args) {
  const connection = await Connection.open(port);
  try {
    return await connection.call(...args);
  } finally {
    connection.close();
  }
}
