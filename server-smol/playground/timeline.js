// The timeline: what happened in the room.

import { byId, setText } from "./dom.js";
import { count, counted } from "./format.js";
import { Newest } from "./newest.js";
import { rowOf } from "./record.js";

const MOST_ROWS = 1000;

const rows = byId("rows");
const list = new Newest(rows, byId("scroller"), MOST_ROWS, filteredRow, show);

let words = "";

export const add = (record) => list.add(record);

/** Says that records are missing here. */
export const addGap = (reason) => add({ state: "gap", reason, time: Date.now() });

export function addDropped(number) {
  list.dropped += number;
  addGap(`${counted(number, "record")} not shown: this page was too slow`);
}

export const clear = () => list.clear();

export function pause() {
  list.isPaused = !list.isPaused;
  byId("pause").setAttribute("aria-pressed", list.isPaused);
  list.drawSoon();
}

function show() {
  const failures = rows.querySelectorAll(".failures").length;
  setText(byId("failures"), failures ? count(failures) : "");
  setText(byId("dropped"), list.dropped ? `${counted(list.dropped, "record")} dropped` : "");
  setText(byId("pause"), !list.isPaused ? "Pause" : list.waiting ? `Resume · ${count(list.waiting)} new` : "Resume");
  byId("no-rows").hidden = rows.childElementCount > 0;
  byId("newest").hidden = list.isAtEnd;
}

function filteredRow(record) {
  const row = rowOf(record);
  filter(row);
  return row;
}

function filter(row) {
  row.hidden = words !== "" && !row.textContent.toLowerCase().includes(words);
}

byId("filter").oninput = ({ target }) => {
  words = target.value.toLowerCase();
  [...rows.children].forEach(filter);
  list.toEnd();
};
// The style sheet hides the other rows.
byId("kinds").onchange = ({ target }) => {
  rows.dataset.kind = target.value;
  list.toEnd();
};
byId("pause").onclick = pause;
byId("clear").onclick = clear;
byId("newest").onclick = () => {
  list.toEnd();
  list.scroller.focus();
};
