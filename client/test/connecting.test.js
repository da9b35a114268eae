// When it connects again, and when not.

import assert from "node:assert/strict";
import { test } from "node:test";

import { RoomSocket } from "../client.js";
import { World, record, settle } from "./world.js";

const ADDRESS = "ws://server/ws/lobby";

/** Returns a socket in a world, and its events. */
function connect(options) {
  const world = new World();
  const socket = new RoomSocket(ADDRESS, { env: world, ...options });
  return { world, socket, events: record(socket) };
}

/** Returns the same with an open connection. */
function connected(options) {
  const all = connect(options);
  all.world.socket.open();
  all.events.length = 0;
  return all;
}

/** Returns whether it has no timer, and takes no interest in the network. */
function isOver({ world, socket, events }) {
  const [tried, said] = [world.sockets.length, events.length];
  world.goOnline();
  world.goOffline();
  world.setHidden(false);
  world.advance(3_600_000);
  return socket.readyState === RoomSocket.CLOSED && world.timers === 0 && world.sockets.length === tried
    && events.length === said;
}

test("a connection that is lost is replaced, and only the end is a close", () => {
  const { world, socket, events } = connect();
  assert.equal(socket.readyState, RoomSocket.CONNECTING);
  world.socket.open();
  assert.equal(socket.readyState, RoomSocket.OPEN);
  world.socket.end(1001, "the server goes away");
  assert.equal(socket.readyState, RoomSocket.CONNECTING);
  assert.deepEqual(events, ["open", "disconnect 1001 250"]);
  world.advance(249);
  assert.equal(world.sockets.length, 1);
  world.advance(1);
  assert.equal(world.sockets.length, 2);
  world.socket.open();
  world.socket.end(1000);
  assert.deepEqual(events.slice(2), ["open", "close 1000"]);
});

test("the events say what the server said", () => {
  const { world, socket } = connected();
  const seen = [];
  const note = ({ code, reason, wasClean, attempt }) => seen.push([code, reason, wasClean, attempt]);
  socket.ondisconnect = note;
  socket.onclose = note;
  world.socket.end(1012, "restarting");
  world.advance(250);
  world.socket.open();
  world.socket.end(4001, "banned");
  assert.deepEqual(seen, [[1012, "restarting", true, 1], [4001, "banned", true, undefined]]);
});

for (const code of [1001, 1006, 1012]) {
  test(`${code} means: come back`, () => {
    const { world, events } = connected();
    world.dice = 0;
    world.socket.end(code);
    assert.deepEqual(events, [`disconnect ${code} 0`]);
    world.advance(0);
    assert.equal(world.sockets.length, 2);
  });
}

for (const code of [1011, 1013, 1014]) {
  test(`${code} means: come back in five seconds or later, even if somebody looks`, () => {
    const { world, events } = connected();
    world.dice = 0;
    world.socket.end(code);
    assert.deepEqual(events, [`disconnect ${code} 5000`]);
    world.goOnline();
    world.setHidden(false);
    world.advance(4999);
    assert.equal(world.sockets.length, 1);
    world.advance(1);
    assert.equal(world.sockets.length, 2);
  });
}

test("those who are to come back later do so at different times", () => {
  for (const [dice, delay] of [[0.5, 7500], [0.999, 9995]]) {
    const { world, events } = connected();
    world.dice = dice;
    world.socket.end(1013);
    assert.deepEqual(events, [`disconnect 1013 ${delay}`]);
  }
});

test("the wait is not longer because the clock was set back", () => {
  const { world } = connected();
  world.socket.end(1013);
  world.clockError = -3_600_000;
  world.goOnline();
  world.advance(5000);
  assert.equal(world.sockets.length, 2);
});

