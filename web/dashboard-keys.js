// SPDX-License-Identifier: Apache-2.0
// Keys: the most watched of all regions, or those that a search finds; and one of them taken apart.
//
//   #search, #keys             data-testid=search, keys
//     [data-row-key=likes]     a row; data-testid=inspect, watch
//   #inspector                 data-testid=inspector, a dialog; [data-incarnation] a row of parts
import { ask, element, make, part, plural, short, span, tell, why } from "./dashboard-words.js";

const ROWS = 12;
const STEPS = 40;
const STEP_MS = 1500;
const SCAN_ROUNDS = 20; // calls of a search that finds little
const TYPING_MS = 200;

const glob = (text) => `*${text.replace(/[*?[\]\\]/g, "\\$&")}*`;
const number = (value) => (value === null || value === undefined ? NaN : Number(value));

// What is said of types whose parts are no amounts.
const NOTES = {
  set: "A set: each member is a part of its own, SMEMBERS lists them.",
  gset: "A set that only grows: each member is a part of its own, SMEMBERS lists them.",
  hll: "An estimate of how many different members were seen; regions join it by the larger registers.",
  bounded: "It never falls below its bound: each region may take what it has rights for, and regions pass rights on.",
};

class Entry {
  trend = [];

  constructor(list, key) {
    this.key = key;
    this.value = make("td", { class: "number" });
    this.watchers = make("td", { class: "number" });
    this.present = make("td", { class: "number" });
    this.line = make("svg:path");
    const inspect = make("button", { type: "button", "data-testid": "inspect" }, "Inspect");
    inspect.setAttribute("aria-label", `Inspect ${key}`);
    inspect.addEventListener("click", () => list.inspector.open(key));
    const watch = make("button", { type: "button", "data-testid": "watch" }, "Watch");
    watch.setAttribute("aria-label", `Watch ${key} in every region`);
    watch.addEventListener("click", () => list.board.watch(key));
    const trend = make("svg:svg", { viewBox: "0 0 120 24", preserveAspectRatio: "none" }, this.line);
    trend.setAttribute("aria-hidden", "true");
    this.watch = watch;
    this.root = make(
      "tr",
      { "data-row-key": key },
      make("th", { scope: "row", title: key }, key),
      this.value,
      make("td", { class: "spark" }, trend),
      this.watchers,
      this.present,
      make("td", { class: "acts" }, watch, inspect),
    );
  }

  show({ value, subscribers, publishers }) {
    this.value.textContent = quipu.format(value);
    this.watchers.textContent = subscribers === null ? "–" : short(subscribers);
    this.present.textContent = publishers === null ? "–" : short(publishers);
    this.trend.push(number(value));
    if (this.trend.length > STEPS) this.trend.shift();
    const known = this.trend.filter((one) => !Number.isNaN(one));
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const points = this.trend.map((one, i) => {
      const x = 120 - (this.trend.length - 1 - i) * (120 / (STEPS - 1));
      return `${x.toFixed(1)} ${(high === low ? 20 : 20 - ((one - low) / (high - low)) * 16).toFixed(1)}`;
    });
    this.line.setAttribute("d", known.length > 1 ? `M${points.filter((_, i) => !Number.isNaN(this.trend[i])).join("L")}` : "");
  }
}

export class Keys {
  #entries = new Map();
  #found = null; // keys of a search; null: the most watched
  #searches = 0;
  #typing = 0;

