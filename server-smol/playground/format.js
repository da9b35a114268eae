// Numbers and bytes as texts.

const [integer, utf8] = [new Intl.NumberFormat("en"), new TextEncoder()];

export const count = (number) => integer.format(number);

export const encode = (text) => utf8.encode(text);

export const decode = (bytes) => new TextDecoder().decode(bytes);

export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  const power = Math.min(Math.floor(Math.log2(size) / 10), 3);
  const number = size / 1024 ** power;
  return `${number.toFixed(number < 100 ? 1 : 0)} ${["KB", "MB", "GB"][power - 1]}`;
}

export function clock(time) {
  const at = new Date(time);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(11, 23);
}

export const duration = (micros) => (micros < 1000 ? `${micros} µs` : `${(micros / 1000).toFixed(1)} ms`);

export const spaced = (hex) => hex.replace(/..(?=.)/g, "$& ");

export const toHex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Returns the bytes of hex digits, if they are some. */
export function fromHex(text) {
  const digits = text.replace(/\s/g, "");
  if (digits.length % 2 || /[^\da-f]/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
