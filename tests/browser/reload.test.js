// A page that uses the client library is loaded again by `stateroom dev` when its files change.

import { execFileSync } from "node:child_process";
import { appendFile, copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { checkout, launch, started, visit } from "../../client/test/browser.js";

const TIMEOUT = { timeout: 600_000 };

let browser, directory;

before(async () => {
  browser = await launch();
  const parent = await mkdtemp(join(tmpdir(), "reload-"));
  directory = join(parent, "reload");
  execFileSync(process.env.STATEROOM, ["new", directory, "--template", "chat"], { stdio: "ignore" });
  await copyFile(join(checkout(), "Cargo.lock"), join(directory, "Cargo.lock"));
}, TIMEOUT);

after(async () => {
  await browser?.close();
  if (directory) await rm(join(directory, ".."), { recursive: true, force: true });
});

const change = (file, text) => appendFile(join(directory, file), text);

test("a page is loaded again when its files change, and not when the rooms restart", TIMEOUT, async (t) => {
  const server = await started(t, "dev", directory);
  const page = await visit(t, browser, server);
  const isLive = () => page.locator("#status.live").waitFor();
  const loadedAt = () => page.evaluate(() => performance.timeOrigin);
  await isLive();
  const first = await loadedAt();

  // The rooms restart, and the page comes back as it is.
  const connectsAgain = page.waitForEvent("websocket", { timeout: 120_000 });
  await change("src/lib.rs", "\n#[unsafe(no_mangle)]\npub extern \"C\" fn another_module() {}\n");
  await connectsAgain;
  await isLive();
  if (await loadedAt() !== first) throw new Error("the page was loaded again");

  await change("static/index.html", "<p>A new line.</p>\n");
  await page.getByText("A new line.").waitFor();
  await isLive();

  // What changes while nobody looks is found when somebody does.
  const second = await loadedAt();
  const show = (isShown) => page.evaluate((isShown) => {
    // Chromium without a window hides no page. So the page tells itself what a browser would.
    Object.defineProperty(document, "hidden", { value: !isShown, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isShown);
  await show(false);
  await change("static/index.html", "<p>Another line.</p>\n");
  await show(true);
  await page.getByText("Another line.").waitFor();
  await page.waitForFunction((second) => performance.timeOrigin !== second, second);
});
