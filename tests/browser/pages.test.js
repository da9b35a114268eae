// The pages of the examples, each in two tabs: what happens in one shows in the other, also after a restart of the server.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { checkout, launch, started, visit } from "../../client/test/browser.js";
import { animation, picture } from "./pictures.js";

/** Guests are built in it, perhaps for the first time. */
const TIMEOUT = { timeout: 600_000 };

let browser;

before(async () => { browser = await launch(); });
after(() => browser?.close());

/** Waits until a page says that it is connected, or that it is not. */
const isLive = (page) => page.locator("#status:is(.live, .connected)").waitFor();
const isLost = (page) => page.locator("#status:not(.live, .connected)").waitFor();

/** Waits for an element with exactly this text. */
const shows = (page, selector, text) => page.locator(selector).getByText(text, { exact: true }).first().waitFor();

/**
 * Opens the page of a project in two tabs, and lets them share something. Then the server is killed and started again. The
 * tabs come back without a click, are not loaded again, and share once more.
 */
function shares(name, share, { project = `${checkout()}/examples/${name}`, enter = isLive, show } = {}) {
  test(`two pages of ${name} share a room, also after a restart`, TIMEOUT, async (t) => {
    const server = await started(t, "dev", project);
    const look = { viewport: { width: 520, height: 330 }, reducedMotion: "reduce" };
    const tabs = [];
    for (const colorScheme of ["light", "dark"]) {
      const tab = await visit(t, browser, server, "/", { ...look, colorScheme });
      await enter(tab, tabs.length);
      await tab.evaluate(() => { window.isTheSame = true; });
      tabs.push(tab);
    }
    await share(...tabs, 1);
    await server.end();
    await Promise.all(tabs.map(isLost));
    await server.start();
    await Promise.all(tabs.map(isLive));
    await share(...tabs, 2);
    for (const tab of tabs) assert(await tab.evaluate(() => window.isTheSame), "the page was loaded again");
    await show?.(t, server, ...tabs);
  });
}

/** Takes the picture of two tabs for the documents. */
const photograph = (name, act = () => {}) => async (t, server, ...tabs) => {
  await act(...tabs);
  await picture(browser, name, tabs);
};

