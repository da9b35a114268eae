// Elements. Texts from rooms become text nodes only, so they can never be markup.

export const byId = (id) => document.getElementById(id);

/** Returns an element with these properties or attributes, and these children. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Sets a text only if it differs: a live region would be read again, and a selection would be lost. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Returns a function that calls `draw` once, before the next frame, however often it is called. */
export function eachFrame(draw) {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw();
    });
  };
}

export const isAtEnd = (list) => list.scrollHeight - list.scrollTop - list.clientHeight < 24;

export const scrollToEnd = (list) => { list.scrollTop = list.scrollHeight; };

/** Returns a label for a client, in the colour that this client has everywhere. */
export function chip(client) {
  const element = el("span", { class: "chip" }, String(client));
  tint(element, client);
  return element;
}

/** Gives an element the colour of a client. Steps of the golden angle keep neighbours' colours apart. */
export function tint(element, client) {
  element.style.setProperty("--hue", Math.round(client * 137.5) % 360);
}
