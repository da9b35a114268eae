// A browser with a clock, dice and a network of its own.

/** A connection of a `World`, which the test opens, closes and breaks. */
class FakeSocket extends EventTarget {
  readyState = 0;
  protocol = "";
  extensions = "";
  bufferedAmount = 0;
  binaryType = "blob";
  sent = [];
  closedWith;

  constructor(url, protocols) {
    super();
    this.url = new URL(url).href;
    this.protocols = protocols;
  }

  send(data) {
    if (this.readyState === 1) this.sent.push(data);
  }

  close(...closedWith) {
    if (![undefined, 1000, 4000, 4999].includes(closedWith[0])) throw new DOMException("", "InvalidAccessError");
    if (this.readyState > 1) return;
    this.closedWith = closedWith;
    this.readyState = 2;
  }

  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  /** Opens it with a session, whose greeting has not come yet. */
  openSession() {
    this.protocol = "stateroom.v1";
    this.open();
  }

  /** Opens it with a session and its greeting. */
  greet(greeting) {
    this.openSession();
    this.control({ session: "token", client: 1, resumed: false, received: 0, window: 30_000, buffer: 4000, ...greeting });
  }

  /** Receives a message of the server, not of the room. */
  control(message) {
    this.receive("\0" + JSON.stringify(message));
  }

  receive(data) {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  end(code, reason = "") {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason, wasClean: code !== 1006 }));
  }
}

export class World extends EventTarget {
  /** The number that the dice show. */
  dice = 0.5;
  /** The time that the clock of the machine is wrong by. */
  clockError = 0;
  /** All connections that were ever tried. */
  sockets = [];
  document = Object.assign(new EventTarget(), { hidden: false });
  crypto = { getRandomValues: (bytes) => bytes.map((_, index) => 41 * index + this.seed) };
  /** The begin of the next random bytes. */
  seed = 0;
  #now = 1_000_000;
  #timers = new Map();
  #count = 0;

  constructor() {
    super();
    const { sockets } = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        super(url, protocols);
        sockets.push(this);
      }
    };
    this.Date = { now: () => this.#now + this.clockError };
    this.performance = { now: () => this.#now };
    this.Math = { random: () => this.dice };
  }

  setTimeout(act, delay) {
    // As of those of browsers, the delay has 31 bits.
    const wait = delay > 0 && delay < 2 ** 31 ? delay : 0;
    this.#timers.set(++this.#count, { at: this.#now + wait, act });
    return this.#count;
  }

  clearTimeout(id) {
    this.#timers.delete(id);
  }

  get timers() {
    return this.#timers.size;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** Lets time pass. */
  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, { at, act }] = due;
      this.#timers.delete(id);
      this.#now = at;
      act();
    }
    this.#now = end;
  }

  /** Lets time pass that timers do not count, as they do not while a machine sleeps. */
  sleep(ms) {
    this.#now += ms;
    for (const timer of this.#timers.values()) timer.at += ms;
  }

  /** Hides or shows the page. */
  setHidden(hidden) {
    this.document.hidden = hidden;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  goOnline() {
    this.dispatchEvent(new Event("online"));
  }

  goOffline() {
    this.dispatchEvent(new Event("offline"));
  }
}

/** Lets promises continue. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Lists the events of a socket as texts. */
export function record(socket) {
  const events = [];
  socket.addEventListener("open", () => events.push("open"));
  socket.addEventListener("message", ({ data }) => events.push(`message ${data}`));
  socket.addEventListener("disconnect", ({ code, delay }) => events.push(`disconnect ${code} ${delay}`));
  socket.addEventListener("close", ({ code }) => events.push(`close ${code}`));
  socket.addEventListener("error", ({ error }) => events.push(`error ${error?.message}`));
  return events;
}
