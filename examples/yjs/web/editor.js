import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, keymap, placeholder } from "@codemirror/view";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const element = (id) => document.getElementById(id);

const room = decodeURIComponent(location.hash.slice(1)) || "lobby";
const server = new URL("ws", location.href);
server.protocol = server.protocol.replace("http", "ws");
server.hash = "";

const doc = new Y.Doc();
const text = doc.getText("text");
const provider = new WebsocketProvider(server.href, encodeURIComponent(room), doc);
const { awareness } = provider;

// Steps of the golden angle keep neighbours' colours apart.
const hue = Math.round(doc.clientID * 137.5) % 360;
const colour = hsl(hue, 0.7, 0.5);

/** y-codemirror.next wants colours with six digits. */
function hsl(hue, saturation, lightness) {
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    const value = lightness - saturation * Math.min(lightness, 1 - lightness) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value).toString(16).padStart(2, "0");
  };
  return `#${part(0)}${part(8)}${part(4)}`;
}

const name = element("name");
name.value = localStorage.getItem("name") ?? `Guest ${doc.clientID % 1000}`;
name.oninput = () => { localStorage.setItem("name", name.value); introduce(); };

function introduce() {
  awareness.setLocalStateField("user", { name: name.value || "Somebody", color: colour, colorLight: `${colour}33` });
}

function showPeople() {
  const others = [...awareness.getStates()].filter(([id, { user }]) => id !== doc.clientID && user);
  element("people").replaceChildren(...others.map(([, { user }]) => {
    const item = document.createElement("li");
    item.textContent = user.name;
    // Somebody else's word: the style takes colours only.
    item.style.setProperty("--colour", /^#[0-9a-f]{6}$/.test(user.color) ? user.color : "#888888");
    return item;
  }));
}

function showStatus() {
  const connected = provider.wsconnected;
  element("status").classList.toggle("connected", connected);
  element("status").textContent = !connected ? "offline: your edits are kept" : provider.synced ? "connected" : "loading …";
}

element("room").textContent = `· ${room}`;
provider.on("status", showStatus);
provider.on("sync", showStatus);
awareness.on("change", showPeople);
introduce();
showPeople();

const theme = EditorView.theme({
  "&": { height: "100%", fontSize: "1rem" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "ui-serif, Georgia, serif", lineHeight: "1.7", padding: "1.2rem clamp(0.8rem, 4vw, 2.4rem)" },
  ".cm-content": { caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-placeholder": { color: "var(--faint)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in oklab, var(--accent) 26%, transparent)",
  },
  ".cm-ySelectionInfo": { fontFamily: "system-ui, sans-serif", borderRadius: "4px", padding: "1px 6px", opacity: "1" },
});

element("editor").replaceChildren();
new EditorView({
  parent: element("editor"),
  state: EditorState.create({
    doc: text.toString(),
    extensions: [
      keymap.of([...yUndoManagerKeymap, ...defaultKeymap, indentWithTab]),
      drawSelection(),
      EditorView.lineWrapping,
      placeholder("Write something. Everyone in this room writes along."),
      yCollab(text, awareness),
      theme,
    ],
  }),
});

addEventListener("hashchange", () => location.reload());
