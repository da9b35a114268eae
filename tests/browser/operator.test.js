// The playground at the operator's address, with a token.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch, started } from "../../client/test/browser.js";

const TIMEOUT = { timeout: 300_000 };
const TOKEN = "5dzYgTtSxOiJnVmXyqvlJA";
const ECHO = fileURLToPath(new URL("../../client/test/echo.wat", import.meta.url));

let browser, directory;

before(async () => {
  browser = await launch();
  directory = await mkdtemp(join(tmpdir(), "operator-"));
  await writeFile(join(directory, "token"), TOKEN, { mode: 0o600 });
}, TIMEOUT);

after(async () => {
  await browser?.close();
  if (directory) await rm(directory, { recursive: true, force: true });
});

/** Serves with the playground at an address that needs the token. Returns the URL of the page. */
async function serve(t) {
  const token = join(directory, "token");
  const server = await started(t, "serve", ECHO, "--admin", "0.0.0.0:0", "--admin-token-file", token, "--playground");
  const line = await server.line("the playground is at http://");
  return `http://127.0.0.1:${/:(\d+)\/_\//.exec(line)[1]}/_/`;
}

async function visit(t, url) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(url);
  return page;
}

test("an operator enters the token, and watches, closes and speaks to a room", TIMEOUT, async (t) => {
  const page = await visit(t, `${await serve(t)}#room=hall`);
  const dialog = page.getByRole("dialog", { name: "Token of the operator" });
  await dialog.waitFor();
  assert.equal(await page.locator("#room-list li").count(), 0);
  await dialog.getByLabel("Token", { exact: true }).fill("a token of somebody");
  await dialog.getByRole("button", { name: "Enter" }).click();
  await dialog.getByText("This is not the token of this server.").waitFor();
  await dialog.getByLabel("Token", { exact: true }).fill(TOKEN);
  await dialog.getByRole("button", { name: "Enter" }).click();
  await dialog.waitFor({ state: "hidden" });
  await page.getByRole("button", { name: "Add client" }).click();
  await page.getByTitle("hall", { exact: true }).waitFor();
  await page.locator("#rows .event", { hasText: "connect" }).first().waitFor();
  await page.getByLabel("Message to all clients", { exact: true }).fill("back at noon");
  await page.getByRole("button", { name: "Send to all" }).click();
  await page.locator(".card .received", { hasText: "back at noon" }).waitFor();
  await page.getByRole("button", { name: "Close client 1" }).click();
  await page.locator(".card .status", { hasText: "1008 the operator has closed the connection" }).waitFor();
  // The token is that of the tab.
  await page.reload();
  await page.getByTitle("hall", { exact: true }).waitFor();
  assert.equal(await dialog.isVisible(), false);
});
