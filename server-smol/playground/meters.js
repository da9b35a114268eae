// The present numbers of the room.

import { byId, eachFrame, setText } from "./dom.js";
import { bytes, count } from "./format.js";

const BARS = 60;
const BAR_STEP = 4;
const HEIGHT = 24;

/** Nobody can read how shorter ones run. */
const SHORT_TIMER = 1000;

let state, clients, memory;
/** The armed timer: { length, due }. */
let timer;
/** The fuel of the last events: { used, isDone }. */
let fuel = [];

const drawSoon = eachFrame(draw);

export function reset() {
  memory = timer = undefined;
  fuel = [];
  setListed();
}

/** Takes what the list of rooms has about this one, if it is there. */
export function setListed(room) {
  clients = room?.clients.length;
  state = room && (room.hibernates ? "hibernates" : "running");
  drawSoon();
}

export function take({ state: change, event, outcome, fuel: used, memory: held, effects = [] }) {
  if (change) state = change === "began" || change === "wakes" ? "running" : change;
  if (change === "began" || change === "ended") timer = memory = undefined;
  if (event === "timer") timer = undefined;
  for (const { timer: length } of effects) {
    if (length !== undefined) timer = length ? { length, due: performance.now() + length } : undefined;
  }
  memory = held ?? memory;
  if (used !== undefined) fuel = [...fuel.slice(1 - BARS), { used, isDone: outcome === "done" }];
  drawSoon();
}

function draw() {
  byId("room-state").className = `pill ${state}`;
  setText(byId("room-state"), state === "hibernates" ? "hibernating" : state ?? "");
  show("clients", clients, count);
  show("memory", memory, bytes);
  show("fuel", fuel.at(-1)?.used, count);
  byId("fuel-done").setAttribute("d", bars(true));
  byId("fuel-failed").setAttribute("d", bars(false));
  drawTimer();
}

const show = (name, value, format) => setText(byId(`meter-${name}`), value === undefined ? "–" : format(value));

/** Returns the path of the bars for events that are done, or failed. The newest is on the right. */
function bars(areDone) {
  const scale = HEIGHT / Math.max(1, ...fuel.map(({ used }) => used));
  const first = BARS - fuel.length + 0.5;
  return fuel.map(({ used, isDone }, index) =>
    (isDone === areDone ? `M${(first + index) * BAR_STEP} ${HEIGHT}v-${Math.max(1, used * scale)}` : "")).join("");
}

function drawTimer() {
  show("timer", timer, ({ length, due }) => {
    const left = due - performance.now();
    return length < SHORT_TIMER ? `${length} ms` : left > 0 ? `${(left / 1000).toFixed(1)} s` : "due";
  });
}

setInterval(() => timer && drawTimer(), 100);
