// What a client has sent and received: the newest messages.

import { eachFrame, el, followEnd } from "./dom.js";
import { bytes, clock, count, toHex } from "./format.js";
import { payload } from "./record.js";

const MOST_MESSAGES = 200;
const PREVIEW = 1024;

const encoder = new TextEncoder();

export class Messages {
  list = el("ol", { class: "messages", role: "log", "aria-live": "off", "aria-label": "Messages", tabIndex: 0 });
  #waiting = [];
  #dropped = 0;
  #note = el("li", { class: "note" });
  #follow = followEnd(this.list);
  #drawSoon = eachFrame(() => this.#draw());

  /** Adds text or an `ArrayBuffer` that was "sent" or "received", or something that was "said" about the connection. */
  add(direction, data) {
    this.#waiting.push({ direction, data, time: Date.now() });
    if (this.#waiting.length >= 2 * MOST_MESSAGES) this.#dropWaiting();
    this.#drawSoon();
  }

  #dropWaiting() {
    const { length } = this.#waiting.splice(0, Math.max(0, this.#waiting.length - MOST_MESSAGES));
    this.#dropped += length;
  }

  #draw() {
    this.#dropWaiting();
    this.#note.remove();
    this.list.append(...this.#waiting.splice(0).map(rowOf));
    while (this.list.childElementCount > MOST_MESSAGES) {
      this.list.firstChild.remove();
      this.#dropped += 1;
    }
    if (this.#dropped > 0) {
      this.#note.textContent = `${count(this.#dropped)} older are not kept`;
      this.list.prepend(this.#note);
    }
    this.#follow();
  }
}

function rowOf({ direction, data, time }) {
  const at = clock(time);
  if (direction === "said") return el("li", { class: direction }, el("span", {}, data), el("time", {}, at));
  const size = data.byteLength ?? encoder.encode(data).length;
  const preview = data.slice(0, PREVIEW);
  return el("li", { class: direction },
    el("span", { role: "img", "aria-label": direction }, direction === "sent" ? "↑" : "↓"),
    payload(typeof data === "string" ? { text: preview, size } : { hex: toHex(preview), size }),
    el("small", { title: at }, bytes(size)));
}
