//! Sends every message back to its sender.
#![no_std]

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {
    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        ctx.send_message(client, message);
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Echo>()
}

#[cfg(test)]
mod tests;
