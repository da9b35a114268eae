// The playground of `stateroom dev`.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { checkout, launch, visit as visitPath } from "../../client/test/browser.js";
import { Server } from "../../client/test/server.js";
import { picture } from "./pictures.js";

const TIMEOUT = { timeout: 600_000 };

/** The first build of a guest takes a while on small machines. */
const BUILT_WITHIN = { timeout: 300_000 };

const MANIFEST = (root) => `[package]
name = "playground-room"
edition = "2024"

[dependencies]
stateroom-sdk-core = { path = ${JSON.stringify(`${root}/sdk-core`)}, default-features = false }

[workspace]
`;

const ROOM = `#![no_std]

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Room(i32);

impl StateroomService for Room {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        match message.text() {
            Some("increment") => {
                self.0 += 1;
                ctx.log(LogLevel::Info, "counted");
                ctx.send_message(MessageRecipient::Broadcast, text!("new value: {}", self.0));
            }
            Some("panic") => panic!("asked to panic"),
            Some(text) if text.starts_with("close ") => ctx.close(client, 4000, &text["close ".len()..]),
            Some(text) => ctx.send_message(client, text),
            None => ctx.send_message(client, message.data()),
        }
    }
}
`;

let browser, directory, server;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "playground-"));
  await mkdir(join(directory, "src"));
  await writeFile(join(directory, "Cargo.toml"), MANIFEST(checkout()));
  await writeSource(ROOM);
  server = await new Server("dev", directory).start();
  browser = await launch();
}, TIMEOUT);

after(async () => {
  await browser?.close();
  await server?.end();
  await rm(directory, { recursive: true, force: true });
});

const writeSource = (source) => writeFile(join(directory, "src/lib.rs"), source);

const visitLink = (t, hash, options = {}) =>
  visitPath(t, browser, server, `/_/${hash}`, { viewport: { width: 1280, height: 800 }, ...options });

/** Visits a room with as many clients as stand after `&clients=`. No link has them: somebody has to add them. */
async function visit(t, hash = "", options) {
  const [link, clients = 0] = hash.split("&clients=");
  const page = await visitLink(t, link, options);
  if (clients > 0) await page.locator("#room").waitFor();
  for (let count = 0; count < clients; count += 1) await page.getByRole("button", { name: "Add client" }).click();
  return page;
}

const card = (page, number) => page.locator(".card").nth(number - 1);

const row = (page, ...texts) => texts.reduce((rows, hasText) => rows.filter({ hasText }), page.locator("#rows .event"));

const connected = (page, number, name) => card(page, number)
  .filter({ has: page.locator(".status", { hasText: /^connected$/ }) })
  .filter({ has: page.locator("h3", { hasText: name }) })
  .waitFor();

const received = (page, number, text) => card(page, number).locator(".received", { hasText: text }).first().waitFor();

async function send(page, number, text, mode = "Text") {
  await card(page, number).getByLabel("Send as").selectOption(mode);
  await card(page, number).getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

const title = (page, text) => page.locator("#room-title", { hasText: text }).waitFor();

test("a page without a room says how to make one", TIMEOUT, async (t) => {
  const page = await visit(t);
  await page.getByText("No room yet. Add a client to create one.").waitFor();
});

test("a link leads to a room, and connects no clients", TIMEOUT, async (t) => {
  const page = await visitLink(t, "#room=linked&clients=3");
  await title(page, "linked");
  await page.getByText("This page has no clients in this room yet.").waitFor();
  assert.equal(await page.locator(".card").count(), 0);
});

test("a link to a room that cannot be says why", TIMEOUT, async (t) => {
  for (const [room, error] of [["..", "No address has the room"], ["é".repeat(257), "at most 512 bytes"]]) {
    const page = await visitLink(t, `#room=${encodeURIComponent(room)}`);
    await page.locator("#room-error", { hasText: error }).waitFor();
  }
});

test("a page without a room of its own shows the first one that there is", TIMEOUT, async (t) => {
  const other = await visit(t, "#room=Somebody&clients=1");
  await connected(other, 1, "Client 1");
  const page = await visit(t);
  await title(page, "Somebody");
  await page.getByText("This page has no clients in this room yet.").waitFor();
  await other.getByRole("button", { name: "End room" }).click();
  await other.getByTitle("Somebody").waitFor({ state: "detached" });
});

test("two clients talk to a room, and the timeline shows what the room did", TIMEOUT, async (t) => {
  const page = await visit(t);
  await page.locator("#room-list li").first().waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Add client" }).click();
  await title(page, "lobby");
  await connected(page, 1, "Client 1");
  await page.getByRole("button", { name: "Add client" }).click();
  await connected(page, 2, "Client 2");
  await send(page, 1, "increment");
  await received(page, 1, "new value: 1");
  await received(page, 2, "new value: 1");
  const message = row(page, "message", "increment");
  await message.filter({ hasText: "→ everyone" }).filter({ hasText: "counted" }).waitFor();
  assert.match(await message.locator(".fuel").textContent(), /^[\d,]+$/);
  assert.match(await message.locator(".memory").textContent(), /^[\d.]+ KB$/);
  assert.match(await page.locator("#meter-fuel").textContent(), /^[\d,]+$/);
  await page.locator("#meter-clients", { hasText: "2" }).waitFor();
});

test("binary messages are typed as hex or as text", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=binary&clients=1");
  await connected(page, 1, "Client 1");
  await send(page, 1, "00 ff 2", "Binary: hex");
  await card(page, 1).getByRole("alert").filter({ hasText: "hex" }).waitFor();
  await send(page, 1, "00 ff 2a", "Binary: hex");
  await received(page, 1, "00 ff 2a");
  await row(page, "00 ff 2a", "3 B").waitFor();
  await send(page, 1, "hi", "Binary: text");
  await received(page, 1, "68 69");
});

