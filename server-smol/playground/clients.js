// The simulated clients, in a group for each room. Those of other rooms stay connected.

import { Card } from "./card.js";
import { byId, el } from "./dom.js";
import { roomAddress } from "./server.js";

/** How long a client waits for the record with its id, in milliseconds. */
const NAMED_WITHIN = 500;

/** How long other clients wait for the connection of one, in milliseconds. */
const ANSWERED_WITHIN = 5000;

/** Room → { element, cards }. */
const groups = new Map();

let current = null;
let world;

/** The attempts, and what takes the ids of `connect` records: see `connect`. */
let queue = Promise.resolve();
let onId;

/** Takes functions: `{ changed, ready }`. `ready` waits for the stream of records. */
export function start(its) {
  world = its;
}

export function show(room) {
  current = room;
  groups.forEach(({ element }, its) => { element.hidden = its !== room; });
  changed();
}

/** The subprotocols that bring the token of a client, if the server wants one. */
function protocols() {
  const token = byId("client-token").value.trim();
  return token ? ["stateroom.token", `stateroom.token.${token}`] : [];
}

/** Adds a client to the shown room. */
export function add() {
  const room = current;
  if (!groups.has(room)) {
    groups.set(room, { element: el("div", { class: "cards" }), cards: [] });
    byId("client-groups").append(groups.get(room).element);
  }
  const group = groups.get(room);
  const card = new Card({
    address: () => roomAddress(room),
    protocols,
    changed,
    removed: () => {
      group.cards = group.cards.filter((other) => other !== card);
      changed();
    },
    reconnect: () => connect(room, card),
  });
  group.cards.push(card);
  group.element.append(card.element);
  connect(room, card);
  return card;
}

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const cards = () => groups.get(current)?.cards ?? [];

export function take({ event, client }) {
  if (event === "connect") onId?.(client);
}

/**
 * Connects a client. A WebSocket does not know which client of the room it is, but the records do: if one client connects at a time,
 * the `connect` of that time is its own. If others connect, too, the id stays unknown.
 */
function connect(room, card) {
  card.isWanted = true;
  queue = queue.then(world.ready).then(async () => {
    if (!card.isWanted || card.isOpen) return;
    const ids = [];
    const named = new Promise((resolve) => { onId = (id) => resolve(ids.push(id)); });
    // One that gets no answer must not keep the others waiting.
    await Promise.race([card.connect(), after(ANSWERED_WITHIN)]);
    if (card.isOpen) await Promise.race([named, after(NAMED_WITHIN)]);
    onId = undefined;
    if (card.isOpen && room === current && ids.length === 1) card.identify(ids[0]);
  }).catch((error) => card.fail(error.message));
}

function changed() {
  byId("no-clients").hidden = cards().length > 0;
  byId("no-clients").textContent = current === null ? "No room yet. Add a client to create one." : "This page has no clients in this room yet.";
  world.changed();
}
