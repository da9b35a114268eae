// What it has of a WebSocket, the addresses of rooms, and its size and types.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { RoomSocket, roomUrl } from "../client.js";
import { World } from "./world.js";

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

test("it has the constants of a WebSocket", () => {
  const socket = new RoomSocket("ws://server/ws", { env: new World() });
  for (const holder of [RoomSocket, socket]) {
    const { CONNECTING, OPEN, CLOSING, CLOSED } = holder;
    assert.deepEqual([CONNECTING, OPEN, CLOSING, CLOSED], [0, 1, 2, 3]);
  }
});

test("it offers what a function returns for each attempt", () => {
  const world = new World();
  let attempts = 0;
  const protocols = () => ["stateroom.token", `stateroom.token.${attempts += 1}`];
  new RoomSocket("ws://server/ws/lobby", { env: world, session: false, protocols });
  assert.deepEqual(world.socket.protocols, ["stateroom.token", "stateroom.token.1"]);
  new RoomSocket("ws://server/ws/lobby", { env: world, protocols });
  assert.deepEqual(world.socket.protocols.slice(2), ["stateroom.token", "stateroom.token.2"]);
});

test("it has the attributes of its connection", () => {
  const world = new World();
  const socket = new RoomSocket("ws://server/ws/lobby", { env: world, session: false, protocols: ["a", "b"] });
  assert.deepEqual(world.socket.protocols, ["a", "b"]);
  assert.deepEqual([socket.url, socket.protocol, socket.extensions], ["ws://server/ws/lobby", "", ""]);
  Object.assign(world.socket, { protocol: "b", extensions: "x" });
  assert.deepEqual([socket.protocol, socket.extensions], ["b", "x"]);
  world.socket.open();
  world.socket.end(1006);
  assert.deepEqual([socket.url, socket.protocol, socket.extensions], ["ws://server/ws/lobby", "", ""]);
});

test("the kind of binary data is that of each connection", () => {
  const world = new World();
  const socket = new RoomSocket("ws://server/ws", { env: world });
  assert.equal(socket.binaryType, "blob");
  socket.binaryType = "arraybuffer";
  assert.equal(world.socket.binaryType, "arraybuffer");
  world.socket.end(1006);
  world.advance(250);
  assert.equal(world.sockets.length, 2);
  assert.deepEqual([socket.binaryType, world.socket.binaryType], ["arraybuffer", "arraybuffer"]);
});

test("handlers can be set, replaced and taken away", () => {
  const world = new World();
  const socket = new RoomSocket("ws://server/ws", { env: world });
  const seen = [];
  for (const type of ["open", "message", "disconnect", "close", "error"]) assert.equal(socket[`on${type}`], null);
  socket.onmessage = () => seen.push("never");
  socket.onmessage = function (event) { seen.push(this === socket, event.target === socket, event.data); };
  socket.addEventListener("message", { handleEvent: ({ data }) => seen.push(`also ${data}`) });
  world.socket.open();
  world.socket.receive("a");
  socket.onmessage = null;
  world.socket.receive("b");
  assert.deepEqual(seen, [true, true, "a", "also a", "also b"]);
});

test("a room has an address, whatever its id", () => {
  globalThis.location = new URL("https://example.com/page/index.html?a#b");
  try {
    assert.equal(roomUrl("lobby"), "wss://example.com/ws/lobby");
    assert.equal(roomUrl(), "wss://example.com/ws/default");
  } finally {
    delete globalThis.location;
  }
  // Without a page there is no server that is meant.
  assert.throws(() => roomUrl("lobby"), { name: "TypeError", message: /needs a base address/ });
  const base = "http://localhost:8080";
  for (const [room, path] of [["a/b", "a%2Fb"], ["?#%", "%3F%23%25"], ["né 1", "n%C3%A9%201"], ["...", "..."]]) {
    assert.equal(roomUrl(room, base), `ws://localhost:8080/ws/${path}`);
  }
  assert.equal(roomUrl("a", "https://example.com/games/"), "wss://example.com/games/ws/a");
  assert.equal(roomUrl("a", new URL("wss://example.com")), "wss://example.com/ws/a");
  for (const room of ["", ".", ".."]) assert.throws(() => roomUrl(room, base), { name: "TypeError" });
});

test("it takes 4 KB at most, compressed", () => {
  // Sessions take 1 KB of it.
  const size = gzipSync(readFileSync(file("../client.js")), { level: 9 }).length;
  assert(size <= 4096, `${size} bytes`);
});

test("its types are those of its description", () => {
  const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"];
  try {
    execFileSync(process.execPath, [compiler, ...options, file("types.ts")], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    assert.fail(error.stdout);
  }
});

test("its types have all that it exports", async () => {
  const types = readFileSync(file("../client.d.ts"), "utf8");
  for (const name of Object.keys(await import("../client.js"))) {
    assert.match(types, new RegExp(`export (class|const|function) ${name}\\b`));
  }
  const { constructor, ...members } = Object.getOwnPropertyDescriptors(RoomSocket.prototype);
  for (const name of Object.keys(members)) assert.match(types, new RegExp(`\\b${name}\\b`));
});
