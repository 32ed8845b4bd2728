// SPDX-License-Identifier: Apache-2.0
// node:test with a limit of time on every test, so that one that waits for ever is a failure.
import test_ from "node:test";

export { after, before } from "node:test";

const TEST_MS = 90_000;

export const test = (name, options, body) =>
  body === undefined
    ? test_(name, { timeout: TEST_MS }, options)
    : test_(name, { timeout: TEST_MS, ...options }, body);
