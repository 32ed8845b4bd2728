// SPDX-License-Identifier: Apache-2.0
// The dashboard: every region of /regions.json side by side. Counts come over one WebSocket to each
// region's real-time part (quipu.js), additions and the drill switch go to each region's service,
// whose links and facts are asked once a second. The map, the charts, health and the keys have files
// of their own, which say what tests may hold on to in them.
//
// What tests may hold on to:
//   #agreement[data-state=waiting|agree|differ]      data-testid=agreement
//   #notice                                          data-testid=notice   what just failed
//   #add-key, #new-key, data-testid=add-key-button   watch another key
//   [data-region=r1]             a region; data-link=unknown|linked|partial|cut;
//                                data-here on the page's own
//     data-testid=state          data-state=connecting|connected|disconnected
//     data-testid=fresh          data-ms: longest silence of another region, or empty
//     data-testid=cut, heal      the switch; aria-pressed
//     [data-key=likes]           a counter's row; data-differs while regions show different values
//       data-testid=count        data-value: the exact value, empty while unknown or missing
//       data-testid=subtract-1, add-1, add-10, forget
//     [data-peer=r2]             a link; data-state=up|down|cut|joining
//       data-testid=link-state, lag (data-changes, data-bytes), heard (data-ms)
import { Charts } from "./dashboard-charts.js";
import { Health } from "./dashboard-health.js";
import { Keys } from "./dashboard-keys.js";
import { Topology } from "./dashboard-map.js";
import {
  ask, calm, element, grow, listed, part, plural, post, size, span, tell, tested, why,
} from "./dashboard-words.js";

const PAGE = "viewers"; // presence: this page publishes it and shows how many do
const KEYS = ["likes", "views", "stock"];
const KEYS_MAX = 20;
const POLL_MS = 1000;
const STALE_MS = 3000; // regions that hear each other do so once a second
const SETTLE_MS = 700; // regions differ for a moment with every addition: that is not news
const ANNOUNCE_MS = 4000;
const TREND_STEPS = 60; // one a second

const silence = (link) => link.heard_ms ?? Infinity; // not heard at all yet

// ---- one counter in one region

class Row {
  constructor(region, key) {
    this.region = region;
    this.key = key;
    this.value = undefined; // not heard yet; null: no such counter
    this.trend = [];
    this.root = grow("counter-template");
    this.root.dataset.key = key;
    this.count = tested(this.root, "count");
    this.path = part(this.root, "trend").lastElementChild;
    const name = part(this.root, "key");
    name.textContent = name.title = key;
    this.count.setAttribute("aria-label", `${key} in ${region.name}`);
    if (key === PAGE) this.#bePresence();
    else this.#beCounter();
    this.stop = region.client.track(key, (value) => this.#show(value));
  }

  #bePresence() {
    part(this.root, "adds").remove();
    const note = part(this.root, "note");
    note.hidden = false;
    note.textContent = "have this page open";
  }

  #beCounter() {
    for (const button of this.root.querySelectorAll("[data-by]")) {
      const label = `${button.textContent} ${this.key} in ${this.region.name}`;
      button.setAttribute("aria-label", label);
      button.addEventListener("click", () => this.#add(Number(button.dataset.by)));
    }
    if (KEYS.includes(this.key)) return;
    const forget = part(this.root, "forget");
    forget.hidden = false;
    forget.setAttribute("aria-label", `Stop watching ${this.key}`);
    forget.addEventListener("click", () => this.region.board.forget(this.key));
  }

