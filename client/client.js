// The client library of Stateroom; see its README.md.

const STATES = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
const { CONNECTING, OPEN, CLOSING, CLOSED } = STATES;

/** After these codes it connects again, with the least delay in ms. */
const RETRY = { 1001: 0, 1006: 0, 1012: 0, 1011: 5000, 1013: 5000, 1014: 5000 };

/** How long a connection lasts that counts as a success. */
const SUCCESS = 5000;

/** The subprotocol of connections with a session. */
const PROTOCOL = "stateroom.v1";

const DEFAULTS = {
  session: true,
  minDelay: 500,
  maxDelay: 30000,
  openTimeout: 10000,
  maxQueue: 1 << 20,
  pingInterval: 30000,
  pingTimeout: 10000,
  maxSleep: 120000,
  env: globalThis,
};

export const json = {
  encode: (message) => JSON.stringify(message),
  decode: (data) => JSON.parse(data),
};

export function roomUrl(room = "default", base = globalThis.location?.origin) {
  if (!base) throw new TypeError("roomUrl needs a base address");
  // Addresses take these for directories.
  if (/^\.{0,2}$/.test(room)) throw new TypeError(`no address has the room "${room}"`);
  const url = new URL("ws/" + encodeURIComponent(room), base);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

const event = (type, fields) => Object.assign(new Event(type), fields);

/** Copies a message, because the caller may change its buffer. */
function copy(data) {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  if (data?.byteLength >= 0) return data.slice();
  return data instanceof Blob ? data : String(data);
}

/** Returns 160 random bits as a text. */
function newToken({ crypto = globalThis.crypto }) {
  return Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => (byte % 32).toString(32)).join("");
}

/** A `WebSocket` that connects again. */
export class RoomSocket extends EventTarget {
  #source;
  #options;
  #env;
  #handlers = {};
  #binaryType = "blob";
  #url = "";
  #state = CONNECTING;
  #socket;
  /** Names the present attempt. */
  #attempt;
  #failures = 0;
  #openedAt;
  #notBefore;
  #timer;
  #queue = [];
  #queued = 0;
  /** Undefined if it asks for no session. */
  #token;
  /** The number of connections with the token, and of the one that began its session. */
  #attempts = 0;
  #begun;
  #clientId;
  /** The sent messages that are not confirmed, and the number of those that are. */
  #sent = [];
  #confirmed = 0;
  /** The number of received messages, and the size of those that are not confirmed. */
  #received = 0;
  #unconfirmed = 0;
  #maxUnconfirmed;
  #within;
  /** True if nothing has come since the last look. */
  #isQuiet;
  #lookedAt;
  #ended = new AbortController();

