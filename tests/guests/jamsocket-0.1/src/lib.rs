//! The room of `tests/tests/compat/conversation.rs`, with what the published crate offers beyond it.

use std::collections::HashMap;

use jamsocket_wasm::prelude::*;

#[jamsocket_wasm]
struct Room {
    id: String,
    value: u32,
    /// The clients that have counted, and how often.
    counted: HashMap<ClientId, u32>,
}

impl SimpleJamsocketService for Room {
    fn new(room_id: &str, _: &impl JamsocketContext) -> Self {
        println!("room {room_id}");
        Room { id: room_id.to_owned(), value: 0, counted: HashMap::new() }
    }

    fn connect(&mut self, client: ClientId, ctx: &impl JamsocketContext) {
        ctx.send_message(client, &self.value.to_string());
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl JamsocketContext) {
        self.counted.remove(&client);
        ctx.send_message(MessageRecipient::Broadcast, "bye");
    }

    fn message(&mut self, client: ClientId, message: &str, ctx: &impl JamsocketContext) {
        match message {
            "increment" => {
                self.value += 1;
                *self.counted.entry(client).or_default() += 1;
                ctx.send_message(MessageRecipient::Broadcast, &self.value.to_string());
            }
            "later" => ctx.set_timer(1000),
            "never" => ctx.set_timer(0),
            "room" => ctx.send_message(client, &self.id),
            "who" => {
                let who: Vec<_> = self.counted.keys().map(|client| u32::from(*client).to_string()).collect();
                ctx.send_message(client, &who.join(" "));
            }
            "print" => {
                println!("to standard output\nin two lines");
                eprintln!("client {} to standard error", u32::from(client));
            }
            "" => {}
            "nothing" => ctx.send_message(client, ""),
            _ => ctx.send_message(client, message),
        }
    }

    fn binary(&mut self, client: ClientId, message: &[u8], ctx: &impl JamsocketContext) {
        ctx.send_binary(client, message);
    }

    fn timer(&mut self, ctx: &impl JamsocketContext) {
        ctx.send_message(MessageRecipient::Broadcast, "time");
    }
}
