// A record of the room as a row of the timeline.

import { chip, el } from "./dom.js";
import { bytes, clock, count, counted, duration, spaced } from "./format.js";

const STATES = { began: "the room begins", ended: "the room has ended" };

/** Returns which of the filters show a record. */
export function kindsOf({ event, outcome, effects = [] }) {
  if (!event) return { messages: true, log: true, failures: true };
  const has = (name) => effects.some((effect) => name in effect);
  const isFailure = outcome !== "done";
  return { messages: event === "message" || has("send"), log: has("log"), failures: isFailure, isFailure };
}

/** Returns a row for a record, or for a gap between records: `{ state: "gap", reason, time }`. */
export function rowOf({ time, state, reason, event, client, message, outcome, fuel, memory, micros, effects = [], more }) {
  if (state) {
    const text = [STATES[state] ?? state, reason].filter((part) => part && part !== "gap").join(": ");
    return el("li", { class: `change ${state}` }, el("time", {}, clock(time)), text);
  }
  const data = el("div", { class: "data" });
  if (message) data.append(payload(message));
  if (outcome !== "done") data.append(line("error", outcome, reason ?? ""));
  data.append(...effects.map(effectLine));
  if (more > 0) data.append(line("", "and", counted(more, "more effect")));
  return el("li", { class: `event ${outcome}` },
    el("time", {}, clock(time)),
    el("span", {}, client === undefined ? "" : chip(client)),
    el("span", { class: event }, event),
    data,
    number("size", message?.size, bytes),
    number("fuel", fuel, count),
    number("memory", memory, bytes),
    number("took", micros, duration));
}

const number = (name, value, format) => el("span", { class: `number ${name}` }, value === undefined ? "" : format(value));

function effectLine({ send, message, close, code, reason, timer, log, text }) {
  if (send) return line("", ["→ ", ...audience(send)], payload(message), el("small", {}, bytes(message.size)));
  if (close) return line("", ["closes ", ...audience(close)], `${code} ${reason}`);
  if (log) return line(`said ${log}`, log, text);
  return line("", "timer", timer > 0 ? `in ${count(timer)} ms` : "off");
}

const line = (name, label, ...content) =>
  el("p", { class: `effect ${name}` }, el("b", {}, ...[label].flat()), el("span", {}, ...content));

function audience(to) {
  if (to === "everyone") return [to];
  return to.except === undefined ? [chip(to.client)] : ["all but ", chip(to.except)];
}

/** Returns a message as text or as hex digits, as far as it is known. */
export function payload({ text, hex, size }) {
  if (size === 0) return el("code", {}, el("i", {}, "empty"));
  const content = text ?? spaced(hex);
  const known = hex === undefined ? new Blob([text]).size : hex.length / 2;
  return el("code", { class: hex === undefined ? "text" : "hex" }, known < size ? `${content}…` : content);
}
