// SPDX-License-Identifier: Apache-2.0
// Types of quipu.mjs and quipu.js; README.md says what each part does.

/** A number; a string of digits beyond 2^53; null while no such counter exists. */
export type Value = number | string | null;
export type State = "connecting" | "connected" | "disconnected";

export interface Options {
  /** Where add() sends: the counter service's URL. Without it the host of the stream. */
  service?: string;
  /** Gives the token that the stream needs; called again when one has expired. */
  token?: () => string | Promise<string>;
  /** The ways to the server, in the order in which they are tried. */
  transports?: ("webSocket" | "events")[];
  /** false: a connection of this page's own; "tabs": no SharedWorker. */
  share?: boolean | "tabs";
}

/** What the server refuses: the detail of the event "refused". */
export interface Refusal {
  code: string;
  message: string;
  subject?: string;
}

/** A counter after an addition. */
export interface Counter {
  key: string;
  value: Value;
  type: string | null;
  version: number | string;
  epoch: string;
  /** It had been counted before, and the answer was lost. */
  duplicate?: true;
}

export interface Client extends EventTarget {
  /** Changes are announced by the event "state". */
  readonly state: State;
  /** Calls back with the latest value first, then with each newer. Returns the way to stop. */
  track(key: string, callback: (value: Value, version: number | string, key: string) => void): () => void;
  /** Counts this visitor as present on the page. Returns the way to leave it. */
  publish(page: string): () => void;
  /** Adds exactly once, over failures, reloads and times without a network. */
  add(key: string, by?: number): Promise<Counter>;
  close(): void;
  addEventListener(type: "state", listener: (event: Event) => void): void;
  addEventListener(type: "refused", listener: (event: CustomEvent<Refusal>) => void): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject): void;
}

/** Without a URL: this page's own host. */
export function connect(url?: string, options?: Options): Client;
/** 12345 as "12,345" in the reader's own language; "–" for null. */
export function format(value: Value | undefined): string;

/** <live-count key="likes" src="https://live.example">42</live-count> */
export interface LiveCountAttributes {
  key: string;
  src?: string;
  /** Counts this visitor as present on that page; empty: on the key. */
  publish?: string;
}

declare global {
  var quipu: { connect: typeof connect; format: typeof format; script?: string };
}
