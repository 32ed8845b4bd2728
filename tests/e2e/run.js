// SPDX-License-Identifier: Apache-2.0
// Runs the black-box tests, two files at a time, and ends with "N passed, N failed".
//
//   node run.js              every file of test/
//   node run.js redis hook   those whose names begin so
import fs from "node:fs";
import path from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";
import { binary } from "./lib/place.js";

const FILES_AT_ONCE = 2;
const FILE_MS = Number(process.env.QUIPU_TEST_FILE_MS) || 300_000;
const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "test");

function chosenFiles(names) {
  const all = fs.readdirSync(folder).filter((name) => name.endsWith(".test.js"));
  const chosen = all.filter((file) => !names.length || names.some((name) => file.startsWith(name)));
  return chosen.sort().map((file) => path.join(folder, file));
}

function describe(error) {
  const cause = error?.cause ?? error;
  const text = cause?.stack ?? String(cause);
  const deeper = cause?.cause ? `\n  because: ${cause.cause.stack ?? cause.cause}` : "";
  return (text + deeper).replaceAll(/^/gm, "    ");
}

// Each file is a run of its own, so that its name is known and its results come when it ends.
async function runFile(path_, counts) {
  const file = path.basename(path_, ".test.js");
  const begun = Date.now();
  const lines = [];
  for await (const { type, data } of run({ files: [path_], timeout: FILE_MS })) {
    if (type === "test:stdout") lines.push(`  ${data.message.trimEnd()}`);
    if (type !== "test:pass" && type !== "test:fail") continue;
    const seconds = (data.details.duration_ms / 1000).toFixed(1);
    if (data.skip) {
      counts.skipped++;
      lines.push(`- ${data.name} (skipped: ${data.skip})`);
    } else if (type === "test:pass") {
      counts.passed++;
      lines.push(`✓ ${data.name} (${seconds} s)`);
    } else {
      counts.failed++;
      lines.push(`✗ ${data.name} (${seconds} s)\n${describe(data.details.error)}`);
    }
  }
  console.log(`${file} (${((Date.now() - begun) / 1000).toFixed(0)} s)`);
  for (const line of lines) console.log(`  ${line}`);
}

async function main(names) {
  if (!fs.existsSync(binary)) {
    console.log(`no binary at ${binary}: build it, or name another in QUIPU\n0 passed, 1 failed`);
    return 1;
  }
  const waiting = chosenFiles(names);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const worker = async () => {
    for (let file; (file = waiting.shift()); ) await runFile(file, counts);
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, worker));
  const skipped = counts.skipped ? `, ${counts.skipped} skipped` : "";
  console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
  return counts.failed || !counts.passed ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
