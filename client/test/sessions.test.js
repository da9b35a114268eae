// Sessions that resume, with a server that the test plays.

import assert from "node:assert/strict";
import { test } from "node:test";

import { RoomSocket, json } from "../client.js";
import { World, record } from "./world.js";

const ADDRESS = "ws://server/ws/lobby";

/** Returns a socket in a world, its events, and what each `open` said. */
function connect(options) {
  const world = new World();
  const socket = new RoomSocket(ADDRESS, { env: world, ...options });
  const resumed = [];
  socket.addEventListener("open", (event) => resumed.push(event.resumed));
  return { world, socket, events: record(socket), resumed };
}

/** Returns the same with an open session. */
function connected(options, greeting) {
  const all = connect(options);
  all.world.socket.greet(greeting);
  all.events.length = 0;
  return all;
}

/** Loses the connection, and begins the next attempt at once. */
function lose(world) {
  world.socket.end(1006);
  world.goOnline();
  world.advance(0);
}

/** Returns what the last attempt has offered: the token, the number of received messages, its own number, and that of the attempt with which its session began. */
function offered({ socket: { protocols } }) {
  assert.equal(protocols[0], "stateroom.v1");
  return /^stateroom\.session\.([\w-]{16,64})\.(\d+)\.(\d+)\.(\d+)$/.exec(protocols[1]).slice(1);
}

/** Returns the number of received messages that the last attempt has offered. */
const told = (world) => offered(world)[1];

test("each attempt offers the same secret token, what was received, its number, and where its session began", () => {
  const { world } = connect({ protocols: ["mine", "also-mine"] });
  const [token, ...numbers] = offered(world);
  assert.deepEqual(numbers, ["0", "0", "0"]);
  assert.deepEqual(world.socket.protocols.slice(2), ["mine", "also-mine"]);
  // It knows of no session yet.
  lose(world);
  assert.deepEqual(offered(world), [token, "0", "1", "1"]);
  world.socket.greet();
  world.socket.receive("a");
  world.socket.receive("b");
  lose(world);
  assert.deepEqual(offered(world), [token, "2", "2", "1"]);
  world.socket.greet({ resumed: true });
  lose(world);
  assert.deepEqual(offered(world), [token, "2", "3", "1"]);
  // A new session begins.
  world.socket.greet();
  lose(world);
  assert.deepEqual(offered(world), [token, "0", "4", "3"]);
  assert.equal(connect({ protocols: "mine" }).world.socket.protocols[2], "mine");
});

test("the token is made of all random bytes, and each socket has its own", () => {
  const seen = new Set();
  for (let seed = 0; seed < 32; seed += 1) {
    const world = Object.assign(new World(), { seed });
    new RoomSocket(ADDRESS, { env: world });
    seen.add(offered(world)[0]);
  }
  assert.equal(seen.size, 32);
  // Without bytes of its own, the world has those of Node.js.
  for (let i = 0; i < 2; i += 1) {
    const world = Object.assign(new World(), { crypto: undefined });
    new RoomSocket(ADDRESS, { env: world });
    seen.add(offered(world)[0]);
  }
  assert.equal(seen.size, 34);
});

test("a connection is open when its greeting has come, and messages wait for it", () => {
  const { world, socket, events, resumed } = connect();
  socket.send("a");
  world.socket.openSession();
  socket.send("b");
  assert.deepEqual([socket.readyState, socket.clientId, events], [RoomSocket.CONNECTING, undefined, []]);
  assert.deepEqual([world.socket.sent, socket.bufferedAmount], [[], 2]);
  world.socket.control({ session: "token", client: 3, resumed: false, received: 0, window: 30_000, buffer: 4000, later: {} });
  assert.deepEqual([socket.readyState, socket.clientId, events, resumed], [RoomSocket.OPEN, 3, ["open"], [false]]);
  socket.send("c");
  assert.deepEqual([world.socket.sent, socket.bufferedAmount], [["a", "b", "c"], 0]);
});

