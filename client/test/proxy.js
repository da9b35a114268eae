// A TCP proxy in front of a server, which cuts connections.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Proxy {
  /** The bytes that it has passed on from each side, for each connection that the server has accepted. */
  connections = [];
  #port;
  #limits;
  #listener;
  #sockets = new Set();

  /** Takes the port of the server. The first connections are cut after so many bytes from a side, such as `{ client: 100 }`. */
  constructor(port, limits = []) {
    this.#port = port;
    this.#limits = limits;
  }

  async start() {
    this.#listener = createServer({ pauseOnConnect: true }, (client) => this.#join(client));
    this.#listener.listen(0, "127.0.0.1");
    await once(this.#listener, "listening");
    return this;
  }

  get origin() {
    return `http://127.0.0.1:${this.#listener.address().port}`;
  }

  /** Cuts all connections. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  end() {
    this.#listener.close();
    this.cut();
  }

  #join(client) {
    const server = connect(this.#port, "127.0.0.1");
    for (const [socket, other] of [[client, server], [server, client]]) {
      this.#sockets.add(socket);
      socket.setNoDelay();
      // What follows an error is the close.
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroySoon();
      });
    }
    server.on("connect", () => {
      const { client: fromClient = Infinity, server: fromServer = Infinity } = this.#limits[this.connections.length] ?? {};
      const passed = { client: 0, server: 0 };
      this.connections.push(passed);
      this.#pass(client, server, passed, "client", fromClient);
      this.#pass(server, client, passed, "server", fromServer);
      client.resume();
    });
  }

  /** Passes on what comes from a side, up to the limit. The recipient gets all of it before the end. */
  #pass(from, to, passed, side, limit) {
    if (limit === 0) from.destroy();
    from.on("data", (data) => {
      const part = data.subarray(0, limit - passed[side]);
      passed[side] += part.length;
      to.write(part);
      if (passed[side] === limit) from.destroy();
    });
  }
}
