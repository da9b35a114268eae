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
    document.addEventListener("visibilitychange", () => this.#follow());
  }

  /** Follows this room, or only the builds. */
  follow(room) {
    this.#room = room;
    this.#follow();
  }

  /** Waits until records come, or for so long: without the stream the page still works. */
  ready(timeout) {
    if (this.#source?.readyState === EventSource.OPEN) return Promise.resolve();
    return new Promise((resolve) => {
      this.addEventListener("open", resolve, { once: true });
      setTimeout(resolve, timeout);
    });
  }

  #follow() {
    clearTimeout(this.#retry);
    const wasOpen = this.#source !== undefined;
    this.#source?.close();
    this.#source = undefined;
    if (document.hidden) {
      if (wasOpen) this.#tell("gap", "Events are not recorded while this page is hidden.");
      return;
    }
    const path = this.#room === null ? "events" : `events?room=${encodeURIComponent(this.#room)}`;
    const source = this.#source = new EventSource(path);
    source.onopen = () => {
      this.#delay = FIRST_DELAY;
      this.#tell("open");
    };
    // The browser gives up at an answer that is no stream, and waits for seconds otherwise. A restart takes less.
    source.onerror = () => {
      if (source !== this.#source) return;
      if (this.#delay === FIRST_DELAY) this.#tell("gap", "The connection to the server was lost here.");
      source.close();
      this.#source = undefined;
      this.#retry = setTimeout(() => this.#follow(), this.#delay);
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
