// The pictures of the documents. They are always taken. They are written with STATEROOM_WRITE_DOCS=1.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";

import { checkout } from "../../client/test/browser.js";

const KIB = 1024;
const WRITES = process.env.STATEROOM_WRITE_DOCS === "1";

/** The frames of a moving picture, and the time for which each is shown. */
const FRAMES = WRITES ? 40 : 2;
const FRAME_MS = 80;

/** Keeps a picture that is not too large. */
async function keep(file, bytes, most) {
  assert(bytes.length > KIB && bytes.length <= most, `${file} has ${bytes.length} bytes`);
  if (WRITES) await writeFile(`${checkout()}/docs/${file}`, bytes);
}

/** Opens a page that shows tabs side by side, each in a window. */
async function openDesk(browser, tabs) {
  const { width, height } = tabs[0].viewportSize();
  const desk = await browser.newPage({ viewport: { width: tabs.length * (width + 24) + 24, height: height + 82 } });
  await desk.setContent(`<!doctype html>
    <style>
      body { margin: 24px; display: flex; gap: 24px; background: #8b91a5; font: 13px system-ui, sans-serif; }
      figure { margin: 0; border-radius: 8px; overflow: hidden; background: #e8e8ea; color: #444; }
      figure + figure { background: #33353d; color: #ddd; }
      figcaption { height: 34px; line-height: 34px; padding-left: 16px; }
      figcaption::before { content: "●●●"; margin-right: 18px; letter-spacing: 4px; color: #b5b5bb; }
      figure + figure figcaption::before { color: #5c5e68; }
      img { display: block; width: ${width}px; height: ${height}px; }
    </style>
    ${tabs.map(() => "<figure><figcaption>localhost:8080</figcaption><img></figure>").join("")}`);
  return desk;
}

/** Returns a picture of tabs side by side, as PNG. */
async function shoot(desk, tabs) {
  const images = await Promise.all(tabs.map((tab) => tab.screenshot()));
  await desk.evaluate((images) => Promise.all(images.map((image, index) => {
    document.images[index].src = `data:image/png;base64,${image}`;
    return document.images[index].decode();
  })), images.map((image) => image.toString("base64")));
  return desk.screenshot();
}

/** Takes the picture `docs/NAME.png` of tabs, of at most so many bytes. */
export async function picture(browser, name, tabs, most = 60 * KIB) {
  const desk = await openDesk(browser, tabs);
  await keep(`${name}.png`, await shoot(desk, tabs), most);
  await desk.close();
}

/** Takes the moving picture `docs/NAME.webp` of tabs, and moves what is in them by calling `move` with times from 0 to 1. */
export async function animation(browser, name, tabs, move) {
  const desk = await openDesk(browser, tabs);
  const frames = [];
  for (let index = 0; index < FRAMES; index += 1) {
    await move(index / FRAMES);
    const image = (await shoot(desk, tabs)).toString("base64");
    frames.push(await desk.evaluate(encode, image));
  }
  const { width, height } = desk.viewportSize();
  await keep(`${name}.webp`, webp(width, height, frames), 400 * KIB);
  await desk.close();
}

/** Runs in a page: returns the part of an image that differs from the one before, in WebP. What is the same is transparent. */
async function encode(image) {
  const QUALITY = 0.75;
  const SIZE = 16;
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${image}`)).blob());
  const { width, height } = bitmap;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  const pixels = new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer);
  const before = window.before ?? new Uint32Array(pixels.length);
  window.before = pixels;
  const isChanged = (left, top) => {
    for (let y = top; y < Math.min(top + SIZE, height); y += 1) {
      for (let x = left; x < Math.min(left + SIZE, width); x += 1) {
        if (pixels[y * width + x] !== before[y * width + x]) return true;
      }
    }
    return false;
  };
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y += SIZE) {
    for (let x = 0; x < width; x += SIZE) {
      if (isChanged(x, y)) {
        [left, top] = [Math.min(left, x), Math.min(top, y)];
        [right, bottom] = [Math.max(right, Math.min(x + SIZE, width)), Math.max(bottom, Math.min(y + SIZE, height))];
      } else {
        pen.clearRect(x, y, SIZE, SIZE);
      }
    }
  }
  const part = { x: left, y: top, width: right - left, height: bottom - top };
  const piece = Object.assign(document.createElement("canvas"), { width: part.width, height: part.height });
  piece.getContext("2d").drawImage(canvas, -left, -top);
  return { ...part, image: piece.toDataURL("image/webp", QUALITY).split(",")[1] };
}

/** Makes a moving picture of images in WebP, as "WebP Container Specification" describes it. */
function webp(width, height, frames) {
  const number = (value, length) => {
    const bytes = Buffer.alloc(length);
    bytes.writeUIntLE(value, 0, length);
    return bytes;
  };
  const chunk = (name, ...parts) => {
    const content = Buffer.concat(parts);
    return Buffer.concat([Buffer.from(name), number(content.length, 4), content, Buffer.alloc(content.length % 2)]);
  };
  const HAS_MOTION_AND_ALPHA = 0x12;
  const header = chunk("VP8X", number(HAS_MOTION_AND_ALPHA, 4), number(width - 1, 3), number(height - 1, 3));
  // A background that is not seen, and no end.
  const loop = chunk("ANIM", number(0, 4), number(0, 2));
  const all = frames.map((frame) => chunk(
    "ANMF",
    number(frame.x / 2, 3), number(frame.y / 2, 3), number(frame.width - 1, 3), number(frame.height - 1, 3),
    // Over what is there.
    number(FRAME_MS, 3), number(0, 1),
    ...pixelsOf(Buffer.from(frame.image, "base64")),
  ));
  return chunk("RIFF", Buffer.from("WEBP"), header, loop, ...all);
}

/** Returns the chunks of an image that are its pixels and what of them is transparent. */
function pixelsOf(image) {
  const chunks = [];
  // After RIFF, the length and WEBP.
  for (let at = 12; at < image.length;) {
    const length = 8 + image.readUInt32LE(at + 4);
    const end = at + length + (length % 2);
    if (["ALPH", "VP8 ", "VP8L"].includes(image.toString("latin1", at, at + 4))) chunks.push(image.subarray(at, end));
    at = end;
  }
  return chunks;
}
