// A simulated client: a WebSocket of its own, and what one can do with it.

import { chip, el, setText, tint } from "./dom.js";
import { encode, fromHex } from "./format.js";
import { messageList } from "./messages.js";

const FIRST_DELAY = 500;
const LONGEST_DELAY = 4000;

/** A server that answers requests may refuse a socket while it starts, but not as often as this. */
const MOST_REFUSALS = 3;

/** What codes without a reason mean. */
const CODES = { 1000: "closed", 1005: "closed", 1006: "connection lost" };

/** The server is away for a moment. After other codes, somebody has to decide. */
const RETRIED = [1006, 1012];

const MODES = {
  text: ["Text", (text) => text],
  hex: ["Binary: hex", fromHex],
  bytes: ["Binary: text", encode],
};

export class Card {
  /** True until it is disconnected, or closed for good. */
  isWanted = false;
  #world;
  #client;
  #socket;
  #state;
  #retry;
  #delay = FIRST_DELAY;
  #refusals = 0;
  #sent = [];
  #recalled = 0;
  #list;
  #note;
  #title = el("h3");
  #status = el("span", { class: "status", role: "status" });
  #toggle = el("button", { type: "button" });
  #field = el("textarea", { rows: 1, placeholder: "Message", "aria-label": "Message", spellcheck: false });
  #mode = el("select", { "aria-label": "Send as" }, ...Object.entries(MODES).map(([value, [name]]) => el("option", { value }, name)));
  #send = el("button", { class: "primary" }, "Send");
  #problem = el("p", { class: "error", role: "alert" });

  /** Takes functions: `{ address, changed, removed, reconnect, isServerUp }`. */
  constructor(world) {
    this.#world = world;
    [this.#list, this.#note] = messageList();
    const remove = el("button", { type: "button", class: "quiet", "aria-label": "Remove client" }, "✕");
    const form = el("form", {}, this.#field, this.#mode, this.#send, this.#problem);
    const header = el("header", {}, this.#title, this.#toggle, remove, this.#status);
    this.element = el("article", { "aria-label": "Client" }, header, this.#list, form);
    this.#toggle.onclick = () => (this.isWanted ? this.disconnect() : world.reconnect());
    remove.onclick = () => this.#remove();
    this.#field.onkeydown = (event) => this.#onKey(event);
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    this.#show("closed", "not connected");
  }

  get isOpen() {
    return this.#state === "open";
  }

  focus() {
    this.#field.focus();
  }

  /** Opens a socket. Resolves when it is open or has failed. */
  connect() {
    this.#client = undefined;
    this.#show("connecting", "connecting…");
    return new Promise((resolve) => {
      const socket = this.#socket = new WebSocket(this.#world.address());
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.#delay = FIRST_DELAY;
        this.#refusals = 0;
        this.#note("said", "connected");
        this.#show("open", "connected");
        resolve();
      };
      socket.onmessage = ({ data }) => this.#note("received", data);
      socket.onclose = (event) => {
        this.#onClose(event);
        resolve();
      };
    });
  }

  disconnect() {
    this.isWanted = false;
    clearTimeout(this.#retry);
    if (this.#socket?.readyState === WebSocket.CLOSED) this.#show("closed", "not connected");
    else this.#socket?.close(1000);
    this.#world.changed();
  }

  /** Shows which client of the room this is. */
  identify(client) {
    this.#client = client;
    this.#show(this.#state, this.#status.textContent);
  }

  #remove() {
    this.disconnect();
    this.element.remove();
    this.#world.removed();
  }

  #onClose({ code, reason }) {
    const said = `${code} ${reason || CODES[code] || ""}`;
    if (this.#state === "open") this.#note("said", said);
    else if (this.#world.isServerUp()) this.#refusals += 1;
    const isRefused = this.#refusals >= MOST_REFUSALS;
    if (this.isWanted && RETRIED.includes(code) && !isRefused) {
      this.#retry = setTimeout(this.#world.reconnect, this.#delay);
      this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
      return this.#show("waiting", `${said}. Connecting again…`);
    }
    this.isWanted = false;
    this.#refusals = 0;
    this.#show("closed", isRefused ? "refused: there is no such room, or the server is full" : said);
  }

  #show(state, text) {
    this.#state = state;
    this.element.className = `card ${state}`;
    setText(this.#status, text);
    setText(this.#toggle, this.isWanted ? "Disconnect" : "Connect");
    this.#send.disabled = state !== "open";
    this.#title.replaceChildren("Client ", this.#client === undefined ? "" : chip(this.#client));
    if (this.#client !== undefined) tint(this.element, this.#client);
    this.#world.changed();
  }

  #submit() {
    const text = this.#field.value;
    const data = MODES[this.#mode.value][1](text);
    const problem = !this.isOpen ? "This client is not connected." : data === undefined ? "Two hex digits make a byte: 00 ff 2a" : "";
    setText(this.#problem, problem);
    this.#field.setAttribute("aria-invalid", problem !== "");
    if (problem) return;
    this.#socket.send(data);
    this.#note("sent", data.buffer ?? data);
    this.#recalled = this.#sent.push(text);
    this.#field.value = "";
  }

  #onKey(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#submit();
    } else if (step && !this.#field.value.includes("\n")) {
      event.preventDefault();
      this.#recalled = Math.min(Math.max(this.#recalled + step, 0), this.#sent.length);
      this.#field.value = this.#sent[this.#recalled] ?? "";
    }
  }
}
