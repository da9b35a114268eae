// Clients of the example `yjs`, as they come from npm. Ends with 1 and the reason if something is not as it should be.

import assert from "node:assert/strict";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const PATIENCE_MS = 50_000;
const server = process.argv[2];

/** Waits until something holds. */
async function until(what, holds) {
  const begin = Date.now();
  while (!holds()) {
    assert(Date.now() - begin < PATIENCE_MS, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function join(doc = new Y.Doc()) {
  // Without its channel between the tabs of a browser: everything goes through the server.
  const provider = new WebsocketProvider(server, "lobby", doc, { WebSocketPolyfill: WebSocket, disableBc: true });
  return { doc, provider, text: doc.getText("text"), awareness: provider.awareness };
}

const same = (...clients) => clients.every(({ text }) => text.toString() === clients[0].text.toString());

const alice = join();
const bob = join();
await until("both are synced", () => alice.provider.synced && bob.provider.synced);

// Both edit at once, and each sees the same in the end.
for (const word of ["one ", "two ", "three ", "😀 "]) {
  alice.text.insert(0, word);
  bob.text.insert(bob.text.length, word.toUpperCase());
}
const length = 2 * "one two three 😀 ".length;
await until("edits meet", () => alice.text.length === length && same(alice, bob));

// Cursors appear, also to a late joiner, who gets the document too.
alice.awareness.setLocalStateField("user", { name: "Alice" });
const nameOf = (client, of) => client.awareness.getStates().get(of.doc.clientID)?.user?.name;
await until("Alice appears", () => nameOf(bob, alice) === "Alice");
const carol = join();
await until("a late joiner has everything", () => same(alice, carol) && nameOf(carol, alice) === "Alice");

// Formats, maps and nested types are merged, too.
alice.doc.getMap("map").set("list", Y.Array.from([1, "two", { three: [3] }]));
alice.text.format(0, 3, { bold: true });
await until("other types arrive", () => bob.doc.getMap("map").get("list")?.length === 3);
assert.deepEqual(bob.doc.getMap("map").toJSON(), alice.doc.getMap("map").toJSON());
await until("formats arrive", () => bob.text.toDelta()[0]?.attributes?.bold === true);

// Offline edits merge.
alice.provider.disconnect();
await until("the cursor of somebody who has gone vanishes", () => nameOf(carol, alice) === undefined);
alice.text.insert(0, "offline ");
alice.text.delete(alice.text.length - 2, 2);
bob.text.insert(bob.text.length, " online");
await until("those who stay go on", () => same(bob, carol));
assert(!same(alice, bob));
alice.provider.connect();
await until("offline edits merge", () => same(alice, bob, carol));
assert(alice.text.toString().startsWith("offline ") && alice.text.toString().endsWith(" online"));

// A connection that is cut without a word is the same.
alice.awareness.setLocalStateField("user", { name: "Alice again" });
await until("Alice is back", () => nameOf(bob, alice) === "Alice again");
alice.provider.shouldConnect = false;
alice.provider.ws.terminate?.();
await until("her cursor vanishes", () => nameOf(bob, alice) === undefined);

for (const { provider } of [alice, bob, carol]) provider.destroy();
process.exit(0);
