#![allow(
    clippy::needless_borrows_for_generic_args,
    reason = "services of the older line are written this way"
)]

extern crate alloc;

use alloc::{format, string::String};

use stateroom_sdk_core::prelude::*;

/// The older form: made with the room's id, and with a method for each kind of message.
#[cfg_attr(target_family = "wasm", stateroom_wasm)]
#[derive(Debug)]
pub struct Simple {
    room: String,
}

impl SimpleStateroomService for Simple {
    fn new(room_id: &str, ctx: &impl StateroomContext) -> Self {
        // Nobody can be there to hear it.
        ctx.send_message(MessageRecipient::Broadcast, "made");
        Self { room: room_id.into() }
    }

    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, &format!("welcome to {}, {client}", self.room));
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, &format!("goodbye, {client}"));
    }

    fn message(&mut self, client: ClientId, message: &str, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::EveryoneExcept(client), &format!("{client} says {message}"));
        ctx.set_timer(1);
    }

    fn binary(&mut self, client: ClientId, message: &[u8], ctx: &impl StateroomContext) {
        ctx.send_binary(client, message);
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, "time");
    }
}