test("what clients send is never markup", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=markup&clients=1");
  await connected(page, 1, "Client 1");
  const markup = "<b class=evil>bold</b><img src=x onerror=alert(1)>";
  await send(page, 1, markup);
  await received(page, 1, markup);
  await row(page, markup).waitFor();
  assert.equal(await page.locator(".evil, img").count(), 0);
});

test("a panic of the guest is a failure in the timeline", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=panics&clients=1");
  await connected(page, 1, "Client 1");
  await send(page, 1, "panic");
  await page.locator("#rows .failed", { hasText: "failed" }).waitFor();
  await card(page, 1).locator(".status", { hasText: "1011" }).waitFor();
  await page.getByLabel("Failures 1").check();
  assert.equal(await page.locator("#rows .event:visible").count(), 1);
});

test("a long reason of a close is whole, with the time beside it", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=reasons&clients=1");
  await connected(page, 1, "Client 1");
  const reason = "/".padEnd(123, "x");
  await send(page, 1, `close ${reason}`);
  await card(page, 1).locator(".status", { hasText: reason }).waitFor();
  const outside = await card(page, 1).locator(".said", { hasText: reason }).evaluate((row) => {
    const { left, right } = row.closest(".card").getBoundingClientRect();
    const boxes = [...row.querySelectorAll("time"), ...row.closest(".card").querySelectorAll(".status, header button")];
    return boxes.filter((box) => box.getBoundingClientRect().right > right || box.getBoundingClientRect().left < left).length
      + (row.parentElement.scrollWidth > row.parentElement.clientWidth) + (row.querySelector("time").getClientRects().length - 1);
  });
  assert.equal(outside, 0);
});

test("a room is made by its name, picked from the list, and ended", TIMEOUT, async (t) => {
  const page = await visit(t);
  for (const name of ["a/b ?", "another"]) {
    await page.getByLabel("Name of a new room").fill(name);
    await page.keyboard.press("Enter");
    await title(page, name);
  }
  await page.getByTitle("a/b ?").click();
  await title(page, "a/b ?");
  await page.getByRole("button", { name: "Add client" }).click();
  await connected(page, 1, "Client 1");
  await page.getByRole("button", { name: "End room" }).click();
  await card(page, 1).locator(".status", { hasText: "1001" }).waitFor();
  await page.locator("#rows .ended").waitFor();
  await page.getByTitle("a/b ?").waitFor({ state: "detached" });
});

test("a reload brings back the room and its clients", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=again&clients=2");
  await connected(page, 2, "Client 2");
  await page.reload();
  await title(page, "again");
  await connected(page, 1, "Client 3");
  await connected(page, 2, "Client 4");
});

