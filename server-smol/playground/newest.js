// A list that keeps its newest rows, and draws them with the frames. What is too much is dropped and counted.

import { eachFrame } from "./dom.js";

/** The time that rows may take of a frame, in milliseconds. The rest is for the browser. */
const FRAME_BUDGET = 6;

export class Newest {
  dropped = 0;
  isPaused = false;
  #isAtEnd = true;
  #waiting = [];

  /** Takes `{ list, scroller, most, rowOf, changed }`: elements, the most rows, functions. */
  constructor(its) {
    Object.assign(this, its);
    this.drawSoon = eachFrame(() => this.#draw());
    // It stays at its end until somebody scrolls up, also when it becomes lower.
    let last = 0;
    this.scroller.onscroll = () => {
      const { scrollTop, scrollHeight, clientHeight } = this.scroller;
      this.#isAtEnd = scrollHeight - scrollTop - clientHeight < 24 || (this.#isAtEnd && scrollTop >= last);
      last = scrollTop;
    };
    const resized = new ResizeObserver(() => this.#follow());
    resized.observe(this.scroller);
    resized.observe(this.list);
  }

  get waiting() {
    return this.#waiting.length;
  }

  add(item) {
    this.#waiting.push(item);
    // At twice the bound: cutting at each item would move all others each time.
    if (this.waiting >= 2 * this.most) this.#cut();
    this.drawSoon();
  }

  clear() {
    this.#waiting = [];
    this.dropped = 0;
    this.list.replaceChildren();
    this.toEnd();
  }

  toEnd() {
    this.#isAtEnd = true;
    this.drawSoon();
  }

  #cut() {
    this.dropped += this.#waiting.splice(0, Math.max(0, this.waiting - this.most)).length;
  }

  #draw() {
    this.#cut();
    const deadline = performance.now() + FRAME_BUDGET;
    let drawn = 0;
    while (!this.isPaused && drawn < this.waiting && performance.now() < deadline) {
      this.list.append(this.rowOf(this.#waiting[drawn]));
      drawn += 1;
    }
    this.#waiting.splice(0, drawn);
    while (this.list.childElementCount > this.most) this.list.firstChild.remove();
    this.#follow();
    if (!this.isPaused && this.waiting) this.drawSoon();
    this.changed?.();
  }

  #follow() {
    if (this.#isAtEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}