  constructor(board) {
    this.board = board;
    this.inspector = new Inspector(board);
    element("search").addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#search(), TYPING_MS);
    });
    element("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.#typing);
      this.#search().then(() => element("keys").querySelector("[data-testid=inspect]")?.focus());
    });
    this.#poll();
  }

  async #search() {
    const text = element("search").value.trim();
    const search = ++this.#searches;
    if (!text) this.#found = null;
    else {
      const found = await this.#scan(text).catch((fault) => {
        tell(`The search failed: ${why(fault)}.`);
        return [];
      });
      if (search !== this.#searches) return;
      this.#found = found;
    }
    element("keys-title").textContent = text ? `Keys with “${text}”` : "Most watched keys";
    await this.#show();
  }

  // Until there are enough, or all keys have been seen.
  async #scan(text) {
    const found = new Set();
    let cursor = "0";
    for (let round = 0; round < SCAN_ROUNDS; round++) {
      const query = new URLSearchParams({ match: glob(text), cursor });
      const page = await ask(`${this.board.here.service}/v1/keys?${query}`);
      for (const key of page.keys) found.add(key);
      cursor = page.cursor;
      if (cursor === "0" || found.size >= ROWS) break;
    }
    const byLength = (a, b) => a.length - b.length || a.localeCompare(b);
    return [...found].sort(byLength).slice(0, ROWS);
  }

  // Over all regions: who watches a key, who publishes it.
  async #occupancy() {
    const keys = new Map();
    const { token } = this.board;
    const query = token ? `?token=${encodeURIComponent(token)}` : "";
    const all = await Promise.all(
      this.board.regions.map(({ realtime }) => ask(`${realtime}/v1/topics${query}`).catch(() => ({ top: [] }))),
    );
    for (const { key, subscribers, publishers } of all.flatMap(({ top }) => top)) {
      const sum = keys.get(key) ?? { subscribers: 0, publishers: 0 };
      keys.set(key, { subscribers: sum.subscribers + subscribers, publishers: sum.publishers + publishers });
    }
    return keys;
  }

  async #values(keys) {
    if (!keys.length) return new Map();
    const query = new URLSearchParams(keys.map((key) => ["key", key]));
    const { counters } = await ask(`${this.board.here.service}/v1/counters?${query}`);
    return new Map(counters.map(({ key, value }) => [key, value]));
  }

  async #show() {
    const watched = await this.#occupancy();
    const most = (key) => watched.get(key).subscribers + watched.get(key).publishers;
    const keys = this.#found ?? [...watched.keys()].sort((a, b) => most(b) - most(a) || (a < b ? -1 : 1)).slice(0, ROWS);
    const values = await this.#values(keys).catch(() => new Map());
    for (const [key, entry] of this.#entries) {
      if (keys.includes(key)) continue;
      entry.root.remove();
      this.#entries.delete(key);
    }
    const body = element("keys");
    for (const [i, key] of keys.entries()) {
      if (!this.#entries.has(key)) this.#entries.set(key, new Entry(this, key));
      const entry = this.#entries.get(key);
      const none = { subscribers: 0, publishers: 0 };
      entry.watch.disabled = this.board.keys.includes(key);
      entry.show({ value: values.get(key), ...(watched.get(key) ?? none) });
      if (body.children[i] !== entry.root) body.insertBefore(entry.root, body.children[i] ?? null);
    }
    element("no-keys").hidden = keys.length > 0;
    element("no-keys").textContent = this.#found ? "No key has that in its name." : "Nobody watches anything.";
  }

  async #poll() {
    if (document.visibilityState === "visible") await this.#show();
    setTimeout(() => this.#poll(), STEP_MS);
  }
}

// ---- one key, taken apart

class Inspector {
  #key = null;
  #timer = 0;

  constructor(board) {
    this.board = board;
    this.root = element("inspector");
    this.root.addEventListener("close", () => {
      this.#key = null;
      clearTimeout(this.#timer);
    });
  }

  async open(key) {
    this.#key = key;
    part(this.root, "title").textContent = key;
    for (const name of ["facts", "values", "parts"]) part(this.root, name).replaceChildren();
    this.root.showModal();
    await this.#show();
  }

  async #show() {
    const key = this.#key;
    if (key === null) return;
    const path = `/v1/counters/${encodeURIComponent(key)}/parts`;
    const views = await Promise.all(
      this.board.regions.map(({ service }) => ask(service + path).catch((fault) => ({ fault }))),
    );
    if (key !== this.#key) return;
    const first = views.find((view) => view.type);
    this.#showFacts(first);
    this.#showValues(views);
    part(this.root, "parts").replaceChildren(...this.#parts(views));
    this.#timer = setTimeout(() => this.#show(), STEP_MS);
  }

  #showFacts(view) {
    const facts = part(this.root, "facts");
    const left = Number(view?.deadline);
    const words = !view ? ["no such key in any region"] : [view.type];
    if (view?.deadline && left) words.push(`ends ${new Date(left).toLocaleString()}`);
    facts.textContent = words.join(", ");
  }

  #showValues(views) {
    const shown = views.map((view, i) => {
      const text = view.fault ? (view.fault.status === 404 ? "–" : why(view.fault)) : quipu.format(view.value);
      const shown = make("li", { "data-tone": i % 4 }, make("span", {}, this.board.regions[i].name), make("b", {}, text));
      if (view.rights !== undefined) shown.append(make("span", {}, `${quipu.format(view.rights)} may be taken here`));
      return shown;
    });
    part(this.root, "values").replaceChildren(...shown);
  }

