// What a reload brings back: the room, and how many clients it had. The page's address has it after `#`.

const MOST_CLIENTS = 50;

export function remembered() {
  const hash = new URLSearchParams(location.hash.slice(1));
  return { room: hash.get("room"), clients: Math.min(Number(hash.get("clients")) || 0, MOST_CLIENTS) };
}

export function remember(room, clients) {
  if (room === null) return;
  history.replaceState(null, "", `#${new URLSearchParams({ room, clients })}`);
}
