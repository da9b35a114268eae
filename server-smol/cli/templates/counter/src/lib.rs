//! A number that everyone in the room shares.
#![no_std]

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
pub struct SharedCounter(i32);

impl StateroomService for SharedCounter {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, text!("{}", self.0));
    }

    fn message(&mut self, _: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        match message.text() {
            Some("increment") => self.0 = self.0.saturating_add(1),
            Some("decrement") => self.0 = self.0.saturating_sub(1),
            _ => return,
        }
        ctx.send_message(MessageRecipient::Broadcast, text!("{}", self.0));
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<SharedCounter>()
}

#[cfg(test)]
mod tests;
