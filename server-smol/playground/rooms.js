// The list of rooms, and the form that makes one.

import { byId, el, setText } from "./dom.js";
import { counted } from "./format.js";
import { fetchRooms, makeRoom } from "./server.js";

const list = byId("room-list");

/** Room → { item, button, clients, state }. A poll changes only what is different, so that the focus stays. */
const entries = new Map();

let current;
let pick;

/** Takes a function that is called with the room that somebody picks. */
export function start(onPick) {
  pick = onPick;
}

/** Fetches the list, shows it, and returns it. */
export async function refresh() {
  const { rooms, next } = await fetchRooms();
  const known = new Set(rooms.map(({ id }) => id));
  for (const [id, { item }] of entries) {
    if (known.has(id)) continue;
    item.remove();
    entries.delete(id);
  }
  rooms.forEach(show);
  setText(byId("room-note"), next === null ? "" : `The first ${rooms.length} rooms.`);
  return rooms;
}

function show({ id, clients, hibernates }, index) {
  if (!entries.has(id)) entries.set(id, newEntry(id));
  const entry = entries.get(id);
  if (list.children[index] !== entry.item) list.insertBefore(entry.item, list.children[index]);
  setText(entry.clients, String(clients.length));
  entry.clients.title = counted(clients.length, "client");
  setText(entry.state, hibernates ? "hibernates" : "");
  mark(entry, id);
}

function newEntry(id) {
  const [state, clients] = [el("small"), el("span", { class: "number" })];
  const button = el("button", { type: "button", title: id }, el("span", { class: "name" }, id), state, clients);
  button.onclick = () => pick(id);
  return { item: el("li", {}, button), button, clients, state };
}

const mark = ({ button }, id) => button.setAttribute("aria-current", id === current);

export function setCurrent(room) {
  current = room;
  entries.forEach(mark);
}

export function showError(text = "") {
  setText(byId("room-error"), text);
}

byId("room-form").onsubmit = async (event) => {
  event.preventDefault();
  const field = byId("room-name");
  const room = field.value;
  // Addresses take these for directories.
  if (/^\.\.?$/.test(room)) return showError(`No address has the room “${room}”.`);
  try {
    await makeRoom(room);
  } catch (error) {
    // If it exists, it can be picked.
    if (error.status !== 409) return showError(error.message);
  }
  showError();
  field.value = "";
  field.blur();
  pick(room);
};
