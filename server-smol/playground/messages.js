// What a client has sent and received.

import { el } from "./dom.js";
import { bytes, clock, encode, toHex } from "./format.js";
import { Newest } from "./newest.js";
import { payload } from "./record.js";

const PREVIEW = 1024;

/** Returns a list and a function that adds to it: text or a buffer that was "sent" or "received", or text that was "said". */
export function messageList() {
  const list = el("ol", { class: "talk", "aria-label": "Messages", tabIndex: 0 });
  const newest = new Newest({ list, scroller: list, most: 200, rowOf });
  return { list, add: (direction, data) => newest.add({ direction, data, at: clock(Date.now()) }) };
}

function rowOf({ direction, data, at }) {
  if (direction === "said") return el("li", { class: "said" }, data, el("time", {}, at));
  const isText = typeof data === "string";
  const size = isText ? encode(data).length : data.byteLength;
  const preview = data.slice(0, PREVIEW);
  return el("li", { class: direction, title: at },
    el("span", { role: "img", "aria-label": direction }, direction === "sent" ? "↑" : "↓"),
    payload(isText ? { text: preview, size } : { hex: toHex(preview), size }),
    el("small", {}, bytes(size)));
}
