//! A guest of the original: an echo, or a room where everyone hears everything.

use stateroom_wasm::*;

#[stateroom_wasm]
#[derive(Default)]
struct Room;

impl StateroomService for Room {
    fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
        if cfg!(feature = "broadcast") {
            ctx.send_message(MessageRecipient::Broadcast, message);
        } else {
            ctx.send_message(client, message);
        }
    }
}
