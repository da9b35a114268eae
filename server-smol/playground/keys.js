// The shortcuts of the page, and the dialog that lists them.

import { byId, el } from "./dom.js";

/** Takes a list of [key, what it does, function]. A key with two characters is a range: "19". */
export function start(keys) {
  for (const [key, does] of keys) {
    const names = [...key].flatMap((character) => [" – ", el("kbd", {}, character)]).slice(1);
    byId("keys").append(el("dt", {}, ...names), el("dd", {}, does));
  }
  addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input:not([type=radio]), textarea, select");
    if (event.key === "Escape" && isTyping) return event.target.blur();
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const found = keys.find(([[from, to = from]]) => event.key.length === 1 && event.key >= from && event.key <= to);
    if (!found) return;
    event.preventDefault();
    const [, , act] = found;
    act(event.key);
  });
}
