//! A room that sends each message to everyone in it.
#![no_std]

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Room;

impl StateroomService for Room {
    fn message(&mut self, _: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, message);
    }
}

#[cfg(test)]
mod tests;
