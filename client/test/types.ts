// Compiles if the types are what README.md says.

import { json, RoomSocket, roomUrl } from "../client.js";

type FromRoom = { kind: "moved"; x: number };
type ToRoom = { kind: "move"; x: number };

async function typed(): Promise<void> {
  const socket = new RoomSocket<FromRoom, ToRoom>(roomUrl("lobby"), {
    ...json,
    ping: { kind: "move", x: 0 },
    retry: ({ code, attempt }) => code === 4000 && attempt < 10 ? 1000 : undefined,
  });
  socket.send({ kind: "move", x: 1 });
  // @ts-expect-error
  socket.send("move");
  socket.onmessage = ({ data }) => data.x.toFixed();
  socket.addEventListener("message", ({ data }) => data.kind);
  socket.addEventListener("disconnect", ({ code, reason, delay, attempt }) => code + reason + (delay + attempt));
  socket.onclose = ({ code, wasClean }) => [code.toFixed(), wasClean];
  socket.onerror = ({ error }) => error;
  for await (const message of socket) message.x.toFixed();
  // @ts-expect-error
  for await (const message of socket) message.y;
}

function plain(): void {
  const socket = new RoomSocket(async () => roomUrl("lobby", "https://example.com"), { maxQueue: 0 });
  socket.binaryType = "arraybuffer";
  socket.send("text");
  socket.send(new Uint8Array(3));
  socket.send(new ArrayBuffer(3));
  socket.onmessage = ({ data }) => new DataView(data);
  socket.addEventListener("open", () => socket.readyState === RoomSocket.OPEN);
  socket.addEventListener("open", ({ resumed }) => resumed === true);
  socket.onopen = ({ resumed }) => resumed || socket.clientId?.toFixed();
  socket.close(4000, "enough");
  new RoomSocket("wss://example.com", { session: false });
  // @ts-expect-error
  new RoomSocket("wss://example.com", { session: "token" });
  // @ts-expect-error
  socket.clientId = 1;
  // @ts-expect-error
  new RoomSocket("wss://example.com").clientId.toFixed();
  // @ts-expect-error
  socket.ondisconnect = ({ resumed }) => resumed;
  // @ts-expect-error
  socket.readyState = 1;
  // @ts-expect-error
  new RoomSocket("ws://server", { minDelays: 1 });
}