test("an attempt whose greeting does not come is given up, and its session kept", () => {
  const { world, socket, events } = connect({ openTimeout: 3000 });
  world.advance(2000);
  world.socket.openSession();
  world.advance(999);
  assert.deepEqual(events, []);
  world.advance(1);
  assert.deepEqual(events, ["disconnect 1006 250"]);
  assert.deepEqual(world.socket.closedWith, [4999]);
  // It comes too late.
  world.socket.control({ session: "token", client: 1, resumed: false, received: 0, buffer: 4000 });
  assert.equal(socket.readyState, RoomSocket.CONNECTING);
  world.advance(250);
  world.socket.greet();
  world.advance(10_000);
  assert.deepEqual(events, ["disconnect 1006 250", "open"]);
});

test("a session whose greeting was lost is new to the page", () => {
  const { world, socket, resumed } = connect();
  socket.send("a");
  world.socket.openSession();
  lose(world);
  assert.equal(told(world), "0");
  // The server knows that it has not come.
  world.socket.greet({ client: 1 });
  assert.deepEqual([resumed, world.socket.sent], [[false], ["a"]]);
});

test("a session that resumes sends what the room has not received, and then what waited", () => {
  const { world, socket, events, resumed } = connected();
  socket.onopen = () => socket.send("opened");
  for (const message of ["a", "b", "c", "d"]) socket.send(message);
  world.socket.end(1006);
  socket.send("e");
  world.advance(250);
  socket.send("f");
  world.socket.greet({ resumed: true, received: 2 });
  assert.deepEqual(world.socket.sent, ["c", "d", "e", "f", "opened"]);
  assert.deepEqual(resumed, [false, true]);
  // Once more, without a confirmation between.
  lose(world);
  world.socket.greet({ resumed: true, received: 3 });
  assert.deepEqual(world.socket.sent, ["d", "e", "f", "opened", "opened"]);
  assert.deepEqual(events, ["disconnect 1006 250", "open", "disconnect 1006 500", "open"]);
  // If it has all of them, there is nothing to send.
  socket.onopen = null;
  lose(world);
  world.socket.greet({ resumed: true, received: 8 });
  assert.deepEqual(world.socket.sent, []);
});

test("a session that does not resume drops what was sent, and counts from 0", () => {
  const { world, socket, resumed } = connected();
  socket.send("a");
  socket.send("b");
  world.socket.control(1);
  world.socket.receive("x");
  world.socket.end(1006);
  socket.send("c");
  world.advance(250);
  assert.equal(told(world), "1");
  world.socket.greet({ client: 2 });
  assert.deepEqual([world.socket.sent, resumed, socket.clientId], [["c"], [false, false], 2]);
  socket.send("d");
  lose(world);
  assert.equal(told(world), "0");
  world.socket.greet({ client: 2, resumed: true, received: 1 });
  assert.deepEqual([world.socket.sent, resumed], [["d"], [false, false, true]]);
});

test("a session ends if the server has lost what it had confirmed", () => {
  const { world, socket, resumed } = connected();
  for (const message of ["a", "b", "c"]) socket.send(message);
  world.socket.receive("\x002");
  lose(world);
  // It may have received more than it had confirmed, but not less.
  world.socket.greet({ resumed: true, received: 2 });
  assert.deepEqual(world.socket.sent, ["c"]);
  lose(world);
  const ended = world.socket;
  world.socket.greet({ resumed: true, received: 1 });
  assert.deepEqual([ended.sent, ended.closedWith], [[], [1000]]);
  assert.equal(socket.readyState, RoomSocket.CONNECTING);
  world.goOnline();
  world.advance(0);
  world.socket.greet();
  socket.send("d");
  assert.deepEqual(world.socket.sent, ["d"]);
  assert.deepEqual(resumed, [false, true, false]);
});

