// SPDX-License-Identifier: Apache-2.0
// The real input of the main job (tests/data/README.md says where it is from) and its truth,
// counted here by nothing of ours: awk, sort, uniq.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { Part, finish } from "./part.js";
import { repository } from "./place.js";

const log = path.join(repository, "tests/data/apache_access.log");

// The requested path of each line, in order.
export function requestedPaths() {
  const text = execFileSync("awk", ["{print $7}", log], { encoding: "utf8", maxBuffer: 1 << 26 });
  return text.split("\n").filter((line) => line !== "");
}

// The client's address of each line, in order.
export function clientAddresses() {
  const text = execFileSync("awk", ["{print $1}", log], { encoding: "utf8", maxBuffer: 1 << 26 });
  return text.split("\n").filter((line) => line !== "");
}

// path -> how often, as a Map.
export function truth() {
  const script = `awk '{print $7}' "$1" | LC_ALL=C sort | LC_ALL=C uniq -c`;
  const text = execFileSync("sh", ["-c", script, "sh", log], { encoding: "utf8", maxBuffer: 1 << 26 });
  const counts = new Map();
  for (const line of text.split("\n")) {
    const match = line.match(/^\s*(\d+) (.*)$/);
    if (match) counts.set(match[2], Number(match[1]));
  }
  return counts;
}

export function thirds(lines) {
  const third = Math.ceil(lines.length / 3);
  return [0, 1, 2].map((i) => lines.slice(i * third, (i + 1) * third));
}

const text = (lines) => lines.map((line) => `${line}\n`).join("");

export function count(port, lines, args = []) {
  return finish(["count", "--db", `127.0.0.1:${port}`, ...args], { input: text(lines) });
}

// A count whose input is a file, started and given out.
export function startCount(port, file, args = []) {
  const input = fs.openSync(file, "r");
  try {
    return new Part(["count", "--db", `127.0.0.1:${port}`, ...args], { input });
  } finally {
    fs.closeSync(input);
  }
}

// Those of `expected` for which the database answers otherwise: [[key, expected, got] …].
export async function differences(connection, expected, prefix = "") {
  const keys = [...expected.keys()];
  const replies = await connection.pipeline(keys.map((key) => ["GET", prefix + key]));
  return keys
    .map((key, i) => [key, String(expected.get(key)), replies[i]])
    .filter(([, wanted, got]) => wanted !== got);
}
