// SPDX-License-Identifier: Apache-2.0
// The browser client of quipu's real-time platform: live counts over one WebSocket, without
// dependencies.
//
//     const live = quipu.connect("http://127.0.0.1:7004"); // or connect() for this page's own host
//     const stop = live.track("likes", (value) => { … });  // the latest value first, then newer ones
//     const leave = live.publish("/article/7");            // this visitor is on that page now
//     <live-count key="likes" src="http://127.0.0.1:7004"></live-count>
//
// A classic script that sets `quipu`; import it for its effect in a module, or take the names from
// quipu.mjs. A value is a number, a string of digits beyond 2^53, or null while no such counter
// exists. Presence needs no farewell message: the server ends a visitor's part when the socket
// closes, so a page that is hidden for good only has to close it, and a page that comes back from
// the cache opens it again.
(() => {
  "use strict";

  const SUBPROTOCOL = "quipu.v1.json";
  const BACKOFF_MIN_MS = 500;
  const BACKOFF_MAX_MS = 20000;
  const KEYS_PER_FRAME = 100;
  // The server says something at least every 25 s, an empty {} if need be; a page cannot see pings.
  const SILENCE_MS = 60000;

  function streamUrl(url) {
    const target = new URL(url || "/", globalThis.location ? location.href : undefined);
    target.protocol = target.protocol.replace("http", "ws");
    if (target.pathname === "/") target.pathname = "/v1/stream";
    return target.href;
  }

  class Client extends EventTarget {
    #url;
    #socket = null;
    #timer = 0;
    #watchdog = 0;
    #failures = 0;
    #closed = false;
    #topics = new Map(); // key -> { callbacks, latest: [value, version, key] or null }
    #pages = new Map(); // page -> how many on this client publish it
    #outbox = []; // { verb, keys } to say in the next frames, in order; one flush a task
    #listeners = new AbortController();

    constructor(url) {
      super();
      this.#url = streamUrl(url);
      this.state = "connecting";
      this.#watchPage();
      this.#open();
    }

    // Calls back with (value, version, key), at once if a value is known. Returns the way to stop.
    track(key, callback) {
      let topic = this.#topics.get(key);
      if (!topic) {
        this.#topics.set(key, (topic = { callbacks: new Set(), latest: null }));
        this.#say("track", key);
      }
      const entry = { callback };
      topic.callbacks.add(entry);
      if (topic.latest) callback(...topic.latest);
      return () => {
        if (!topic.callbacks.delete(entry) || topic.callbacks.size) return;
        this.#topics.delete(key);
        this.#say("untrack", key);
      };
    }

    // Counts this visitor as present on the page until the returned function is called.
    publish(page) {
      const count = this.#pages.get(page) || 0;
      this.#pages.set(page, count + 1);
      if (!count) this.#say("publish", page);
      let present = true;
      return () => {
        if (!present) return;
        present = false;
        const left = this.#pages.get(page) - 1;
        if (left) return void this.#pages.set(page, left);
        this.#pages.delete(page);
        this.#say("unpublish", page);
      };
    }

    close() {
      this.#closed = true;
      this.#listeners.abort();
      this.#drop("disconnected");
    }

    #watchPage() {
      if (!globalThis.addEventListener) return;
      const on = (target, type, listener) =>
        target.addEventListener(type, listener, { signal: this.#listeners.signal });
      const now = () => {
        if (this.#socket) return;
        this.#failures = 0;
        this.#open();
      };
      on(globalThis, "pagehide", () => this.#drop("disconnected"));
      on(globalThis, "pageshow", now);
      on(globalThis, "online", now);
      if (globalThis.document) {
        on(document, "visibilitychange", () => document.visibilityState === "visible" && now());
      }
    }

    #open() {
      clearTimeout(this.#timer);
      if (this.#closed || this.#socket) return;
      this.#enter("connecting");
      const socket = (this.#socket = new WebSocket(this.#url, SUBPROTOCOL));
      socket.onopen = () => {
        if (socket !== this.#socket) return;
        this.#outbox = [];
        this.#send("track", [...this.#topics.keys()]);
        this.#send("publish", [...this.#pages.keys()]);
        this.#enter("connected");
      };
      socket.onmessage = (message) => socket === this.#socket && this.#receive(message.data);
      socket.onclose = () => {
        if (socket !== this.#socket) return;
        this.#socket = null;
        clearTimeout(this.#watchdog);
        this.#enter("disconnected");
        this.#retry();
      };
    }

    // Full jitter: a crowd that lost its server together must not come back together.
    #retry() {
      const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#failures++);
      this.#timer = setTimeout(() => this.#open(), BACKOFF_MIN_MS + Math.random() * ceiling);
    }

    // A connection that died without a word (a laptop that slept, a network that changed) is left.
    #watch() {
      clearTimeout(this.#watchdog);
      this.#watchdog = setTimeout(() => {
        this.#drop("disconnected");
        this.#open();
      }, SILENCE_MS);
    }

    #drop(state) {
      clearTimeout(this.#timer);
      clearTimeout(this.#watchdog);
      const socket = this.#socket;
      this.#socket = null;
      if (socket) socket.close(1000);
      this.#enter(state);
    }

    #receive(text) {
      let frame;
      try {
        frame = JSON.parse(text);
      } catch {
        return;
      }
      this.#failures = 0; // a server that answers ends the back-off; one that only accepts does not
      this.#watch();
      if (frame.error) this.dispatchEvent(new CustomEvent("refused", { detail: frame.error }));
      for (const [key, value, version] of frame.c || []) {
        const topic = this.#topics.get(key);
        if (!topic) continue;
        topic.latest = [value, version, key];
        for (const entry of [...topic.callbacks]) entry.callback(value, version, key);
      }
    }

    // Queues a word for the server, so that a page of many counts costs few frames. What is queued
    // while there is no connection is forgotten on purpose: opening one tells the whole state.
    #say(verb, key) {
      if (!this.#outbox.length) queueMicrotask(() => this.#flush());
      const last = this.#outbox.at(-1);
      if (last && last.verb === verb) last.keys.push(key);
      else this.#outbox.push({ verb, keys: [key] });
    }

    #flush() {
      const words = this.#outbox;
      this.#outbox = [];
      for (const { verb, keys } of words) this.#send(verb, keys);
    }

    #send(verb, keys) {
      const socket = this.#socket;
      if (!socket || socket.readyState !== 1) return;
      for (let i = 0; i < keys.length; i += KEYS_PER_FRAME) {
        socket.send(JSON.stringify({ [verb]: keys.slice(i, i + KEYS_PER_FRAME) }));
      }
    }

    #enter(state) {
      if (state === this.state) return;
      this.state = state;
      this.dispatchEvent(new Event("state"));
    }
  }

  // 12345 -> "12,345" in the reader's own language; exact beyond 2^53 too.
  function format(value) {
    if (value === null || value === undefined) return "–";
    return (typeof value === "string" ? BigInt(value) : value).toLocaleString();
  }

  const connect = (url) => new Client(url);
  globalThis.quipu = { connect, format };

  if (!globalThis.customElements || customElements.get("live-count")) return;

  // All elements with one src share one connection; the last to leave closes it.
  const shared = new Map();

  function join(src) {
    if (!shared.has(src)) shared.set(src, { client: connect(src), users: 0 });
    const use = shared.get(src);
    use.users++;
    return use.client;
  }

  function leave(src) {
    const use = shared.get(src);
    if (--use.users) return;
    use.client.close();
    shared.delete(src);
  }

  class LiveCount extends HTMLElement {
    static observedAttributes = ["key", "src"];
    #leave = null;

    connectedCallback() {
      if (!this.hasAttribute("aria-live")) this.setAttribute("aria-live", "polite");
      this.#begin();
    }

    disconnectedCallback() {
      this.#end();
    }

    attributeChangedCallback(name, before, after) {
      if (!this.isConnected || before === after) return;
      this.#end();
      this.#begin();
    }

    #begin() {
      const key = this.getAttribute("key");
      if (this.#leave || !key) return;
      const src = this.getAttribute("src") || "";
      const stop = join(src).track(key, (value) => {
        this.textContent = format(value);
      });
      this.#leave = () => {
        stop();
        leave(src);
      };
    }

    #end() {
      if (this.#leave) this.#leave();
      this.#leave = null;
    }
  }

  customElements.define("live-count", LiveCount);
})();
