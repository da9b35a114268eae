extern crate alloc;

use alloc::format;

use stateroom_sdk_core::*;

/// A service that tells everyone in the room of every event.
#[cfg_attr(target_family = "wasm", stateroom_wasm)]
#[derive(Debug, Default)]
pub struct Journal;

impl StateroomService for Journal {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, format!("connect {client}"));
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, format!("disconnect {client}"));
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        let line = match message {
            MessagePayload::Text(text) => format!("message {client} {text}"),
            MessagePayload::Bytes(bytes) => format!("message {client} {bytes:?}"),
        };
        ctx.send_message(MessageRecipient::Broadcast, line);
    }
}