describe("the pages of the examples", { concurrency: 3 }, () => {
  shares("yjs", async (mine, other, run) => {
    // Both have kept the text.
    for (const tab of [mine, other]) await tab.locator(".cm-line", { hasText: run === 1 ? "Write" : "round 1" }).first().waitFor();
    await mine.locator(".cm-content").focus();
    await mine.keyboard.press("Control+End");
    await mine.keyboard.type(`This is round ${run}.\n`);
    await other.locator(".cm-line", { hasText: `This is round ${run}.` }).waitFor();
  }, {
    project: process.env.YJS_PROJECT,
    // At the begin: the editor keeps the label of a caret that has been drawn, whatever its owner is called later.
    enter: async (tab, number) => {
      await isLive(tab);
      await tab.locator("#name").fill(["Ada", "Ben"][number]);
    },
    show: photograph("yjs", async (mine, other) => {
      await shows(mine, "#people li", "Ben");
      await shows(other, "#people li", "Ada");
      await mine.locator(".cm-content").focus();
      await mine.keyboard.press("Control+a");
      await mine.keyboard.type("Everyone in this room edits this text.\nAda writes here.");
      await other.locator(".cm-line", { hasText: "Ada writes here." }).waitFor();
      await other.locator(".cm-content").focus();
      await other.keyboard.press("Control+Home");
      await other.keyboard.type("And Ben writes here. ");
      await mine.locator(".cm-line", { hasText: "And Ben writes here." }).waitFor();
      await mine.locator(".cm-ySelectionInfo", { hasText: "Ben" }).waitFor({ state: "attached" });
      await other.locator(".cm-ySelectionInfo", { hasText: "Ada" }).waitFor({ state: "attached" });
    }),
  });

  test("the page of yjs says what is missing if its script is not built", TIMEOUT, async (t) => {
    const server = await started(t, "dev", process.env.YJS_PROJECT);
    const context = await browser.newContext();
    t.after(() => context.close());
    await context.route("**/editor.js", (route) => route.fulfill({ status: 404 }));
    const page = await context.newPage();
    await page.goto(server.origin);
    await page.locator("#status", { hasText: "the editor is not built" }).waitFor();
    await page.locator("#editor", { hasText: "npm ci && npm run build" }).waitFor();
  });

  for (const name of ["chat", "counter", "cursors"]) {
    test(`the page of ${name} says why its connection was closed`, TIMEOUT, async (t) => {
      const server = await started(t, "dev", `${checkout()}/examples/${name}`);
      const context = await browser.newContext();
      t.after(() => context.close());
      const page = await context.newPage();
      await page.routeWebSocket(/\/ws\//, (socket) => socket.close({ code: 4000, reason: "that is enough" }));
      await page.goto(server.origin);
      await page.locator("#status", { hasText: "not connected: that is enough" }).waitFor();
    });
  }

  shares("cursors", async (mine, other, run) => {
    await mine.mouse.move(100 * run, 50);
    await other.locator("#status", { hasText: "room lobby · 1 other cursor" }).waitFor();
    await other.locator(".cursor").waitFor();
  }, {
    show: async (t, server, ...tabs) => {
      const helper = await visit(t, browser, server, "/status");
      await animation(browser, "cursors", tabs, await crowd(helper, tabs));
    },
  });

  shares("chat", async (mine, other, run) => {
    await mine.locator("#text").fill(`hello ${run}`);
    await mine.keyboard.press("Enter");
    for (const tab of [mine, other]) await tab.locator("li", { hasText: new RegExp(`^client\\d: hello ${run}$`) }).waitFor();
  }, {
    show: photograph("chat", async (mine, other) => {
      const say = async (tab, ...texts) => {
        for (const text of texts) {
          await tab.locator("#text").fill(text);
          await tab.locator("button").click();
          const shown = /^\/nick (.*)/.exec(text)?.[1] ?? text;
          for (const tab of [mine, other]) await tab.locator("li", { hasText: shown }).last().waitFor();
        }
      };
      for (const tab of [mine, other]) await tab.locator("#lines").evaluate((lines) => lines.replaceChildren());
      await say(mine, "/nick Ada");
      await say(other, "/nick Ben", "Good morning, Ada!");
      await say(mine, "Good morning! Does this run on your router?");
    }),
  });

  shares("counter", async (mine, other) => {
    await mine.getByLabel("Add 1").focus();
    await mine.keyboard.press("Enter");
    await shows(other, "#number", "1");
    await other.getByLabel("Take 1 away").click();
    await other.getByLabel("Take 1 away").click();
    await shows(mine, "#number", "−1");
  });

  shares("todo", async (mine, other, run) => {
    await mine.getByLabel("A new entry").fill(`entry ${run}`);
    await mine.keyboard.press("Enter");
    await other.getByLabel(`entry ${run}`).check();
    await mine.locator(":checked:disabled").waitFor();
    await mine.getByLabel("A new entry").fill("x".repeat(101) + "é".repeat(99));
    await mine.keyboard.press("Enter");
    await shows(mine, "#problem", "the list has no space for that");
    await mine.getByLabel("Remove").click();
    await other.locator("li").waitFor({ state: "detached" });
  }, {
    show: photograph("todo", async (mine, other) => {
      await mine.getByLabel("A new entry").fill("");
      for (const text of ["Write a room", "Build it", "Copy it to the small machine"]) {
        await other.getByLabel("A new entry").fill(text);
        await other.keyboard.press("Enter");
        await mine.getByLabel(text).waitFor();
      }
      await mine.getByLabel("Write a room").check();
      await other.locator(":checked").waitFor();
    }),
  });

  shares("vote", async (mine, other, run) => {
    // A page that is back votes again.
    if (run === 1) {
      await mine.getByLabel("Another choice").fill("tea");
      await mine.keyboard.press("Enter");
    }
    await other.getByLabel("tea: 1").waitFor();
    if (run === 2) await other.getByLabel("tea: 1").click();
    if (run === 2) await mine.getByLabel("tea: 2").waitFor();
  });

  shares("pixels", async (mine, other, run) => {
    await paint(mine, run === 1 ? "red" : "blue", [[3, 4]]);
    await isPainted(other, 3, 4, run === 1 ? "255,0,0" : "0,0,255");
    // With the keyboard: the place that was clicked is chosen.
    await mine.getByLabel("green", { exact: true }).check();
    await mine.locator("#picture").focus();
    await mine.keyboard.press("ArrowRight");
    await mine.keyboard.press("Enter");
    await isPainted(other, 4, 4, "0,128,0");
  }, {
    show: photograph("pixels", async (mine, other) => {
      await paint(mine, "white", [[3, 4], [4, 4]]);
      await paint(mine, "dodgerblue", [[12, 11], [12, 12], [19, 11], [19, 12]]);
      await paint(other, "red", [[11, 17], [12, 18], [13, 19], [15, 19], [16, 19], [18, 19], [19, 18], [20, 17]]);
      for (const tab of [mine, other]) await tab.locator("#picture").blur();
      await isPainted(mine, 20, 17, "255,0,0");
      await isPainted(other, 20, 17, "255,0,0");
    }),
  });

  shares("duel", async (mine, other) => {
    await mine.getByRole("button", { name: "Rock" }).click();
    await other.getByRole("button", { name: "Scissors" }).click();
    for (const tab of [mine, other]) await shows(tab, "#news li:last-child", "Ada wins");
    await other.locator("#news").evaluate((news) => news.replaceChildren());
    await mine.locator("#news").evaluate((news) => news.replaceChildren());
  }, {
    enter: async (page, number) => {
      await page.getByLabel("Your name").fill(["Ada", "Ben"][number]);
      await page.keyboard.press("Enter");
      await isLive(page);
    },
  });

  shares("presence", async (mine, other) => {
    await mine.locator("textarea").pressSequentially("a");
    await other.locator("li", { hasText: "typing" }).waitFor();
    await mine.locator("textarea").blur();
    await other.locator("li", { hasText: "typing" }).waitFor({ state: "detached" });
    await other.locator("li", { hasText: "here" }).nth(1).waitFor();
  });

  shares("clock", async (mine, other) => {
    for (const tab of [mine, other]) await tab.getByText(/^0:0[1-9]$/).waitFor();
  });
});

/** Paints with the mouse. */
async function paint(page, colour, places) {
  await page.getByLabel(colour, { exact: true }).check();
  const { width, height } = await page.locator("#picture").boundingBox();
  for (const [x, y] of places) {
    await page.locator("#picture").click({ position: { x: ((x + 0.5) / 32) * width, y: ((y + 0.5) / 32) * height } });
  }
}

/** Waits until a pixel has a colour. */
async function isPainted(page, x, y, colour) {
  await page.waitForFunction(([x, y, colour]) =>
    picture.getContext("2d").getImageData(x, y, 1, 1).data.join().startsWith(`${colour},`), [x, y, colour]);
}

/** Joins a few more clients, and returns a function that moves all of them and the mice of the tabs to where they are at a time from 0 to 1. */
async function crowd(helper, tabs) {
  await helper.evaluate(async () => {
    const { RoomSocket, roomUrl } = await import("/_/client.js");
    const clients = [1, 2, 3].map(() => new RoomSocket(roomUrl("lobby")));
    await Promise.all(clients.map((client) => new Promise((resolve) => { client.onopen = resolve; })));
    window.move = (index, x, y) => clients[index].send(new Uint16Array([x * 65535, y * 65535]));
  });
  /** Loops, each in a part of the window of its own. They end where they begin. */
  const places = [[0.2, 0.3, 1], [0.72, 0.22, -1], [0.5, 0.62, 2], [0.22, 0.72, -1], [0.72, 0.66, 1]];
  const place = (index, time) => {
    const [x, y, turns] = places[index];
    const angle = 2 * Math.PI * (time * turns + index / 5);
    return [x + 0.15 * Math.cos(angle), y + 0.16 * Math.sin(angle) + 0.05 * Math.sin(2 * angle)];
  };
  return async (time) => {
    const { width, height } = tabs[0].viewportSize();
    for (const [index, tab] of tabs.entries()) {
      const [x, y] = place(index, time);
      await tab.mouse.move(x * width, y * height);
    }
    await helper.evaluate((places) => places.forEach(([x, y], index) => move(index, x, y)), [2, 3, 4].map((index) => place(index, time)));
    // Everyone sees all others where they are: these are fractions of the window, which the room passes on in 16 bits.
    for (const [index, tab] of tabs.entries()) {
      const others = [0, 1, 2, 3, 4].filter((other) => other !== index).map((other) => place(other, time));
      await tab.waitForFunction((others) => {
        const at = [...document.querySelectorAll(".cursor")].map(({ style }) => style.transform.match(/[\d.]+/g).map(Number));
        return others.every(([x, y]) => at.some(([left, top]) => Math.hypot(left - x * innerWidth, top - y * innerHeight) < 2));
      }, others);
    }
  };
}
