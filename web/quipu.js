// SPDX-License-Identifier: Apache-2.0
// The browser client; README.md has its use. A Hub holds one connection for all tabs: it is in a
// SharedWorker (this file again), else in the tab with the lock. A tab that is gone lets its own go.
(() => {
  const MIN_MS = 500, MAX_MS = 20000;
  const SILENCE_MS = 60000; // the server says {} every 25 s
  const CHUNK = 100;
  const PREFIX = "quipu+";
  const { navigator: { locks } = {}, document } = globalThis;

  const backoff = (failures) => MIN_MS + Math.random() * Math.min(MAX_MS, MIN_MS * 2 ** failures);
  const uid = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
  const lock = (name, then, options = {}) => locks.request(`quipu ${name}`, options, then);
  const chunks = (list) =>
    list.filter((_, i) => i % CHUNK === 0).map((_, i) => list.slice(i * CHUNK, (i + 1) * CHUNK));

  function webSocket(hub) {
    const socket = new WebSocket(hub.address("ws"), "quipu.v1.json");
    let said = { track: new Set(), publish: new Set() };
    let watchdog;
    const watch = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(link.close, SILENCE_MS);
    };
    const link = {
      close() {
        clearTimeout(watchdog);
        socket.close();
        hub.down(link);
      },
      sync() {
        if (socket.readyState !== 1) return;
        const wanted = hub.wanted();
        const say = (verb, from, but) =>
          chunks([...from].filter((key) => !but.has(key))).map((keys) => socket.send(JSON.stringify({ [verb]: keys })));
        for (const verb of ["publish", "track"]) {
          say(`un${verb}`, said[verb], wanted[verb]);
          say(verb, wanted[verb], said[verb]);
        }
        said = wanted;
      },
    };
    socket.onopen = () => {
      watch();
      link.sync();
      hub.enter("connected");
    };
    socket.onmessage = ({ data }) => {
      watch();
      hub.receive(JSON.parse(data), link);
    };
    socket.onclose = ({ code }) => {
      clearTimeout(watchdog);
      hub.down(link, code === 4001);
    };
    return link;
  }

  function events(hub) {
    let said;
    let sources = [];
    const link = {
      close: () => sources.map((source) => source.close()),
      sync() {
        const { track, publish } = hub.wanted();
        if (said === (said = JSON.stringify([[...track], [...publish]]))) return;
        link.close();
        const pair = (verb, keys) => [...keys].map((key) => [verb, key]);
        sources = chunks([...pair("track", track), ...pair("publish", publish)]).map((query) => {
          const source = new EventSource(hub.address("http", query));
          source.onopen = () => hub.enter("connected");
          source.onmessage = ({ data, lastEventId }) =>
            hub.receive({ epoch: lastEventId.split(":")[0], ...JSON.parse(data) }, link);
          source.onerror = () => hub.down(link);
          return source;
        });
      },
    };
    link.sync();
    return link;
  }

  const ways = { webSocket, events };

  class Hub {
    tabs = new Map(); // name -> { say, track, publish }
    values = new Map(); // key -> [key, value, version]
    state = "connecting";
    failures = 0;
    way = 0;

    constructor(url, transports) {
      this.url = url;
      this.transports = transports;
    }

    address(scheme, query = []) {
      const url = new URL(this.url);
      url.protocol = url.protocol.replace(/http|ws/, scheme);
      if (url.pathname === "/") url.pathname = "/v1/stream";
      if (this.token) url.searchParams.append("token", this.token);
      for (const pair of query) url.searchParams.append(...pair);
      return url.href;
    }

    wanted() {
      const all = (verb) => new Set([...this.tabs.values()].flatMap((tab) => tab[verb]));
      return { track: all("track"), publish: all("publish") };
    }

    // All that a tab wants: a new hub needs no history.
    take(name, say, { track, publish, token, now, bye }) {
      if (bye) return this.leave(name);
      const before = this.tabs.get(name);
      this.tabs.set(name, { say, track, publish });
      this.token = token;
      if (!before) {
        say({ state: this.state });
        if (locks) lock(name, () => this.leave(name));
      }
      const known = track.filter((key) => !before?.track.includes(key) && this.values.has(key));
      this.tellNews(say, known.map((key) => this.values.get(key)));
      const wanted = this.wanted().track;
      for (const key of this.values.keys()) if (!wanted.has(key)) this.values.delete(key);
      if (this.link) this.link.sync();
      else if (now || !this.timer) this.open();
    }

    leave(name) {
      this.tabs.delete(name);
      if (this.tabs.size) this.link?.sync();
      else this.drop();
    }

    drop() {
      clearTimeout(this.timer);
      const { link } = this;
      this.timer = this.link = null;
      link?.close();
    }

    open() {
      this.drop();
      this.enter("connecting");
      this.heard = false;
      this.link = ways[this.transports[this.way % this.transports.length]](this);
    }

    tell(message) {
      for (const { say } of this.tabs.values()) say(message);
    }

    enter(state) {
      if (state !== this.state) this.tell({ state: (this.state = state) });
    }

    receive({ c = [], epoch = this.epoch, retry, error }, link) {
      if (link !== this.link) return;
      this.heard = true;
      this.failures = 0;
      this.retry = retry;
      if (error) this.tell({ error });
      if (epoch !== this.epoch) for (const entry of this.values.values()) entry[2] = -1;
      this.epoch = epoch;
      // Nothing from a node that is behind.
      const news = c.filter(([key, , version]) => !(version < this.values.get(key)?.[2]));
      for (const entry of news) this.values.set(entry[0], entry);
      for (const { say, track } of this.tabs.values()) this.tellNews(say, news.filter(([key]) => track.includes(key)));
    }

    tellNews = (say, c) => c.length && say({ c });

    // Twice nothing was heard: another way.
    down(link, now) {
      if (link !== this.link) return;
      this.drop();
      if (this.token && (now || !this.heard)) this.tell({ needsToken: { now } });
      if (!this.heard && this.failures % 2) this.way++;
      this.timer = setTimeout(() => this.open(), this.retry ?? backoff(this.failures));
      this.failures++;
      this.retry = undefined;
      this.enter("disconnected");
    }
  }

  if (globalThis.SharedWorkerGlobalScope) {
    let hub;
    globalThis.onconnect = ({ ports: [port] }) => {
      port.onmessage = ({ data: { tab, url, transports, ...wants } }) => {
        hub ||= new Hub(url, transports);
        hub.take(tab, (message) => port.postMessage(message), wants);
      };
    };
    return;
  }

  // A tab's ways to its hub: each gives the function that tells it.
  function inPage({ tab, url, transports, hear }) {
    const hub = new Hub(url, transports);
    return (wants) => hub.take(tab, hear, wants);
  }

  function inWorker({ tab, url, transports, hear, instead }) {
    const worker = new SharedWorker(quipu.script, `quipu ${url}`);
    worker.onerror = instead;
    worker.port.onmessage = ({ data }) => hear(data);
    return (wants) => worker.port.postMessage({ tab, url, transports, ...wants });
  }

  function inOneTab({ tab, url, transports, hear, left }) {
    const channel = new BroadcastChannel(`quipu ${url}`);
    let hub, latest;
    const take = (from, wants) =>
      hub.take(from, from === tab ? hear : (message) => channel.postMessage({ to: from, message }), wants);
    const post = (wants) => {
      latest = wants;
      if (hub) take(tab, wants);
      else channel.postMessage({ from: tab, wants });
    };
    channel.onmessage = ({ data: { to, message, from, wants, isNew } }) => {
      if (to === tab) hear(message);
      else if (isNew && latest) post(latest);
      else if (from && hub) take(from, wants);
    };
    const lead = () => {
      hub = new Hub(url, transports);
      channel.postMessage({ isNew: true });
      if (latest) post(latest);
      return left.then(() => hub.drop());
    };
    const end = new AbortController();
    lock(`for ${url}`, lead, { signal: end.signal }).catch(() => {});
    left.then(() => setTimeout(() => (end.abort(), channel.close())));
    return post;
  }

  const waiting = new Map(); // id of an addition -> { resolve, reject }

  // True: some additions are left.
  async function handOver(service) {
    for (const name of Object.keys(localStorage).filter((name) => name.startsWith(PREFIX))) {
      const [to, key, by] = JSON.parse(localStorage[name] || "[]");
      if (to !== service) continue;
      const id = name.slice(PREFIX.length);
      const answer = await fetch(`${service}/v1/counters/${encodeURIComponent(key)}/increment`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Idempotency-Key": id },
        body: JSON.stringify({ by }),
        keepalive: true,
      }).catch(() => 0);
      if (!answer || answer.status > 428) return true;
      localStorage.removeItem(name);
      const told = await answer.json().catch(() => ({}));
      waiting.get(id)?.[answer.ok ? "resolve" : "reject"](answer.ok ? told : new Error(told.detail));
      waiting.delete(id);
    }
  }

  class Client extends EventTarget {
    state = "connecting";
    #url;
    #options;
    #topics = new Map();
    #pages = new Map(); // page -> times
    #tell;
    #leave;
    #token;
    #isTelling = false;
    #failures = 0;
    #retry = 0;
    #end = new AbortController();

    constructor(url = "/", options = {}) {
      super();
      this.#url = new URL(url, globalThis.location?.href).href;
      this.#options = { transports: Object.keys(ways), service: this.#url, ...options };
      this.#options.service = new URL(this.#options.service, this.#url).href.replace(/\/(v1.*)?$/, "");
      const { signal } = this.#end;
      const wake = () => (this.#say(true), this.#handOver());
      const on = {
        pagehide: () => this.#part(),
        pageshow: ({ persisted }) => persisted && this.#join(),
        online: wake,
        visibilitychange: () => document.hidden || wake(),
      };
      for (const type in on) globalThis.addEventListener?.(type, on[type], { signal });
      this.#join();
      this.#handOver();
    }

    track(key, callback) {
      const topic = this.#topics.get(key) || { callbacks: new Set() };
      const call = (...news) => callback(...news);
      topic.callbacks.add(call);
      this.#topics.set(key, topic);
      this.#say();
      if (topic.latest) call(...topic.latest);
      return () => {
        topic.callbacks.delete(call);
        if (!topic.callbacks.size && this.#topics.get(key) === topic) this.#topics.delete(key);
        this.#say();
      };
    }

    publish(page) {
      const more = (by) => {
        const count = (this.#pages.get(page) || 0) + by;
        if (count) this.#pages.set(page, count);
        else this.#pages.delete(page);
        this.#say();
      };
      let by = -1;
      more(1);
      return () => more(by, (by = 0));
    }

    add(key, by = 1) {
      const id = uid();
      localStorage[PREFIX + id] = JSON.stringify([this.#options.service, key, by]);
      const done = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
      done.catch(() => {});
      this.#handOver();
      return done;
    }

    close() {
      this.#end.abort();
      this.#part();
    }

    async #handOver() {
      if (!document) return;
      const { service } = this.#options;
      const hand = () => handOver(service);
      const isLeft = await (locks ? lock(`+ ${service}`, hand) : hand());
      clearTimeout(this.#retry);
      if (!isLeft) this.#failures = 0;
      else if (!this.#end.signal.aborted) this.#retry = setTimeout(() => this.#handOver(), backoff(this.#failures++));
    }

    async #renew() {
      this.#token = await this.#options.token?.();
    }

    async #join() {
      const { transports, share } = this.#options;
      let leave;
      const left = new Promise((resolve) => (leave = resolve));
      this.#leave = leave;
      await this.#renew();
      const tab = uid();
      const begin = (way) => {
        const hear = (message) => this.#leave === leave && this.#hear(message);
        this.#tell = way({ tab, url: this.#url, transports, hear, left, instead: () => begin(inOneTab) });
        this.#say();
      };
      if (!locks) return begin(inPage);
      lock(tab, () => {
        const isOurs = quipu.script && new URL(quipu.script).origin === location.origin;
        if (share === false) begin(inPage);
        else begin(isOurs && share !== "tabs" && globalThis.SharedWorker ? inWorker : inOneTab);
        return left;
      });
    }

    #part() {
      this.#tell?.({ bye: true });
      this.#tell = null;
      this.#leave();
      this.#leave = () => {};
      this.#enter("disconnected");
    }

    #say(now) {
      if (this.#isTelling) return;
      this.#isTelling = true;
      queueMicrotask(() => {
        this.#isTelling = false;
        if (!this.#tell) return;
        this.#tell({ track: [...this.#topics.keys()], publish: [...this.#pages.keys()], token: this.#token, now });
      });
    }

    #hear({ c = [], state, error, needsToken }) {
      if (state) this.#enter(state);
      if (error) this.dispatchEvent(new CustomEvent("refused", { detail: error }));
      if (needsToken) this.#renew().then(() => this.#say(needsToken.now));
      for (const [key, ...news] of c) {
        const topic = this.#topics.get(key);
        if (!topic || topic.latest?.[0] === news[0]) continue; // a new hub may repeat
        topic.latest = [...news, key];
        for (const call of topic.callbacks) call(...topic.latest);
      }
    }

    #enter(state) {
      if (state === this.state) return;
      this.state = state;
      this.dispatchEvent(new Event("state"));
    }
  }

  const quipu = (globalThis.quipu = {
    script: document?.currentScript?.src,
    connect: (url, options) => new Client(url, options),
    format: (value) => (value == null ? "–" : BigInt(value).toLocaleString()),
  });

  if (!globalThis.customElements || customElements.get("live-count")) return;

  const shared = new Map();

  class LiveCount extends HTMLElement {
    static observedAttributes = ["key", "src", "publish"];

    connectedCallback() {
      if (!this.ariaLive) this.ariaLive = "polite";
      this.attributeChangedCallback();
    }

    disconnectedCallback() {
      this.leave?.();
      this.leave = null;
    }

    attributeChangedCallback() {
      this.disconnectedCallback();
      const [key, src, page] = ["key", "src", "publish"].map((name) => this.getAttribute(name));
      if (!this.isConnected || !key) return;
      const use = shared.get(src) || { client: quipu.connect(src || "/"), users: 0 };
      shared.set(src, use).get(src).users++;
      const stop = use.client.track(key, (value) => this.show(value));
      const part = page === null ? stop : use.client.publish(page || key);
      this.leave = () => {
        stop();
        part();
        if (--use.users) return;
        use.client.close();
        shared.delete(src);
      };
    }

    show(value) {
      const text = quipu.format(value);
      if (text === this.textContent) return;
      this.textContent = text;
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.animate({ opacity: [0.4, 1] }, 300);
    }
  }

  customElements.define("live-count", LiveCount);
})();
