// A host for one room, in JavaScript: what it takes to run a guest anywhere that has WebAssembly.
//
//     node host.mjs room.wasm
//
// Each line of standard input is an event, and is answered with a line that lists what the room asks for:
//
//     {"init": "lobby"}                      []
//     {"connect": 1}                         [{"to": 1, "text": "0"}]
//     {"from": 1, "text": "increment"}       [{"to": 0, "text": "1"}]
//     {"from": 1, "bytes": [1, 2]}           [{"to": 1, "bytes": [1, 2]}]
//     {"from": 1, "text": "later"}           [{"timer": 1000}]
//     {"timer": true}                        [{"to": 0, "text": "time"}]
//     {"disconnect": 1}                      [{"to": 0, "text": "bye"}]

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

let effects = [];

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// What a guest may import. Numbers arrive as signed ones: a recipient is meant so, all others are not.
const env = {
  send_message: (to, at, len) => effects.push({ to, text: decoder.decode(memory(at, len)) }),
  send_binary: (to, at, len) => effects.push({ to, bytes: [...memory(at, len)] }),
  set_timer: (milliseconds) => effects.push({ timer: milliseconds >>> 0 }),
  // AssemblyScript's own.
  abort: () => {
    throw new Error('the room gave up');
  },
};

const module = new WebAssembly.Module(readFileSync(process.argv[2]));
const room = new WebAssembly.Instance(module, { env }).exports;

// A piece of the guest's memory, which is another buffer once it has grown.
function memory(at, len) {
  return new Uint8Array(room.memory.buffer, at >>> 0, len >>> 0);
}

// Puts bytes where the guest wants them, for as long as a function of it runs.
function handOver(bytes, run) {
  const at = room.jam_malloc(bytes.length);
  memory(at, bytes.length).set(bytes);
  run(at, bytes.length);
  room.jam_free(at, bytes.length);
}

function handle({ init, connect, disconnect, timer, from, text, bytes }) {
  if (init !== undefined) handOver(encoder.encode(init), (at, len) => room.initialize(at, len));
  else if (connect) room.connect(connect);
  else if (disconnect) room.disconnect(disconnect);
  else if (timer) room.timer();
  else if (bytes) handOver(bytes, (at, len) => room.binary(from, at, len));
  else handOver(encoder.encode(text), (at, len) => room.message(from, at, len));
}

for await (const line of createInterface({ input: process.stdin })) {
  effects = [];
  handle(JSON.parse(line));
  console.log(JSON.stringify(effects));
}
