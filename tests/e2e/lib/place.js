// SPDX-License-Identifier: Apache-2.0
// Where a test's processes live: directories that vanish with the test's process, and ports that
// are free now and that the kernel does not give to clients on its own.
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
export const repository = path.resolve(here, "../../..");
export const binary = path.resolve(
  process.env.QUIPU || path.join(repository, "build/release/quipu"),
);

const PORT_FIRST = 20000; // below the range from which outgoing connections get theirs
const PORT_COUNT = 12000;
const directories = new Set();
const given = new Set();

process.on("exit", () => {
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
});

export function temporaryDirectory(name = "data") {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `quipu-test-${name}-`));
  directories.add(directory);
  return directory;
}

export function temporaryFile(name, text) {
  const file = path.join(temporaryDirectory("file"), name);
  fs.writeFileSync(file, text);
  return file;
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1" }, () => server.close(() => resolve(true)));
  });
}

export async function freePort() {
  return (await freePorts(1))[0];
}

// `count` ports in a row.
export async function freePorts(count) {
  for (;;) {
    const first = PORT_FIRST + Math.floor(Math.random() * (PORT_COUNT - count));
    const ports = Array.from({ length: count }, (_, i) => first + i);
    if (ports.some((port) => given.has(port))) continue;
    const free = await Promise.all(ports.map(isFree));
    if (!free.every(Boolean)) continue;
    for (const port of ports) given.add(port);
    return ports;
  }
}
