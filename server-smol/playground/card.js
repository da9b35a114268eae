// A simulated client: a WebSocket of its own, and what one can do with it.

import { chip, el, setText, tint } from "./dom.js";
import { encode, fromHex } from "./format.js";
import { messageList } from "./messages.js";

const FIRST_DELAY = 500;
const LONGEST_DELAY = 4000;

/** After these codes, the server is away for a moment. */
const RETRIED = [1006, 1012];

const MODES = { "Text": (text) => text, "Binary: hex": fromHex, "Binary: text": encode };

export class Card {
  isWanted = false;
  #world;
  #client;
  #socket;
  #state;
  #retry;
  #delay = FIRST_DELAY;
  #sent = [];
  #recalled = 0;
  #messages = messageList();
  #note = this.#messages.add;
  #title = el("h3");
  #status = el("span", { class: "status", role: "status" });
  #toggle = button("", () => (this.isWanted ? this.disconnect() : this.#world.reconnect()));
  field = el("textarea", { rows: 1, placeholder: "Message", "aria-label": "Message", spellcheck: false });
  #mode = el("select", { "aria-label": "Send as" }, ...Object.keys(MODES).map((mode) => el("option", {}, mode)));
  #send = button("Send", () => this.#submit(), "primary");
  #problem = el("p", { class: "error", role: "alert" });

  /** Takes functions: `{ address, protocols, changed, removed, reconnect }`. */
  constructor(world) {
    this.#world = world;
    const remove = button("✕", () => this.#remove(), "quiet");
    remove.ariaLabel = "Remove client";
    this.field.onkeydown = (event) => this.#onKey(event);
    this.element = el("article", { "aria-label": "Client" },
      el("header", {}, this.#title, this.#toggle, remove, this.#status),
      this.#messages.list,
      el("div", { class: "form" }, this.field, this.#mode, this.#send, this.#problem));
    this.#show("closed", "not connected");
  }

  get isOpen() {
    return this.#state === "open";
  }

  /** Opens a socket. Resolves when it is open or has failed. */
  connect() {
    this.#client = undefined;
    this.#show("connecting", "connecting…");
    const socket = this.#socket = new WebSocket(this.#world.address(), this.#world.protocols());
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#note("received", data);
    return new Promise((resolve) => {
      socket.onopen = () => resolve(this.#onOpen());
      socket.onclose = (event) => resolve(this.#onClose(event));
    });
  }

  disconnect() {
    this.isWanted = false;
    clearTimeout(this.#retry);
    this.#socket?.close(1000);
    if (this.#state === "waiting") this.#show("closed", "not connected");
    this.#world.changed();
  }

  /** Shows which client of the room this is. */
  identify(client) {
    this.#client = client;
    this.#show(this.#state, this.#status.textContent);
  }

  /** Gives up, and says why. */
  fail(why) {
    this.isWanted = false;
    this.#show("closed", why);
  }

  #remove() {
    this.disconnect();
    this.element.remove();
    this.#world.removed();
  }

  #onOpen() {
    this.#delay = FIRST_DELAY;
    this.#note("said", "connected");
    this.#show("open", "connected");
  }

  #onClose({ code, reason }) {
    const said = `${code} ${reason || (code === 1006 ? "no connection" : "closed")}`;
    if (this.isOpen) this.#note("said", said);
    if (this.isWanted && RETRIED.includes(code)) {
      this.#retry = setTimeout(this.#world.reconnect, this.#delay);
      this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
      return this.#show("waiting", `${said}. Reconnecting…`);
    }
    this.fail(said);
  }

  #show(state, text) {
    this.#state = state;
    this.element.className = `card ${state}`;
    setText(this.#status, text);
    setText(this.#toggle, this.isWanted ? "Disconnect" : "Connect");
    this.#send.disabled = state !== "open";
    this.#title.replaceChildren("Client ", this.#client ? chip(this.#client) : "");
    if (this.#client) tint(this.element, this.#client);
    this.#world.changed();
  }

  #submit() {
    const text = this.field.value;
    const data = MODES[this.#mode.value](text);
    this.field.ariaInvalid = data === undefined;
    setText(this.#problem, data === undefined ? "Enter two hex digits for each byte, for example 00 ff 2a" : "");
    if (data === undefined || !this.isOpen) return;
    this.#socket.send(data);
    this.#note("sent", data.buffer ?? data);
    this.#recalled = this.#sent.push(text);
    this.field.value = "";
  }

  #onKey(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const isSent = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    // Within several lines, the arrows move the caret.
    if (!isSent && (!step || this.field.value.includes("\n"))) return;
    event.preventDefault();
    if (isSent) return this.#submit();
    this.#recalled = Math.min(Math.max(this.#recalled + step, 0), this.#sent.length);
    this.field.value = this.#sent[this.#recalled] ?? "";
  }
}

function button(text, onclick, name = "") {
  return el("button", { class: name, onclick }, text);
}
