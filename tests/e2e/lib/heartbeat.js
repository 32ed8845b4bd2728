// SPDX-License-Identifier: Apache-2.0
// A heartbeat as bytes, written here again from the layout in src/wire/heartbeat.h, so that the
// test does not believe the code it tests.
import { createHmac } from "node:crypto";
import dgram from "node:dgram";

const FLAG_BYE = 1;
const FLAG_ROTATION = 2;
const FLAG_SUBSCRIBERS = 1;
const KEY_ID = 1;

function varint(number) {
  const bytes = [];
  let left = BigInt(number);
  do {
    bytes.push(Number(left & 0x7fn) | (left > 0x7fn ? 0x80 : 0));
    left >>= 7n;
  } while (left);
  return Buffer.from(bytes);
}

function fixed(number, width) {
  const bytes = Buffer.alloc(width);
  let left = BigInt(number);
  for (let i = 0; i < width; i++, left >>= 8n) bytes[i] = Number(left & 0xffn);
  return bytes;
}

// pages: [[page, publishers, hasSubscribers] …]
export function heartbeat({
  node = 7n,
  boot = 1n,
  sequence,
  interval = 200,
  bye = false,
  rotation = true,
  address = "",
  pages = [],
  secret = null,
  version = 1,
}) {
  const body = Buffer.concat([
    Buffer.from("QUHB"),
    Buffer.from([version, (bye ? FLAG_BYE : 0) | (rotation ? FLAG_ROTATION : 0), secret ? KEY_ID : 0]),
    fixed(node, 8),
    fixed(boot, 8),
    fixed(sequence, 8),
    fixed(interval, 4),
    Buffer.from([address.length]),
    Buffer.from(address),
    fixed(pages.length, 2),
    ...pages.map(([page, publishers, subscribers]) =>
      Buffer.concat([
        varint(Buffer.byteLength(page)),
        Buffer.from(page),
        varint(publishers),
        Buffer.from([subscribers ? FLAG_SUBSCRIBERS : 0]),
      ]),
    ),
  ]);
  if (!secret) return body;
  return Buffer.concat([body, createHmac("sha256", secret).update(body).digest().subarray(0, 16)]);
}

// A node's own socket. It must never hear anything: the service does not answer datagrams.
export class HeartbeatSender {
  constructor(port) {
    this.port = port;
    this.heard = 0;
    this.socket = dgram.createSocket("udp4");
    this.socket.on("message", () => this.heard++);
    this.socket.unref();
  }

  send(bytes) {
    return new Promise((resolve, reject) =>
      this.socket.send(bytes, this.port, "127.0.0.1", (error) => (error ? reject(error) : resolve())),
    );
  }

  close() {
    this.socket.close();
  }
}