  async #add(by) {
    const { service, name } = this.region;
    try {
      await post(`${service}/v1/counters/${encodeURIComponent(this.key)}/increment`, { by });
    } catch (fault) {
      tell(`${this.key} was not changed in ${name}: ${why(fault)}.`);
    }
  }

  #show(value) {
    const before = this.value;
    this.value = value;
    const text = quipu.format(value);
    this.count.textContent = text;
    this.count.dataset.value = value ?? "";
    this.count.toggleAttribute("data-missing", value === null);
    this.count.toggleAttribute("data-long", text.length > 11);
    if (before !== undefined && before !== value) this.#flash();
    this.region.board.changed();
  }

  #flash() {
    if (calm.matches) return;
    const tone = getComputedStyle(this.region.root).getPropertyValue("--tone");
    this.count.animate([{ color: tone }, {}], { duration: 500, easing: "ease-out" });
  }

  remember() {
    this.trend.push(this.value === null || this.value === undefined ? NaN : Number(this.value));
    if (this.trend.length > TREND_STEPS) this.trend.shift();
  }

  // All regions draw one key to one scale, so that lines which part can be seen to part.
  draw(low, high) {
    const range = high - low || 1;
    const points = this.trend.map((value, i) => {
      const x = 120 - (this.trend.length - 1 - i) * (120 / (TREND_STEPS - 1));
      const y = high === low ? 25 : 25 - ((value - low) / range) * 22;
      return Number.isNaN(value) ? null : `${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    const known = points.filter(Boolean);
    this.path.setAttribute("d", known.length > 1 ? `M${known.join("L")}` : "");
  }

  end() {
    this.stop();
    this.root.remove();
  }
}

// ---- one region

class Region {
  constructor(board, { name, service, realtime }, isHere) {
    Object.assign(this, { board, name, service, realtime, rows: new Map(), links: null });
    Object.assign(this, { facts: null, rate: null, fault: null, since: performance.now() });
    this.root = grow("region-template");
    this.root.id = `region-${name}`;
    this.root.dataset.region = name;
    this.root.setAttribute("aria-label", `Region ${name}`);
    this.root.toggleAttribute("data-here", isHere);
    part(this.root, "name").textContent = name;
    part(this.root, "here").hidden = !isHere;
    part(this.root, "switch").setAttribute("aria-label", `${name} and the other regions`);
    const { token } = board;
    this.client = quipu.connect(realtime, { token: token ? () => token : undefined });
    this.client.addEventListener("state", () => this.#showState());
    tested(this.root, "cut").addEventListener("click", () => this.drill("cut"));
    tested(this.root, "heal").addEventListener("click", () => this.drill("heal"));
    this.#showState();
    this.#poll();
  }

  get isConnected() {
    return this.client.state === "connected";
  }

  get isCut() {
    return this.root.dataset.link === "cut";
  }

  watch(key) {
    const row = new Row(this, key);
    this.rows.set(key, row);
    part(this.root, "counters").append(row.root);
  }

  forget(key) {
    this.rows.get(key).end();
    this.rows.delete(key);
  }

  #showState() {
    this.since = performance.now();
    const state = tested(this.root, "state");
    state.dataset.state = this.client.state;
    state.textContent = { connecting: "Connecting", connected: "Live", disconnected: "Offline" }[
      this.client.state
    ];
    state.title = `The stream of counts from ${this.name}`;
    this.board.changed();
  }

  // How long the stream has been as it is.
  get age_ms() {
    return performance.now() - this.since;
  }

  async drill(action) {
    const buttons = [tested(this.root, "cut"), tested(this.root, "heal")];
    for (const button of buttons) button.setAttribute("aria-disabled", "true");
    try {
      await post(`${this.service}/v1/links`, { action, replica: "ALL" });
      this.#showSwitch(action === "cut");
      await this.#ask();
    } catch (fault) {
      tell(`${this.name} was not ${action === "cut" ? "cut off" : "connected"}: ${why(fault)}.`);
    }
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }

  async #poll() {
    if (document.visibilityState === "visible") {
      await this.#ask().catch((fault) => this.#showUnreachable(fault));
    }
    setTimeout(() => this.#poll(), POLL_MS);
  }

  async #ask() {
    const [{ links }, facts] = await Promise.all([
      ask(`${this.service}/v1/links`),
      ask(`${this.service}/v1/region`),
    ]);
    this.#takeFacts(facts);
    const byName = (a, b) => a.replica.localeCompare(b.replica, undefined, { numeric: true });
    this.links = links.sort(byName);
    const cut = links.filter((link) => link.state === "cut").length;
    this.root.dataset.link = !cut ? "linked" : cut === links.length ? "cut" : "partial";
    this.#showSwitch(cut > 0 && cut === links.length);
    this.#showFresh();
    this.#showLinks();
    this.board.changed();
  }

  #takeFacts(facts) {
    const now = performance.now();
    const isSame = this.facts && this.facts.epoch === facts.epoch;
    const seconds = (now - this.asked) / 1000;
    this.rate = isSame ? Math.max(0, (facts.commands - this.facts.commands) / seconds) : null;
    Object.assign(this, { facts, fault: null, asked: now });
    const words = [plural(facts.keys, "key"), `${size(facts.memory_bytes)} of counts`];
    words.push(`up ${span(facts.uptime_s * 1000)}`);
    part(this.root, "facts").textContent = words.join(" · ");
  }

  #showSwitch(isCut) {
    tested(this.root, "cut").setAttribute("aria-pressed", String(isCut));
    tested(this.root, "heal").setAttribute("aria-pressed", String(!isCut));
  }

  #showFresh() {
    const fresh = tested(this.root, "fresh");
    const longest = this.links.reduce((a, b) => (a && silence(a) >= silence(b) ? a : b), null);
    const ms = longest ? silence(longest) : 0;
    const isStale = ms > STALE_MS || this.links.some((link) => link.state !== "up");
    fresh.dataset.ms = Number.isFinite(ms) ? ms : "";
    fresh.toggleAttribute("data-stale", isStale);
    if (!longest) fresh.textContent = "Has no other region";
    else if (this.isCut) fresh.textContent = "Counting alone";
    else if (!Number.isFinite(ms)) fresh.textContent = `Waits for ${longest.replica}`;
    else if (isStale) fresh.textContent = `${longest.replica} silent for ${span(ms)}`;
    else fresh.textContent = "Hears every region";
  }

  #showUnreachable(fault) {
    Object.assign(this, { links: null, facts: null, rate: null, fault });
    this.root.dataset.link = "unknown";
    part(this.root, "facts").textContent = "";
    const fresh = tested(this.root, "fresh");
    fresh.dataset.ms = "";
    fresh.toggleAttribute("data-stale", true);
    const isSilent = fault instanceof TypeError || fault.name === "TimeoutError";
    fresh.textContent = isSilent ? "Service does not answer" : `Service: ${fault.message}`;
    part(this.root, "links").replaceChildren();
    this.board.changed();
  }

  #showLinks() {
    const list = part(this.root, "links");
    const held = new Map([...list.children].map((item) => [item.dataset.peer, item]));
    for (const [i, link] of this.links.entries()) {
      const item = held.get(link.replica) || grow("link-template");
      held.delete(link.replica);
      this.#showLink(item, link);
      if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null);
    }
    for (const gone of held.values()) gone.remove();
  }

  #showLink(item, link) {
    item.dataset.peer = link.replica;
    item.dataset.state = link.state;
    part(item, "peer").textContent = link.replica;
    part(item, "peer").title = link.address || "";
    const chip = part(item, "state");
    chip.dataset.state = chip.textContent = link.state;
    const lag = part(item, "lag");
    lag.dataset.changes = link.changes_behind;
    lag.dataset.bytes = link.bytes_behind;
    lag.textContent = link.changes_behind
      ? `${plural(link.changes_behind, "change")}, ${size(link.bytes_behind)}`
      : "nothing";
    const heard = part(item, "heard");
    heard.dataset.ms = link.heard_ms ?? "";
    const isHeard = Number.isFinite(silence(link));
    heard.textContent = isHeard ? `${span(link.heard_ms)} ago` : "never";
  }
}

// ---- all regions

class Board {
  constructor({ here, regions }) {
    this.keys = [PAGE, ...KEYS, ...this.#keysOfPage()];
    this.token = new URLSearchParams(location.hash.slice(1)).get("token"); // where streams need one
    this.regions = [];
    this.differsSince = new Map();
    this.settling = 0;
    this.announced = "";
    for (const description of regions) {
      const region = new Region(this, description, description.name === here);
      this.regions.push(region);
      element("regions").append(region.root);
      for (const key of this.keys) region.watch(key);
    }
    this.here = this.regions.find((region) => region.name === here) || this.regions[0];
    if (!this.here) return;
    this.here.client.publish(PAGE);
    this.map = new Topology(this.regions);
    this.charts = new Charts(this.regions);
    this.health = new Health(this.regions);
    this.keyList = new Keys(this);
    setInterval(() => this.#step(), 1000);
    setInterval(() => this.#announce(), ANNOUNCE_MS);
  }

  // Further keys live in the page's address, so that it can be kept and shared.
  #keysOfPage() {
    const asked = new URLSearchParams(location.search).getAll("key");
    const fresh = [...new Set(asked)].filter((key) => this.#isNew(key, [PAGE, ...KEYS]));
    return fresh.slice(0, KEYS_MAX);
  }

  #isNew(key, known) {
    return key.length > 0 && key.length <= 128 && !known.includes(key);
  }

  #keepKeys() {
    const own = this.keys.filter((key) => key !== PAGE && !KEYS.includes(key));
    const query = own.map((key) => `key=${encodeURIComponent(key)}`).join("&");
    history.replaceState(null, "", (query ? `?${query}` : location.pathname) + location.hash);
  }

  watch(key) {
    if (!this.#isNew(key, this.keys)) return false;
    if (this.keys.length > KEYS_MAX + KEYS.length) {
      tell(`This page shows at most ${KEYS_MAX} further keys.`);
      return false;
    }
    this.keys.push(key);
    for (const region of this.regions) region.watch(key);
    this.#keepKeys();
    this.changed();
    return true;
  }

  forget(key) {
    this.keys = this.keys.filter((other) => other !== key);
    this.differsSince.delete(key);
    for (const region of this.regions) region.forget(key);
    this.#keepKeys();
    element("new-key").focus();
    this.changed();
  }

  #differs(key) {
    const values = this.regions.map((region) => region.rows.get(key)?.value);
    return !values.includes(undefined) && values.some((value) => value !== values[0]);
  }

  // Called with every change; what it shows has held for SETTLE_MS.
  changed() {
    if (!this.here) return;
    const now = performance.now();
    let next = Infinity;
    for (const key of this.keys) {
      if (!this.#differs(key)) this.differsSince.delete(key);
      else if (!this.differsSince.has(key)) this.differsSince.set(key, now);
      const since = this.differsSince.get(key);
      const isSettled = since !== undefined && now - since >= SETTLE_MS;
      if (since !== undefined && !isSettled) next = Math.min(next, since + SETTLE_MS - now);
      for (const region of this.regions) {
        region.rows.get(key)?.root.toggleAttribute("data-differs", isSettled);
      }
    }
    clearTimeout(this.settling);
    if (next !== Infinity) this.settling = setTimeout(() => this.changed(), next + 1);
    this.#showAgreement(now);
  }

  #showAgreement(now) {
    const offline = this.regions.filter((region) => !region.isConnected);
    const cut = this.regions.filter((region) => region.isCut).map((region) => region.name);
    const differing = [...this.differsSince].filter(([, since]) => now - since >= SETTLE_MS);
    const isWaiting = offline.length > 0 || this.#isUnheard();
    let [state, text] = ["agree", "All regions agree"];
    if (offline.length) {
      [state, text] = ["waiting", `Waiting for ${listed(offline.map((region) => region.name))}`];
    } else if (isWaiting) [state, text] = ["waiting", "Waiting for counts"];
    else if (differing.length) [state, text] = ["differ", "Regions differ"];
    if (cut.length && !isWaiting) text += `, ${listed(cut)} cut off`;
    const box = element("agreement");
    box.dataset.state = state;
    const words = element("agreement-text");
    if (words.textContent !== text) words.textContent = text;
  }

  #isUnheard() {
    const rows = this.regions.flatMap((region) => [...region.rows.values()]);
    return rows.some((row) => row.value === undefined);
  }

  #step() {
    this.charts.step();
    this.map.show();
    this.health.show();
    if (document.visibilityState !== "visible") return;
    for (const key of this.keys) {
      const rows = this.regions.map((region) => region.rows.get(key));
      for (const row of rows) row.remember();
      const known = rows.flatMap((row) => row.trend).filter((value) => !Number.isNaN(value));
      for (const row of rows) row.draw(Math.min(...known), Math.max(...known));
    }
  }

  // For a reader who hears the page: seldom, and only what is new.
  #announce() {
    const heard = this.keys.map((key) => {
      const all = this.regions.map((region) => quipu.format(region.rows.get(key).value));
      const values = [...new Set(all)];
      return `${key} ${values.length === 1 ? values[0] : `differs: ${values.join(", ")}`}`;
    });
    const text = heard.join("; ");
    if (text === this.announced) return;
    this.announced = text;
    element("announcer").textContent = text;
  }
}

// ---- the page

function prepareForm(board) {
  element("add-key").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = element("new-key");
    const key = field.value.trim();
    if (board.watch(key)) field.value = "";
    board.here?.root.querySelector(`[data-key="${CSS.escape(key)}"]`)?.scrollIntoView({
      block: "nearest",
      behavior: calm.matches ? "auto" : "smooth",
    });
  });
}

function prepareCommand(board) {
  const region = board.regions.at(-1);
  if (!region) return;
  const command = `curl -X POST ${region.service}/v1/counters/likes/increment`;
  element("command").textContent = command;
  element("copy").addEventListener("click", async () => {
    const select = () => getSelection().selectAllChildren(element("command"));
    await navigator.clipboard.writeText(command).catch(select);
    element("copy").textContent = "Copied";
    setTimeout(() => (element("copy").textContent = "Copy"), 1500);
  });
}

// ---- the looks, and keys of the keyboard

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const button = element("theme");
  button.dataset.theme = theme;
  button.setAttribute("aria-label", `Colours: ${theme}`);
  button.title = `Colours: ${theme} (t)`;
  try {
    localStorage.setItem("quipu-theme", theme);
  } catch {} // it is as it is until the page is left
}

function prepareTheme() {
  let theme = "auto";
  try {
    theme = localStorage.getItem("quipu-theme") ?? theme;
  } catch {}
  setTheme(THEMES.includes(theme) ? theme : "auto");
  element("theme").addEventListener("click", nextTheme);
}

function nextTheme() {
  const theme = document.documentElement.dataset.theme;
  setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
}

function prepareKeyboard(board) {
  const jump = (i) => {
    const root = board.regions[i]?.root;
    root?.scrollIntoView({ block: "center", behavior: calm.matches ? "auto" : "smooth" });
    root?.focus({ preventScroll: true });
  };
  const acts = {
    "/": () => element("search").focus(),
    n: () => element("new-key").focus(),
    t: nextTheme,
    "?": () => element("shortcuts").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input, textarea") || document.querySelector("dialog[open]");
    if (event.key === "Escape" && event.target === element("search")) {
      element("search").value = "";
      element("search").dispatchEvent(new Event("input"));
      element("search").blur();
    }
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = acts[event.key] ?? (/^[1-9]$/.test(event.key) && (() => jump(event.key - 1)));
    if (!act) return;
    event.preventDefault();
    act();
  });
  element("help").addEventListener("click", acts["?"]);
}

async function start() {
  prepareTheme();
  try {
    const board = new Board(await ask("regions.json"));
    prepareForm(board);
    prepareCommand(board);
    prepareKeyboard(board);
  } catch (fault) {
    tell(`The regions could not be read: ${why(fault)}. Reload the page to try again.`);
  }
}

start();
