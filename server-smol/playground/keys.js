// The shortcuts of the page, and the dialog that lists them.

import { byId, el } from "./dom.js";

/** Takes a list of [key, what it does, function]. */
export function start(keys) {
  for (const [key, does] of keys) byId("keys").append(el("dt", {}, el("kbd", {}, key)), el("dd", {}, does));
  addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input:not([type=radio]), textarea, select");
    if (event.key === "Escape" && isTyping) return event.target.blur();
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const [, , act] = keys.find(([key]) => key === event.key) ?? [];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
