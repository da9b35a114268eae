// The real server: the `stateroom` command that is named in the environment.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ECHO = fileURLToPath(new URL("echo.wat", import.meta.url));

export class Server {
  port = 0;
  #arguments;
  #child;
  #seen = [];
  #news = new EventTarget();

  /** Takes a command and what it serves. */
  constructor(...args) {
    this.#arguments = args.length > 0 ? args : ["serve", ECHO];
  }

  /** Starts it, at the same port each time. */
  async start() {
    const { STATEROOM } = process.env;
    if (!STATEROOM) throw new Error("set STATEROOM to the path of the `stateroom` command");
    const args = [...this.#arguments, "--ip", "127.0.0.1", "--port", String(this.port)];
    const child = this.#child = spawn(STATEROOM, args, { stdio: ["ignore", "ignore", "pipe"] });
    const seen = this.#seen = [];
    const lines = createInterface(child.stderr);
    this.port = await new Promise((resolve, reject) => {
      lines.on("line", (line) => {
        seen.push(line);
        this.#news.dispatchEvent(new Event("line"));
        const address = /serving on [\d.]+:(\d+)/.exec(line);
        if (address) resolve(Number(address[1]));
      });
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`the server has ended:\n${seen.join("\n")}`)));
    });
    return this;
  }

  /** Waits until it has written a line with this text, since the last one that was waited for. */
  async line(text) {
    for (;;) {
      const index = this.#seen.findIndex((line) => line.includes(text));
      if (index >= 0) return this.#seen.splice(0, index + 1).at(-1);
      await once(this.#news, "line");
    }
  }

  /** Ends it: with SIGTERM it says goodbye, with SIGKILL not. */
  async end(signal = "SIGKILL") {
    if (!this.#child || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill(signal);
    await ended;
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }
}
