// Chromium, without a window.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";

import { chromium } from "playwright-core";

import { Server } from "./server.js";

/** Starts the browser. */
export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const mend = "install Chromium (Debian: `apt-get install chromium`), or set CHROMIUM to its path";
  assert(existsSync(executablePath), `there is no ${executablePath}: ${mend}`);
  return chromium.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
}

/** Returns a running server that ends with the test. */
export async function started(t, ...args) {
  const server = await new Server(...args).start();
  t.after(() => server.end());
  return server;
}

/** Returns a page of a server, with a profile of its own, that fails the test with its own errors. */
export async function visit(t, browser, server, path = "/", options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  // More than a socket waits at most before it connects again.
  page.setDefaultTimeout(120_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    // Chromium prints failed connections, and a server that is gone is what the tests are about. It asks pages that have no icon for one.
    const { url } = message.location();
    const isExpected = message.text().startsWith("WebSocket connection to ") || /\/(_\/events|favicon\.ico)(\?|$)/.test(url);
    if (!isExpected) errors.push(message.text());
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(errors, []);
  });
  await page.goto(server.origin + path);
  return page;
}

/** Returns the path of the repository. */
export function checkout() {
  const { CHECKOUT } = process.env;
  assert(CHECKOUT, "set CHECKOUT to the path of the repository");
  return CHECKOUT;
}
