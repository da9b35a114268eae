// What a reload brings back: the room, and how many clients it had. The address of the page has it after `#`.

const MOST_CLIENTS = 50;

export function remembered() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const clients = Math.trunc(Number(hash.get("clients"))) || 0;
  return { room: hash.get("room") || null, clients: Math.min(Math.max(clients, 0), MOST_CLIENTS) };
}

export function remember(room, clients) {
  const hash = new URLSearchParams();
  if (room !== null) hash.set("room", room);
  if (clients > 0) hash.set("clients", clients);
  history.replaceState(null, "", `#${hash}`);
}
