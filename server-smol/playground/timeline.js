// The timeline: the newest records of the room. It is bounded: what is too much is dropped and counted.

import { count, counted } from "./format.js";
import { byId, eachFrame, isAtEnd, scrollToEnd, setText } from "./dom.js";
import { kindsOf, rowOf } from "./record.js";

const MOST_ROWS = 1000;

/** The time that rows may take of a frame, in milliseconds. The rest is for the browser. */
const FRAME_BUDGET = 6;

const rows = byId("rows");

/** The shown records, oldest first: { row, kinds, text }. */
const shown = [];

/** Records that wait for a frame, or for the end of a pause. */
let waiting = [];
let dropped = 0;
let failures = 0;
let isPaused = false;
let kind = "all";
let words = "";

const drawSoon = eachFrame(draw);

export function add(record) {
  waiting.push(record);
  // Twice the bound: cutting at each record would copy the list each time.
  if (waiting.length > 2 * MOST_ROWS) dropWaiting();
  drawSoon();
}

export function addDropped(number) {
  dropped += number;
  add({ gap: `${counted(number, "record")} not shown: this page was too slow` });
}

export function clear() {
  waiting = [];
  shown.length = 0;
  dropped = 0;
  failures = 0;
  rows.replaceChildren();
  showCounts();
}

export function pause(isOn = !isPaused) {
  isPaused = isOn;
  byId("pause").setAttribute("aria-pressed", isOn);
  drawSoon();
}

function dropWaiting() {
  const surplus = waiting.length - MOST_ROWS;
  if (surplus <= 0) return;
  dropped += surplus;
  waiting = waiting.slice(surplus);
}

function draw() {
  if (!isPaused && waiting.length > 0) {
    dropWaiting();
    drawWaiting();
    if (waiting.length > 0) drawSoon();
  }
  showCounts();
}

function drawWaiting() {
  const follows = isAtEnd(rows);
  const deadline = performance.now() + FRAME_BUDGET;
  const fragment = document.createDocumentFragment();
  let drawn = 0;
  while (drawn < waiting.length && performance.now() < deadline) {
    const entry = entryOf(waiting[drawn]);
    shown.push(entry);
    fragment.append(entry.row);
    drawn += 1;
  }
  waiting.splice(0, drawn);
  rows.append(fragment);
  for (const { row, kinds } of shown.splice(0, shown.length - MOST_ROWS)) {
    if (kinds.failures) failures -= 1;
    row.remove();
  }
  if (follows) scrollToEnd(rows);
}

function entryOf(record) {
  const row = rowOf(record);
  const entry = { row, kinds: kindsOf(record), text: row.textContent.toLowerCase() };
  if (entry.kinds.failures) failures += 1;
  row.hidden = !passes(entry);
  return entry;
}

const passes = ({ kinds, text }) => (kind === "all" || kinds.isAlways || kinds[kind]) && text.includes(words);

function filter() {
  kind = document.querySelector("#kinds :checked").value;
  words = byId("filter").value.trim().toLowerCase();
  for (const entry of shown) entry.row.hidden = !passes(entry);
  scrollToEnd(rows);
}

function showCounts() {
  setText(byId("failures"), failures > 0 ? count(failures) : "");
  setText(byId("dropped"), dropped > 0 ? `${counted(dropped, "record")} dropped` : "");
  const news = Math.min(waiting.length, MOST_ROWS);
  setText(byId("pause"), !isPaused ? "Pause" : news > 0 ? `Resume · ${count(news)} new` : "Resume");
  byId("no-rows").hidden = shown.length > 0;
  byId("newest").hidden = isAtEnd(rows);
}

byId("pause").onclick = () => pause();
byId("clear").onclick = clear;
byId("kinds").onchange = filter;
byId("filter").oninput = filter;
byId("newest").onclick = () => {
  scrollToEnd(rows);
  rows.focus();
};
rows.onscroll = () => { byId("newest").hidden = isAtEnd(rows); };