test("messages are kept until the server confirms them", () => {
  const { world, socket } = connected();
  for (const message of ["a", "b", "c", "d"]) socket.send(message);
  world.socket.control(1);
  world.socket.control(3);
  lose(world);
  // The room has received one more than the server could confirm.
  world.socket.greet({ resumed: true, received: 3 });
  assert.deepEqual(world.socket.sent, ["d"]);
  world.socket.control(4);
  socket.send("e");
  lose(world);
  world.socket.greet({ resumed: true, received: 4 });
  assert.deepEqual(world.socket.sent, ["e"]);
});

test("what is sent again are the bytes of the time when it was sent", () => {
  const { world, socket } = connected();
  const bytes = new Uint8Array([1, 2, 3]);
  const blob = new Blob(["abc"]);
  for (const data of [bytes, bytes.buffer, new DataView(bytes.buffer, 1), blob, 12, null]) socket.send(data);
  bytes.fill(9);
  lose(world);
  world.socket.greet({ resumed: true });
  const sent = world.socket.sent.map((data) => typeof data === "string" || data === blob ? data : [...new Uint8Array(data)]);
  assert.deepEqual(sent, [[1, 2, 3], [1, 2, 3], [2, 3], blob, "12", "null"]);
});

test("messages that were sent do not fill the queue", () => {
  const { world, socket } = connected({ maxQueue: 4 });
  socket.send("12345678");
  assert.equal(socket.bufferedAmount, 0);
  world.socket.end(1006);
  socket.send("abcd");
  assert.equal(socket.bufferedAmount, 4);
  assert.throws(() => socket.send("e"), { name: "QuotaExceededError" });
  world.advance(250);
  world.socket.greet({ resumed: true });
  assert.deepEqual([world.socket.sent, socket.bufferedAmount], [["12345678", "abcd"], 0]);
});

test("what was received is confirmed at a quarter of the server's buffer", () => {
  const { world, socket } = connected({}, { buffer: 4000 });
  const text = "x".repeat(250);
  for (let i = 0; i < 3; i += 1) world.socket.receive(text);
  assert.deepEqual(world.socket.sent, []);
  world.socket.receive(text);
  assert.deepEqual(world.socket.sent, ["\x004"]);
  // Binary messages count with their size, and each message with what the server adds to it.
  world.socket.receive(new ArrayBuffer(600));
  world.socket.receive(new Blob([new Uint8Array(400)]));
  assert.deepEqual(world.socket.sent, ["\x004", "\x006"]);
  for (let i = 0; i < 15; i += 1) world.socket.receive("");
  assert.equal(world.socket.sent.length, 2);
  world.socket.receive("");
  assert.equal(world.socket.sent.length, 3);
  // Control messages do not count.
  for (let i = 0; i < 1000; i += 1) world.socket.control({ later: text });
  assert.equal(world.socket.sent.length, 3);
  socket.send("mine");
  assert.equal(world.socket.sent.at(-1), "mine");
});

test("what was received is confirmed after some time, if it is not yet", () => {
  const { world, events } = connected();
  world.advance(60_000);
  assert.deepEqual(world.socket.sent, []);
  world.socket.receive("a");
  world.socket.receive("b");
  world.advance(30_000);
  assert.deepEqual(world.socket.sent, ["\x002"]);
  world.advance(300_000);
  assert.deepEqual(world.socket.sent, ["\x002"]);
  // A new connection has said so already.
  world.socket.receive("c");
  lose(world);
  assert.equal(told(world), "3");
  world.socket.greet({ resumed: true });
  world.advance(30_000);
  assert.deepEqual(world.socket.sent, []);
  world.socket.receive("");
  world.advance(30_000);
  assert.deepEqual(world.socket.sent, ["\x004"]);
  assert.equal(events.at(-1), "message ");
});

test("a message that cannot be decoded is received, too", () => {
  const { world, events } = connected(json);
  world.socket.receive("1");
  world.socket.receive("{");
  world.socket.receive("2");
  lose(world);
  assert.equal(told(world), "3");
  assert.equal(events.filter((event) => event.startsWith("error ")).length, 1);
});

