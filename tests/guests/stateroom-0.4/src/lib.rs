//! The room of `tests/tests/compat/conversation.rs`, with what the published crate offers beyond it.

use std::collections::HashMap;

use stateroom_wasm::*;

#[stateroom_wasm]
#[derive(Default)]
struct Room {
    value: u32,
    /// The clients that have counted, and how often.
    counted: HashMap<ClientId, u32>,
}

impl StateroomService for Room {
    fn init(&mut self, _: &impl StateroomContext) {
        println!("a room");
    }

    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, self.value.to_string());
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        self.counted.remove(&client);
        ctx.send_message(MessageRecipient::Broadcast, "bye");
    }

    fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
        let Some(text) = message.text() else {
            return ctx.send_message(client, message);
        };
        match text {
            "increment" => {
                self.value += 1;
                *self.counted.entry(client).or_default() += 1;
                ctx.send_message(MessageRecipient::Broadcast, self.value.to_string());
            }
            "later" => ctx.set_timer(1000),
            "never" => ctx.set_timer(0),
            "who" => {
                let who: Vec<_> = self.counted.keys().map(|client| u32::from(*client).to_string()).collect();
                ctx.send_message(client, who.join(" "));
            }
            "others" => ctx.send_message(MessageRecipient::EveryoneExcept(client), "psst"),
            "print" => {
                println!("to standard output\nin two lines");
                eprintln!("client {} to standard error", u32::from(client));
            }
            "" => {}
            "nothing" => ctx.send_message(client, ""),
            _ => ctx.send_message(client, message),
        }
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, "time");
    }
}
