// SPDX-License-Identifier: Apache-2.0
// What the dashboard's files share: finding elements, saying numbers, asking services.

const ASK_MS = 4000; // a service that does not answer in this time is unreachable

export const element = (id) => document.getElementById(id);
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);
export const tested = (root, name) => root.querySelector(`[data-testid="${name}"]`);
export const grow = (template) => element(template).content.firstElementChild.cloneNode(true);
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

// <tag name="value">children</tag>; of SVG when the tag begins with "svg:".
export function make(tag, attributes = {}, ...children) {
  const made = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function span(ms) {
  if (ms < 1000) return `${Math.round(ms / 10) * 10} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3600000 ? `${Math.floor(ms / 60000)} min` : `${Math.floor(ms / 3600000)} h`;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function listed(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

export function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}

// Few digits: 1,234 as 1.2K.
const few = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
export const short = (number) => few.format(number);

let noticeTimer = 0;
export function tell(text) {
  const notice = element("notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (notice.hidden = true), 8000);
}

export async function ask(url, options = {}) {
  const response = await fetch(url, { ...options, signal: AbortSignal.timeout(ASK_MS) });
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  const words = problem.detail || problem.title || `HTTP ${response.status}`;
  throw Object.assign(new Error(words), { status: response.status });
}

export const post = (url, body) =>
  ask(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

export function why(fault) {
  if (fault.name === "TimeoutError") return "no answer in time";
  return fault instanceof TypeError ? "it cannot be reached" : fault.message;
}
