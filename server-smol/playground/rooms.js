// The list of rooms, and the form that makes one.

import { counted } from "./format.js";
import { byId, el, setText } from "./dom.js";
import { fetchRooms, isRoomName, makeRoom } from "./server.js";

const list = byId("room-list");

/** Room → { item, button, clients, state }, so that a poll changes only what is different and the focus stays. */
const entries = new Map();

let current = null;
let onPick;

export function start(pick) {
  onPick = pick;
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
  setText(byId("room-note"), note(rooms, next));
  return rooms;
}

function note(rooms, next) {
  if (next !== null) return `Only the first ${rooms.length} rooms are listed.`;
  return rooms.length === 0 ? "No room yet. Add a client and it makes one." : "";
}

function show({ id, clients, hibernates }, index) {
  const entry = entries.get(id) ?? newEntry(id);
  if (list.children[index] !== entry.item) list.insertBefore(entry.item, list.children[index] ?? null);
  setText(entry.clients, String(clients.length));
  entry.clients.title = counted(clients.length, "client");
  setText(entry.state, hibernates ? "hibernates" : "");
  entry.button.classList.toggle("hibernates", hibernates);
  mark(id, entry);
}

function newEntry(id) {
  const [clients, state] = [el("span", { class: "number" }), el("small")];
  const button = el("button", { type: "button", title: id }, el("span", { class: "name" }, id), state, clients);
  button.onclick = () => onPick(id);
  const entry = { item: el("li", {}, button), button, clients, state };
  entries.set(id, entry);
  return entry;
}

function mark(id, { button }) {
  if (id === current) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

export function setCurrent(room) {
  current = room;
  entries.forEach((entry, id) => mark(id, entry));
}

export function showError(text = "") {
  byId("room-error").hidden = text === "";
  setText(byId("room-error"), text);
}

byId("room-form").onsubmit = async (event) => {
  event.preventDefault();
  const field = byId("room-name");
  const room = field.value;
  if (!isRoomName(room)) return showError(`No address can have the room “${room}”.`);
  try {
    await makeRoom(room);
    showError();
  } catch (error) {
    // A room that exists is what was wanted.
    if (error.status !== 409) return showError(error.message);
    showError();
  }
  field.value = "";
  field.blur();
  onPick(room);
};
