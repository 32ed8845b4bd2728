// SPDX-License-Identifier: Apache-2.0
// Types of quipu.mjs; quipu.js says what each part does.

/** A number; a string of digits beyond 2^53; null while no such counter exists. */
export type Value = number | string | null;

export interface Client extends EventTarget {
  /**
   * Changes are announced by the event "state". What the server refuses comes as the event
   * "refused", a CustomEvent whose detail is { code, message, subject? }.
   */
  readonly state: "connecting" | "connected" | "disconnected";
  /** Calls back with the latest value first, then with each newer. Returns the way to stop. */
  track(key: string, callback: (value: Value, version: unknown, key: string) => void): () => void;
  /** Counts this visitor as present on the page. Returns the way to leave it. */
  publish(page: string): () => void;
  close(): void;
}

/** Without a URL: this page's own host. */
export function connect(url?: string): Client;
export function format(value: Value | undefined): string;
