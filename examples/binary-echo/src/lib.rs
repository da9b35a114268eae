//! Sends the bytes of every message back to its sender, whether it was text or binary.
#![no_std]

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct BinaryEcho;

impl StateroomService for BinaryEcho {
    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        ctx.send_message(client, message.data());
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<BinaryEcho>()
}

#[cfg(test)]
mod tests;
