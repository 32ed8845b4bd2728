// SPDX-License-Identifier: Apache-2.0
// What is wrong, and what to do about it: a row a kind of trouble. The worst stands first.
//
//   #health                data-testid=health; data-level=good|warn|bad
//     [data-finding]       data-level; what it is about
import { element, listed, make, plural, size, span } from "./dashboard-words.js";

const BEHIND_MANY = 10000;
const SILENT_MS = 10000;
const LEVELS = ["bad", "warn"];

const milliseconds = (us) => `${(us / 1000).toFixed(us < 10000 ? 2 : 0)} ms`;
const host = (url) => url.replace(/^\w+:\/\//, "");

// Each: (region) -> findings { level, what, todo, heal }.
const looks = [
  function service({ name, service, fault }) {
    if (!fault || fault.status === 503 || fault.status === 502) return [];
    return [{
      level: "bad",
      what: `The service of ${name} does not answer.`,
      todo: `See whether quipu service runs at ${host(service)}. Its database may well go on counting.`,
    }];
  },
  function database({ name, fault }) {
    if (fault?.status !== 503 && fault?.status !== 502) return [];
    return [{
      level: "bad",
      what: `The database of ${name} does not answer its service.`,
      todo: "Look at the log of quipu db there. The other regions go on, and it gets what it missed.",
    }];
  },
  function stream({ name, realtime, client, age_ms: age }) {
    if (client.state === "connected" || age < 4000) return [];
    return [{
      level: "bad",
      what: `No live counts come from ${name}.`,
      todo: `See whether quipu realtime runs at ${host(realtime)}. This page goes on trying by itself.`,
    }];
  },
  function journal({ name, facts }) {
    if (!facts || facts.journal === "ok") return [];
    return [{
      level: "bad",
      what: `The journal of ${name} has failed, and nothing more is acknowledged there.`,
      todo: "Free or replace its disk, then start the database again.",
    }];
  },
  function cut(region) {
    if (!region.isCut) return [];
    return [{
      level: "warn",
      what: `${region.name} is cut off, by the switch.`,
      todo: "It counts alone, and so do the others. Connected again, the counts meet exactly.",
      heal: region,
    }];
  },
  function links({ name, links: all, isCut }) {
    const down = (all ?? []).filter((link) => link.state === "down" && !isCut);
    return down.map(({ replica, address, heard_ms: heard }) => ({
      level: "warn",
      about: replica,
      what: `${name} does not reach ${replica}${heard ? `, silent for ${span(heard)}` : ""}.`,
      todo: `See whether the database of ${replica} runs, and whether ${address || "its peer port"} can be reached.`,
    }));
  },
  function behind({ name, links: all }) {
    const late = (all ?? []).filter((link) => link.state === "up" && link.changes_behind > BEHIND_MANY);
    return late.map((link) => ({
      level: "warn",
      what: `${link.replica} is ${plural(link.changes_behind, "change")} behind ${name}.`,
      todo: "It is catching up. If the number grows, the way between them or its disk is too slow.",
    }));
  },
  function silent({ name, links: all }) {
    const quiet = (all ?? []).filter((link) => link.state === "up" && link.heard_ms > SILENT_MS);
    return quiet.map((link) => ({
      level: "warn",
      what: `${link.replica} has not been heard by ${name} for ${span(link.heard_ms)}.`,
      todo: "The connection stands, but nothing comes: look at the load of that machine.",
    }));
  },
  function hook({ name, facts }) {
    if (!facts || (facts.hook_state === "on" && !facts.hook_error)) return [];
    return [{
      level: "warn",
      what: `The update hook of ${name} ${facts.hook_error ? `failed: ${facts.hook_error}` : "is off"}.`,
      todo: "Changes are counted but not announced. Correct the file of --hook and start again.",
    }];
  },
  function collection({ name, facts }) {
    if (!facts?.collection_blocked_by) return [];
    return [{
      level: "warn",
      what: `${name} keeps what is deleted, because of ${facts.collection_blocked_by}.`,
      todo: "Bring it back, or, if it is gone for good, QUIPU.RETIRE it.",
    }];
  },
];

export class Health {
  #regions;
  #shown = "";

  constructor(regions) {
    this.#regions = regions;
  }

  #findings() {
    const found = this.#regions.flatMap((region) => looks.flatMap((look) => look(region)));
    // A region that is cut off by the switch explains that the others do not reach it.
    const cut = this.#regions.filter((region) => region.isCut).map((region) => region.name);
    return found
      .filter((finding) => !cut.includes(finding.about))
      .sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
  }

  // How each database is, for who wants to know more.
  #showFacts() {
    const rows = this.#regions.map(({ name, facts }, i) => {
      const row = make("tr", { "data-tone": i % 4 }, make("th", { scope: "row" }, name));
      const cells = facts
        ? [facts.durability, milliseconds(facts.commit_last_us), milliseconds(facts.commit_max_us),
           size(facts.resident_bytes), facts.hook_state === "on" ? facts.hook : facts.hook_state]
        : ["–", "–", "–", "–", "–"];
      row.append(...cells.map((text) => make("td", {}, text)));
      return row;
    });
    element("facts").replaceChildren(...rows);
  }

  show() {
    this.#showFacts();
    const findings = this.#findings();
    const text = JSON.stringify(findings.map(({ level, what }) => [level, what.replace(/[\d.]+ (ms|s|min)\b/, "")]));
    const isKnown = this.#regions.every((region) => region.links || region.fault);
    if (!isKnown || text === this.#shown) return;
    this.#shown = text;
    const root = element("health");
    root.dataset.level = findings[0]?.level ?? "good";
    root.replaceChildren(...(findings.length ? findings.map((one) => this.#row(one)) : [this.#good()]));
  }

  #good() {
    const names = listed(this.#regions.map((region) => region.name));
    const several = this.#regions.length > 1;
    return make(
      "li",
      { "data-level": "good" },
      make("strong", {}, "All is well."),
      make("p", {}, several ? `${names} hear each other, and nothing is wrong.` : `Nothing is wrong in ${names}.`),
    );
  }

  #row({ level, what, todo, heal }) {
    const row = make(
      "li",
      { "data-level": level, "data-finding": "" },
      make("strong", {}, what),
      make("p", {}, todo),
    );
    if (!heal) return row;
    const button = make("button", { type: "button" }, `Connect ${heal.name}`);
    button.addEventListener("click", () => heal.drill("heal"));
    row.append(button);
    return row;
  }
}
