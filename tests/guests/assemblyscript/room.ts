// The room of `tests/tests/compat/conversation.rs` in AssemblyScript.

// A recipient is 0 for everyone, a client's id, or a negated id for everyone except that client.
@external("env", "send_message")
declare function send_message(recipient: i32, text: usize, len: usize): void;
@external("env", "send_binary")
declare function send_binary(recipient: i32, bytes: usize, len: usize): void;
@external("env", "set_timer")
declare function set_timer(milliseconds: u32): void;

const EVERYONE = 0;

let value: u32 = 0;

function send(recipient: i32, text: string): void {
  const utf8 = String.UTF8.encode(text);
  send_message(recipient, changetype<usize>(utf8), utf8.byteLength);
}

export function jam_malloc(size: usize): usize {
  return heap.alloc(size);
}

export function jam_free(at: usize, size: usize): void {
  heap.free(at);
}

export function initialize(roomId: usize, len: usize): void {}

export function connect(client: i32): void {
  send(client, value.toString());
}

export function disconnect(client: i32): void {
  send(EVERYONE, "bye");
}

export function timer(): void {
  send(EVERYONE, "time");
}

export function message(client: i32, at: usize, len: usize): void {
  const text = String.UTF8.decodeUnsafe(at, len);
  if (text == "increment") {
    value++;
    send(EVERYONE, value.toString());
  } else if (text == "later") {
    set_timer(1000);
  } else if (text == "never") {
    set_timer(0);
  } else if (text == "others") {
    send(-client, "psst");
  } else if (text == "throw") {
    throw new Error("thrown");
  } else {
    send(client, text);
  }
}

export function binary(client: i32, at: usize, len: usize): void {
  send_binary(client, at, len);
}
