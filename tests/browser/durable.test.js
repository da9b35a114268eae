// Pages of rooms that are kept on disk: what they show is there again after the end of the server, and on another server.

import { execFileSync } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { checkout, launch, started, visit } from "../../client/test/browser.js";

/** Guests are built in it, perhaps for the first time. */
const TIMEOUT = { timeout: 600_000 };

let browser, parent;

before(async () => {
  browser = await launch();
  parent = await mkdtemp(join(tmpdir(), "durable-"));
}, TIMEOUT);

after(async () => {
  await browser?.close();
  if (parent) await rm(parent, { recursive: true, force: true });
});

const stateroom = (...args) => execFileSync(process.env.STATEROOM, args, { stdio: "pipe" });

/** Builds a project, and serves its `dist` with rooms on disk. */
function serve(t, project, data) {
  stateroom("build", project);
  return started(t, "serve", join(project, "dist"), "--data", data, "--resume", "120");
}

/** Copies the room of the pages into another directory. */
function move(from, to) {
  const file = join(parent, "lobby.room");
  stateroom("rooms", "export", "lobby", "--data", from, "-o", file);
  stateroom("rooms", "import", file, "--data", to);
}

/** Closes a page, with what it knows. */
const leave = (page) => page.context().close();

test("a counter shows its number by itself after its server was killed, and on another server", TIMEOUT, async (t) => {
  const project = join(parent, "kept-counter");
  stateroom("new", project, "--template", "counter");
  await copyFile(join(checkout(), "Cargo.lock"), join(project, "Cargo.lock"));
  const [here, there] = [join(parent, "counter-here"), join(parent, "counter-there")];
  const server = await serve(t, project, here);
  const page = await visit(t, browser, server);
  const shows = (page, text) => page.locator("#number", { hasText: new RegExp(`^${text}$`) }).waitFor();
  const add = (page) => page.getByRole("button", { name: "Add 1" }).click();
  await shows(page, "0");
  for (let number = 1; number <= 3; number++) {
    await add(page);
    await shows(page, number);
    await server.end("SIGKILL");
    await page.locator("#status:not(.live)").waitFor();
    await server.start();
    await page.locator("#status.live").waitFor();
    await shows(page, number);
  }
  // Nobody but the disk knows the number.
  await leave(page);
  await server.end("SIGKILL");
  await server.start();
  await shows(await visit(t, browser, server), "3");

  await server.end("SIGKILL");
  move(here, there);
  const other = await serve(t, project, there);
  const moved = await visit(t, browser, other);
  await shows(moved, "3");
  await add(moved);
  await shows(moved, "4");
});

test("pages of the example `counter` show its number after its server was killed, also what they had missed before", TIMEOUT, async (t) => {
  // This room tells newcomers nothing. So its pages have the number only if their sessions go on.
  const project = join(parent, "kept-example");
  stateroom("new", project, "--template", "counter", "--no-std");
  await copyFile(join(checkout(), "Cargo.lock"), join(project, "Cargo.lock"));
  await copyFile(join(checkout(), "examples/counter/src/lib.rs"), join(project, "src/lib.rs"));
  const server = await serve(t, project, join(parent, "example"));
  const pages = [await visit(t, browser, server), await visit(t, browser, server)];
  const [mine, other] = pages;
  const shows = (page, text) => page.locator("#number", { hasText: new RegExp(`^${text}$`) }).waitFor();
  const add = (page) => page.getByRole("button", { name: "Add 1" }).click();
  for (const page of pages) await page.locator("#status.live").waitFor();
  for (const number of [1, 2, 3]) {
    await add(mine);
    for (const page of pages) await shows(page, number);
  }
  await mine.context().setOffline(true);
  await mine.locator("#status:not(.live)").waitFor();
  await add(other);
  await shows(other, 4);
  await shows(mine, 3);
  await server.end("SIGKILL");
  await other.locator("#status:not(.live)").waitFor();
  await server.start();
  await mine.context().setOffline(false);
  for (const page of pages) {
    await page.locator("#status.live").waitFor();
    await shows(page, 4);
  }
  await add(mine);
  for (const page of pages) await shows(page, 5);
});

test("a text is there again after its server was killed, and on another server", TIMEOUT, async (t) => {
  const project = process.env.YJS_PROJECT;
  const [here, there] = [join(parent, "text-here"), join(parent, "text-there")];
  const server = await serve(t, project, here);
  const open = async (server) => {
    const page = await visit(t, browser, server);
    await page.locator("#status.connected, #status.live").waitFor();
    return page;
  };
  const shows = (page, text) => page.locator(".cm-line", { hasText: text }).waitFor();
  const write = async (page, text) => {
    await page.locator(".cm-content").focus();
    await page.keyboard.press("Control+End");
    await page.keyboard.type(`${text}\n`);
  };
  const pages = [await open(server), await open(server)];
  for (const [round, page] of pages.entries()) {
    await write(page, `This is line ${round}.`);
    for (const page of pages) await shows(page, `This is line ${round}.`);
    await server.end("SIGKILL");
    for (const page of pages) await page.locator("#status:not(.connected, .live)").waitFor();
    await server.start();
    for (const page of pages) await page.locator("#status:is(.connected, .live)").waitFor();
    // They still share it.
    await write(page, `It goes on after ${round}.`);
    for (const page of pages) await shows(page, `It goes on after ${round}.`);
  }
  // Pages that know the text would give it to the server.
  for (const page of pages) await leave(page);
  await server.end("SIGKILL");
  await server.start();
  const lines = ["This is line 0.", "It goes on after 0.", "This is line 1.", "It goes on after 1."];
  const stranger = await open(server);
  for (const line of lines) await shows(stranger, line);

  await leave(stranger);
  await server.end("SIGKILL");
  move(here, there);
  const other = await serve(t, project, there);
  const moved = await open(other);
  for (const line of lines) await shows(moved, line);
});
