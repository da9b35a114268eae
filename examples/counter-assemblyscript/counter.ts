// A number that everyone in the room shares, in AssemblyScript.

@external("env", "send_message")
declare function send_message(recipient: i32, text: usize, len: usize): void;

const EVERYONE = 0;

let value: i32 = 0;

// What the host hands over lies in memory of its own, beside what the runtime collects.
export function jam_malloc(size: usize): usize {
  return heap.alloc(size);
}

export function jam_free(at: usize, size: usize): void {
  heap.free(at);
}

export function initialize(roomId: usize, len: usize): void {}

export function connect(client: u32): void {}

export function disconnect(client: u32): void {}

export function timer(): void {}

export function message(client: u32, at: usize, len: usize): void {
  const word = String.UTF8.decodeUnsafe(at, len);
  if (word == "increment") {
    if (value < i32.MAX_VALUE) value++;
  } else if (word == "decrement") {
    if (value > i32.MIN_VALUE) value--;
  } else {
    return;
  }
  const answer = String.UTF8.encode(`new value: ${value}`);
  send_message(EVERYONE, changetype<usize>(answer), answer.byteLength);
}

export function binary(client: u32, at: usize, len: usize): void {}
