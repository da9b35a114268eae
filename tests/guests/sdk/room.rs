//! The room of `tests/tests/compat/conversation.rs` with this project's own SDK.
#![no_std]

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Room {
    value: u32,
}

impl StateroomService for Room {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, format_args!("{}", self.value));
    }

    fn disconnect(&mut self, _: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, "bye");
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        match message.text() {
            Some("increment") => {
                self.value += 1;
                ctx.send_message(MessageRecipient::Broadcast, format_args!("{}", self.value));
            }
            Some("later") => ctx.set_timer(1000),
            Some("never") => ctx.set_timer(0),
            Some("others") => ctx.send_message(MessageRecipient::EveryoneExcept(client), "psst"),
            _ => ctx.send_message(client, message),
        }
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, "time");
    }
}
