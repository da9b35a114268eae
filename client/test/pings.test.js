// Pings, for rooms that answer them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { RoomSocket, json } from "../client.js";
import { World, record } from "./world.js";

function connected(options) {
  const world = new World();
  const all = { pingInterval: 10_000, pingTimeout: 2000, ping: "ping", env: world, ...options };
  const socket = new RoomSocket("ws://server/ws", all);
  world.socket.open();
  return { world, socket, events: record(socket) };
}

test("a connection without an answer to a ping is replaced", () => {
  const { world, events } = connected();
  world.advance(9_999);
  assert.deepEqual(world.socket.sent, []);
  world.advance(1);
  assert.deepEqual(world.socket.sent, ["ping"]);
  world.advance(2000);
  assert.deepEqual(events, ["disconnect 1006 250"]);
  assert.deepEqual(world.sockets[0].closedWith, []);
});

test("any message is an answer", () => {
  const { world, events } = connected();
  for (let i = 1; i <= 3; i += 1) {
    world.advance(10_000);
    assert.equal(world.socket.sent.length, i);
    world.advance(1_999);
    world.socket.receive("news");
    world.advance(1);
  }
  assert.deepEqual(events, ["message news", "message news", "message news"]);
});

test("nothing is asked while there are messages", () => {
  const { world } = connected();
  for (let i = 0; i < 10; i += 1) {
    world.advance(9_000);
    world.socket.receive("news");
  }
  assert.deepEqual(world.socket.sent, []);
});

test("after a sleep it asks at once, and keeps a connection that still works", () => {
  const { world, events } = connected();
  world.sleep(140_000);
  world.setHidden(false);
  assert.deepEqual(world.socket.sent, ["ping"]);
  world.socket.receive("pong");
  world.advance(2000);
  assert.deepEqual(events, ["message pong"]);
  world.sleep(140_000);
  world.goOnline();
  world.advance(2000);
  assert.deepEqual(events, ["message pong", "disconnect 1006 250"]);
});

test("a ping is a message like the others", () => {
  const { world } = connected({ ...json, ping: { kind: "ping" } });
  world.advance(10_000);
  assert.deepEqual(world.socket.sent, ['{"kind":"ping"}']);
  world.advance(2000 + 250);
  world.socket.open();
  world.advance(10_000);
  assert.deepEqual(world.socket.sent, ['{"kind":"ping"}']);
});
