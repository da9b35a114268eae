// The playground: joins its parts.

import * as build from "./build.js";
import * as clients from "./clients.js";
import { byId, setText } from "./dom.js";
import * as events from "./events.js";
import { remember, remembered } from "./hash.js";
import * as keys from "./keys.js";
import * as meters from "./meters.js";
import * as operator from "./operator.js";
import * as rooms from "./rooms.js";
import { appAddress, chooseHost, chosenHost, defaultHost, encode, endRoom, fetchAddress } from "./server.js";
import * as snippets from "./snippets.js";
import * as timeline from "./timeline.js";

const POLL_EVERY_MS = 1000;
const POLL_SOON_MS = 100;
const FIRST_ROOM = "lobby";

let room = null;
let soon;
/** False while the clients of the last visit come back: the address has to keep their number. */
let isRestored = false;

function pick(name) {
  if (name === room) return;
  room = name;
  rooms.setCurrent(room);
  timeline.clear();
  meters.reset();
  setText(byId("room-title"), room);
  byId("room").hidden = false;
  events.follow(room);
  clients.show(room);
  operator.show(room);
  poll();
}

function addClient() {
  if (room === null) pick(FIRST_ROOM);
  const card = clients.add();
  // On a phone this would bring up the keyboard.
  if (matchMedia("(pointer: fine)").matches) card.field.focus();
  else card.element.scrollIntoView();
}

function end() {
  endRoom(room).then(() => rooms.showError(), ({ message }) => rooms.showError(message)).then(poll);
}

async function poll() {
  if (document.hidden) return;
  try {
    const { rooms: list, next } = await rooms.refresh();
    if (room === null && list.length > 0) pick(list[0].id);
    await fetchAddress();
    byId("address").placeholder = defaultHost();
    byId("app").href = appAddress();
    const listed = list.find(({ id }) => id === room);
    // A longer list does not have all rooms.
    if (listed || next === null) {
      meters.setListed(listed);
      operator.setClients(listed?.clients ?? []);
    }
    setText(byId("server-state"), "");
  } catch {
    setText(byId("server-state"), "the server does not answer");
  }
}

function restore() {
  const last = remembered();
  isRestored = false;
  if (isRoom(last.room)) pick(last.room);
  else events.follow(room);
  while (isRoom(room) && clients.cards().length < last.clients) clients.add();
  isRestored = true;
}

/** Returns whether there can be this room. Shows what is wrong with it if not. */
function isRoom(room) {
  if (room === null) return false;
  try {
    return Boolean(encode(room));
  } catch ({ message }) {
    rooms.showError(message);
    return false;
  }
}

function take(type, data) {
  if (type === "build") return build.take(data);
  if (room === null) return;
  if (type === "dropped") return timeline.addDropped(data);
  if (type === "gap") {
    meters.reset();
    return timeline.addGap(data);
  }
  timeline.add(data);
  meters.take(data);
  clients.take(data);
  if (data.state || data.event === "connect" || data.event === "disconnect") pollSoon();
}

/** Many clients may come at once. */
function pollSoon() {
  soon ??= setTimeout(() => {
    soon = undefined;
    poll();
  }, POLL_SOON_MS);
}

events.start(take);
rooms.start(pick);
operator.start(poll);
clients.start({
  changed: () => { if (isRestored) remember(room, clients.cards().filter(({ isWanted }) => isWanted).length); },
  ready: events.ready,
});
keys.start([
  ["n", "Add a client", addClient],
  ["m", "Write a message", () => clients.cards().at(-1)?.field.focus()],
  ["r", "Create a room", () => byId("room-name").focus()],
  ["/", "Filter the timeline", () => byId("filter").focus()],
  ["p", "Pause or resume the timeline", timeline.pause],
  ["c", "Clear the timeline", timeline.clear],
  ["b", "Show the build error", build.show],
  ["?", "Show this list", () => byId("help").showModal()],
]);

byId("add").onclick = addClient;
byId("end").onclick = end;
byId("connect").onclick = () => snippets.open(room);
byId("help-button").onclick = () => byId("help").showModal();
byId("address").value = chosenHost();
byId("address").onchange = ({ target }) => {
  chooseHost(target.value.trim());
  poll();
};
// The page's end is not that of its clients.
addEventListener("pagehide", () => { isRestored = false; });
document.addEventListener("visibilitychange", poll);
setInterval(poll, POLL_EVERY_MS);

clients.show(room);
// Clients need the address of rooms.
fetchAddress().catch(() => {}).then(restore).then(poll);
