// What a client has sent and received.

import { el } from "./dom.js";
import { bytes, clock, count, encode, toHex } from "./format.js";
import { Newest } from "./newest.js";
import { payload } from "./record.js";

const MOST_MESSAGES = 200;
const PREVIEW = 1024;

/** Returns a list and a function that adds to it: text or a buffer that was "sent" or "received", or text that was "said". */
export function messageList() {
  const list = el("ol", { class: "talk", "aria-label": "Messages", tabIndex: 0 });
  const newest = new Newest(list, list, MOST_MESSAGES, rowOf, () => {
    if (newest.dropped) list.title = `${count(newest.dropped)} messages were not shown`;
  });
  return [list, (direction, data) => newest.add({ direction, data, at: clock(Date.now()) })];
}

function rowOf({ direction, data, at }) {
  if (direction === "said") return el("li", { class: "said" }, data, el("time", {}, at));
  const size = data.byteLength ?? encode(data).length;
  const preview = data.slice(0, PREVIEW);
  return el("li", { class: direction, title: at },
    el("span", { role: "img", "aria-label": direction }, direction === "sent" ? "↑" : "↓"),
    payload(data.byteLength === undefined ? { text: preview, size } : { hex: toHex(preview), size }),
    el("small", {}, bytes(size)));
}
