// What a client has sent and received: the newest messages.

import { bytes, clock, count, spaced, toHex } from "./format.js";
import { eachFrame, el, isAtEnd, scrollToEnd } from "./dom.js";

const MOST_MESSAGES = 200;
const PREVIEW = 1024;

const encoder = new TextEncoder();

export class Messages {
  list = el("ol", { class: "messages", role: "log", "aria-live": "off", "aria-label": "Messages", tabIndex: 0 });
  #waiting = [];
  #dropped = 0;
  #note = el("li", { class: "note" });
  #drawSoon = eachFrame(() => this.#draw());

  /** Adds text or an `ArrayBuffer`. */
  add(direction, data) {
    this.#push({ direction, data, time: Date.now() });
  }

  /** Adds a line about the connection. */
  say(text, isBad) {
    this.#push({ text, isBad, time: Date.now() });
  }

  #push(message) {
    this.#waiting.push(message);
    if (this.#waiting.length > 2 * MOST_MESSAGES) this.#dropWaiting();
    this.#drawSoon();
  }

  #dropWaiting() {
    const surplus = Math.max(0, this.#waiting.length - MOST_MESSAGES);
    this.#dropped += surplus;
    this.#waiting.splice(0, surplus);
  }

  #draw() {
    this.#dropWaiting();
    const follows = isAtEnd(this.list);
    this.#note.remove();
    this.list.append(...this.#waiting.splice(0).map(rowOf));
    while (this.list.childElementCount > MOST_MESSAGES) {
      this.list.firstElementChild.remove();
      this.#dropped += 1;
    }
    if (this.#dropped > 0) {
      this.#note.textContent = `${count(this.#dropped)} older not kept`;
      this.list.prepend(this.#note);
    }
    if (follows) scrollToEnd(this.list);
  }
}

function rowOf({ direction, data, text, isBad, time }) {
  const at = el("time", {}, clock(time));
  if (text !== undefined) return el("li", { class: isBad ? "said bad" : "said" }, el("span", {}, text), at);
  const [content, size, kind] = typeof data === "string"
    ? [cut(data, PREVIEW), encoder.encode(data).length, "text"]
    : [spaced(toHex(data.slice(0, PREVIEW / 4))) + (data.byteLength > PREVIEW / 4 ? "…" : ""), data.byteLength, "hex"];
  return el("li", { class: direction },
    el("span", { class: "arrow", role: "img", "aria-label": direction }, direction === "sent" ? "↑" : "↓"),
    el("code", { class: kind }, size > 0 ? content : el("i", {}, "empty")),
    el("small", { title: clock(time) }, bytes(size)));
}

const cut = (text, length) => (text.length > length ? `${text.slice(0, length)}…` : text);
