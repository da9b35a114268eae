// The present numbers of the room: clients, memory, timer, fuel.

import { bytes, count } from "./format.js";
import { byId, eachFrame, setText } from "./dom.js";

const BARS = 60;
const BAR_STEP = 4;
const HEIGHT = 24;

/** Timers that are shorter than this are shown by their length: nobody can read them as they run. */
const SHORT_TIMER = 1000;

let state = "";
let clients;
let memory;
/** The fuel of the last events: { used, isDone }. */
let fuel = [];
/** The armed timer: { length, due }. */
let timer;

const drawSoon = eachFrame(draw);

export function reset() {
  state = "";
  clients = memory = timer = undefined;
  fuel = [];
  drawSoon();
}

/** Takes what the server's list says about the room, or nothing if it is not in there. */
export function setListed(room) {
  clients = room?.clients.length;
  if (!room) timer = undefined;
  state = !room ? "" : room.hibernates ? "hibernates" : "running";
  drawSoon();
}

export function take(record) {
  if (record.state) takeState(record.state);
  else takeEvent(record);
  drawSoon();
}

function takeState(change) {
  if (change === "began" || change === "ended") timer = memory = undefined;
  state = { hibernates: "hibernates", ended: "ended" }[change] ?? "running";
}

function takeEvent({ event, outcome, effects = [], ...record }) {
  if (event === "timer") timer = undefined;
  for (const { timer: length } of effects) {
    if (length !== undefined) timer = length > 0 ? { length, due: performance.now() + length } : undefined;
  }
  memory = record.memory ?? memory;
  if (record.fuel === undefined) return;
  fuel.push({ used: record.fuel, isDone: outcome === "done" });
  if (fuel.length > BARS) fuel.shift();
}

function draw() {
  const pill = byId("room-state");
  setText(pill, state);
  pill.className = `pill ${state}`;
  setText(byId("meter-clients"), clients === undefined ? "–" : count(clients));
  setText(byId("meter-memory"), memory === undefined ? "–" : bytes(memory));
  setText(byId("meter-fuel"), fuel.length === 0 ? "–" : count(fuel.at(-1).used));
  byId("fuel-done").setAttribute("d", bars((bar) => bar.isDone));
  byId("fuel-failed").setAttribute("d", bars((bar) => !bar.isDone));
  drawTimer();
}

/** Returns the bars that pass, for a `path`. The newest is on the right. */
function bars(passes) {
  const most = Math.max(1, ...fuel.map((bar) => bar.used));
  const first = BARS - fuel.length;
  return fuel.map((bar, index) => {
    if (!passes(bar)) return "";
    const height = Math.max(1, (bar.used / most) * HEIGHT).toFixed(1);
    return `M${(first + index + 0.5) * BAR_STEP} ${HEIGHT}v-${height}`;
  }).join("");
}

function drawTimer() {
  setText(byId("meter-timer"), timerText());
}

function timerText() {
  if (!timer) return "–";
  if (timer.length < SHORT_TIMER) return `${timer.length} ms`;
  const left = timer.due - performance.now();
  return left > 0 ? `${(left / 1000).toFixed(1)} s` : "due";
}

setInterval(() => { if (timer && !document.hidden) drawTimer(); }, 100);
