// Requests to the server, and where its rooms are.

const CHOSEN = "address of rooms";

/** The public listener, if the server has said it: "127.0.0.1:8080". */
let listener = null;

/** Fetches from the directory of this page, and throws an `Error` with what the server says against it. */
async function ask(path, method = "GET") {
  const response = await fetch(path, { method, cache: "no-store" });
  if (response.ok) return response;
  const text = (await response.text()).trim();
  throw Object.assign(new Error(text || `The server answered ${response.status}.`), { status: response.status });
}

export async function fetchStatus() {
  const status = await (await ask("status")).json();
  listener = status.address ?? null;
  return status;
}

export const fetchRooms = async () => (await ask("rooms?limit=200")).json();

export const makeRoom = (room) => ask(`rooms/${encodeURIComponent(room)}`, "POST");

export const endRoom = (room) => ask(`rooms/${encodeURIComponent(room)}`, "DELETE");

/** Returns whether addresses can have a room of this name: they take dots for directories. */
export const isRoomName = (room) => !/^\.{0,2}$/.test(room);

/** The host of rooms that somebody has typed in, or "". It is kept for this tab only: other servers use the same port later. */
export const chosenHost = () => sessionStorage.getItem(CHOSEN) ?? "";

export function chooseHost(host) {
  if (host) sessionStorage.setItem(CHOSEN, host);
  else sessionStorage.removeItem(CHOSEN);
}

/** The host of rooms, unless somebody chooses another one. This page can have a listener of its own. */
export function defaultHost() {
  const port = /:(\d+)$/.exec(listener ?? "")?.[1];
  const own = location.port || (location.protocol === "https:" ? "443" : "80");
  return !port || port === own ? location.host : `${location.hostname}:${port}`;
}

export const roomsHost = () => chosenHost() || defaultHost();

export function roomAddress(room) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return `${scheme}://${roomsHost()}/ws/${encodeURIComponent(room)}`;
}

export const appAddress = () => `${location.protocol}//${roomsHost()}/`;
