// The builds of `stateroom dev`: a panel with what the compiler says, or a quiet line.

import { byId, el, setText } from "./dom.js";
import { count } from "./format.js";

/** Compilers begin with what is wrong, so the rest of a longer text is left out. */
const LONGEST = 100_000;

const DONE_SHOWN_MS = 5000;

const TITLE = document.title;
const [panel, pill] = [byId("build-panel"), byId("build-state")];

let hasFailed = false;
let hiding;

export function take({ state, ms = 0, error = "" }) {
  clearTimeout(hiding);
  pill.hidden = false;
  pill.className = `pill ${state}`;
  if (state === "building") return setText(pill, "building…");
  hasFailed = state === "failed";
  pill.disabled = !hasFailed;
  setText(pill, hasFailed ? "build failed" : `built in ${count(ms)} ms`);
  document.title = hasFailed ? `✕ ${TITLE}` : TITLE;
  // Colours of terminals are no text.
  const lines = error.slice(0, LONGEST).replace(/\x1b\[[\d;]*m/g, "").split("\n");
  byId("build-error").replaceChildren(...lines.map((line) => el("span", { class: kindOf(line) }, `${line}\n`)));
  if (!hasFailed) hiding = setTimeout(() => { pill.hidden = true; }, DONE_SHOWN_MS);
  show();
}

/** Shows the error, if the last build has failed. */
export function show() {
  panel.hidden = !hasFailed;
}

const kindOf = (line) => (/^error|^\s*\|.*\^/.test(line) ? "error" : /^warning/.test(line) ? "warning" : "");

pill.onclick = show;
byId("build-dismiss").onclick = () => {
  panel.hidden = true;
  pill.focus();
};
