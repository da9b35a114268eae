// A record of the room as a row of the timeline.

import { chip, el } from "./dom.js";
import { bytes, clock, count, counted, duration, encode, spaced } from "./format.js";

/** Returns a row for a record, or for a gap between records. Its classes say which filters show it. */
export function rowOf({ time, state, reason, event, client, message, outcome, fuel, memory, micros, effects = [], more, operator, clients, code }) {
  const at = el("time", {}, clock(time));
  if (state) return el("li", { class: `change ${state}` }, at, reason ? `${state}: ${reason}` : `room ${state}`);
  if (operator) return el("li", { class: "change" }, at, ...operatorWords({ operator, client, clients, message, code, reason }));
  const data = el("div", { class: "data" });
  if (message) data.append(payload(message));
  if (outcome !== "done") data.append(line("error", outcome, reason ?? ""));
  data.append(...effects.map(effectLine));
  if (more) data.append(line("", "and", counted(more, "more effect")));
  const has = (name) => effects.some((effect) => effect[name]);
  const kinds = [outcome === "done" ? "" : "failures", has("log") ? "log" : "", message || has("send") ? "messages" : ""];
  return el("li", { class: `event ${outcome} ${kinds.join(" ")}` },
    at,
    el("span", {}, client === undefined ? "" : chip(client)),
    el("span", { class: event }, event),
    data,
    number("size", message?.size, bytes), number("fuel", fuel, count), number("memory", memory, bytes), number("took", micros, duration));
}

function operatorWords({ operator, client, clients, message, code, reason }) {
  const to = client === undefined ? counted(clients, "client") : chip(client);
  if (operator === "message") return ["the operator sends to ", to, payload(message)];
  return ["the operator closes ", to, `${code} ${reason}`];
}

const number = (name, value, format) => el("span", { class: `number ${name}` }, value === undefined ? "" : format(value));

function effectLine({ send, message, close, code, reason, timer, log, text }) {
  if (send) return line("", ["→ ", ...audience(send)], payload(message), el("small", {}, bytes(message.size)));
  if (close) return line("", ["closes ", ...audience(close)], `${code} ${reason}`);
  if (log) return line(log, log, el("code", {}, text));
  return line("", "timer", timer ? `in ${count(timer)} ms` : "cancelled");
}

const line = (name, label, ...content) =>
  el("p", { class: `effect ${name}` }, el("b", {}, ...[label].flat()), el("span", {}, ...content));

const audience = (to) => (to === "everyone" ? [to] : to.except ? ["all but ", chip(to.except)] : [chip(to.client)]);

/** Returns a message as text or as hex digits, as far as it is known. */
export function payload({ text, hex, size }) {
  if (size === 0) return el("code", { class: "none" }, "empty");
  const isCut = size > (text === undefined ? hex.length / 2 : encode(text).length);
  return el("code", { class: text === undefined ? "hex" : "" }, text ?? spaced(hex), isCut ? "…" : "");
}