test("a delay that is longer than timers can be is long", () => {
  const day = 86_400_000;
  for (const delay of [2 ** 31, Infinity]) {
    const { world } = connected({ retry: () => delay });
    world.socket.end(1006);
    world.advance(day);
    assert.equal(world.sockets.length, 1);
    const patient = connect({ openTimeout: delay });
    patient.world.advance(day);
    patient.world.socket.open();
    assert.deepEqual(patient.events, ["open"]);
    const quiet = connected({ pingInterval: delay, ping: "ping" });
    quiet.world.advance(day);
    assert.deepEqual(quiet.world.socket.sent, []);
  }
  // However long the delays become.
  const { world, events } = connect({ maxDelay: Infinity });
  const delay = () => Number(events.at(-1).split(" ")[2]);
  for (world.socket.end(1006); delay() < 2 ** 31; world.socket.end(1006)) world.advance(delay());
  const tried = world.sockets.length;
  world.advance(day);
  assert.equal(world.sockets.length, tried);
});

for (const code of [1000, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 1015, 3000, 4000, 4999]) {
  test(`${code} is final`, () => {
    const all = connected();
    all.world.socket.end(code);
    assert.deepEqual(all.events, [`close ${code}`]);
    assert(isOver(all));
  });
}

test("the page can decide by itself", () => {
  const asked = [];
  const answers = { 4000: true, 4001: 2000, 1006: false, 1012: undefined, 4002: undefined };
  const retry = ({ code, attempt }) => { asked.push([code, attempt]); return answers[code]; };
  const all = connected({ retry });
  const { world, events } = all;
  for (const code of [4000, 4001, 1012]) {
    world.dice = 0;
    world.socket.end(code);
    world.advance(2000);
    world.socket.open();
  }
  world.socket.end(4002);
  const expected = ["disconnect 4000 0", "open", "disconnect 4001 2000", "open", "disconnect 1012 0", "open", "close 4002"];
  assert.deepEqual(events, expected);
  assert.deepEqual(asked, [[4000, 1], [4001, 2], [1012, 3], [4002, 4]]);
  assert(isOver(all));

  const other = connected({ retry });
  other.world.socket.end(1006);
  assert.deepEqual(other.events, ["close 1006"]);
});

test("a delay that is none is no delay", () => {
  for (const delay of [-1000, NaN, "soon"]) {
    const { world, events } = connected({ retry: () => delay });
    world.socket.end(1006);
    assert.deepEqual(events, ["disconnect 1006 250"]);
    world.advance(250);
    assert.equal(world.sockets.length, 2);
  }
});

test("the code decides if the page fails to", () => {
  const all = connected({ retry: () => { throw new Error("torn"); } });
  all.world.socket.end(1006);
  all.world.advance(250);
  assert.equal(all.world.sockets.length, 2);
  all.world.socket.end(4000);
  assert.deepEqual(all.events, ["error torn", "disconnect 1006 250", "error torn", "close 4000"]);
  assert(isOver(all));
});

test("delays are random, and their limit doubles up to the longest", () => {
  const { world, events } = connect({ minDelay: 100, maxDelay: 1000 });
  for (const [dice, delay] of [[0.5, 50], [0.5, 100], [0, 0], [0.999, 799.2], [0.5, 500], [0.25, 250], [0, 0]]) {
    world.dice = dice;
    world.socket.end(1006);
    assert.equal(events.at(-1), `disconnect 1006 ${delay}`);
    world.advance(delay);
  }
  // However often it has failed.
  for (let i = 0; i < 2000; i += 1) {
    world.socket.end(1006);
    world.advance(0);
  }
  assert.equal(world.sockets.length, 2008);
});

test("only a connection that lasts makes the delays short again", () => {
  const { world, events } = connected();
  const lose = (after) => {
    world.advance(after);
    world.socket.end(1006);
    const said = events.splice(0).at(-1);
    world.advance(Number(said.split(" ")[2]));
    world.socket.open();
    return said;
  };
  assert.equal(lose(4999), "disconnect 1006 250");
  assert.equal(lose(0), "disconnect 1006 500");
  assert.equal(lose(4999), "disconnect 1006 1000");
  assert.equal(lose(5000), "disconnect 1006 250");
  // Time that passes without a connection does not count.
  events.length = 0;
  world.socket.end(1006);
  world.advance(500 + 10_000);
  assert.deepEqual(events, ["disconnect 1006 500", "disconnect 1006 1000"]);
});

