// The shortcuts of the page, and the dialog that lists them.

import { byId, el } from "./dom.js";

/** Takes a list of [key, what it does, function]. A key with two characters is a range: "19". */
export function start(keys) {
  const names = ([from, to]) => (to ? [el("kbd", {}, from), " – ", el("kbd", {}, to)] : [el("kbd", {}, from)]);
  for (const [key, does] of keys) {
    byId("keys").append(el("dt", {}, ...names(key)), el("dd", {}, does));
  }
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isTyping(event.target)) return event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const found = keys.find(([key]) => matches(key, event.key));
    if (!found) return;
    event.preventDefault();
    const [, , act] = found;
    act(event.key);
  });
}

const matches = ([from, to], key) => (to ? key.length === 1 && key >= from && key <= to : key === from);

const isTyping = (element) => element.matches?.("input:not([type=radio]), textarea, select");
