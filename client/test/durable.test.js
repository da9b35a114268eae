// With the real server, whose rooms are on disk, and which is killed again and again.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { WebSocket } from "ws";

import { RoomSocket, json, roomUrl } from "../client.js";
import { Server } from "./server.js";

const native = globalThis.WebSocket;

let directory, server;

before(async () => {
  globalThis.WebSocket = WebSocket;
  directory = await mkdtemp(join(tmpdir(), "stateroom-"));
  const echo = fileURLToPath(new URL("echo.wat", import.meta.url));
  server = await new Server("serve", echo, "--data", join(directory, "data"), "--resume", "120").start();
});

after(async () => {
  globalThis.WebSocket = native;
  await server.end();
  await rm(directory, { recursive: true });
});

test("whatever becomes of the server, clients keep their ids, and messages arrive once and in order", { timeout: 120_000 }, async (t) => {
  const names = ["a", "b"];
  const clients = names.map((name) => {
    const socket = new RoomSocket(roomUrl("room", server.origin), { minDelay: 10, maxDelay: 100, ...json });
    t.after(() => socket.close());
    const client = { name, socket, sent: 0, opened: [], received: [] };
    socket.onopen = ({ resumed }) => client.opened.push([resumed, socket.clientId]);
    socket.onmessage = ({ data }) => client.received.push(data);
    return client;
  });
  const send = (count) => {
    for (let i = 0; i < count; i += 1) for (const client of clients) client.socket.send([client.name, client.sent += 1]);
  };
  await Promise.all(clients.map(({ socket }) => once(socket, "open")));
  const signals = ["SIGKILL", "SIGKILL", "SIGTERM", "SIGKILL", "SIGTERM", "SIGKILL"];
  for (const signal of signals) {
    send(100);
    await once(clients[0].socket, "message");
    const lost = clients.map(({ socket }) => once(socket, "disconnect"));
    await server.end(signal);
    await Promise.all(lost);
    // These wait until the server is back.
    send(10);
    const opened = clients.map(({ socket }) => once(socket, "open"));
    await server.start();
    await Promise.all(opened);
  }
  send(1);
  const { sent } = clients[0];
  for (const { socket, received } of clients) {
    while (received.length < names.length * sent) await once(socket, "message");
  }
  const [one, two] = clients;
  for (const name of names) {
    const numbers = one.received.filter(([from]) => from === name).map(([, number]) => number);
    assert.deepEqual(numbers, Array.from({ length: sent }, (_, index) => index + 1), name);
  }
  assert.deepEqual(two.received, one.received);
  for (const { opened } of clients) {
    const [[, id]] = opened;
    assert.deepEqual(opened, [false, ...signals.map(() => true)].map((resumed) => [resumed, id]));
  }
});