test("an attempt that takes too long is given up, and has nothing to say any more", () => {
  const { world, socket, events } = connect({ openTimeout: 3000 });
  world.advance(3000);
  assert.deepEqual(events, ["disconnect 1006 250"]);
  assert.deepEqual(world.socket.closedWith, []);
  world.sockets[0].open();
  world.sockets[0].receive("old");
  world.sockets[0].end(1000);
  assert.equal(socket.readyState, RoomSocket.CONNECTING);
  world.advance(250);
  world.socket.open();
  assert.deepEqual(events, ["disconnect 1006 250", "open"]);
});

test("it connects at once when the network is back", () => {
  const { world } = connect({ minDelay: 60_000, maxDelay: 60_000 });
  world.socket.end(1006);
  world.advance(1000);
  assert.equal(world.sockets.length, 1);
  world.goOnline();
  world.advance(0);
  assert.equal(world.sockets.length, 2);
  // While an attempt goes on, and while a connection is open, there is nothing to do.
  world.goOnline();
  world.advance(0);
  assert.equal(world.sockets.length, 2);
  world.socket.open();
  world.goOnline();
  world.advance(0);
  assert.equal(world.sockets.length, 2);
});

test("it connects at once when the page becomes visible, and not when it becomes hidden", () => {
  const { world } = connect({ minDelay: 60_000, maxDelay: 60_000 });
  world.socket.end(1006);
  world.setHidden(true);
  world.advance(1000);
  assert.equal(world.sockets.length, 1);
  world.setHidden(false);
  world.advance(0);
  assert.equal(world.sockets.length, 2);
});

test("without a network the connection is given up", () => {
  const { world, socket, events } = connected();
  world.goOffline();
  assert.deepEqual(events, ["disconnect 1006 250"]);
  assert.deepEqual(world.socket.closedWith, []);
  assert.equal(socket.readyState, RoomSocket.CONNECTING);
  // It is said once.
  world.goOffline();
  assert.equal(events.length, 1);
  // What is on this machine may still be there.
  world.advance(250);
  world.socket.open();
  assert.deepEqual(events, ["disconnect 1006 250", "open"]);
});

test("a connection that was open while this side slept is replaced", () => {
  const { world, events } = connected();
  world.sleep(100_000);
  world.advance(30_000);
  assert.deepEqual(events, []);
  world.sleep(121_000);
  world.advance(30_000);
  assert.deepEqual(events, ["disconnect 1006 250"]);
});

test("a connection that was open while this side slept is replaced as soon as somebody looks", () => {
  const { world, events } = connected();
  world.sleep(151_000);
  world.setHidden(false);
  assert.deepEqual(events, ["disconnect 1006 250"]);
});

test("a connection that was lost before this side slept is replaced, too", () => {
  const { world } = connected({ minDelay: 60_000, maxDelay: 60_000 });
  world.socket.end(1006);
  world.sleep(200_000);
  world.setHidden(false);
  world.advance(0);
  assert.equal(world.sockets.length, 2);
});

test("a connection is not in doubt because it is looked at rarely", () => {
  const { world, events } = connected({ pingInterval: 600_000 });
  world.advance(3_600_000);
  world.setHidden(false);
  assert.deepEqual(events, []);
});

test("the address can be another one for each attempt", async () => {
  let count = 0;
  const answers = [() => "ws://server/ws/lobby?1", async () => new URL("ws://server/ws/lobby?2")];
  const world = new World();
  const socket = new RoomSocket(() => answers[count++](), { env: world });
  assert.equal(socket.url, "");
  await settle();
  assert.equal(socket.url, "ws://server/ws/lobby?1");
  world.socket.open();
  world.socket.end(1006);
  world.advance(250);
  await settle();
  assert.equal(socket.url, "ws://server/ws/lobby?2");
  assert.equal(world.sockets.length, 2);
});

test("if there is no address, it tries again", async () => {
  const world = new World();
  let token = Promise.reject(new Error("no token"));
  const socket = new RoomSocket(() => token.then((token) => `${ADDRESS}?${token}`), { env: world });
  const events = record(socket);
  await settle();
  assert.deepEqual(events, ["error no token", "disconnect 1006 250"]);
  token = Promise.resolve("a");
  world.advance(250);
  await settle();
  assert.equal(socket.url, `${ADDRESS}?a`);
  // No address at all is the same.
  token = Promise.resolve("\n ").then(() => { throw new TypeError("torn"); });
  world.socket.end(1006);
  world.advance(1000);
  await settle();
  assert.deepEqual(events.slice(2), ["disconnect 1006 500", "error torn", "disconnect 1006 1000"]);
});

