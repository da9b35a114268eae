// Numbers and bytes as texts.

const integer = new Intl.NumberFormat("en");

export const count = (number) => integer.format(number);

/** Returns "1 client" or "2 clients". */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  const units = ["KB", "MB", "GB", "TB"];
  let unit = -1;
  do {
    size /= 1024;
    unit += 1;
  } while (size >= 1024 && unit < units.length - 1);
  return `${size.toFixed(size < 100 ? 1 : 0)} ${units[unit]}`;
}

/** Returns a time of the day with milliseconds. */
export function clock(time) {
  const at = new Date(time);
  const two = (number) => String(number).padStart(2, "0");
  const ms = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

export function duration(micros) {
  if (micros < 1000) return `${micros} µs`;
  if (micros < 1e6) return `${(micros / 1000).toFixed(1)} ms`;
  return `${(micros / 1e6).toFixed(1)} s`;
}

/** Returns a longer time in its largest units: "2 h 5 min". */
export function elapsed(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  return `${count(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}

/** Returns "00 ff 7a". */
export const spaced = (hex) => hex.replace(/..(?=.)/g, "$& ");

export function toHex(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns the bytes that these digits mean, or nothing if they mean none. */
export function fromHex(text) {
  const digits = text.replace(/[\s,:]|0x/gi, "");
  if (digits.length % 2 !== 0 || /[^\da-f]/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