test("a text that looks like a control message is a message", () => {
  const { world, socket, events } = connected();
  socket.send("\0");
  socket.send("\x001");
  socket.send("a\0");
  socket.send(new String("\0\0"));
  const sent = ["\0\0", "\0\x001", "a\0", "\0\0\0"];
  assert.deepEqual(world.socket.sent, sent);
  world.socket.receive("\0\0");
  world.socket.receive('\0\0{"session":"token"}');
  world.socket.receive("a\0");
  assert.deepEqual(events, ["message \0", 'message \0{"session":"token"}', "message a\0"]);
  assert.equal(socket.readyState, RoomSocket.OPEN);
  // Also when it is sent again, or has waited.
  world.socket.end(1006);
  socket.send("\0waits");
  world.advance(250);
  assert.equal(told(world), "3");
  world.socket.greet({ resumed: true, received: 1 });
  assert.deepEqual(world.socket.sent, [...sent.slice(1), "\0\0waits"]);
});

test("control messages are not decoded, and pings are messages of the application", () => {
  const { world, socket, events } = connected({ ...json, ping: "\0ping", encode: (text) => text, pingInterval: 10_000 });
  world.socket.control(0);
  assert.deepEqual(events, []);
  // It shows that the connection works, too.
  world.advance(10_000);
  assert.deepEqual(world.socket.sent, []);
  world.advance(10_000);
  assert.deepEqual(world.socket.sent, ["\0\0ping"]);
  world.socket.receive('"pong"');
  lose(world);
  world.socket.greet({ resumed: true, received: 0 });
  assert.deepEqual(world.socket.sent, ["\0\0ping"]);
  lose(world);
  world.socket.greet({ resumed: true, received: 1 });
  assert.deepEqual(world.socket.sent, []);
  assert.equal(socket.readyState, RoomSocket.OPEN);
});

test("unknown control messages, and a second greeting, change nothing", () => {
  const { world, socket, events } = connected();
  world.socket.control({ later: true });
  world.socket.control({});
  world.socket.control({ session: "token", client: 9, resumed: false, received: 0, buffer: 4000 });
  assert.deepEqual([events, socket.clientId], [[], 1]);
});

test("a server that ends says in which time to come back, once", () => {
  const { world, events } = connected();
  const end = (code) => {
    world.socket.end(code);
    return events.splice(0).at(-1);
  };
  const open = () => {
    world.goOnline();
    world.advance(0);
    world.socket.greet();
    world.advance(5000);
  };
  world.socket.control({ within: 8000 });
  world.dice = 0.75;
  assert.equal(end(1012), "disconnect 1012 6000");
  // The next attempt fails as usual.
  world.advance(6000);
  world.dice = 0.5;
  assert.equal(end(1006), "disconnect 1006 500");
  open();
  assert.equal(end(1012), "disconnect 1012 250");
  // More than the most that is usual, less than the usual, and whatever the code.
  for (const [within, delay] of [[120_000, 60_000], [100, 50]]) {
    open();
    world.socket.control({ within });
    assert.equal(end(1006), `disconnect 1006 ${delay}`);
  }
  // A code that sets a least delay still does.
  open();
  world.socket.control({ within: 20_000 });
  assert.equal(end(1013), "disconnect 1013 15000");
});

test("somebody who looks need not wait as the server has said", () => {
  const { world } = connected();
  world.socket.control({ within: 60_000 });
  world.socket.end(1012);
  world.setHidden(false);
  world.advance(0);
  assert.equal(world.sockets.length, 2);
});

test("a connection in doubt is closed so that its session stays", () => {
  const doubts = {
    offline: ({ world }) => world.goOffline(),
    asleep: ({ world }) => { world.sleep(151_000); world.setHidden(false); },
    silent: ({ world }) => world.advance(45_000),
  };
  for (const [name, doubt] of Object.entries(doubts)) {
    const all = connected(name === "silent" ? { ping: "ping" } : {});
    all.socket.send("a");
    doubt(all);
    assert.deepEqual(all.world.sockets[0].closedWith, [4999], name);
    // What comes over it is not received, so that it comes again.
    all.world.sockets[0].receive("late");
    all.world.advance(250);
    assert.equal(told(all.world), "0", name);
    all.world.socket.greet({ resumed: true });
    assert.equal(all.world.socket.sent[0], "a", name);
    assert(!all.events.includes("message late"), name);
  }
});

