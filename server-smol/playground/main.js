// The playground: joins its parts.

import * as build from "./build.js";
import * as clients from "./clients.js";
import { byId, setText } from "./dom.js";
import * as events from "./events.js";
import { bytes, counted } from "./format.js";
import { remember, remembered } from "./hash.js";
import * as keys from "./keys.js";
import * as meters from "./meters.js";
import * as rooms from "./rooms.js";
import { appAddress, chooseHost, chosenHost, defaultHost, endRoom, fetchStatus } from "./server.js";
import * as snippets from "./snippets.js";
import * as timeline from "./timeline.js";

const POLL_EVERY_MS = 1000;
const FIRST_ROOM = "lobby";

let room = null;
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
  poll();
}

function addClient() {
  if (room === null) pick(FIRST_ROOM);
  const card = clients.add();
  // On a phone this would bring up the keyboard.
  if (matchMedia("(pointer: fine)").matches) card.focus();
  else card.element.scrollIntoView();
}

async function end() {
  try {
    await endRoom(room);
    rooms.showError();
  } catch (error) {
    rooms.showError(error.message);
  }
  poll();
}

async function poll() {
  if (document.hidden) return;
  try {
    const [status, list] = await Promise.all([fetchStatus(), rooms.refresh()]);
    showStatus(status);
    const listed = list.find(({ id }) => id === room);
    meters.setListed(listed);
    byId("end").disabled = !listed;
    setText(byId("server-state"), "");
  } catch {
    setText(byId("server-state"), "no answer from the server");
  }
}

function showStatus({ version, rooms, hibernating_rooms: hibernating, memory, memory_limit: limit }) {
  const held = bytes(memory) + (limit ? ` of ${bytes(limit)}` : "");
  setText(byId("numbers"), `Version ${version}\n${counted(rooms, "room")}, ${hibernating} hibernating\n${held}`);
  byId("address").placeholder = defaultHost();
  byId("app").href = appAddress();
}

function restore() {
  const last = remembered();
  isRestored = false;
  if (last.room) pick(last.room);
  else events.follow(room);
  while (last.room && clients.cards().length < last.clients) clients.add();
  isRestored = true;
}

function take(type, data) {
  if (type === "build") return build.take(data);
  if (room === null) return;
  if (type === "gap") return timeline.addGap(data);
  if (type === "dropped") return timeline.addDropped(data);
  timeline.add(data);
  meters.take(data);
  clients.take(data);
  if (data.state) poll();
}

events.start(take);
rooms.start(pick);
clients.start({
  changed: () => { if (isRestored) remember(room, clients.cards().filter(({ isWanted }) => isWanted).length); },
  ready: events.ready,
});
keys.start([
  ["n", "Add a client", addClient],
  ["19", "Write as one of the clients", (digit) => clients.cards()[digit - 1]?.focus()],
  ["r", "Make a room", () => byId("room-name").focus()],
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
  target.value = target.value.trim().replace(/^\w+:\/\/|\/.*$/g, "");
  chooseHost(target.value);
  poll();
};
addEventListener("hashchange", restore);
document.addEventListener("visibilitychange", poll);
setInterval(poll, POLL_EVERY_MS);

clients.show(room);
// Clients need the address of rooms. If the server does not answer, it is restarting.
fetchStatus().catch(() => {}).then(() => {
  restore();
  poll();
});
