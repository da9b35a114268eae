// What an operator does with the clients of the room.

import { byId, chip, el, setText } from "./dom.js";
import { closeClient, closeRoom, sendToAll } from "./server.js";

/** A longer list would be of no use. */
const SHOWN = 100;

const list = byId("room-clients");
const field = byId("message-text");

let room = null;
let drawn, changed;

/** Takes a function that is called when something has changed in the room. */
export function start(onChange) {
  changed = onChange;
}

export function show(its) {
  room = its;
  showError();
  setClients([]);
}

/** Shows the clients of the room, with a button for each. */
export function setClients(clients) {
  const state = JSON.stringify(clients);
  if (state === drawn) return;
  drawn = state;
  const more = clients.length - SHOWN;
  list.replaceChildren(...clients.slice(0, SHOWN).map(itemOf), ...(more > 0 ? [el("li", {}, `and ${more} more`)] : []));
}

const itemOf = (client) => el("li", {}, chip(client),
  el("button", { class: "quiet", "aria-label": `Close client ${client}`, title: "Close", onclick: () => act(closeClient(room, client)) }, "✕"));

const showError = (text = "") => setText(byId("operator-error"), text);

async function act(action) {
  try {
    await action;
    showError();
  } catch ({ message }) {
    showError(message);
  }
  changed();
}

byId("message-form").onsubmit = (event) => {
  event.preventDefault();
  act(sendToAll(room, field.value).then(() => { field.value = ""; }));
};
byId("close-room").onclick = () => act(closeRoom(room));
