// How to connect to the room from elsewhere.

import { byId, el } from "./dom.js";
import { roomAddress } from "./server.js";

const COPIED_SHOWN = 1500;

export function open(room) {
  byId("snippet-list").replaceChildren(...snippetsOf(room).map(figure));
  byId("snippets").showModal();
}

function snippetsOf(room) {
  const [name, address] = [literal(room), roomAddress(room)];
  return [
    ["JavaScript, with the client library, which connects again by itself", `import { RoomSocket, roomUrl } from "/_/client.js";

const socket = new RoomSocket(roomUrl(${name}));
socket.onmessage = ({ data }) => console.log(data);
socket.send("hello");`],
    ["JavaScript", `const socket = new WebSocket(${literal(address)});
socket.onmessage = ({ data }) => console.log(data);
socket.onopen = () => socket.send("hello");`],
    // Addresses may have this quote, and shells end a text with it.
    ["A shell, with websocat", `websocat '${address.replaceAll("'", "%27")}'`],
  ];
}

/** A string of JavaScript, also within a page's `<script>`. */
const literal = (text) => JSON.stringify(text).replaceAll("<", "\\x3c");

function figure([title, code]) {
  const text = el("code", {}, code);
  const copy = el("button", { type: "button", "aria-label": `Copy: ${title}` }, "Copy");
  copy.onclick = async () => {
    copy.textContent = await copied(text) ? "Copied" : "Selected";
    setTimeout(() => { copy.textContent = "Copy"; }, COPIED_SHOWN);
  };
  return el("figure", {}, el("figcaption", {}, title, copy), el("pre", { tabIndex: 0 }, text));
}

/** Copies a text, or selects it: browsers let only pages of HTTPS and of this machine copy. */
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return false;
  }
}
