// SPDX-License-Identifier: Apache-2.0
// The regions as a map: who feeds whom, and how that goes. A cord runs each way between two regions,
// the way that changes take; what stands beside it is how far that way is behind.
//
//   #map                    data-testid=map
//     [data-from][data-to]  a cord; data-state=up|down|cut|joining|unknown
import { calm, element, make, short, span } from "./dashboard-words.js";

const WIDTH = 440;
const HEIGHT = 230;
const RADIUS = 32;
const BEHIND_SHOWN = 10; // fewer are just on their way
const BEND = 18; // how far the two ways stand apart
const SILENT_MS = 3000;

// On an ellipse, the first at its left end of the top.
function places(count) {
  if (count === 1) return [{ x: WIDTH / 2, y: HEIGHT / 2 }];
  const start = count === 2 ? Math.PI : -Math.PI / 2 - Math.PI / count;
  return Array.from({ length: count }, (_, i) => {
    const angle = start + (2 * Math.PI * i) / count;
    return {
      x: WIDTH / 2 + Math.cos(angle) * (WIDTH / 2 - RADIUS - 24),
      y: HEIGHT / 2 + Math.sin(angle) * (HEIGHT / 2 - RADIUS - 4),
    };
  });
}

// From the edge of one node to the edge of another, bent to its right.
function cord(from, to) {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const [ux, uy] = [(to.x - from.x) / length, (to.y - from.y) / length];
  const middle = { x: (from.x + to.x) / 2 - uy * BEND, y: (from.y + to.y) / 2 + ux * BEND };
  const edge = (node, sign) => ({
    x: node.x + sign * ux * (RADIUS + 5) - uy * 7,
    y: node.y + sign * uy * (RADIUS + 5) + ux * 7,
  });
  const [start, end] = [edge(from, 1), edge(to, -1)];
  return {
    path: `M${start.x} ${start.y}Q${middle.x} ${middle.y} ${end.x} ${end.y}`,
    label: { x: middle.x - uy * 9, y: middle.y + ux * 9 },
  };
}

export class Topology {
  #regions;
  #cords = new Map(); // "r1 r2" -> { path, label, from, to }
  #nodes = new Map();

  constructor(regions) {
    this.#regions = regions;
    const drawing = make("svg:svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group" });
    drawing.setAttribute("aria-label", "Regions, and the ways that changes take between them");
    const where = places(regions.length);
    const layers = [make("svg:g"), make("svg:g"), make("svg:g")];
    for (const [i, from] of regions.entries()) {
      for (const [k, to] of regions.entries()) {
        if (i !== k) this.#addCord(layers, from.name, to.name, cord(where[i], where[k]));
      }
      layers[1].append(this.#node(from, i, where[i]));
    }
    drawing.append(...layers);
    element("map").replaceChildren(drawing);
  }

  #addCord(layers, from, to, { path, label }) {
    const line = make("svg:path", { d: path, class: "cord", "data-from": from, "data-to": to });
    const text = make("svg:text", { x: label.x, y: label.y, class: "cord-label" });
    layers[0].append(line);
    layers[2].append(text);
    this.#cords.set(`${from} ${to}`, { line, text });
  }

  #node(region, index, { x, y }) {
    const rate = make("svg:text", { x, y: y + 15, class: "rate" });
    const link = make(
      "svg:a",
      { href: `#region-${region.name}`, class: "node", "data-tone": index % 4 },
      make("svg:circle", { cx: x, cy: y, r: RADIUS }),
      make("svg:text", { x, y: y - 1, class: "node-name" }, region.name),
      rate,
    );
    link.addEventListener("click", (event) => {
      event.preventDefault();
      region.root.scrollIntoView({ behavior: calm.matches ? "auto" : "smooth", block: "center" });
      region.root.focus({ preventScroll: true });
    });
    this.#nodes.set(region.name, { link, rate });
    return link;
  }

  show() {
    for (const region of this.#regions) {
      const { link, rate } = this.#nodes.get(region.name);
      const isKnown = region.rate !== null;
      rate.textContent = isKnown ? `${short(region.rate)}/s` : "?";
      link.dataset.state = region.links === null ? "unknown" : region.root.dataset.link;
      for (const other of this.#regions) {
        if (other !== region) this.#showCord(region, other);
      }
    }
  }

  // A region's link to a peer is the way by which it feeds it.
  #showCord(region, other) {
    const { line, text } = this.#cords.get(`${region.name} ${other.name}`);
    const link = region.links?.find((one) => one.replica === other.name);
    const state = link?.state ?? "unknown";
    line.dataset.state = text.dataset.state = state;
    const isBehind = link && link.changes_behind >= (state === "up" ? BEHIND_SHOWN : 1);
    const isSilent = link && (link.heard_ms === null || link.heard_ms > SILENT_MS);
    if (isBehind) text.textContent = `${short(link.changes_behind)} behind`;
    else if (state === "cut" || state === "down") text.textContent = state;
    else text.textContent = isSilent && link.heard_ms !== null ? span(link.heard_ms) : "";
  }
}