test("nothing is recorded while the page is hidden", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=hidden&clients=1");
  await connected(page, 1, "Client 1");
  // Chromium without a window hides no page. So the page tells itself what a browser would.
  const show = (isShown) => page.evaluate((isShown) => {
    Object.defineProperty(document, "hidden", { value: !isShown, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isShown);
  await show(false);
  await page.locator("#rows .gap", { hasText: "hidden" }).waitFor();
  await send(page, 1, "unseen");
  await received(page, 1, "unseen");
  const opened = page.waitForResponse((response) => response.url().includes("/_/events?room=hidden"));
  await show(true);
  await opened;
  await send(page, 1, "seen again");
  await row(page, "seen again").waitFor();
  assert.equal(await row(page, "unseen").count(), 0);
});

test("the errors of a build are shown until it succeeds, and then the clients are in the new version", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=builds&clients=1");
  await connected(page, 1, "Client 1");
  await writeSource(ROOM.replace("self.0 += 1", 'self.0 += "1"'));
  await page.locator("#build-error", { hasText: "error[E0277]" }).waitFor(BUILT_WITHIN);
  await page.getByRole("button", { name: "Dismiss" }).click();
  await page.locator("#build-panel").waitFor({ state: "hidden" });
  await page.getByRole("button", { name: "build failed" }).click();
  await page.locator("#build-panel").waitFor();
  await writeSource(ROOM.replace("new value", "other value"));
  await page.locator("#build-panel").waitFor({ state: "hidden", ...BUILT_WITHIN });
  await server.line("replaced the module in ");
  await connected(page, 1, "Client 1");
  await send(page, 1, "increment");
  await received(page, 1, "other value: 1");
});

test("everything is done by keyboard alone", TIMEOUT, async (t) => {
  const page = await visit(t);
  const { keyboard } = page;
  await page.locator(`#address[placeholder*="${server.port}"]`).waitFor();
  await keyboard.press("r");
  await keyboard.type("keys");
  await keyboard.press("Enter");
  await title(page, "keys");
  await keyboard.press("n");
  await connected(page, 1, "Client 1");
  // These are shortcuts, but not while somebody types.
  await keyboard.type("npr?");
  await keyboard.press("Enter");
  await received(page, 1, "npr?");
  await keyboard.press("ArrowUp");
  await keyboard.press("Enter");
  await row(page, "npr?").nth(1).waitFor();
  await keyboard.press("Escape");
  await keyboard.press("p");
  await page.getByRole("button", { name: "Resume" }).waitFor();
  await keyboard.press("p");
  await keyboard.press("/");
  await keyboard.type("init");
  await page.locator("#rows .event:visible .message").waitFor({ state: "hidden" });
  await keyboard.press("Escape");
  await keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await keyboard.press("Escape");
  // From the first to the last control, and each of them shows where the focus is.
  const names = [];
  await page.evaluate(() => document.activeElement.blur());
  for (let press = 0; press < 40; press += 1) {
    await keyboard.press("Tab");
    names.push(await page.evaluate(() => {
      const element = document.activeElement;
      const outlined = element.closest("label") ?? element;
      const isSeen = element === document.body || [element, outlined].some((its) => getComputedStyle(its).outlineStyle !== "none");
      return isSeen ? element.id || element.getAttribute("aria-label") || element.textContent : `no outline: ${element.outerHTML}`;
    }));
  }
  assert.deepEqual(names.filter((name) => name.startsWith("no outline")), []);
  for (const id of ["help-button", "room-name", "connect", "close-room", "end", "message-text", "add", "Message", "filter", "pause", "clear"]) {
    assert(names.includes(id), `${id} is not among ${names.map((name) => name.slice(0, 20))}`);
  }
});

test("an operator sends a message to all clients, and closes them", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=operated&clients=2");
  await connected(page, 2, "Client 2");
  await page.getByLabel("Message to all clients", { exact: true }).fill("back at <b>noon</b>");
  await page.getByRole("button", { name: "Send to all" }).click();
  await received(page, 1, "back at <b>noon</b>");
  await received(page, 2, "back at <b>noon</b>");
  await page.locator("#rows .change", { hasText: "the operator sends to 2 clients" }).waitFor();
  await page.getByRole("button", { name: "Close client 2" }).click();
  await card(page, 2).locator(".status", { hasText: "1008 the operator has closed the connection" }).waitFor();
  await row(page, "disconnect").first().waitFor();
  await page.getByRole("button", { name: "Close client 2" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Close room" }).click();
  await card(page, 1).locator(".said", { hasText: "1001 the room has ended" }).waitFor();
});

test("a page connects elsewhere with what the dialog shows", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=it's here");
  await page.getByRole("button", { name: "Connect from elsewhere" }).click();
  const dialog = page.getByRole("dialog", { name: "Connect from elsewhere" });
  await dialog.getByText(`websocat 'ws://127.0.0.1:${server.port}/ws/it%27s%20here'`).waitFor();
  const code = await dialog.locator("code").first().textContent();
  assert.match(code, /roomUrl\("it's here"\)/);
  await dialog.getByRole("button", { name: "Copy: WebSocket" }).click();
  await dialog.getByText(/Copied|Selected/).waitFor();
});

for (const colorScheme of ["light", "dark"]) {
  test(`a phone does not scroll sideways (${colorScheme})`, TIMEOUT, async (t) => {
    const page = await visit(t, "#room=phone&clients=2", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme });
    await connected(page, 2, /Client/);
    await send(page, 1, "x".repeat(500));
    await row(page, "xxx").waitFor();
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert(content <= window, `${content} > ${window}`);
  });
}

test("it looks as the documents show it", TIMEOUT, async (t) => {
  const page = await visit(t, "#room=lobby&clients=2", { viewport: { width: 1280, height: 680 } });
  await connected(page, 2, /Client/);
  for (const [client, text] of [[1, "increment"], [2, "hello"], [1, "increment"], [2, "increment"]]) {
    await send(page, client, text);
    await row(page, text).last().waitFor();
  }
  await page.evaluate(() => document.activeElement.blur());
  await picture(browser, "playground", [page], 120 * 1024);
});
