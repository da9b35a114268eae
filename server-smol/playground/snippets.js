// How to connect to the room from elsewhere.

import { byId, el } from "./dom.js";
import { roomAddress } from "./server.js";

export function open(room) {
  byId("snippet-list").replaceChildren(...snippetsOf(room).map(figure));
  byId("snippets").showModal();
}

/** A string of JavaScript, also in a `<script>`. */
const literal = (text) => JSON.stringify(text).replaceAll("<", "\\x3c");

const snippetsOf = (room) => [
  ["Client library", `import { RoomSocket, roomUrl } from "/_/client.js";

const socket = new RoomSocket(roomUrl(${literal(room)}));
socket.onmessage = ({ data }) => console.log(data);
socket.send("hello");`],
  ["WebSocket", `const socket = new WebSocket(${literal(roomAddress(room))});
socket.onmessage = ({ data }) => console.log(data);
socket.onopen = () => socket.send("hello");`],
  // Shells end a text at this quote.
  ["Terminal", `websocat '${roomAddress(room).replaceAll("'", "%27")}'`],
];

function figure([title, text]) {
  const code = el("code", {}, text);
  const copy = el("button", { "aria-label": `Copy: ${title}` }, "Copy");
  copy.onclick = async () => {
    // Browsers let only pages of HTTPS and of this machine copy.
    getSelection().selectAllChildren(code);
    copy.textContent = "Selected";
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  };
  return el("figure", {}, el("figcaption", {}, title, copy), el("pre", { tabIndex: 0 }, code));
}
