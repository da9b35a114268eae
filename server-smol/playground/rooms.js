// The list of rooms, and the form that makes one.

import { byId, el, setText } from "./dom.js";
import { counted } from "./format.js";
import { fetchRooms, makeRoom } from "./server.js";

const list = byId("room-list");

let rooms = [];
let current, drawn, pick;

export function start(onPick) {
  pick = onPick;
}

export async function refresh() {
  const answer = await fetchRooms();
  rooms = answer.rooms;
  setText(byId("room-note"), answer.next === null ? "" : `Only the first ${rooms.length} rooms are shown.`);
  show();
  return answer;
}

export function setCurrent(room) {
  current = room;
  show();
}

export const showError = (text = "") => setText(byId("room-error"), text);

function show() {
  const state = JSON.stringify([rooms, current]);
  if (state === drawn) return;
  drawn = state;
  const focused = list.querySelector(":focus")?.title;
  const buttons = rooms.map(buttonOf);
  list.replaceChildren(...buttons.map((button) => el("li", {}, button)));
  buttons.find(({ title }) => title === focused)?.focus();
}

const buttonOf = ({ id, clients: { length }, hibernates }) => el("button",
  { title: id, "aria-current": id === current, onclick: () => pick(id) },
  el("span", { class: "name" }, id),
  el("small", {}, hibernates ? "hibernating" : ""),
  el("span", { class: "number", title: counted(length, "client") }, String(length)));

byId("room-form").onsubmit = async (event) => {
  event.preventDefault();
  const field = byId("room-name");
  const room = field.value;
  try {
    await makeRoom(room);
  } catch (error) {
    // A room that exists is picked, too.
    if (error.status !== 409) return showError(error.message);
  }
  showError();
  field.value = "";
  field.blur();
  pick(room);
};
