use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {
    fn binary(&mut self, _: ClientId, _: &[u8], _: &impl StateroomContext) {}
}

fn main() {}
