// The builds of `stateroom dev`: a panel with what the compiler says, or a quiet line.

import { byId, el, setText } from "./dom.js";
import { count } from "./format.js";

const DONE_SHOWN_MS = 5000;
const [panel, pill] = [byId("build-panel"), byId("build-state")];

let hiding;

export function take({ state, ms = 0, error = "" }) {
  clearTimeout(hiding);
  const hasFailed = state === "failed";
  pill.hidden = false;
  pill.disabled = !hasFailed;
  pill.className = `pill ${state}`;
  // While it builds, the error of the last build stays.
  if (state === "building") return setText(pill, "building…");
  setText(pill, hasFailed ? "build failed" : `built in ${count(ms)} ms`);
  // Colours of terminals are no text.
  const lines = error.replace(/\x1b\[[\d;]*m/g, "").split(/^/m);
  byId("build-error").replaceChildren(...lines.map((line) => el(/^error|\^/.test(line) ? "b" : "span", {}, line)));
  panel.hidden = !hasFailed;
  if (!hasFailed) hiding = setTimeout(() => { pill.hidden = true; }, DONE_SHOWN_MS);
}

/** Shows the error, if the last build has failed. */
export function show() {
  panel.hidden = pill.disabled;
}

pill.onclick = show;
byId("build-dismiss").onclick = () => {
  panel.hidden = true;
  pill.focus();
};
