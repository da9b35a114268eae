// With the real server, and with real connections and time. Node.js 20 has no WebSocket of its own.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { WebSocket, WebSocketServer } from "ws";

import { RoomSocket, json, roomUrl } from "../client.js";
import { Proxy } from "./proxy.js";
import { Server } from "./server.js";
import { record } from "./world.js";

const server = new Server();
const native = globalThis.WebSocket;

before(async () => {
  globalThis.WebSocket = WebSocket;
  await server.start();
});

after(async () => {
  globalThis.WebSocket = native;
  await server.end();
});

/** Returns a socket that is closed with the test. */
function join(t, url, options) {
  const socket = new RoomSocket(url, { minDelay: 50, maxDelay: 200, ...options });
  t.after(() => socket.close());
  return socket;
}

test("messages flow again when the server is back, and those that waited come in their order", { timeout: 60_000 }, async (t) => {
  for (const [signal, code] of [["SIGKILL", 1006], ["SIGTERM", 1012]]) {
    const socket = join(t, roomUrl(`restart-${signal}`, server.origin), json);
    const resumed = [];
    socket.addEventListener("open", (event) => resumed.push(event.resumed));
    const messages = socket[Symbol.asyncIterator]();
    const next = async () => (await messages.next()).value;
    const first = next();
    socket.send(0);
    assert.equal(await first, 0);
    const lost = once(socket, "disconnect");
    await server.end(signal);
    assert.equal((await lost)[0].code, code);
    const expected = Array.from({ length: 200 }, (_, index) => index + 1);
    for (const message of expected) socket.send(message);
    const opened = once(socket, "open");
    await server.start();
    await opened;
    assert.equal(socket.readyState, RoomSocket.OPEN);
    const received = [];
    while (received.length < expected.length) received.push(await next());
    assert.deepEqual(received, expected);
    // The room is another one; the socket is the same.
    socket.send("hello");
    assert.equal(await next(), "hello");
    assert.deepEqual(resumed, [false, false]);
    const closed = once(socket, "close");
    socket.close(4000, "enough");
    assert.deepEqual([(await closed)[0].code, (await messages.next()).done], [4000, true]);
  }
});

test("without sessions messages flow again, too", { timeout: 60_000 }, async (t) => {
  const socket = join(t, roomUrl("plain", server.origin), { session: false });
  const messages = socket[Symbol.asyncIterator]();
  const first = messages.next();
  socket.send("\0a");
  assert.equal((await first).value, "\0a");
  assert.deepEqual([socket.protocol, socket.clientId], ["", undefined]);
  const lost = once(socket, "disconnect");
  await server.end("SIGTERM");
  assert.equal((await lost)[0].code, 1001);
  socket.send("b");
  const opened = once(socket, "open");
  await server.start();
  assert.equal((await opened)[0].resumed, false);
  assert.equal((await messages.next()).value, "b");
});

test("a session goes on over another connection, with the same client", { timeout: 60_000 }, async (t) => {
  const proxy = await new Proxy(server.port).start();
  t.after(() => proxy.end());
  const socket = join(t, roomUrl("cut", proxy.origin), json);
  const other = join(t, roomUrl("cut", server.origin), json);
  await Promise.all([once(socket, "open"), once(other, "open")]);
  const id = socket.clientId;
  assert.notEqual(other.clientId, id);
  const messages = socket[Symbol.asyncIterator]();
  const first = messages.next();
  other.send(0);
  assert.equal((await first).value, 0);
  for (let round = 1; round < 10; round += 1) {
    const opened = once(socket, "open");
    proxy.cut();
    await once(socket, "disconnect");
    other.send(round);
    assert.equal((await opened)[0].resumed, true);
    assert.equal((await messages.next()).value, round);
    assert.equal(socket.clientId, id);
  }
});

test("a server that starts later is found", { timeout: 60_000 }, async (t) => {
  const late = await new Server().start();
  await late.end();
  const socket = join(t, roomUrl("late", late.origin));
  const message = once(socket, "message");
  socket.send("first");
  await once(socket, "disconnect");
  await late.start();
  t.after(() => late.end());
  assert.equal((await message)[0].data, "first");
});

test("the server's code for a message that is too large is final", { timeout: 60_000 }, async (t) => {
  const socket = join(t, roomUrl("large", server.origin));
  const events = record(socket);
  await once(socket, "open");
  socket.send("x".repeat((1 << 20) + 1));
  const [{ code, reason }] = await once(socket, "close");
  assert.deepEqual([code, reason], [1009, "the message is too large"]);
  assert(events.every((event) => !event.startsWith("disconnect")), events.join());
});

/** Joins a server that closes its first connections with these codes, and keeps the next one. It has no sessions. */
async function joinClosing(t, codes) {
  const closer = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  closer.on("connection", (connection) => {
    const code = codes.shift();
    if (code) connection.close(code, "because");
  });
  t.after(() => {
    for (const connection of closer.clients) connection.terminate();
    closer.close();
  });
  await once(closer, "listening");
  return join(t, `ws://127.0.0.1:${closer.address().port}`, { session: false });
}

test("1012 from a real server is followed by another connection", { timeout: 60_000 }, async (t) => {
  const socket = await joinClosing(t, [1012]);
  const [lost] = await once(socket, "disconnect");
  assert.deepEqual([lost.code, lost.reason, lost.wasClean], [1012, "because", true]);
  await once(socket, "open");
  assert.equal(socket.readyState, RoomSocket.OPEN);
});

test("1013 from a real server is followed by another connection some seconds later", { timeout: 60_000 }, async (t) => {
  const socket = await joinClosing(t, [1013]);
  const [{ code, delay }] = await once(socket, "disconnect");
  const lostAt = performance.now();
  assert(code === 1013 && delay >= 5000 && delay <= 10_000, `${code}, ${delay}`);
  await once(socket, "open");
  // Node.js' timers may be early by a part of a millisecond.
  assert(performance.now() - lostAt > 4990);
});

for (const code of [1008, 4000]) {
  test(`${code} from a real server is final`, { timeout: 60_000 }, async (t) => {
    const socket = await joinClosing(t, [code]);
    const events = record(socket);
    const [closed] = await once(socket, "close");
    assert.deepEqual([closed.code, closed.reason, events], [code, "because", ["open", `close ${code}`]]);
    assert.equal(socket.readyState, RoomSocket.CLOSED);
  });
}