test("close ends the session with the code of the page", () => {
  const { world, socket, events } = connected();
  socket.send("a");
  socket.close(4000, "enough");
  assert.deepEqual(world.socket.closedWith, [4000, "enough"]);
  world.advance(10_000);
  assert.deepEqual(world.sockets[0].closedWith, [4000, "enough"]);
  assert.deepEqual(events, ["close 1006"]);
  assert.equal(socket.clientId, 1);
});

test("close before the greeting is final", () => {
  const { world, socket, events } = connect();
  socket.send("a");
  world.socket.openSession();
  socket.close();
  world.socket.control({ session: "token", client: 1, resumed: false, received: 0, buffer: 4000 });
  assert.deepEqual([socket.readyState, world.socket.sent], [RoomSocket.CLOSING, []]);
  world.socket.end(1005);
  world.advance(60_000);
  assert.deepEqual([events, world.sockets.length, world.timers], [["close 1005"], 1, 0]);
});

test("close between two connections is final, though the session could resume", () => {
  const { world, socket, events } = connected();
  world.socket.end(1006);
  socket.close();
  world.advance(60_000);
  assert.deepEqual([events, world.sockets.length], [["disconnect 1006 250", "close 1006"], 1]);
});

for (const code of [1000, 1002, 1007, 1008, 1009, 4000, 4999]) {
  test(`${code} is final with a session, too`, () => {
    const { world, events } = connected();
    world.socket.end(code);
    world.advance(60_000);
    assert.deepEqual([events, world.sockets.length, world.timers], [[`close ${code}`], 1, 0]);
  });
}

test("without sessions nothing is offered, and no message is special", () => {
  const { world, socket, events, resumed } = connect({ session: false });
  assert.equal(world.socket.protocols, undefined);
  world.socket.open();
  socket.send("\0a");
  world.socket.receive("\x001");
  assert.deepEqual([world.socket.sent, events, resumed], [["\0a"], ["open", "message \x001"], [false]]);
  world.goOffline();
  assert.deepEqual(world.sockets[0].closedWith, []);
  // Nor if the page speaks the protocol itself.
  const own = connect({ session: false, protocols: ["stateroom.v1"] });
  own.world.socket.openSession();
  own.world.socket.receive("\x001");
  own.socket.send("\x001");
  assert.deepEqual([own.events, own.world.socket.sent], [["open", "message \x001"], ["\x001"]]);
});

test("a server that selects no session has plain connections", () => {
  const { world, socket, events, resumed } = connect({ protocols: ["mine"] });
  socket.send("\0waits");
  world.socket.protocol = "mine";
  world.socket.open();
  socket.send("\0a");
  world.socket.receive("\0b");
  world.advance(60_000);
  assert.deepEqual([world.socket.sent, events], [["\0waits", "\0a"], ["open", "message \0b"]]);
  assert.deepEqual([socket.clientId, socket.protocol, resumed], [undefined, "mine", [false]]);
  // What was sent is not sent again, and nothing is counted.
  lose(world);
  assert.equal(told(world), "0");
  world.socket.open();
  assert.deepEqual(world.socket.sent, []);
});

test("a plain connection after one with a session begins anew, and so does a session after it", () => {
  const { world, socket, resumed } = connected();
  socket.send("\0a");
  world.socket.receive("x");
  world.socket.end(1006);
  socket.send("\0b");
  world.advance(250);
  world.socket.open();
  assert.deepEqual([world.socket.sent, socket.clientId], [["\0b"], undefined]);
  socket.send("c");
  lose(world);
  assert.equal(told(world), "0");
  world.socket.greet();
  socket.send("d");
  lose(world);
  world.socket.greet({ resumed: true });
  assert.deepEqual([world.socket.sent, resumed], [["d"], [false, false, false, true]]);
});
