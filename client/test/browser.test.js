// In a browser: Chromium, without a window. The page has the library from the server itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import * as chromium from "./browser.js";
import { Proxy } from "./proxy.js";

const TIMEOUT = { timeout: 600_000 };

let browser;

before(async () => { browser = await chromium.launch(); });
after(() => browser?.close());

const { started } = chromium;
const visit = (t, server) => chromium.visit(t, browser, server, "/status");

/** Opens a socket in a page that notes its events in `log`. */
async function join(page, options) {
  await page.evaluate(async (options) => {
    const { RoomSocket, roomUrl, json } = await import("/_/client.js");
    const socket = new RoomSocket(roomUrl("lobby"), { ...json, ...options });
    const log = [];
    for (const type of ["open", "disconnect", "close"]) socket.addEventListener(type, () => log.push(type));
    socket.onmessage = ({ data }) => log.push(data);
    Object.assign(window, { socket, log });
  }, options);
  await logged(page, ["open"]);
}

/** Waits until the log is this, and empties it. */
async function logged(page, expected) {
  try {
    await page.waitForFunction((length) => log.length >= length, expected.length);
  } finally {
    assert.deepEqual(await page.evaluate(() => log.splice(0)), expected);
  }
}

test("a page goes on when its server is back, and sends what waited", TIMEOUT, async (t) => {
  const server = await started(t);
  const page = await visit(t, server);
  await join(page, { minDelay: 50, maxDelay: 50 });
  await server.end();
  await page.waitForFunction(() => log[0] === "disconnect" && socket.readyState === 0);
  await page.evaluate(() => {
    for (const message of [1, 2, 3]) socket.send(message);
  });
  await server.start();
  await page.waitForFunction(() => log.at(-1) === 3);
  const log = await page.evaluate(() => log.filter((entry) => entry !== "disconnect"));
  assert.deepEqual(log, ["open", 1, 2, 3]);
});

test("a page whose connection is cut shows what it missed, and stays the same client", TIMEOUT, async (t) => {
  const server = await started(t);
  const proxy = await new Proxy(server.port).start();
  t.after(() => proxy.end());
  const page = await visit(t, proxy);
  await join(page);
  const other = await visit(t, server);
  await join(other);
  const id = await page.evaluate(() => socket.clientId);
  await page.evaluate(() => {
    document.body.innerHTML = "<output>?</output>";
    const show = ({ resumed }) => { if (!resumed) document.querySelector("output").textContent = "?"; };
    socket.addEventListener("open", show);
    socket.addEventListener("message", ({ data }) => { document.querySelector("output").textContent = data; });
  });
  await other.evaluate(() => socket.send(1));
  await logged(page, [1]);
  proxy.cut();
  await other.evaluate(() => socket.send(2));
  await logged(page, ["disconnect", "open", 2]);
  assert.equal(await page.locator("output").textContent(), "2");
  assert.equal(await page.evaluate(() => socket.clientId), id);
});

test("a page without a network keeps its messages, and goes on at once when the network is back", TIMEOUT, async (t) => {
  const server = await started(t);
  const page = await visit(t, server);
  // The next attempt is some days away, unless there are news.
  await join(page, { minDelay: 2e9, maxDelay: 2e9 });
  await page.context().setOffline(true);
  await logged(page, ["disconnect"]);
  await page.evaluate(() => socket.send("waits"));
  assert.equal(await page.evaluate(() => socket.bufferedAmount), '"waits"'.length);
  await page.context().setOffline(false);
  await logged(page, ["open", "waits"]);
});

test("a page goes on at once when somebody looks at it", TIMEOUT, async (t) => {
  const server = await started(t);
  const page = await visit(t, server);
  // Chromium without a window hides no page. So the page tells itself what a browser would.
  const show = (isShown) => page.evaluate((isShown) => {
    Object.defineProperty(document, "hidden", { value: !isShown, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isShown);
  await join(page, { minDelay: 2e9, maxDelay: 2e9 });
  await show(false);
  await server.end();
  await logged(page, ["disconnect"]);
  await server.start();
  await show(true);
  await logged(page, ["open"]);
});
