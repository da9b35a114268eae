// Elements. Texts from rooms become text nodes only, so they can never be markup.

export const byId = (id) => document.getElementById(id);

/** Returns an element with these properties or attributes, and these children. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Sets a text if it differs: otherwise a live region is read again, and a selection is lost. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Returns a function that calls `draw` once before the next frame, however often it is called. */
export function eachFrame(draw) {
  let frame;
  return () => {
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      draw();
    });
  };
}

export const chip = (client) => tint(el("span", { class: "chip" }, String(client)), client);

/** The golden angle keeps neighbours' colours apart. */
export function tint(element, client) {
  element.style.setProperty("--hue", Math.round(client * 137.5) % 360);
  return element;
}
