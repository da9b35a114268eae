
// `stateroom dev` adds this to the library: it loads a page again when its files have changed. A hidden page does not listen, as
// browsers have few connections for each server.
if (globalThis.document && globalThis.EventSource) {
  let events, seen, retry;
  const listen = () => {
    clearTimeout(retry);
    events?.close();
    if (document.hidden) return;
    events = new EventSource(new URL("events", import.meta.url));
    // A server that ends refuses it, and then the browser does not try again by itself.
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) retry = setTimeout(listen, 2000);
    };
    events.addEventListener("files", ({ data }) => {
      if (seen && seen !== data) location.reload();
      seen = data;
    });
  };
  document.addEventListener("visibilitychange", listen);
  listen();
}
