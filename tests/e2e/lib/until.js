// SPDX-License-Identifier: Apache-2.0
// Waiting, the only way these tests do it: on a condition that is asked again until it holds or its
// time is up, or on an event with a deadline.

const EVERY_MS = 10;

// Calls `check` until it gives something truthy, which is returned. A throw counts as "not yet".
// `what` may be a function: it is called when the time is up, to say what was seen last.
export async function until(check, what, within = 10_000) {
  const deadline = Date.now() + within;
  let last;
  for (;;) {
    try {
      const value = await check();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) {
      const text = typeof what === "function" ? await what() : what;
      throw new Error(`after ${within} ms not yet: ${text}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

// The promise's value, or an error that names what did not come.
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${ms} ms not yet: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
