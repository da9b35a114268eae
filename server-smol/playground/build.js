// The builds of `stateroom dev`: a panel with what the compiler said, and a quiet line otherwise.

import { byId, el, setText } from "./dom.js";
import { count } from "./format.js";

/** The end of a long text says little: compilers begin with what is wrong. */
const LONGEST = 100_000;

/** How long it says that a build has succeeded, in milliseconds. */
const DONE_SHOWN = 5000;

const TITLE = document.title;
const [panel, pill] = [byId("build-panel"), byId("build-state")];

let failure;
let hiding;

export function take({ state, ms, error }) {
  clearTimeout(hiding);
  if (state === "building") return say("building…", "building");
  failure = state === "failed" ? String(error) : undefined;
  document.title = failure === undefined ? TITLE : `✕ ${TITLE}`;
  if (failure !== undefined) {
    byId("build-error").replaceChildren(...linesOf(failure));
    say("build failed", "bad");
    show();
    return;
  }
  panel.hidden = true;
  say(ms === undefined ? "built" : `built in ${count(ms)} ms`, "good");
  hiding = setTimeout(() => { pill.hidden = true; }, DONE_SHOWN);
}

/** Shows the error again, if the build fails. */
export function show() {
  panel.hidden = failure === undefined;
}

function say(text, state) {
  pill.hidden = false;
  pill.className = `pill ${state}`;
  setText(pill, text);
  pill.disabled = state !== "bad";
}

function linesOf(text) {
  // Terminals' colours are no text.
  const plain = text.slice(0, LONGEST).replace(/\x1b\[[\d;]*m/g, "");
  return plain.split("\n").map((line) => el("span", { class: lineKind(line) }, `${line}\n`));
}

function lineKind(line) {
  if (/^error/.test(line)) return "error";
  if (/^warning/.test(line)) return "warning";
  if (/^\s*-->/.test(line)) return "place";
  if (/^\s*\|\s.*[\^~]/.test(line)) return "mark";
  return undefined;
}

pill.onclick = show;
byId("build-dismiss").onclick = () => {
  panel.hidden = true;
  pill.focus();
};
