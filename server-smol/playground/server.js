// Requests to the server, and where its rooms are.

import * as token from "./token.js";

/** For this tab only: later, another server may use the same port. */
const CHOSEN = "address of rooms";

/** The public listener, if the server has said it: "127.0.0.1:8080". */
let listener;

/** Asks for a path below this page, with the token if there is one. Throws what the server says against it. */
async function ask(path, method = "GET", options = {}) {
  const send = () => fetch(path, { method, cache: "no-store", headers: token.headers(), ...options });
  let response = await send();
  while (response.status === 401) {
    await token.obtain();
    response = await send();
  }
  if (response.ok) return response;
  const text = (await response.text()).trim();
  throw Object.assign(new Error(text || `The server answered ${response.status}.`), { status: response.status });
}

export async function fetchAddress() {
  listener = (await (await ask("status")).json()).address;
}

export const fetchRooms = async () => (await ask("rooms?limit=200")).json();

const MOST_BYTES = 512;

/** A room in an address, in which `.` and `..` are directories. Throws what is wrong with it. */
export function encode(room) {
  if (/^\.{0,2}$/.test(room)) throw new Error(`No address has the room "${room}".`);
  if (new TextEncoder().encode(room).length > MOST_BYTES) throw new Error(`The id of a room has at most ${MOST_BYTES} bytes.`);
  return encodeURIComponent(room);
}

const path = (room) => `rooms/${encode(room)}`;

export const makeRoom = async (room) => ask(path(room), "POST");

export const endRoom = async (room) => ask(path(room), "DELETE");

export const closeRoom = async (room) => ask(`${path(room)}/close`, "POST");

export const closeClient = async (room, client) => ask(`${path(room)}/clients/${client}`, "DELETE");

export const sendToAll = async (room, text) => ask(`${path(room)}/messages`, "POST", { body: text });

/** Opens the stream of what happens in a room, and of the builds. */
export const openEvents = (room, signal) =>
  ask(room === null ? "events" : `events?room=${encodeURIComponent(room)}`, "GET", { signal });

export const chosenHost = () => sessionStorage.getItem(CHOSEN) ?? "";

export const chooseHost = (host) => sessionStorage.setItem(CHOSEN, host);

/** The host of rooms, if nobody has chosen one. This page can have a listener of its own. */
export function defaultHost() {
  const port = listener?.match(/:(\d+)$/)?.[1];
  const own = location.port || (location.protocol === "https:" ? "443" : "80");
  return !port || port === own ? location.host : `${location.hostname}:${port}`;
}

export const appAddress = () => `${location.protocol}//${chosenHost() || defaultHost()}/`;

export const roomAddress = (room) => `${appAddress().replace("http", "ws")}ws/${encode(room)}`;
