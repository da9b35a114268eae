// A simulated client: a WebSocket of its own, and what one can do with it.

import { fromHex } from "./format.js";
import { chip, el, setText, tint } from "./dom.js";
import { Messages } from "./messages.js";

const FIRST_DELAY = 500;
const LONGEST_DELAY = 4000;
const MOST_RECALLED = 50;

/** A server that answers requests refuses a socket once while it starts, but not as often as this. */
const MOST_REFUSALS = 3;

/** What close codes mean, for those that come without a reason. */
const CODES = {
  1000: "closed normally", 1001: "the room or the server went away", 1002: "protocol error", 1005: "closed without a code",
  1006: "connection lost", 1007: "text is not UTF-8", 1008: "refused", 1009: "message too large", 1011: "the room failed",
  1012: "the server restarts", 1013: "try again later",
};

/** The server is away for a moment, and the room with it. After other codes, somebody has to decide. */
const RETRIED = [1006, 1012];

const encoder = new TextEncoder();

export class Card {
  /** The id that the room knows this client by, once it is known. */
  client = null;
  /** True from `connect` to `disconnect`, or until the server closes it for good. */
  isWanted = false;
  #world;
  #socket;
  #state = "closed";
  #retry;
  #delay = FIRST_DELAY;
  #refusals = 0;
  #sent = [];
  #recalled = 0;
  #messages = new Messages();

  /** Takes `{ address, changed, removed, reconnect, isServerUp }`, all of them functions. */
  constructor(world) {
    this.#world = world;
    this.#build();
    this.#show("closed", "not connected");
  }

  get isOpen() {
    return this.#state === "open";
  }

  focus() {
    this.field.focus();
  }

  /** Opens a socket. Resolves when it is open or has failed. */
  connect() {
    this.isWanted = true;
    this.client = null;
    clearTimeout(this.#retry);
    this.#show("connecting", "connecting…");
    return new Promise((resolve) => {
      const socket = this.#socket = new WebSocket(this.#world.address());
      socket.binaryType = "arraybuffer";
      let wasOpen = false;
      socket.onopen = () => {
        wasOpen = true;
        this.#delay = FIRST_DELAY;
        this.#refusals = 0;
        this.#messages.say("connected");
        this.#show("open", "connected");
        resolve();
      };
      socket.onmessage = ({ data }) => this.#messages.add("received", data);
      socket.onclose = (event) => {
        this.#closed(event, wasOpen);
        resolve();
      };
    });
  }

  disconnect() {
    this.isWanted = false;
    clearTimeout(this.#retry);
    if (this.#socket?.readyState <= WebSocket.OPEN) {
      this.#show("closing", "closing…");
      this.#socket.close(1000);
    } else {
      this.#show("closed", "not connected");
    }
  }

  remove() {
    this.disconnect();
    this.element.remove();
    this.#world.removed(this);
  }

  /** Says which client of the room this is. */
  identify(client) {
    this.client = client;
    this.#show(this.#state, this.status.textContent);
  }

  #closed({ code, reason }, wasOpen) {
    const said = reason || CODES[code] || "closed";
    if (!wasOpen && this.#world.isServerUp()) this.#refusals += 1;
    if (this.#refusals === MOST_REFUSALS) {
      this.#refusals = 0;
      this.isWanted = false;
      this.#messages.say("The server refused the connection: the room does not exist, or the server is full.", true);
      this.#show("closed", "refused");
      return;
    }
    if (wasOpen) this.#messages.say(`${code} ${said}`, code > 1001 && code < 3000 && code !== 1005);
    if (this.isWanted && RETRIED.includes(code)) {
      this.#show("waiting", `${code} ${said}. Connecting again…`);
      this.#retry = setTimeout(() => this.#world.reconnect(this), this.#delay);
      this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
      return;
    }
    this.isWanted = false;
    this.#show("closed", `${code} ${said}`);
  }

  #show(state, text) {
    this.#state = state;
    this.element.className = `card ${state}`;
    setText(this.status, text);
    setText(this.toggle, this.isWanted ? "Disconnect" : "Connect");
    this.send.disabled = state !== "open";
    this.title.replaceChildren("Client ", this.client === null ? "" : chip(this.client));
    if (this.client !== null) tint(this.element, this.client);
    this.#world.changed();
  }

  #build() {
    this.title = el("h3");
    this.status = el("span", { class: "status", role: "status" });
    this.toggle = el("button", { type: "button" });
    this.toggle.onclick = () => (this.isWanted ? this.disconnect() : this.#world.reconnect(this));
    const remove = el("button", { type: "button", class: "quiet", "aria-label": "Remove client", title: "Remove client" }, "✕");
    remove.onclick = () => this.remove();
    this.field = el("textarea", { rows: 1, placeholder: "Message", "aria-label": "Message", spellcheck: false, autocapitalize: "none" });
    this.field.onkeydown = (event) => this.#onKey(event);
    this.mode = el("select", { "aria-label": "Send as" },
      el("option", { value: "text" }, "Text"),
      el("option", { value: "hex" }, "Binary, typed as hex"),
      el("option", { value: "bytes" }, "Binary, typed as text"));
    this.mode.onchange = () => this.#explain();
    this.send = el("button", { type: "submit", class: "primary" }, "Send");
    this.problem = el("p", { class: "error", role: "alert", hidden: true });
    const form = el("form", {}, this.field, this.mode, this.send, this.problem);
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    this.element = el("article", { "aria-label": "Client" },
      el("header", {}, this.title, this.toggle, remove, this.status), this.#messages.list, form);
  }

  #explain(problem = "") {
    setText(this.problem, problem);
    this.problem.hidden = problem === "";
    this.field.setAttribute("aria-invalid", problem !== "");
    this.field.placeholder = this.mode.value === "hex" ? "00 ff 2a" : "Message";
  }

  #submit() {
    const text = this.field.value;
    const data = { text: (text) => text, bytes: (text) => encoder.encode(text), hex: fromHex }[this.mode.value](text);
    if (data === undefined) return this.#explain("Hex has two digits for each byte: 00 ff 2a");
    if (this.#socket?.readyState !== WebSocket.OPEN) return this.#explain("This client is not connected.");
    this.#socket.send(data);
    this.#messages.add("sent", typeof data === "string" ? data : data.buffer);
    if (text !== "" && this.#sent.at(-1) !== text) this.#sent.push(text);
    if (this.#sent.length > MOST_RECALLED) this.#sent.shift();
    this.#recalled = this.#sent.length;
    this.field.value = "";
    this.#explain();
  }

  #onKey(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      this.#recall(event, event.key === "ArrowUp" ? -1 : 1);
    }
  }

  /** Moves through what was sent, as shells do. Within several lines, the arrows move the caret. */
  #recall(event, step) {
    const next = this.#recalled + step;
    if (this.field.value.includes("\n") || next < 0 || next > this.#sent.length) return;
    event.preventDefault();
    this.#recalled = next;
    this.field.value = this.#sent[next] ?? "";
  }
}
