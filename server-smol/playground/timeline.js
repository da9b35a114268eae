// The timeline: what happened in the room.

import { byId, setText } from "./dom.js";
import { count, counted } from "./format.js";
import { Newest } from "./newest.js";
import { rowOf } from "./record.js";

const rows = byId("rows");
const list = new Newest({
  list: rows,
  scroller: byId("scroller"),
  most: 1000,
  rowOf: (record) => filtered(rowOf(record)),
  changed: show,
});

let words = "";

export const add = (record) => list.add(record);

/** Says that records are missing here. */
export const addGap = (reason) => add({ state: "gap", reason, time: Date.now() });

export function addDropped(number) {
  list.dropped += number;
  list.drawSoon();
}

export const clear = () => list.clear();

export function pause() {
  list.isPaused = !list.isPaused;
  byId("pause").ariaPressed = list.isPaused;
  list.drawSoon();
}

function show() {
  const failures = rows.querySelectorAll(".failures").length;
  setText(byId("failures"), failures ? count(failures) : "");
  setText(byId("dropped"), list.dropped ? `${counted(list.dropped, "event")} dropped` : "");
  setText(byId("pause"), !list.isPaused ? "Pause" : list.waiting ? `Resume · ${count(list.waiting)} new` : "Resume");
  byId("no-rows").hidden = rows.childElementCount > 0;
}

function filtered(row) {
  row.hidden = words !== "" && !row.textContent.toLowerCase().includes(words);
  return row;
}

byId("filter").oninput = ({ target }) => {
  words = target.value.toLowerCase();
  [...rows.children].forEach(filtered);
  list.toEnd();
};
// The style sheet hides the other rows.
byId("kinds").onchange = ({ target }) => {
  rows.dataset.kind = target.value;
  list.toEnd();
};
byId("pause").onclick = pause;
byId("clear").onclick = clear;
