// SPDX-License-Identifier: Apache-2.0
// Two minutes of each region: what it is asked for, and how far the others are behind it. Lines are
// drawn by hand; the newest numbers stand beside the names, so that nothing hangs on the colours.
import { element, make, short } from "./dashboard-words.js";

const STEPS = 120; // one a second
const WIDTH = 480;
const HEIGHT = 120;

class Chart {
  #root;
  #lines = [];
  #legend = [];
  #top;
  #unit;

  constructor(id, regions, { unit, label }) {
    this.#root = element(id);
    this.#unit = unit;
    const drawing = make("svg:svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    for (const share of [0, 0.5, 1]) {
      const y = 4 + share * (HEIGHT - 8);
      drawing.append(make("svg:path", { d: `M0 ${y}H${WIDTH}`, class: "grid" }));
    }
    const legend = make("ul", { class: "legend", "aria-label": label });
    for (const [i, region] of regions.entries()) {
      const line = make("svg:path", { class: "line", "data-tone": i % 4 });
      const value = make("b");
      legend.append(make("li", { "data-tone": i % 4 }, region.name, " ", value));
      drawing.append(line);
      this.#lines.push({ line, values: [] });
      this.#legend.push(value);
    }
    this.#top = make("span", { class: "top-of-scale", "aria-hidden": "true" });
    const plot = make("div", { class: "plot" }, drawing, this.#top);
    const foot = make("div", { class: "foot" }, make("span", {}, "2 min ago"), make("span", {}, "now"));
    foot.setAttribute("aria-hidden", "true");
    this.#root.append(plot, foot, legend);
  }

  add(values) {
    for (const [i, value] of values.entries()) {
      const line = this.#lines[i];
      line.values.push(value);
      if (line.values.length > STEPS) line.values.shift();
      this.#legend[i].textContent = value === null ? "unknown" : `${short(value)}${this.#unit}`;
    }
    this.#draw();
  }

  #draw() {
    const all = this.#lines.flatMap((line) => line.values).filter((value) => value !== null);
    const top = niceAbove(Math.max(1, ...all));
    this.#top.textContent = `${short(top)}${this.#unit}`;
    for (const { line, values } of this.#lines) {
      let pen = "M";
      let path = "";
      for (const [i, value] of values.entries()) {
        if (value === null) {
          pen = "M";
          continue;
        }
        const x = WIDTH - ((values.length - 1 - i) * WIDTH) / (STEPS - 1);
        path += `${pen}${x.toFixed(1)} ${(HEIGHT - 4 - (value / top) * (HEIGHT - 8)).toFixed(1)}`;
        pen = "L";
      }
      line.setAttribute("d", path);
    }
  }
}

// 1, 2 or 5 times a power of ten.
function niceAbove(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * unit >= value) * unit;
}

export class Charts {
  #regions;
  #throughput;
  #lag;

  constructor(regions) {
    this.#regions = regions;
    this.#throughput = new Chart("throughput", regions, { unit: "/s", label: "Commands a second now" });
    this.#lag = new Chart("lag", regions, { unit: "", label: "Changes that another region lacks now" });
  }

  // Nothing is asked while nobody looks.
  step() {
    this.#throughput.add(this.#regions.map((region) => (document.hidden ? null : region.rate)));
    this.#lag.add(
      this.#regions.map((region) =>
        region.links && !document.hidden ? Math.max(0, ...region.links.map((link) => link.changes_behind)) : null,
      ),
    );
  }
}
