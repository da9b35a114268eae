// What a client has sent and received.

import { el } from "./dom.js";
import { bytes, clock, decode, encode, toHex } from "./format.js";
import { Newest } from "./newest.js";
import { payload } from "./record.js";

const PREVIEW = 1024;

/** Returns a list and a function that adds to it: text or a buffer that was "sent" or "received", or text that was "said". */
export function messageList() {
  const list = el("ol", { class: "talk", "aria-label": "Messages", tabIndex: 0 });
  const newest = new Newest({ list, scroller: list, most: 200, rowOf });
  // A hidden tab draws no rows. It must not keep all of the messages for them.
  const add = (direction, data) => newest.add({ direction, at: clock(Date.now()), ...cut(data) });
  return { list, add };
}

/** Returns the begin of a message, and its size. */
function cut(data) {
  const isText = typeof data === "string";
  const size = isText ? encode(data).length : data.byteLength;
  const preview = data.slice(0, PREVIEW);
  // A part of a text keeps all of it, if it is no copy.
  return { isText, size, preview: isText ? decode(encode(preview)) : preview };
}

function rowOf({ direction, at, isText, size, preview }) {
  if (direction === "said") return el("li", { class: "said" }, preview, el("time", {}, at));
  return el("li", { class: direction, title: at },
    el("span", { role: "img", "aria-label": direction }, direction === "sent" ? "↑" : "↓"),
    payload(isText ? { text: preview, size } : { hex: toHex(preview), size }),
    el("small", {}, bytes(size)));
}
