// What browsers make of static files: sound that seeks, scripts that are compressed, and an application that makes its pages itself.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";

import { checkout, launch, started, visit } from "../../client/test/browser.js";

const TIMEOUT = { timeout: 600_000 };

const PAGE = `<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>Files</title>
<audio src="/sound.wav" preload="metadata"></audio><p id="path"></p><script src="/app.js"></script></html>`;

let browser, parent, dist;

before(async () => {
  browser = await launch();
  parent = await mkdtemp(join(tmpdir(), "files-"));
  const directory = join(parent, "files");
  execFileSync(process.env.STATEROOM, ["new", directory, "--template", "minimal"], { stdio: "ignore" });
  await copyFile(join(checkout(), "Cargo.lock"), join(directory, "Cargo.lock"));
  await writeFile(join(directory, "stateroom.toml"), "static_files = 'web'\n");
  const web = join(directory, "web");
  await mkdir(web, { recursive: true });
  await writeFile(join(web, "index.html"), PAGE);
  await writeFile(join(web, "sound.wav"), silence(3600));
  const script = (name) => `document.querySelector("#path").textContent = "${name} " + location.pathname;`;
  await writeFile(join(web, "app.js"), script("plain"));
  await writeFile(join(web, "app.js.gz"), gzipSync(script("compressed")));
  execFileSync(process.env.STATEROOM, ["build", directory], { stdio: "ignore" });
  dist = join(directory, "dist");
}, TIMEOUT);

after(async () => {
  await browser?.close();
  if (parent) await rm(parent, { recursive: true, force: true });
});

/** Returns so many seconds of silence as a file: one channel, 8,000 samples of 8 bits a second. */
function silence(seconds) {
  const size = 8000 * seconds;
  const header = Buffer.alloc(44);
  header.write("RIFF");
  header.writeUInt32LE(36 + size, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(8000, 24);
  header.writeUInt32LE(8000, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(8, 34);
  header.write("data", 36);
  header.writeUInt32LE(size, 40);
  return Buffer.concat([header, Buffer.alloc(size, 128)]);
}

test("sound seeks to where it has not been loaded", TIMEOUT, async (t) => {
  const server = await started(t, "serve", dist);
  const page = await visit(t, browser, server);
  // Not all of the 28 MB before it are loaded.
  const part = page.waitForResponse(async (response) => {
    if (!response.url().endsWith(".wav") || response.status() !== 206) return false;
    const range = await response.headerValue("content-range");
    return Number(/^bytes (\d+)-/.exec(range)[1]) > 20_000_000;
  });
  const time = await page.evaluate(async () => {
    const audio = document.querySelector("audio");
    if (audio.readyState < 1) await new Promise((resolve) => audio.addEventListener("loadedmetadata", resolve));
    const seeked = new Promise((resolve) => audio.addEventListener("seeked", resolve));
    audio.currentTime = 3500;
    await seeked;
    return audio.currentTime;
  });
  assert.equal(time, 3500);
  await part;
  // The browser would complain about a server that ends while it loads the rest.
  await page.goto("about:blank");
});

test("a browser gets compressed scripts, and the page of an application for each of its paths", TIMEOUT, async (t) => {
  const server = await started(t, "serve", dist, "--spa");
  for (const path of ["/", "/users/7", "/users?name=a"]) {
    const page = await visit(t, browser, server, path);
    await page.locator("#path", { hasText: `compressed ${path.replace(/\?.*/, "")}` }).waitFor();
    assert.equal((await page.request.get(`${server.origin}/users/7`)).status(), 404);
  }
});
