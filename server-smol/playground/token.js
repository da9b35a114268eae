// The operator's token, if the server wants one. It is kept for this tab only.

import { byId, setText } from "./dom.js";

const TOKEN = "token of the operator";

const dialog = byId("token-dialog");
const field = byId("token");

let asked;

/** Returns the headers with which a request is let in. */
export function headers() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Asks for the token, once for all requests that need it. Resolves when there is a new one. */
export function obtain() {
  asked ??= new Promise((resolve) => {
    setText(byId("token-error"), sessionStorage.getItem(TOKEN) ? "This is not the token of this server." : "");
    dialog.showModal();
    byId("token-form").onsubmit = () => {
      sessionStorage.setItem(TOKEN, field.value.trim());
      field.value = "";
      asked = undefined;
      resolve();
    };
  });
  return asked;
}

// Nothing works without it.
dialog.oncancel = (event) => event.preventDefault();
