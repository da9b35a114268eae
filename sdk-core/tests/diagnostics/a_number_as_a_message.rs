use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Counter(u32);

impl StateroomService for Counter {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, self.0);
    }
}

fn main() {}
