// What a reload brings back: the room, which the page's address has after `#`, and how many clients it had. The address does not
// have their number: anybody can make a link.

const MOST_CLIENTS = 50;

/** For this tab only: the room, and the number of its clients. */
const CLIENTS = "clients";

export function remembered() {
  const room = new URLSearchParams(location.hash.slice(1)).get("room");
  const [its, clients] = JSON.parse(sessionStorage.getItem(CLIENTS) ?? "[]");
  return { room, clients: its === room ? Math.min(clients, MOST_CLIENTS) : 0 };
}

export function remember(room, clients) {
  if (room === null) return;
  sessionStorage.setItem(CLIENTS, JSON.stringify([room, clients]));
  history.replaceState(null, "", `#${new URLSearchParams({ room })}`);
}
