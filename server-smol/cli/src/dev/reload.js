
// `stateroom dev` adds this to the library: it loads a page again when its files have changed. A hidden page does not listen, as
// browsers have few connections for each server.
if (globalThis.document && globalThis.EventSource) {
  let events, seen, retry, refusals = 0;
  const listen = () => {
    clearTimeout(retry);
    events?.close();
    if (document.hidden) return;
    events = new EventSource(new URL("events", import.meta.url));
    // A server that ends refuses it, and then the browser does not try again by itself. One that always does is not asked for
    // ever: it may refuse the name that this page has for it.
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED && ++refusals < 5) retry = setTimeout(listen, 2000);
    };
    events.onopen = () => { refusals = 0; };
    events.addEventListener("files", ({ data }) => {
      if (seen && seen !== data) location.reload();
      seen = data;
    });
  };
  document.addEventListener("visibilitychange", listen);
  listen();
}
