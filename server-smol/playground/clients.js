// The simulated clients, in a group for each room. The groups of other rooms stay connected while they are not shown.

import { Card } from "./card.js";
import { byId, el } from "./dom.js";
import { roomAddress } from "./server.js";

/** How long a client waits for the record that says its id, in milliseconds. */
const NAMED_WITHIN = 500;

/** Room → { room, element, cards }. */
const groups = new Map();

let current = null;
let world;

/** The attempts go one after the other: see `connect`. */
let queue = Promise.resolve();

/** Takes the ids of `connect` records while a client of the shown room connects. */
let onId;

/** Takes `{ changed, ready, isServerUp }`: functions for a change of the clients, the stream of records, and the server's state. */
export function start(its) {
  world = its;
}

/** Shows the clients of this room. */
export function show(room) {
  current = room;
  for (const group of groups.values()) group.element.hidden = group.room !== room;
  changed();
}

/** Adds a client to the shown room, and connects it. */
export function add() {
  const group = groups.get(current) ?? newGroup(current);
  const card = new Card({
    address: () => roomAddress(group.room),
    changed,
    removed: () => remove(group, card),
    reconnect: (card) => connect(group, card),
    isServerUp: world.isServerUp,
  });
  group.cards.push(card);
  group.element.append(card.element);
  card.element.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  connect(group, card);
  return card;
}

export const cards = () => groups.get(current)?.cards ?? [];

/** The number of clients that a reload brings back. */
export const wanted = () => cards().filter((card) => card.isWanted).length;

/** Takes a record of the shown room. */
export function take({ event, client }) {
  if (event === "connect") onId?.(client);
}

/**
 * Connects a client, after those that connect now. A WebSocket does not say which client of the room it is. The timeline does: if one
 * client connects at a time, the `connect` of that time is its own. If another page connects at the same time, the id stays unknown.
 */
function connect(group, card) {
  card.isWanted = true;
  queue = queue.then(() => world.ready()).then(async () => {
    if (!card.isWanted || card.isOpen) return;
    const ids = [];
    let named;
    const isNamed = new Promise((resolve) => { named = resolve; });
    if (group.room === current) onId = (id) => named(ids.push(id));
    else named();
    await card.connect();
    if (card.isOpen) await Promise.race([isNamed, new Promise((resolve) => setTimeout(resolve, NAMED_WITHIN))]);
    onId = undefined;
    if (card.isOpen && ids.length === 1) card.identify(ids[0]);
  });
}

function newGroup(room) {
  const group = { room, cards: [], element: el("div", { class: "cards" }) };
  groups.set(room, group);
  byId("client-groups").append(group.element);
  return group;
}

function remove(group, card) {
  group.cards.splice(group.cards.indexOf(card), 1);
  if (group.cards.length === 0) {
    group.element.remove();
    groups.delete(group.room);
  }
  changed();
}

function changed() {
  const empty = byId("no-clients");
  empty.hidden = cards().length > 0;
  empty.textContent = current === null
    ? "No room yet. Add a client and it makes one."
    : "No clients on this page. Add some, and let them talk to the room.";
  world.changed();
}
