// A record of the room as a row of the timeline.

import { bytes, clock, count, counted, duration, spaced } from "./format.js";
import { chip, el } from "./dom.js";

/** Data that is longer than this is shown in part, until somebody wants more. */
const SHORT = 240;

const STATES = { began: "room began", hibernates: "hibernates", wakes: "wakes", ended: "room ended" };

/** Returns a row for a record, or for a gap between records: `{ gap: "why" }`. */
export function rowOf(record) {
  if (record.gap) return el("li", { class: "state gap" }, el("span", {}, record.gap));
  if (record.state) return stateRow(record);
  return eventRow(record);
}

/** Returns which of the filters show a record. */
export function kindsOf({ gap, state, event, outcome, effects = [] }) {
  if (gap || state) return { isAlways: true };
  return {
    messages: event === "message" || effects.some((effect) => "send" in effect),
    log: effects.some((effect) => "log" in effect),
    failures: outcome !== "done",
  };
}

function stateRow({ time, state, reason }) {
  const text = STATES[state] ?? state;
  return el("li", { class: `state ${state}` }, el("time", {}, clock(time)), el("span", {}, reason ? `${text}: ${reason}` : text));
}

function eventRow(record) {
  const { time, event, client, message, outcome, reason, fuel, memory, micros, effects = [], more = 0 } = record;
  const data = el("div", { class: "data" });
  if (message) data.append(payload(message));
  if (outcome !== "done") data.append(effect("failure", outcome, reason ?? ""));
  data.append(...effects.map(effectLine));
  if (more > 0) data.append(effect("more", "", `and ${counted(more, "more effect")}`));
  return el("li", { class: `event ${outcome}` },
    el("time", {}, clock(time)),
    el("span", { class: "who" }, client === undefined ? "" : chip(client)),
    el("span", { class: `name ${event}` }, event),
    data,
    number("size", message ? bytes(message.size) : ""),
    number("fuel", fuel === undefined ? "" : count(fuel), "fuel"),
    number("memory", memory === undefined ? "" : bytes(memory)),
    number("took", micros === undefined ? "" : duration(micros)));
}

const number = (name, text, unit) => el("span", { class: `number ${name}`, "data-unit": unit }, text);

function effectLine(its) {
  if ("send" in its) return effect("send", ["→ ", ...audience(its.send)], payload(its.message), size(its.message));
  if ("close" in its) return effect("close", ["closes ", ...audience(its.close)], `${its.code} ${its.reason}`);
  if ("timer" in its) return effect("timer", "timer", its.timer === 0 ? "cancelled" : `in ${count(its.timer)} ms`);
  if ("log" in its) return effect(`log ${its.log}`, its.log, its.text);
  return effect("more", "", JSON.stringify(its));
}

const size = (message) => el("small", {}, bytes(message.size));

function effect(name, label, ...content) {
  return el("p", { class: `effect ${name}` }, el("b", {}, ...[label].flat()), el("span", {}, ...content));
}

function audience(to) {
  if (to === "everyone") return ["everyone"];
  return "except" in to ? ["all but ", chip(to.except)] : [chip(to.client)];
}

/** Returns the preview of a message, as text or as hex digits. */
export function payload({ text, hex, size }) {
  const content = text ?? spaced(hex ?? "");
  const isCut = hex === undefined ? content.length > SHORT : content.length > SHORT * 2;
  const data = el("code", { class: hex === undefined ? "text" : "hex" });
  if (size === 0) {
    data.append(el("i", {}, "empty"));
  } else if (isCut) {
    const more = el("button", { type: "button", class: "more" }, "more");
    const short = content.slice(0, SHORT);
    more.onclick = () => data.replaceChildren(content);
    data.append(`${short}… `, more);
  } else {
    data.append(content);
  }
  return data;
}
