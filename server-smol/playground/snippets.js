// How to connect to the room from elsewhere.

import { byId, el } from "./dom.js";
import { roomAddress } from "./server.js";

export function open(room) {
  byId("snippet-list").replaceChildren(...snippetsOf(room).map(figure));
  byId("snippets").showModal();
}

/** A string of JavaScript, also within the `<script>` of a page. */
const literal = (text) => JSON.stringify(text).replaceAll("<", "\\x3c");

const snippetsOf = (room) => [
  ["JavaScript with the client library, which connects again by itself", `import { RoomSocket, roomUrl } from "/_/client.js";

const socket = new RoomSocket(roomUrl(${literal(room)}));
socket.onmessage = ({ data }) => console.log(data);
socket.send("hello");`],
  ["JavaScript", `const socket = new WebSocket(${literal(roomAddress(room))});
socket.onmessage = ({ data }) => console.log(data);
socket.onopen = () => socket.send("hello");`],
  // An address may have this quote, and it would end the text for a shell.
  ["A terminal", `websocat '${roomAddress(room).replaceAll("'", "%27")}'`],
];

function figure([title, text]) {
  const code = el("code", {}, text);
  const button = el("button", { type: "button", "aria-label": `Copy: ${title}` }, "Copy");
  button.onclick = async () => { button.textContent = await copy(code); };
  return el("figure", {}, el("figcaption", {}, title, button), el("pre", { tabIndex: 0 }, code));
}

/** Copies a text, or selects it: browsers let only pages of HTTPS and of this machine copy. */
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(element);
    return "Selected";
  }
}
