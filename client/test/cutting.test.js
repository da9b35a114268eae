// With the real server, and connections that are cut after each byte of a conversation: messages are neither lost nor doubled.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { WebSocket } from "ws";

import { RoomSocket, roomUrl } from "../client.js";
import { Proxy } from "./proxy.js";
import { Server } from "./server.js";

/** Enough for confirmations: a server confirms 32 messages, and a client a quarter of this buffer, which has space for all answers. */
const BUFFER = "3000";
const BURST = ["a", "\0b", "", "\0", "\x001", new Uint8Array([0, 255]), "é", ...Array(26).fill("c")];
/** These are sent one after the other, each after an answer. */
const LATER = ["d", "\0\0e", new Uint8Array(), "\0{}", "f", "g", "h", "the end"];

/** The answer to each message ends with its number. */
const EXPECTED = ["welcome", ...[...BURST, ...LATER].map((message, index) => text(message) + String.fromCharCode(0x31 + index))];

/** How long a conversation may take, and how many there are at the same time. */
const PATIENCE = 60_000;
const AT_ONCE = 8;

const server = new Server("serve", fileURLToPath(new URL("numbers.wat", import.meta.url)), "--max-session-buffer", BUFFER);
const native = globalThis.WebSocket;
let rooms = 0;

before(async () => {
  globalThis.WebSocket = WebSocket;
  await server.start();
});

after(async () => {
  globalThis.WebSocket = native;
  await server.end();
});

/** Returns a message as a text. */
function text(message) {
  return typeof message === "string" ? message : `binary ${Buffer.from(message).toString("latin1")}`;
}

/**
 * Has a conversation with a room of its own, through a proxy that cuts the first connections after so many bytes. Returns the number of bytes
 * from each side in each connection.
 */
async function converse(limits) {
  const proxy = await new Proxy(server.port, limits).start();
  const socket = new RoomSocket(roomUrl(`room-${rooms += 1}`, proxy.origin), { minDelay: 1, maxDelay: 1 });
  socket.binaryType = "arraybuffer";
  const opened = [];
  socket.onopen = ({ resumed }) => opened.push([resumed, socket.clientId]);
  const patience = globalThis.setTimeout(() => socket.close(), PATIENCE);
  const received = [];
  const later = [...LATER];
  try {
    for (const message of BURST) socket.send(message);
    for await (const message of socket) {
      received.push(text(message));
      if (received.length === EXPECTED.length) break;
      if (received.length > 20 && later.length > 0) socket.send(later.shift());
    }
    const what = JSON.stringify(limits);
    assert.deepEqual(received, EXPECTED, what);
    const [[, id]] = opened;
    assert.deepEqual(opened, opened.map((_, index) => [index > 0, id]), what);
    return proxy.connections;
  } finally {
    clearTimeout(patience);
    socket.close();
    proxy.end();
  }
}

/** Has a conversation for each of these limits, some at the same time. Returns the number of connections. */
async function converseWithEach(limits) {
  let connections = 0;
  const next = limits.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const limit of next) {
      const { length } = await converse(limit);
      connections += length;
    }
  }));
  return connections;
}

for (const side of ["client", "server"]) {
  test(`no message is lost or doubled if the connection is cut after any byte from the ${side}`, { timeout: 900_000 }, async () => {
    const [whole] = await converse([]);
    const cut = whole[side];
    const connections = await converseWithEach(Array.from({ length: cut }, (_, bytes) => [{ [side]: bytes }]));
    // The very last bytes may come when the conversation is over.
    assert(connections > 2 * cut - 20, `${connections} connections, ${cut} cuts`);
  });
}

test("a session that replaces one begins once, if its connection is cut after any byte from the server", { timeout: 900_000 }, async (t) => {
  const expected = ["welcome", "welcome", "b1"];
  const conversations = await Promise.all(Array.from({ length: 320 }, async (_, bytes) => {
    const proxy = await new Proxy(server.port, [{}, { server: bytes }]).start();
    const socket = new RoomSocket(roomUrl(`replaced-${bytes}`, proxy.origin), { minDelay: 10, maxDelay: 100 });
    t.after(() => { socket.close(); proxy.end(); });
    const [opened, received] = [[], []];
    socket.onopen = ({ resumed }) => {
      opened.push(resumed);
      if (opened.length > 1 && !resumed) socket.send("b");
    };
    socket.onmessage = ({ data }) => received.push(data);
    return { bytes, opened, received };
  }));
  /** Waits until all have so many messages, or longer than they take. */
  const has = async (count) => {
    for (let patience = 0; patience < 100; patience += 1) {
      if (conversations.every(({ received }) => received.length >= count)) return;
      await setTimeout(100);
    }
  };
  await has(1);
  // The next rooms and clients have the same ids.
  await server.end();
  await server.start();
  await has(expected.length);
  for (const { bytes, opened, received } of conversations) {
    assert.deepEqual(received, expected, `${bytes} bytes, ${opened}`);
    assert.deepEqual(opened, opened.map((_, index) => index > 1));
  }
});

test("no message is lost or doubled if some connections in a row are cut", { timeout: 900_000 }, async () => {
  const [whole] = await converse([]);
  let state = 1;
  // Random numbers that are the same each time.
  const random = (most) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % most;
  };
  const limit = () => random(2) ? { client: 300 + random(whole.client - 300) } : { server: 100 + random(whole.server - 100) };
  const connections = await converseWithEach(Array.from({ length: 200 }, () => Array.from({ length: 4 }, limit)));
  // A conversation may be over before so many cuts.
  assert(connections > 400, `${connections} connections`);
});
