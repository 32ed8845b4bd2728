// SPDX-License-Identifier: Apache-2.0
// A real Chromium, the system's own, driven by playwright-core; and the dashboard in it, seen by
// the marks that web/dashboard.js promises.
import { chromium } from "playwright-core";
import { until } from "./until.js";

const PROGRAM = process.env.QUIPU_CHROMIUM || "/usr/bin/chromium";
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update"],
];

// A browser process of its own that can also be killed.
export async function startBrowser() {
  const server = await chromium.launchServer({ executablePath: PROGRAM, args: FLAGS });
  const browser = await chromium.connect(server.wsEndpoint());
  return {
    browser,
    close: async () => {
      await browser.close();
      await server.close();
    },
    kill: () => server.kill(),
  };
}

export class Dashboard {
  static async open(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    const dashboard = new Dashboard(page);
    page.on("pageerror", (error) => dashboard.faults.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") dashboard.faults.push(message.text());
    });
    await page.goto(url);
    return dashboard;
  }

  constructor(page) {
    this.page = page;
    this.faults = []; // errors on the page's console
  }

  region(name) {
    return this.page.locator(`[data-region="${name}"]`);
  }

  async count(region, key) {
    const output = this.region(region).locator(`[data-key="${key}"] [data-testid="count"]`);
    return output.getAttribute("data-value", { timeout: 1000 });
  }

  counts(regions, key) {
    return Promise.all(regions.map((region) => this.count(region, key)));
  }

  // Waits until the regions show these values, in order.
  shows(regions, key, values, ms = 15_000) {
    const wanted = JSON.stringify(values.map(String));
    return until(
      async () => JSON.stringify(await this.counts(regions, key)) === wanted,
      async () => `${key} is ${wanted} in ${regions}: ${JSON.stringify(await this.counts(regions, key))}`,
      ms,
    );
  }

  click(region, key, button) {
    return this.region(region).locator(`[data-key="${key}"] [data-testid="${button}"]`).click();
  }

  toggle(region, button) {
    return this.region(region).locator(`[data-testid="${button}"]`).click();
  }

  // Waits for an attribute of a selector to be `value`.
  has(selector, attribute, value) {
    const read = () => this.page.locator(selector).first().getAttribute(attribute, { timeout: 1000 });
    return until(
      async () => (await read()) === value,
      async () => `${selector} ${attribute}=${value}, is ${await read()}`,
      15_000,
    );
  }

  close() {
    return this.page.context().close();
  }
}
