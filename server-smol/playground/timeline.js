// The timeline: the newest records of the room. It is bounded: what is too much is dropped and counted.

import { byId, eachFrame, followEnd, setText } from "./dom.js";
import { count, counted } from "./format.js";
import { kindsOf, rowOf } from "./record.js";

const MOST_ROWS = 1000;

/** The time that rows may take of a frame, in milliseconds. The rest is for the browser. */
const FRAME_BUDGET = 6;

const rows = byId("rows");
const follow = followEnd(byId("scroller"), (isAtEnd) => { byId("newest").hidden = isAtEnd; });

/** The rows, oldest first: { row, kinds, text }. */
let shown = [];

/** Records that wait for a frame, or for the end of a pause. */
let waiting = [];
let dropped = 0;
let isPaused = false;
let kind = "all";
let words = "";

const drawSoon = eachFrame(draw);

export function add(record) {
  waiting.push(record);
  // At twice the bound: cutting at each record would move all others each time.
  if (waiting.length >= 2 * MOST_ROWS) dropWaiting();
  drawSoon();
}

export function addGap(reason) {
  add({ state: "gap", reason, time: Date.now() });
}

export function addDropped(number) {
  dropped += number;
  addGap(`${counted(number, "record")} not shown: this page was too slow`);
}

export function clear() {
  waiting = [];
  shown = [];
  dropped = 0;
  rows.replaceChildren();
  drawSoon();
}

export function pause() {
  isPaused = !isPaused;
  byId("pause").setAttribute("aria-pressed", isPaused);
  drawSoon();
}

function dropWaiting() {
  const { length } = waiting.splice(0, Math.max(0, waiting.length - MOST_ROWS));
  dropped += length;
}

function draw() {
  if (!isPaused && waiting.length > 0) drawWaiting();
  const failures = shown.filter(({ kinds }) => kinds.isFailure).length;
  setText(byId("failures"), failures > 0 ? count(failures) : "");
  setText(byId("dropped"), dropped > 0 ? `${counted(dropped, "record")} dropped` : "");
  setText(byId("pause"), !isPaused ? "Pause" : waiting.length > 0 ? `Resume · ${count(waiting.length)} new` : "Resume");
  byId("no-rows").hidden = shown.length > 0;
}

function drawWaiting() {
  dropWaiting();
  const deadline = performance.now() + FRAME_BUDGET;
  let drawn = 0;
  while (drawn < waiting.length && performance.now() < deadline) {
    shown.push(entryOf(waiting[drawn]));
    drawn += 1;
  }
  waiting.splice(0, drawn);
  rows.append(...shown.slice(-drawn).map(({ row }) => row));
  for (const { row } of shown.splice(0, shown.length - MOST_ROWS)) row.remove();
  follow();
  if (waiting.length > 0) drawSoon();
}

function entryOf(record) {
  const row = rowOf(record);
  const entry = { row, kinds: kindsOf(record), text: row.textContent.toLowerCase() };
  row.hidden = !passes(entry);
  return entry;
}

const passes = ({ kinds, text }) => (kind === "all" || kinds[kind]) && text.includes(words);

function filter() {
  kind = document.querySelector("#kinds :checked").value;
  words = byId("filter").value.toLowerCase();
  for (const entry of shown) entry.row.hidden = !passes(entry);
  follow(true);
}

byId("pause").onclick = pause;
byId("clear").onclick = clear;
byId("kinds").onchange = filter;
byId("filter").oninput = filter;
byId("newest").onclick = () => {
  follow(true);
  byId("scroller").focus();
};