  #parts(views) {
    const owners = views.flatMap((view) => view.owners ?? []);
    if (owners.length) return [this.#owners(views)];
    const note = NOTES[views.find((view) => view.type)?.type];
    if (note) return [make("p", { class: "soft" }, note)];
    const rows = new Map(); // incarnation -> { replica, and by region: net, sequence }
    for (const [i, view] of views.entries()) {
      for (const origin of view.origins ?? []) {
        if (origin.T === undefined) continue;
        const row = rows.get(origin.incarnation) ?? { replica: origin.replica, net: [], sequence: [] };
        row.net[i] = Number(origin.T) - Number(origin.cT ?? 0);
        row.sequence[i] = Number(origin.s);
        rows.set(origin.incarnation, row);
      }
    }
    if (!rows.size) return [make("p", { class: "soft" }, "No parts: nothing was ever added, or all of it is settled.")];
    return [this.#table(rows)];
  }

  // Where less of an origin has arrived than elsewhere, the rest is on its way.
  #table(rows) {
    const head = make("tr", {}, make("th", { scope: "col" }, "added at"));
    for (const region of this.board.regions) head.append(make("th", { scope: "col" }, `seen in ${region.name}`));
    const body = [...rows].map(([incarnation, { replica, net, sequence }]) => {
      const row = make("tr", { "data-incarnation": incarnation });
      const name = make("th", { scope: "row", title: `incarnation ${incarnation}` }, replica || "before", " ");
      name.append(make("code", {}, incarnation.slice(0, 6)));
      row.append(name);
      const newest = Math.max(...sequence.filter((one) => one !== undefined));
      const largest = Math.max(...this.board.regions.map((_, i) => Math.abs(net[i] ?? 0)), 1);
      for (const i of this.board.regions.keys()) {
        const isLate = !(sequence[i] >= newest);
        const cell = make("td", { class: "number" }, net[i] === undefined ? "not yet" : quipu.format(net[i]));
        cell.toggleAttribute("data-late", isLate);
        const bar = make("span", { class: "bar", "data-tone": i % 4 });
        bar.style.width = `calc((100% - 1.5rem) * ${Math.abs(net[i] ?? 0) / largest})`;
        cell.append(bar);
        row.append(cell);
      }
      return row;
    });
    const caption = make("caption", {}, `${plural(rows.size, "part")}, each written by one replica only`);
    return make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...body));
  }

  #owners(views) {
    const held = views.reduce((a, b) => ((b.owners?.length ?? 0) > (a.owners?.length ?? 0) ? b : a));
    const head = ["held by", "region", "present", "ends in"].map((name, i) =>
      make("th", i < 2 ? { scope: "col", class: "text" } : { scope: "col" }, name),
    );
    const body = held.owners.map(([owner, count, replica, left]) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, make("code", {}, owner)),
        make("td", {}, replica ?? ""),
        make("td", { class: "number" }, short(count)),
        make("td", { class: "number" }, left < 0 ? "elsewhere" : span(left)),
      ),
    );
    const caption = make("caption", {}, "Leases: one that is not renewed ends by itself, everywhere");
    return make("table", {}, caption, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
  }
}
