// SPDX-License-Identifier: Apache-2.0
// A process of ours: started with arguments, ready when its ready line has come, stopped by SIGTERM
// and then judged by its exit status, or killed. None outlives the test's process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { binary } from "./place.js";
import { within } from "./until.js";

const START_MS = 15_000;
const STOP_MS = 15_000;
const alive = new Set();

process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

export class Part {
  #waiting = new Set();

  constructor(args, { program = binary, env = {}, input = "ignore" } = {}) {
    this.args = args;
    this.stdout = "";
    this.stderr = "";
    this.child = spawn(program, args, {
      stdio: [input, "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    alive.add(this.child);
    this.child.unref(); // what a failed test leaves behind must not keep its process waiting
    this.pid = this.child.pid;
    this.exited = once(this.child, "close").then(([code, signal]) => {
      alive.delete(this.child);
      this.code = code;
      this.signal = signal;
      for (const wake of this.#waiting) wake();
      return code;
    });
    for (const name of ["stdout", "stderr"]) {
      this.child[name].unref();
      this.child[name].setEncoding("utf8").on("data", (text) => {
        this[name] += text;
        for (const wake of this.#waiting) wake();
      });
    }
  }

  get isRunning() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  // The match of `pattern` in what it has written to stderr (or stdout), now or later.
  async says(pattern, ms = START_MS, stream = "stderr") {
    let wake;
    const found = new Promise((resolve, reject) => {
      wake = () => {
        const match = this[stream].match(pattern);
        if (match) resolve(match);
        else if (this.code !== undefined || this.signal) {
          reject(new Error(`${this} ended (${this.code ?? this.signal}) before ${pattern}`));
        }
      };
    });
    this.#waiting.add(wake);
    wake();
    try {
      return await within(ms, `${pattern} from ${this}`, found);
    } finally {
      this.#waiting.delete(wake);
    }
  }

  // Its exit status, when it ends by itself.
  ended(ms = STOP_MS) {
    return within(ms, `the end of ${this}`, this.exited);
  }

  // SIGTERM, or another; gives the exit status.
  stop(signal = "SIGTERM") {
    if (this.isRunning) this.child.kill(signal);
    return this.ended();
  }

  async kill() {
    if (this.isRunning) this.child.kill("SIGKILL");
    await within(STOP_MS, `the death of ${this}`, this.exited);
  }

  toString() {
    return `quipu ${this.args.join(" ")} [${this.pid}], which said:\n${this.stderr.slice(-2000)}`;
  }
}

// Runs to its end: { code, stdout, stderr }.
export async function finish(args, { input, ms = 60_000, ...options } = {}) {
  const part = new Part(args, { ...options, input: input === undefined ? "ignore" : "pipe" });
  if (input !== undefined) {
    part.child.stdin.on("error", () => {}); // it may end before it has read all
    part.child.stdin.end(input);
  }
  try {
    await part.ended(ms);
  } catch (error) {
    await part.kill();
    throw error;
  }
  return { code: part.code, stdout: part.stdout, stderr: part.stderr };
}
