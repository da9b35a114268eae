// The stream of the server's events: one for the page, and none while nobody looks at it.

const FIRST_DELAY = 250;
const LONGEST_DELAY = 2000;

export class Events extends EventTarget {
  #room = null;
  #source;
  #retry;
  #delay = FIRST_DELAY;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#tell("gap", "nothing is recorded while this page is hidden");
      this.#open();
    });
  }

  /** Follows this room, or only the builds. */
  follow(room) {
    this.#room = room;
    this.#open();
  }

  /** Waits for the stream, or for so long: the page also works without. */
  ready(timeout) {
    if (this.#source?.readyState === EventSource.OPEN) return undefined;
    return new Promise((resolve) => {
      this.addEventListener("open", resolve, { once: true });
      setTimeout(resolve, timeout);
    });
  }

  #open() {
    clearTimeout(this.#retry);
    this.#source?.close();
    if (document.hidden) return;
    const source = new EventSource(this.#room === null ? "events" : `events?room=${encodeURIComponent(this.#room)}`);
    this.#source = source;
    source.onopen = () => {
      this.#delay = FIRST_DELAY;
      this.#tell("open");
    };
    // The browser would wait for seconds, or give up. A restart of `dev` takes less.
    source.onerror = () => {
      if (this.#delay === FIRST_DELAY) this.#tell("gap", "the connection to the server was lost");
      source.close();
      this.#retry = setTimeout(() => this.#open(), this.#delay);
      this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
    };
    for (const type of ["build", "room", "dropped"]) {
      source.addEventListener(type, ({ data }) => this.#tell(type, JSON.parse(data)));
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
