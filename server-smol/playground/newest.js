// A list that keeps its newest rows, and draws them with the frames. What is too much is dropped and counted.

import { eachFrame } from "./dom.js";

/** The time that rows may take of a frame, in milliseconds. The rest is for the browser. */
const FRAME_BUDGET = 6;

export class Newest {
  dropped = 0;
  isPaused = false;
  isAtEnd = true;
  #waiting = [];

  /** Takes the list, the element that scrolls, the most rows, and functions: one makes rows, one is called after changes. */
  constructor(list, scroller, most, rowOf, changed) {
    this.drawSoon = eachFrame(() => {
      if (!this.isPaused) this.#draw();
      changed();
    });
    Object.assign(this, { list, scroller, most, rowOf });
    // It stays at its end until somebody scrolls up. A list also leaves its end when it becomes lower.
    let last = 0;
    scroller.onscroll = () => {
      const top = scroller.scrollTop;
      if (scroller.scrollHeight - top - scroller.clientHeight < 24) this.isAtEnd = true;
      else if (top < last) this.isAtEnd = false;
      last = top;
      changed();
    };
    new ResizeObserver(() => this.#follow()).observe(scroller);
  }

  get waiting() {
    return this.#waiting.length;
  }

  add(item) {
    this.#waiting.push(item);
    // At twice the bound: cutting at each item would move all others each time.
    if (this.waiting >= 2 * this.most) this.#dropWaiting();
    this.drawSoon();
  }

  clear() {
    this.#waiting = [];
    this.dropped = 0;
    this.list.replaceChildren();
    this.toEnd();
  }

  toEnd() {
    this.isAtEnd = true;
    this.#follow();
    this.drawSoon();
  }

  #follow() {
    if (this.isAtEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #dropWaiting() {
    this.dropped += this.#waiting.splice(0, Math.max(0, this.waiting - this.most)).length;
  }

  #draw() {
    this.#dropWaiting();
    const deadline = performance.now() + FRAME_BUDGET;
    let drawn = 0;
    while (drawn < this.waiting && performance.now() < deadline) {
      this.list.append(this.rowOf(this.#waiting[drawn]));
      drawn += 1;
    }
    this.#waiting.splice(0, drawn);
    while (this.list.childElementCount > this.most) this.list.firstChild.remove();
    this.#follow();
    if (this.waiting > 0) this.drawSoon();
  }
}