test("an address that comes too late is not used", async () => {
  const world = new World();
  const answers = [];
  const socket = new RoomSocket(() => new Promise((resolve) => answers.push(resolve)), { env: world });
  const events = record(socket);
  await settle();
  world.advance(10_000);
  assert.deepEqual(events, ["disconnect 1006 250"]);
  world.advance(250);
  await settle();
  answers[0](`${ADDRESS}?late`);
  await settle();
  assert.equal(world.sockets.length, 0);
  answers[1](`${ADDRESS}?now`);
  await settle();
  assert.equal(socket.url, `${ADDRESS}?now`);
});

test("an address that is none is told at once", () => {
  assert.throws(() => new RoomSocket("nowhere", { env: new World() }), { code: "ERR_INVALID_URL" });
});

test("close ends an open connection with a code, and it is final", () => {
  const all = connected();
  const { world, socket, events } = all;
  socket.close(4000, "enough");
  assert.deepEqual(world.socket.closedWith, [4000, "enough"]);
  assert.equal(socket.readyState, RoomSocket.CLOSING);
  socket.close();
  world.socket.end(4000, "enough");
  assert.deepEqual(events, ["close 4000"]);
  assert(isOver(all));
});

test("after close no code means to come back", () => {
  const all = connected({ retry: () => assert.fail("it is not asked") });
  all.socket.close();
  all.world.socket.end(1006);
  assert.deepEqual(all.events, ["close 1006"]);
  assert(isOver(all));
});

test("a close that nobody answers has an end", () => {
  const all = connected();
  all.socket.close();
  all.world.advance(9_999);
  assert.deepEqual(all.events, []);
  all.world.advance(1);
  assert.deepEqual(all.events, ["close 1006"]);
  assert(isOver(all));
});

test("a code that no page may use is refused, and the connection stays", () => {
  const { world, socket } = connected();
  assert.throws(() => socket.close(1001), { name: "InvalidAccessError" });
  assert.equal(socket.readyState, RoomSocket.OPEN);
  world.socket.end(1006);
  world.advance(250);
  assert.equal(world.sockets.length, 2);
});

test("close ends an attempt", () => {
  const all = connect();
  all.socket.close();
  assert.deepEqual(all.world.socket.closedWith, [undefined, undefined]);
  all.world.socket.end(1006);
  assert.deepEqual(all.events, ["close 1006"]);
  assert(isOver(all));
});

test("close ends the wait for another attempt", () => {
  const all = connected();
  all.world.socket.end(1006);
  all.socket.close();
  assert.equal(all.socket.readyState, RoomSocket.CLOSING);
  assert.deepEqual(all.events, ["disconnect 1006 250"]);
  all.world.advance(0);
  assert.deepEqual(all.events, ["disconnect 1006 250", "close 1006"]);
  assert(isOver(all));
});

test("close ends the wait for an address, which may call it", async () => {
  const world = new World();
  const socket = new RoomSocket(() => { socket.close(); return ADDRESS; }, { env: world });
  const events = record(socket);
  await settle();
  world.advance(0);
  assert.deepEqual(events, ["close 1006"]);
  assert.equal(world.sockets.length, 0);
  assert(isOver({ world, socket, events }));
});

test("close can be called when the connection is lost", () => {
  const all = connected();
  all.socket.ondisconnect = () => all.socket.close();
  all.world.socket.end(1006);
  all.world.advance(0);
  assert.deepEqual(all.events, ["disconnect 1006 250", "close 1006"]);
  assert(isOver(all));

  const other = connected({ retry: () => { other.socket.close(); return true; } });
  other.world.socket.end(1006);
  assert.deepEqual(other.events, ["close 1006"]);
  assert(isOver(other));
});

test("a failure of the connection is told", () => {
  const { world, events } = connect();
  world.socket.dispatchEvent(Object.assign(new Event("error"), { error: new Error("refused") }));
  world.socket.end(1006);
  assert.deepEqual(events, ["error refused", "disconnect 1006 250"]);
});
