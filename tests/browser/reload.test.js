// Pages under `stateroom dev`: they are loaded again when their files change, and stay as they are when the guest changes.

import { execFileSync } from "node:child_process";
import { appendFile, copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { checkout, launch, started, visit } from "../../client/test/browser.js";

const TIMEOUT = { timeout: 600_000 };

let browser, parent;

before(async () => {
  browser = await launch();
  parent = await mkdtemp(join(tmpdir(), "reload-"));
}, TIMEOUT);

after(async () => {
  await browser?.close();
  if (parent) await rm(parent, { recursive: true, force: true });
});

/** Makes a guest, and returns its directory. Its name is its own: guests of one name would take each other's module in the directory that all build into. */
async function guest(template) {
  const directory = join(parent, `reloaded-${template}`);
  execFileSync(process.env.STATEROOM, ["new", directory, "--template", template], { stdio: "ignore" });
  await copyFile(join(checkout(), "Cargo.lock"), join(directory, "Cargo.lock"));
  return directory;
}

test("a page is loaded again when its files change, and stays as it is when the guest changes", TIMEOUT, async (t) => {
  const directory = await guest("chat");
  const change = (file, text) => appendFile(join(directory, file), text);
  const server = await started(t, "dev", directory);
  const page = await visit(t, browser, server);
  const isLive = () => page.locator("#status.live").waitFor();
  const loadedAt = () => page.evaluate(() => performance.timeOrigin);
  await isLive();
  const first = await loadedAt();

  // The rooms get another module, and the page notices nothing.
  page.on("websocket", (socket) => { throw new Error(`the page has connected again: ${socket.url()}`); });
  await change("src/lib.rs", "\n#[unsafe(no_mangle)]\npub extern \"C\" fn another_module() {}\n");
  await server.line("replaced the module in ");
  await isLive();
  if (await loadedAt() !== first) throw new Error("the page was loaded again");
  page.removeAllListeners("websocket");

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

test("a counter keeps its number and its connection when the guest is edited", TIMEOUT, async (t) => {
  const directory = await guest("counter");
  const server = await started(t, "dev", directory);
  const page = await visit(t, browser, server);
  const number = (text) => page.locator("#number", { hasText: new RegExp(`^${text}$`) }).waitFor();
  const edit = async (from, to) => {
    const file = join(directory, "src/lib.rs");
    const source = await readFile(file, "utf8");
    if (!source.includes(from)) throw new Error(`there is no ${from} in it`);
    await writeFile(file, source.replace(from, to));
  };
  await number("0");
  page.on("websocket", (socket) => { throw new Error(`the page has connected again: ${socket.url()}`); });
  const loadedAt = await page.evaluate(() => performance.timeOrigin);
  const add = page.getByRole("button", { name: "Add 1" });
  for (let times = 0; times < 3; times++) await add.click();
  await number("3");

  await edit("saturating_sub(1)", "saturating_sub(2)");
  await server.line("room lobby has replayed its events");
  await number("3");
  await page.getByRole("button", { name: "Take 1 away" }).click();
  await number("1");

  // All clicks count as the new version counts them.
  await edit("saturating_add(1)", "saturating_add(10)");
  await server.line("room lobby has replayed its events");
  await add.click();
  await number("38");
  if (await page.evaluate(() => performance.timeOrigin) !== loadedAt) throw new Error("the page was loaded again");
});
