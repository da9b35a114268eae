// The stream of the server's events: one for the page, and none while nobody looks at it.

const FIRST_DELAY = 250;
const LONGEST_DELAY = 2000;
const READY_WITHIN = 1000;

let source, retry, take;
let room = null;
let delay = FIRST_DELAY;
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
export const ready = () => source?.readyState === EventSource.OPEN || new Promise((resolve) => {
  opened = resolve;
  setTimeout(resolve, READY_WITHIN);
});

function open() {
  clearTimeout(retry);
  source?.close();
  if (document.hidden) return;
  source = new EventSource(room === null ? "events" : `events?room=${encodeURIComponent(room)}`);
  source.onopen = () => {
    delay = FIRST_DELAY;
    opened();
  };
  // The browser waits for seconds, or gives up. A restart of `dev` takes less.
  source.onerror = () => {
    if (delay === FIRST_DELAY) take("gap", "the connection to the server was lost");
    source.close();
    retry = setTimeout(open, delay);
    delay = Math.min(delay * 2, LONGEST_DELAY);
  };
  for (const type of ["build", "room", "dropped"]) {
    source.addEventListener(type, ({ data }) => take(type, JSON.parse(data)));
  }
}
