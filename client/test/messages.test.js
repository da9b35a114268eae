// Messages, before and after there is a connection.

import assert from "node:assert/strict";
import { test } from "node:test";
import vm from "node:vm";

import { RoomSocket, json } from "../client.js";
import { World, record, settle } from "./world.js";

function connect(options) {
  const world = new World();
  const socket = new RoomSocket("ws://server/ws/lobby", { env: world, ...options });
  return { world, socket };
}

test("messages wait for a connection and go out in their order, before those of its event", () => {
  const { world, socket } = connect();
  socket.onopen = () => socket.send("hello");
  socket.send("a");
  socket.send("b");
  world.socket.open();
  socket.send("c");
  assert.deepEqual(world.socket.sent, ["a", "b", "hello", "c"]);
  world.socket.end(1006);
  socket.send("d");
  world.advance(250);
  socket.send("e");
  world.socket.open();
  assert.deepEqual(world.socket.sent, ["d", "e", "hello"]);
});

test("messages wait when the connection is about to end", () => {
  const { world, socket } = connect();
  world.socket.open();
  world.socket.readyState = 2;
  socket.send("a");
  world.socket.end(1001);
  world.advance(250);
  world.socket.open();
  assert.deepEqual(world.sockets.map(({ sent }) => sent), [[], ["a"]]);
});

test("what waits are the bytes of the time when it was sent", () => {
  const { world, socket } = connect();
  const bytes = new Uint8Array([1, 2, 3, 4]);
  socket.send(bytes);
  socket.send(bytes.subarray(1, 3));
  socket.send(new DataView(bytes.buffer, 2));
  socket.send(bytes.buffer);
  socket.send(12);
  socket.send(null);
  const blob = new Blob(["abc"]);
  socket.send(blob);
  assert.equal(socket.bufferedAmount, 4 + 2 + 2 + 4 + 2 + 4 + 3);
  bytes.fill(9);
  world.socket.open();
  const sent = world.socket.sent.map((data) => typeof data === "string" || data === blob ? data : [...new Uint8Array(data)]);
  assert.deepEqual(sent, [[1, 2, 3, 4], [2, 3], [3, 4], [1, 2, 3, 4], "12", "null", blob]);
});

test("buffers of other pages wait, too", () => {
  const { world, socket } = connect();
  socket.send(vm.runInNewContext("new Uint8Array([1, 2]).buffer"));
  world.socket.open();
  assert.deepEqual([...new Uint8Array(world.socket.sent[0])], [1, 2]);
});

test("the buffered amount is that of the queue and of the connection", () => {
  const { world, socket } = connect();
  assert.equal(socket.bufferedAmount, 0);
  socket.send("é€😀");
  assert.equal(socket.bufferedAmount, 2 + 3 + 4);
  world.socket.bufferedAmount = 100;
  assert.equal(socket.bufferedAmount, 109);
  world.socket.open();
  assert.equal(socket.bufferedAmount, 100);
  world.socket.end(1006);
  assert.equal(socket.bufferedAmount, 0);
});

test("a full queue takes no more, and keeps what it has", () => {
  const { world, socket } = connect({ maxQueue: 10 });
  socket.send("12345678");
  assert.throws(() => socket.send("abc"), {
    name: "QuotaExceededError",
    message: "the queue is full: it has 8 bytes, the message 3, and maxQueue is 10",
  });
  socket.send("ab");
  world.socket.open();
  assert.deepEqual(world.socket.sent, ["12345678", "ab"]);
  // With a connection there is no queue.
  socket.send("x".repeat(100));
  world.socket.end(1006);
  socket.send("0123456789");
  assert.throws(() => socket.send("a"), { name: "QuotaExceededError" });
});

test("messages without content fill the queue, too", () => {
  const { world, socket } = connect({ maxQueue: 2 });
  socket.send("");
  socket.send(new ArrayBuffer(0));
  assert.throws(() => socket.send(""), { name: "QuotaExceededError" });
  world.socket.open();
  assert.equal(world.socket.sent.length, 2);
});

test("the queue takes 1 MiB unless it is told otherwise", () => {
  const { socket } = connect();
  socket.send("x".repeat(1 << 20));
  assert.throws(() => socket.send("x"), { name: "QuotaExceededError" });
});

test("after the end messages are dropped, as by any WebSocket", () => {
  const { world, socket } = connect();
  socket.send("a");
  socket.close();
  socket.send("b");
  world.socket.end(1006);
  socket.send("c");
  assert.deepEqual([socket.bufferedAmount, world.socket.sent], [0, []]);
});

test("messages can be values", () => {
  const { world, socket } = connect(json);
  const seen = [];
  socket.onmessage = ({ data }) => seen.push(data);
  socket.send({ kind: "move", x: 1 });
  world.socket.open();
  socket.send([2]);
  world.socket.receive('{"x":3}');
  assert.deepEqual(world.socket.sent, ['{"kind":"move","x":1}', "[2]"]);
  assert.deepEqual(seen, [{ x: 3 }]);
});

test("data that is no message is an error, and the next ones come", () => {
  const { world, socket } = connect(json);
  const events = record(socket);
  world.socket.open();
  world.socket.receive("{");
  world.socket.receive("1");
  assert.equal(events.length, 3);
  assert(events[1].startsWith("error ") && events[1].includes("JSON"), events[1]);
  assert.deepEqual([events[0], events[2]], ["open", "message 1"]);
});

test("a message that cannot be encoded is the caller's error", () => {
  const { world, socket } = connect({ encode: () => { throw new RangeError("too deep"); } });
  assert.throws(() => socket.send(1), { message: "too deep" });
  world.socket.open();
  assert.throws(() => socket.send(1), { message: "too deep" });
});

test("messages can be iterated over, across connections, to the end", async () => {
  const { world, socket } = connect();
  const seen = [];
  const reading = (async () => {
    for await (const message of socket) {
      seen.push(message);
      await settle();
    }
    return "over";
  })();
  world.socket.open();
  world.socket.receive("a");
  world.socket.receive("b");
  world.socket.end(1006);
  world.advance(250);
  world.socket.open();
  await settle();
  world.socket.receive("c");
  world.socket.receive("d");
  world.socket.end(1000);
  assert.equal(await reading, "over");
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
  for await (const message of socket) assert.fail(message);
});

test("each iteration has all messages, and one that ends hears no more", async () => {
  const { world, socket } = connect();
  world.socket.open();
  const first = socket[Symbol.asyncIterator]();
  const second = socket[Symbol.asyncIterator]();
  const heard = [first.next(), second.next()];
  world.socket.receive("a");
  assert.deepEqual(await Promise.all(heard), [{ value: "a", done: false }, { value: "a", done: false }]);
  assert.equal((await first.return()).done, true);
  assert.equal((await first.next()).done, true);
  const next = second.next();
  world.socket.receive("b");
  assert.equal((await next).value, "b");
});