  constructor(url, options) {
    super();
    this.#source = url;
    this.#options = { ...DEFAULTS, ...options };
    const env = this.#env = this.#options.env;
    if (this.#options.session) this.#token = newToken(env);
    this.#connect();
    const on = (target, type, act) => target?.addEventListener?.(type, act, { signal: this.#ended.signal });
    on(env, "online", () => this.#wake());
    // Messages would be lost or late.
    on(env, "offline", () => this.#drop("the network is gone"));
    on(env.document, "visibilitychange", () => env.document.hidden || this.#wake());
  }

  get readyState() { return this.#state; }
  get url() { return this.#url; }
  get protocol() { return this.#socket?.protocol ?? ""; }
  get extensions() { return this.#socket?.extensions ?? ""; }
  get clientId() { return this.#clientId; }
  get bufferedAmount() { return this.#queued + (this.#socket?.bufferedAmount ?? 0); }
  get binaryType() { return this.#binaryType; }
  set binaryType(type) {
    this.#binaryType = type;
    if (this.#socket) this.#socket.binaryType = type;
  }

  send(data) {
    const { encode, maxQueue } = this.#options;
    if (encode) data = encode(data);
    if (this.#state > OPEN) return;
    if (this.#state && this.#socket.readyState === OPEN) return this.#transmit(data);
    data = copy(data);
    const size = (data.byteLength ?? data.size ?? new TextEncoder().encode(data).length) || 1;
    if (this.#queued + size > maxQueue) {
      throw new DOMException(
        `the queue is full: it has ${this.#queued} bytes, the message ${size}, and maxQueue is ${maxQueue}`,
        "QuotaExceededError",
      );
    }
    this.#queue.push(data);
    this.#queued += size;
  }

  close(code, reason) {
    if (this.#state > OPEN) return;
    this.#socket?.close(code, reason);
    this.#state = CLOSING;
    this.#attempt = undefined;
    this.#arm(this.#socket ? this.#options.openTimeout : 0, () => this.#drop(""));
  }

  async *[Symbol.asyncIterator]() {
    const messages = [];
    let wake;
    const add = ({ data }) => wake(messages.push(data));
    const end = () => wake();
    this.addEventListener("message", add);
    this.addEventListener("close", end);
    try {
      for (;;) {
        const more = new Promise((resolve) => { wake = resolve; });
        while (messages.length) yield messages.shift();
        if (this.#state === CLOSED) return;
        await more;
      }
    } finally {
      this.removeEventListener("message", add);
      this.removeEventListener("close", end);
    }
  }

  #connect() {
    const attempt = this.#attempt = {};
    const current = (act) => (value) => this.#attempt === attempt && act(value);
    const open = current((url) => this.#open(url));
    if (typeof this.#source === "function") {
      Promise.resolve().then(this.#source).then(open).catch(current((error) => {
        this.#fail(error);
        this.#drop(String(error));
      }));
    } else open(this.#source);
    this.#arm(this.#options.openTimeout, () => this.#drop("the attempt took too long"));
  }

  #open(url) {
    let { protocols } = this.#options;
    if (typeof protocols === "function") protocols = protocols();
    if (this.#token) {
      const attempt = this.#attempts++;
      const session = `stateroom.session.${this.#token}.${this.#received}.${attempt}.${this.#begun ?? attempt}`;
      protocols = [PROTOCOL, session].concat(protocols ?? []);
    }
    const socket = this.#socket = new this.#env.WebSocket(url, protocols);
    this.#url = socket.url;
    socket.binaryType = this.#binaryType;
    // One that was given up is ignored.
    const on = (type, act) => socket.addEventListener(type, (event) => socket === this.#socket && act(event));
    on("open", () => this.#hasSession || this.#begin({}));
    on("message", ({ data, origin }) => {
      this.#isQuiet = false;
      if (this.#hasSession) {
        if (data[0] === "\0" && (data = data.slice(1))[0] !== "\0") return this.#control(JSON.parse(data));
        this.#received += 1;
        // As the server counts, roughly.
        this.#unconfirmed += 64 + (data.length ?? data.byteLength ?? data.size);
        if (this.#unconfirmed >= this.#maxUnconfirmed) this.#confirm();
      }
      try {
        data = (this.#options.decode ?? ((data) => data))(data);
      } catch (error) {
        return this.#fail(error);
      }
      this.dispatchEvent(new MessageEvent("message", { data, origin }));
    });
    on("error", ({ error }) => this.#fail(error));
    on("close", (event) => this.#lost(event));
  }

  get #hasSession() {
    return this.#token && this.#socket?.protocol === PROTOCOL;
  }

  /** Handles a message of the server, not of the room. */
  #control(message) {
    if (message >= 0) this.#forget(message);
    else if (message.within) this.#within = message.within;
    // After `close`, there is nothing to begin.
    else if (message.session && !this.#state) this.#begin(message);
  }

  /** Begins to use a connection, with the greeting of its session. */
  #begin({ client, resumed = false, received = 0, buffer }) {
    // The server has lost messages.
    if (resumed && received < this.#confirmed) return this.#drop("", 1000);
    if (!resumed) {
      this.#begun = this.#attempts - 1;
      this.#sent = [];
      this.#confirmed = this.#received = 0;
    }
    this.#clientId = client;
    this.#maxUnconfirmed = buffer / 4;
    this.#unconfirmed = 0;
    this.#forget(received);
    for (const data of this.#sent.splice(0).concat(this.#queue.splice(0))) this.#transmit(data);
    this.#queued = 0;
    this.#state = OPEN;
    this.#watch();
    this.#openedAt = this.#env.performance.now();
    this.dispatchEvent(event("open", { resumed }));
  }

  /** Sends a message, and keeps it until the server confirms it. */
  #transmit(data) {
    if (this.#hasSession) {
      this.#sent.push(data = copy(data));
      if (data[0] === "\0") data = "\0" + data;
    }
    this.#socket.send(data);
  }

  /** Drops the sent messages that the room has received. */
  #forget(received) {
    this.#sent.splice(0, received - this.#confirmed);
    this.#confirmed = received;
  }

  #confirm() {
    this.#unconfirmed = 0;
    this.#socket.send("\0" + this.#received);
  }

  #fail(error) {
    this.dispatchEvent(event("error", { error }));
  }

  /** Looks after an open connection. */
  #watch() {
    this.#isQuiet = true;
    this.#lookedAt = this.#env.Date.now();
    this.#arm(this.#options.pingInterval, () => this.#look());
  }

  #look() {
    const { encode, ping, pingTimeout } = this.#options;
    const isSuspect = this.#hasSlept() || (ping !== undefined && this.#isQuiet);
    this.#watch();
    if (this.#unconfirmed) this.#confirm();
    if (!isSuspect) return;
    if (ping === undefined) return this.#drop("this side slept for too long");
    this.#transmit(encode ? encode(ping) : ping);
    this.#arm(pingTimeout, () => this.#isQuiet ? this.#drop("no answer to a ping") : this.#watch());
  }

  #hasSlept() {
    const { pingInterval, maxSleep } = this.#options;
    return this.#env.Date.now() - this.#lookedAt > pingInterval + maxSleep;
  }

  /** The network or the user is back. */
  #wake() {
    if (this.#state === OPEN && this.#hasSlept()) this.#look();
    else if (!this.#state && !this.#attempt) this.#arm(this.#notBefore - this.#env.performance.now(), () => this.#connect());
  }

  #drop(reason, code = 4999) {
    const socket = this.#socket;
    if (!socket && !this.#attempt && !this.#state) return;
    // The code 4999 keeps the session.
    if (this.#hasSession) socket.close(code);
    else socket?.close();
    this.#socket = undefined;
    this.#lost({ code: 1006, reason, wasClean: false });
  }

  #lost({ code, reason, wasClean }) {
    this.#socket = this.#attempt = undefined;
    const { minDelay, maxDelay, retry } = this.#options;
    if (this.#env.performance.now() - this.#openedAt >= SUCCESS) this.#failures = 0;
    this.#openedAt = Infinity;
    const lost = { code, reason, wasClean };
    const disconnect = event("disconnect", { ...lost, attempt: ++this.#failures });
    let least;
    try {
      if (this.#state < CLOSING) least = retry?.(disconnect);
    } catch (error) {
      this.#fail(error);
    }
    least ??= RETRY[code] ?? false;
    if (this.#state === CLOSING || least === false) {
      this.#state = CLOSED;
      this.#env.clearTimeout(this.#timer);
      this.#queue = [];
      this.#queued = 0;
      this.#sent = [];
      this.#ended.abort();
      this.dispatchEvent(event("close", lost));
      return;
    }
    this.#state = CONNECTING;
    if (!(least > 1)) least = 0;
    this.#notBefore = this.#env.performance.now() + least;
    const most = this.#within ?? Math.min(maxDelay, minDelay * 2 ** (this.#failures - 1));
    this.#within = undefined;
    disconnect.delay = least + this.#env.Math.random() * Math.max(least, most);
    this.#arm(disconnect.delay, () => this.#connect());
    this.dispatchEvent(disconnect);
  }

  #arm(delay, act) {
    this.#env.clearTimeout(this.#timer);
    // Longer ones end at once.
    this.#timer = this.#env.setTimeout(act, Math.min(delay, 2 ** 31 - 1));
  }

  static {
    Object.assign(this, STATES);
    Object.assign(this.prototype, STATES);
    for (const type of ["open", "message", "disconnect", "close", "error"]) {
      Object.defineProperty(this.prototype, "on" + type, {
        get() { return this.#handlers[type] ?? null; },
        set(handler) {
          if (!(type in this.#handlers)) this.addEventListener(type, (event) => this.#handlers[type]?.call(this, event));
          this.#handlers[type] = handler;
        },
      });
    }
  }
}
