// The playground: joins its parts.

import * as build from "./build.js";
import * as clients from "./clients.js";
import { byId, el, setText } from "./dom.js";
import { Events } from "./events.js";
import { bytes, count, elapsed } from "./format.js";
import { remember, remembered } from "./hash.js";
import * as keys from "./keys.js";
import * as meters from "./meters.js";
import * as rooms from "./rooms.js";
import { appAddress, chooseHost, chosenHost, defaultHost, endRoom, fetchStatus } from "./server.js";
import * as snippets from "./snippets.js";
import * as timeline from "./timeline.js";

const POLL_EVERY_MS = 1000;
const STREAM_WITHIN_MS = 1000;
const FIRST_ROOM = "lobby";

const events = new Events();

let room = null;
let isServerUp = true;
/** False until the clients of the last visit are back: what they were must not be forgotten before. */
let isRestored = false;

function pick(name) {
  if (name === room) return;
  room = name;
  rooms.setCurrent(room);
  timeline.clear();
  meters.reset();
  setText(byId("room-title"), room ?? "No room yet");
  for (const id of ["connect-button", "end-button"]) byId(id).hidden = room === null;
  events.follow(room);
  clients.show(room);
  poll();
}

function addClient() {
  if (room === null) pick(FIRST_ROOM);
  return clients.add();
}

/** Adds a client, and goes to its field. On a phone this would bring up the keyboard. */
function addAndFocus() {
  const card = addClient();
  if (matchMedia("(pointer: fine)").matches) card.focus();
}

async function end() {
  if (room === null) return;
  try {
    await endRoom(room);
    rooms.showError();
  } catch (error) {
    rooms.showError(error.status === 404 ? `The room “${room}” does not exist.` : error.message);
  }
  poll();
}

async function poll() {
  if (document.hidden) return;
  try {
    const [status, list] = await Promise.all([fetchStatus(), rooms.refresh()]);
    isServerUp = true;
    showStatus(status);
    const listed = list.find(({ id }) => id === room);
    meters.setListed(listed);
    byId("end-button").disabled = !listed;
  } catch {
    isServerUp = false;
  }
  byId("server-state").hidden = isServerUp;
  setText(byId("server-state"), isServerUp ? "" : "The server does not answer. Trying again…");
}

function showStatus({ version, uptime_seconds: uptime, rooms, hibernating_rooms: hibernating, memory, memory_limit: limit }) {
  const numbers = {
    Version: version,
    Running: elapsed(uptime ?? 0),
    Rooms: hibernating > 0 ? `${count(rooms)}, ${count(hibernating)} hibernate` : count(rooms ?? 0),
    Memory: limit ? `${bytes(memory)} of ${bytes(limit)}` : bytes(memory ?? 0),
  };
  const list = byId("server-numbers");
  if (list.childElementCount === 0) {
    for (const name of Object.keys(numbers)) list.append(el("dt", {}, name), el("dd"));
  }
  const values = list.querySelectorAll("dd");
  Object.values(numbers).forEach((text, index) => setText(values[index], text));
  byId("address").placeholder = defaultHost();
  byId("app-link").href = appAddress();
}

function restore() {
  const last = remembered();
  isRestored = false;
  if (last.room !== null) pick(last.room);
  else events.follow(null);
  for (let number = clients.cards().length; number < last.clients; number += 1) addClient();
  isRestored = true;
}

function focusClient(digit) {
  clients.cards()[digit - 1]?.focus();
}

events.addEventListener("build", ({ detail }) => build.take(detail));
events.addEventListener("dropped", ({ detail }) => timeline.addDropped(detail));
events.addEventListener("gap", ({ detail }) => { if (room !== null) timeline.add({ gap: detail }); });
events.addEventListener("room", ({ detail }) => {
  if (room === null) return;
  timeline.add(detail);
  meters.take(detail);
  clients.take(detail);
  if (detail.state === "ended" || detail.state === "began") poll();
});

rooms.start(pick);
clients.start({
  changed: () => { if (isRestored) remember(room, clients.wanted()); },
  ready: () => events.ready(STREAM_WITHIN_MS),
  isServerUp: () => isServerUp,
});
keys.start([
  ["n", "Add a client", addAndFocus],
  ["19", "Write as this client", focusClient],
  ["r", "Make a room", () => byId("room-name").focus()],
  ["/", "Filter the timeline", () => byId("filter").focus()],
  ["p", "Pause or resume the timeline", () => timeline.pause()],
  ["c", "Clear the timeline", timeline.clear],
  ["b", "Show the build error", build.show],
  ["?", "Show this list", () => byId("help").showModal()],
]);

byId("add-client").onclick = addAndFocus;
byId("end-button").onclick = end;
byId("connect-button").onclick = () => snippets.open(room);
byId("help-button").onclick = () => byId("help").showModal();
byId("address").value = chosenHost();
byId("address").onchange = ({ target }) => {
  target.value = target.value.trim().replace(/^\w+:\/\/|\/.*$/g, "");
  chooseHost(target.value);
  byId("app-link").href = appAddress();
};
addEventListener("hashchange", restore);
document.addEventListener("visibilitychange", poll);
setInterval(poll, POLL_EVERY_MS);

meters.reset();
for (const id of ["connect-button", "end-button"]) byId(id).hidden = true;
// The clients need the address of rooms, and the server may just restart.
fetchStatus().catch(() => {}).then(() => {
  clients.show(null);
  restore();
  poll();
});
