// The stream of the server's events: one for the page, and none while nobody looks at it.

import { openEvents } from "./server.js";

const FIRST_DELAY = 250;
const LONGEST_DELAY = 2000;
const READY_WITHIN = 1000;

const TYPES = ["build", "room", "dropped"];

/** The present stream: aborting it ends it. */
let stream = new AbortController();
let retry, take;
let room = null;
let delay = FIRST_DELAY;
let isOpen = false;
let opened = () => {};

/** Takes a function for events: a type and its data. A "gap" is where events are missing. */
export function start(taker) {
  take = taker;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) take("gap", "no events are recorded while this page is hidden");
    open();
  });
}

/** Follows this room, or only the builds. */
export function follow(its) {
  room = its;
  open();
}

/** Waits for the stream, or for so long: the page also works without. */
export const ready = () => isOpen || new Promise((resolve) => {
  opened = resolve;
  setTimeout(resolve, READY_WITHIN);
});

async function open() {
  clearTimeout(retry);
  stream.abort();
  isOpen = false;
  if (document.hidden) return;
  const own = stream = new AbortController();
  try {
    await read(own);
  } catch {
    // It ends below.
  }
  if (own !== stream) return;
  isOpen = false;
  if (delay === FIRST_DELAY) take("gap", "the connection to the server was lost");
  retry = setTimeout(open, delay);
  delay = Math.min(delay * 2, LONGEST_DELAY);
}

/** Reads a stream to its end. An `EventSource` does the same, but cannot send a token. */
async function read(own) {
  const { body } = await openEvents(room, own.signal);
  if (own !== stream) return;
  delay = FIRST_DELAY;
  isOpen = true;
  opened();
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let type;
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done || own !== stream) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("event: ")) type = line.slice("event: ".length);
      if (line.startsWith("data: ") && TYPES.includes(type)) take(type, JSON.parse(line.slice("data: ".length)));
    }
  }
}
